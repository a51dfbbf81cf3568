// What the cloud says of a converted node: well, cut off, and gone from the table when it is reverted.
import path from 'node:path';
import { runFully, waitFor } from '../../cluster/commands.ts';
import { projectRoot } from '../../cluster/project-root.ts';
import { expectThat } from '../report.ts';
import type { Stage } from './stage.ts';

interface Row {
  node: string;
  version?: string;
  cloud: string;
  since?: string;
  report?: { lists: number; objects: number; tokens: number };
  verdict: string;
  why: string;
}

export async function fleet(stage: Stage): Promise<void> {
  const { report, node, cluster } = stage;
  /** As an administrator, from where the API server is in reach. */
  const asked = async (args: readonly string[]): Promise<string> => {
    const program = [process.execPath, path.join(projectRoot(), 'dist', 'holdfast.mjs')];
    const argv = [...program, 'status', ...args, '--kubeconfig', cluster.adminKubeconfig];
    const { code, stdout, stderr } = await runFully(argv, { mayFail: true });
    expectThat(code === 0, `exit ${code}: ${stdout}${stderr}`);
    return stdout;
  };
  const rows = async (): Promise<Row[]> => JSON.parse(await asked(['--output', 'json'])) as Row[];
  await report.check('a cluster without Holdfast says so', async () => {
    const said = await asked([]);
    expectThat(said.includes('No node of this cluster has Holdfast'), said);
  });
  await stage.succeed(['convert']);
  await report.check('a converted node is in the table, and its hub reports with the kubelet', async () => {
    const [first] = await rows();
    expectThat(first?.node === node.name && first.cloud === 'in reach', JSON.stringify(first));
    // The kubelet says how its node is at its start, and every five minutes.
    await waitFor('the hub has reported', async () => (await rows())[0]?.report !== undefined, {
      deadlineMs: 330_000,
      everyMs: 2_000,
    });
    const [row] = await rows();
    expectThat(row?.verdict === 'well' && (row.report?.lists ?? 0) > 0, JSON.stringify(row));
    report.say(await asked([]));
    report.say(await asked([node.name]));
    return `${JSON.stringify(row.report).length} bytes`;
  });
  await report.check('a node that is cut off is shown as such', async () => {
    await node.link.apply({ kind: 'drop' });
    await waitFor('the cloud misses it', async () => (await rows())[0]?.cloud === 'cut off', {
      deadlineMs: 120_000,
      everyMs: 1_000,
    });
    const [row] = await rows();
    expectThat(row?.verdict === 'look' && row.report !== undefined, JSON.stringify(row));
    report.say(await asked([]));
    await node.link.heal();
    await cluster.waitForNode(node.name, 60_000);
    return row.why;
  });
  await report.check('a node that is given back is in the table no longer', async () => {
    await stage.succeed(['revert'], '/usr/local/bin/holdfast');
    expectThat((await rows()).length === 0, JSON.stringify(await rows()));
  });
}
