// (a) The cloud vanishes without a word. Nothing on the node may notice, and the kubelet's log may not fill with complaints.
import { setTimeout as sleep } from 'node:timers/promises';
import { errorLoops } from '../kubelet-log.ts';
import { waitFor } from '../../cluster/commands.ts';
import { containersOf, isFinished } from '../pods.ts';
import { expectThat } from '../report.ts';
import { namespace } from '../workload.ts';
import type { Stage } from './stage.ts';

const firstAnswerMs = 3_000;
const leastRepeats = 3;

export interface Outage {
  startedAt: Date;
  /** performance.now() of the cut. */
  startedMs: number;
}

/** Cuts `edge` off and watches for a minute, or for ten in the full form. It stays cut. */
export async function cutByBlackHole(stage: Stage, whileCut: () => Promise<void>): Promise<Outage> {
  const { report, edge, plain } = stage;
  const client = await stage.throughHub();
  const tasksBefore = await stage.tasks(edge);
  const podsBefore = await stage.edgePods();
  const logStart = { edge: edge.readLog('kubelet').length, plain: plain.readLog('kubelet').length };
  const holdMs = stage.quick ? 60_000 : 600_000;

  const outage: Outage = { startedAt: new Date(), startedMs: performance.now() };
  await edge.link.apply({ kind: 'drop' });
  stage.writes.start();

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

  await whileCut();
  await sleep(Math.max(0, holdMs - (performance.now() - outage.startedMs)), undefined, { signal: stage.signal });

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
    const plainLog = { log: plain.readLog('kubelet').slice(logStart.plain), minutes: edgeLog.minutes };
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
  return outage;
}

/** A job that ends while the cloud is gone is Succeeded for the node at once. */
export async function finishJobOffline(stage: Stage): Promise<void> {
  await stage.report.check('a job that ends offline is Succeeded on the node', async () => {
    // On the other node as well, so that both have the same pods to bring back.
    for (const node of [stage.edge, stage.plain]) stage.writeData(node, 'finish');
    await waitFor('the job pod is Succeeded', async () => (await stage.edgePods()).some(isFinished), {
      deadlineMs: 20_000,
      everyMs: 100,
    });
  });
}

function minutesSince(startMs: number): number {
  return (performance.now() - startMs) / 60_000;
}
