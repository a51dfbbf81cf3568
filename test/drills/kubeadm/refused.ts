// What leaves a node as it was: a dry run, a check that says no, a step that fails.
import { existsSync, writeFileSync } from 'node:fs';
import { run } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import type { Stage } from './stage.ts';

/** systemd-analyze security: from 0 (nothing is left) to 10. What runs on a node is root, and on the host's network. */
const exposureLimits = { 'holdfast-node.service': 3, 'holdfast-tunnel-agent.service': 3 } as const;

export async function refused(stage: Stage): Promise<void> {
  const { report, node } = stage;
  const before = await stage.snapshot();
  const containers = await stage.containers();
  await report.check('a dry run says what would be changed, and changes nothing', async () => {
    const { code, stdout } = await stage.holdfast(['convert', '--dry-run']);
    expectThat(code === 0 && stdout.includes('20-holdfast.conf'), `exit ${code}: ${stdout}`);
    return stage.expectSame(before);
  });
  await report.check('units leave little to what they start, by systemd’s own measure', async () => {
    const tool = '/usr/bin/systemd-analyze';
    if (!existsSync(tool)) return `not measured: there is no ${tool}`;
    const found = [];
    for (const [unit, limit] of Object.entries(exposureLimits)) {
      const file = node.file(`${stage.folder}/systemd/${unit}`);
      const said = await run([tool, 'security', '--offline=true', '--no-pager', file]);
      const [, exposure] = /Overall exposure level for \S+: ([\d.]+)/.exec(said) ?? [];
      expectThat(Number(exposure) <= limit, `${unit}: ${said}`);
      found.push(`${unit} ${exposure}`);
    }
    return found.join(', ');
  });
  await report.check('a control-plane node is refused', async () => {
    const plane = stage.cluster.controlPlane;
    await plane.enter(['mkdir', '-p', '/var/lib/unpacked']);
    const archive = stage.command.replace(/\/bin\/holdfast$/, '');
    // Both machines see the host's /tmp; the archive is copied as a user would.
    await plane.enter(['cp', '-a', node.file(archive), '/var/lib/unpacked/holdfast']);
    const argv = [
      'env',
      '-i',
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      '/var/lib/unpacked/holdfast/bin/holdfast',
      'convert',
      '--dry-run',
    ];
    const said = await plane.enter(['sh', '-c', `${argv.join(' ')}; echo "exit $?"`]);
    expectThat(/refused\s+role: this is a control-plane node/.test(said) && said.includes('exit 3'), said);
  });
  await report.check('a step that fails takes everything back by itself', async () => {
    // The last thing before the kubelet is turned: everything but that has been done.
    const folder = '/var/lib/failing';
    await node.enter(['mkdir', '-p', folder]);
    const script =
      '#!/bin/sh\n[ "$*" != "restart kubelet.service" ] || [ -e /run/failed ] || { touch /run/failed; echo "made to fail" >&2; exit 1; }\nexec /usr/bin/systemctl "$@"\n';
    writeFileSync(node.file(`${folder}/systemctl`), script, { mode: 0o755 });
    const { code, stdout, stderr } = await stage.holdfast(['convert'], stage.command, [
      `PATH=${folder}:/usr/sbin:/usr/bin:/sbin:/bin`,
    ]);
    expectThat(code === 1 && stderr.includes('made to fail'), `exit ${code}: ${stdout}${stderr}`);
    return stage.expectSame(before);
  });
  await report.check('no container of the application was started anew', async () => {
    const now = await stage.containers();
    expectThat(now === containers, `before:\n${containers}\nnow:\n${now}`);
  });
}
