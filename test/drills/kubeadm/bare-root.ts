// A Debian of nothing but its essential packages, as a container's root is: the archive alone makes the command and the hub run there.
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run, runFully, waitFor, type RunResult } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import type { Stage } from './stage.ts';

const rootFolder = '/var/lib/bare-root';
/** Beside what is essential: what Node.js is linked against, and by what the hub gets its address. */
const besides = ['libstdc++6', 'iproute2'];
const merged = ['bin', 'lib', 'lib64', 'sbin'];

export async function bareRoot(stage: Stage): Promise<void> {
  const { report, node } = stage;
  const at = (inside: string): string => node.file(`${rootFolder}${inside}`);
  const inRoot = (argv: readonly string[]): Promise<RunResult> =>
    runFully(node.enterArgv(['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'chroot', rootFolder, ...argv]), {
      mayFail: true,
    });
  const packages = await essential();
  await makeRoot(at(''), packages);
  for (const folder of ['/dev', '/proc']) await node.enter(['mount', '--rbind', folder, `${rootFolder}${folder}`]);
  await node.enter(['tar', '-xzf', stage.archive, '-C', `${rootFolder}/opt`]);
  const folder = `/opt/${path.basename(stage.folder)}`;
  const holdfast = `${folder}/bin/holdfast`;
  await report.check('there is no Node.js in the root, and the command runs', async () => {
    const found = await inRoot(['sh', '-c', 'command -v node nodejs']);
    expectThat(found.stdout === '', found.stdout);
    const { code, stdout, stderr } = await inRoot([holdfast, '--version']);
    expectThat(code === 0 && stdout.startsWith('holdfast '), `exit ${code}: ${stdout}${stderr}`);
    return `${stdout.trim()} with ${packages.length} packages`;
  });
  await report.check('the preflight of a conversion says what this Debian lacks', async () => {
    const { code, stdout, stderr } = await inRoot([holdfast, 'convert', '--dry-run']);
    const refused = [...stdout.matchAll(/^refused\s+([^:]+):/gm)].map(([, name]) => name);
    const wanted = ['systemd', 'kubelet.conf', 'kubelet', 'cloud'];
    expectThat(code === 3 && refused.join() === wanted.join(), `exit ${code}: ${stdout}${stderr}`);
    return `refused: ${refused.join(', ')}`;
  });
  await report.check('the hub runs, and gets what the node may read', async () => {
    for (const file of ['/etc/kubernetes/kubelet.conf', '/etc/kubernetes/pki', '/var/lib/kubelet/pki']) {
      mkdirSync(path.dirname(at(file)), { recursive: true });
      await run(['cp', '-a', node.file(file), at(file)]);
    }
    mkdirSync(at('/etc/holdfast'), { recursive: true });
    writeFileSync(at('/etc/holdfast/node.yaml'), 'kubeconfig: /etc/kubernetes/kubelet.conf\n');
    const hub = [`${folder}/lib/supervise.sh`, holdfast, 'node', '--config', '/etc/holdfast/node.yaml'];
    await node.startProcess('bare-hub', [
      'env',
      '-i',
      'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
      'chroot',
      rootFolder,
      ...hub,
    ]);
    const url = 'http://127.0.0.1:10267';
    const get = (what: string): Promise<RunResult> =>
      runFully(node.enterArgv(['busybox', 'wget', '-q', '-O', '-', `${url}/${what}`]), { mayFail: true });
    await waitFor('the hub is ready', async () => (await get('readyz')).code === 0, {
      deadlineMs: 60_000,
      everyMs: 100,
      context: () => readFileSync(node.logFile('bare-hub'), 'utf8').slice(-1_000),
    });
    const reachable = /^holdfast_yurthub_cloud_reachable 1$/m;
    await waitFor('it reaches the cloud', async () => reachable.test((await get('metrics')).stdout), {
      deadlineMs: 60_000,
      everyMs: 100,
    });
    await node.stopProcess('bare-hub');
  });
  for (const inside of ['/dev', '/proc']) await node.enter(['umount', '-R', '-l', `${rootFolder}${inside}`]);
  await node.enter(['rm', '-rf', '--one-file-system', rootFolder]);
}

/** Names of the packages, with all that they depend on. */
async function essential(): Promise<string[]> {
  const fields = '${Package}\\t${Essential}\\t${Pre-Depends}, ${Depends}\\n';
  const rows = (await run(['dpkg-query', '-W', `-f=${fields}`])).trim().split('\n');
  const known = new Map(rows.map((row) => [row.split('\t')[0] ?? '', row.split('\t')]));
  const wanted = new Set([
    ...besides,
    ...rows.flatMap((row) => (/^[^\t]+\tyes\t/.test(row) ? [row.split('\t')[0]!] : [])),
  ]);
  // A set is walked to what is added on the way as well.
  for (const name of wanted)
    for (const alternatives of (known.get(name)?.[2] ?? '').split(',')) {
      const names = alternatives.split('|').map((each) => each.trim().split(/[\s:]/)[0] ?? '');
      const installed = names.find((each) => known.has(each));
      if (installed !== undefined) wanted.add(installed);
    }
  return [...wanted].filter((name) => known.has(name)).sort();
}

/** Their files as they are on this machine, as a merged /usr has them. */
async function makeRoot(root: string, packages: readonly string[]): Promise<void> {
  for (const folder of ['usr', 'opt', 'dev', 'proc', 'run', 'tmp', 'etc', 'var/lib'])
    mkdirSync(path.join(root, folder), { recursive: true });
  for (const name of merged) {
    mkdirSync(path.join(root, 'usr', name), { recursive: true });
    symlinkSync(`usr/${name}`, path.join(root, name));
  }
  const listed = (await run(['dpkg-query', '-L', ...packages])).split('\n').filter((file) => file.startsWith('/'));
  const isMerged = (file: string): boolean => merged.some((name) => file.startsWith(`/${name}/`));
  const files = [...new Set(listed.map((file) => (isMerged(file) ? `usr${file}` : file.slice(1))))].sort();
  const list = `${root}.files`;
  writeFileSync(
    list,
    files.filter((file) => !/^(usr\/share\/(doc|man|locale)\/|\.?$|bin$|lib$|lib64$|sbin$)/.test(file)).join('\n'),
  );
  // As when an image is made: what is a folder elsewhere stays one, and documentation that was left out is no loss.
  const copy = `tar --create --no-recursion --ignore-failed-read --directory / --files-from="$1" 2>/dev/null | tar --extract --directory "$2"`;
  await run(['sh', '-c', copy, 'sh', list, root]);
  // What the packages' scripts make.
  await run(['ln', '-sfn', 'dash', path.join(root, 'usr/bin/sh')]);
}
