// (a) The cloud vanishes without a word. Nothing on the node may notice, and the kubelet's log may not fill with complaints.
import { setTimeout as sleep } from 'node:timers/promises';
import { errorLoops } from '../kubelet-log.ts';
import { waitFor } from '../../cluster/commands.ts';
import { containersOf, isFinished, podsOn } from '../pods.ts';
import type { Pod } from '../pods.ts';
import { expectThat } from '../report.ts';
import { namespace } from '../workload.ts';
import type { Stage } from './stage.ts';

const firstAnswerMs = 3_000;
const leastRepeats = 3;

export interface Outage {
  startedAt: Date;
  /** performance.now() of the cut. */
  startedMs: number;
  /** What ran on the node, by its container runtime and by its hub. */
  tasksBefore: string[];
  podsBefore: Pod[];
  /** Lengths of the kubelets' logs. */
  logStart: { edge: number; plain: number };
}

/** Cuts `edge` off in silence and lets the jobs of both nodes end. It stays cut. */
export async function beginOutage(stage: Stage): Promise<Outage> {
  const outage: Outage = {
    startedAt: new Date(),
    startedMs: performance.now(),
    tasksBefore: await stage.tasks(stage.edge),
    podsBefore: await stage.edgePods(),
    logStart: { edge: stage.edge.readLog('kubelet').length, plain: stage.plain.readLog('kubelet').length },
  };
  await stage.edge.link.apply({ kind: 'drop' });
  stage.writes.start();
  // On both nodes, so that both have the same pods to bring back after a reboot.
  for (const node of [stage.edge, stage.plain]) stage.writeData(node, 'finish');
  return outage;
}

/** For drills without part (a): a job pod that a power cut catches running would count as one that is not back. */
export async function jobsHaveEnded(stage: Stage): Promise<void> {
  const ended = async (pods: Promise<Pod[]>): Promise<boolean> => (await pods).some(isFinished);
  const options = { deadlineMs: 180_000, everyMs: 100 };
  await waitFor('the job of edge has ended', () => ended(stage.edgePods()), options);
  await waitFor('the job of plain has ended', () => ended(podsOn(stage.cloud, stage.plain.name)), options);
}

/** Watches for a minute, or for ten in the full form. Near the end `plain` is free for `measurePlain`. */
export async function watchOutage(stage: Stage, outage: Outage, measurePlain: () => Promise<void>): Promise<void> {
  const { report, edge, plain } = stage;
  const client = await stage.throughHub();
  const { tasksBefore, podsBefore, logStart } = outage;
  const holdMs = stage.quick ? 60_000 : 600_000;
  const holdUntil = (shareOfHold: number): Promise<void> => {
    const left = outage.startedMs + shareOfHold * holdMs - performance.now();
    return sleep(Math.max(0, left), undefined, { signal: stage.signal });
  };

  // Without resourceVersion, so that it goes upstream as long as the hub believes in the cloud.
  await report.check(`first answer from the store within ${firstAnswerMs / 1000} s`, async () => {
    const started = performance.now();
    await client.request('GET', `/api/v1/nodes/${edge.name}`, undefined, { timeoutMs: stage.deadline(firstAnswerMs) });
    return `${Math.round(performance.now() - started)} ms`;
  });
  await report.check('a list for what is not known is 503 and not empty', async () => {
    const unknown = `/api/v1/namespaces/${namespace}/configmaps?fieldSelector=metadata.name%3Dnever-asked`;
    const { status, body } = await client.rawRequest('GET', unknown, undefined, { timeoutMs: 10_000 });
    expectThat(status === 503, `${status} ${body.toString().slice(0, 200)}`);
  });

  await report.check('a job that ends offline is Succeeded on the node', async () => {
    await waitFor('the job pod is Succeeded', async () => (await stage.edgePods()).some(isFinished), {
      deadlineMs: 180_000,
      everyMs: 100,
    });
  });
  await holdUntil(0.7);
  // Before `plain` is rebooted, which fills its log.
  const plainLog = { log: plain.readLog('kubelet').slice(logStart.plain), minutes: minutesSince(outage.startedMs) };
  await measurePlain();
  await holdUntil(1);

  await report.check(`no container was restarted in ${holdMs / 60_000} min`, async () => {
    const tasks = new Set(await stage.tasks(edge));
    const gone = tasksBefore.filter((task) => !tasks.has(task));
    const finished = (await stage.edgePods()).filter(isFinished);
    // The job ends by itself meanwhile: its container and its pause container.
    expectThat(gone.length <= 2 * finished.length, `gone: ${gone.join(', ')}`);
  });
  await report.check('no restart is counted, no container has another id', async () => {
    const now = containersOf(await stage.edgePods());
    const before = containersOf(podsBefore);
    const changed = [...now].filter(([key, id]) => before.get(key) !== id).map(([key]) => key);
    expectThat(changed.length === 0, changed.join(', '));
  });
  await report.check('the kubelet repeats no complaint that a connected node does not have', () => {
    const edgeLog = { log: edge.readLog('kubelet').slice(logStart.edge), minutes: minutesSince(outage.startedMs) };
    const loops = errorLoops(edgeLog, plainLog, leastRepeats);
    const lines = loops.slice(0, 5).map(({ count, example }) => `${count} times: ${example.slice(0, 400)}`);
    expectThat(loops.length === 0, `${loops.length} complaints\n${lines.join('\n')}`);
  });
  await report.check('the node is Ready for its own pods', async () => {
    interface Node {
      status: { conditions: { type: string; status: string }[] };
    }
    const node = await client.request<Node>('GET', `/api/v1/nodes/${edge.name}?resourceVersion=0`);
    const ready = node.status.conditions.find(({ type }) => type === 'Ready');
    expectThat(ready?.status === 'True', `Ready is ${ready?.status}`);
  });
}

function minutesSince(startMs: number): number {
  return (performance.now() - startMs) / 60_000;
}
