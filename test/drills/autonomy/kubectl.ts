// People on the node: kubectl goes through the hub with a token of its own, and what is not kept passes through untouched:
// exec over WebSocket and over SPDY, with standard input, half-close and exit code; logs.
import { binary } from '../../cluster/binaries.ts';
import { runFully, type RunResult } from '../../cluster/commands.ts';
import { openKubelet } from '../../cluster/network.ts';
import { hubCaFile, hubUrl } from '../hub-process.ts';
import { namespace } from '../workload.ts';
import type { Stage } from './stage.ts';

const transports = [
  ['WebSocket', 'true'],
  ['SPDY', 'false'],
] as const;
const inputBytes = 1 << 20;

export async function kubectlThroughHub(stage: Stage): Promise<void> {
  const { report, cloud, edge } = stage;
  await cloud.request('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name: 'drill-operator' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [{ kind: 'ServiceAccount', name: 'operator', namespace }],
  });
  const token = await stage.cluster.plane.token(namespace, 'operator');
  const pods = await stage.edgePods();
  const found = pods.find(({ metadata }) => metadata.name.startsWith('application-'))?.metadata.name;
  if (found === undefined) throw new Error('no pod of the application runs on edge');
  const pod: string = found;

  const kubectl = (args: readonly string[], webSockets = 'true', input = ''): Promise<RunResult> =>
    runFully(
      edge.enterArgv([
        binary('kubectl'),
        `--server=${hubUrl}`,
        `--certificate-authority=${hubCaFile}`,
        `--token=${token}`,
        `--namespace=${namespace}`,
        ...args,
      ]),
      {
        mayFail: true,
        timeoutMs: 120_000,
        input,
        env: { PATH: process.env['PATH'], HOME: stage.cluster.dir, KUBECTL_REMOTE_COMMAND_WEBSOCKETS: webSockets },
      },
    );
  const expect = (result: RunResult, code: number, stdout: RegExp): void => {
    if (result.code === code && stdout.test(result.stdout)) return;
    throw new Error(`exit code ${result.code}, ${JSON.stringify(result.stdout)}, ${JSON.stringify(result.stderr)}`);
  };

  // The node is behind NAT: what a tunnel will do, the harness does here, for as long as these checks last.
  const close = await openKubelet(edge.site);
  try {
    await checks();
  } finally {
    await close();
  }

  async function checks(): Promise<void> {
    for (const [name, webSockets] of transports) {
      await report.check(`exec over ${name}: 1 MiB of standard input, its end, and the late reply`, async () => {
        const input = 'x'.repeat(inputBytes);
        const result = await kubectl(['exec', '-i', pod, '--', 'sh', '-c', 'cat | wc -c'], webSockets, input);
        expect(result, 0, new RegExp(`^\\s*${inputBytes}\\s*$`));
      });
      await report.check(`exec over ${name}: the exit code of the command`, async () => {
        expect(await kubectl(['exec', pod, '--', 'sh', '-c', 'echo told; exit 42'], webSockets), 42, /^told\n$/);
      });
    }
    await report.check('get and logs', async () => {
      expect(await kubectl(['get', 'pods', pod]), 0, /READY +STATUS[^]*1\/1 +Running/);
      expect(await kubectl(['logs', pod]), 0, /^/);
    });
    await report.check('without a token, kubectl is told to use one', async () => {
      const result = await runFully(
        edge.enterArgv([
          binary('kubectl'),
          `--server=${hubUrl}`,
          `--certificate-authority=${hubCaFile}`,
          '--username=nobody',
          '--password=nothing',
          'get',
          'pods',
        ]),
        { mayFail: true, timeoutMs: 120_000, env: { PATH: process.env['PATH'], HOME: stage.cluster.dir } },
      );
      if (result.code === 0 || !/Unauthorized|logged in|token/i.test(result.stderr))
        throw new Error(`exit code ${result.code}, ${JSON.stringify(result.stderr)}`);
    });
  }
}
