// (a) With the cloud in reach: everything on the node that uses the API goes through the hub, without knowing it.
import { readFileSync } from 'node:fs';
import { expectThat } from '../report.ts';
import { namespace } from './application.ts';
import { apiAnswers, headlessIsRight, serviceAnswers, staysOnTheNode, watchShows } from './checks.ts';
import type { Stage } from './stage.ts';

const startMs = 180_000;

export async function online(stage: Stage): Promise<void> {
  const { report, edge } = stage;
  await report.check('a pod reaches the service by its name, and each pod behind it answers', () =>
    serviceAnswers(stage, edge, startMs),
  );
  await report.check("a headless service's name gives the addresses of its pods", () =>
    headlessIsRight(stage, stage.deadline(5_000)),
  );
  await report.check('a Service that asks for it is kept to the node', () => staysOnTheNode(stage));
  await report.check('a pod gets, lists and watches by in-cluster configuration', () =>
    apiAnswers(stage, edge, startMs),
  );
  await report.check('nobody on the node but the hub talks to the control plane', () => onlyTheHub(stage));
  await report.check('a change in the cloud is seen by the watch in the pod', async () => {
    const started = performance.now();
    await changeSettings(stage, 'online');
    await watchShows(stage, 'online', stage.deadline(2_000));
    return `${Math.round(performance.now() - started)} ms`;
  });
}

export async function changeSettings(stage: Stage, value: string): Promise<void> {
  await stage.cloud.request('PATCH', `/api/v1/namespaces/${namespace}/configmaps/settings`, { data: { value } });
}

/** Sockets of the node itself, and connections of its pods, which the node forwards. */
async function onlyTheHub(stage: Stage): Promise<string> {
  const { edge, hub, cluster } = stage;
  const { port } = cluster.plane;
  const sockets = (await edge.enter(['ss', '-tnpH', 'state', 'established', `( dport = :${port} )`]))
    .trim()
    .split('\n');
  const hubPid = pidInside(hub.pid ?? 0);
  const strangers = sockets.filter((line) => !line.includes(`pid=${hubPid},`));
  expectThat(sockets.length > strangers.length, `the hub has no connection:\n${sockets.join('\n')}`);
  expectThat(strangers.length === 0, `others:\n${strangers.join('\n')}`);
  const forwarded = (await edge.enter(['conntrack', '-L', '-p', 'tcp', '--state', 'ESTABLISHED']))
    .split('\n')
    .filter((line) => line.includes('src=10.244.'))
    .filter((line) => /dst=(?:10\.96\.0\.1|169\.254\.2\.1) /.test(line) || line.includes(`port=${port} `));
  const hubReplies = forwarded.filter((line) => line.includes('src=169.254.2.1 '));
  const byService = hubReplies.filter((line) => line.includes('dst=10.96.0.1 '));
  expectThat(byService.length > 0, 'no pod is connected with the hub by way of the Service kubernetes');
  expectThat(hubReplies.length === forwarded.length, `not to the hub:\n${forwarded.join('\n')}`);
  return `${sockets.length} connections of the hub, ${hubReplies.length} of pods with it, ${byService.length} by the Service`;
}

/** The pid that a process of a node has on the node. */
function pidInside(pid: number): string {
  const [, pids = ''] = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return pids.split(/\s+/).at(-1) ?? '';
}
