// (g) The hub hangs on a connected node. The supervisor has to notice, before the cloud takes the node for lost.
import { existsSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import type { Stage } from './stage.ts';

/** Heartbeat of 10 s, a poll, a start. */
const restartFigureMs = 15_000;
/** The node controller gives up on a node after 50 s; by then the restart must long have reached the Lease. */
const observedMs = 45_000;

export async function hungHub(stage: Stage): Promise<void> {
  const { report, hub, edge } = stage;
  await hub.stop();
  await hub.start({ supervised: true });
  await hub.ready();
  // Until it has seen a heartbeat, for which it looks each second, the supervisor is patient, because a start may take a repair.
  for (let beat = 0; beat < 3; beat += 1) await nextHeartbeat(stage);
  await stage.cluster.waitForNode(edge.name, true, 180_000);
  const hung = hub.pid;
  if (hung === undefined) throw new Error('no hub below the supervisor');

  const observing = new AbortController();
  let notReady = 0;
  const observe = (async (): Promise<void> => {
    while (!observing.signal.aborted) {
      if (!(await stage.cluster.isReady(edge.name))) notReady += 1;
      await sleep(500);
    }
  })();
  const started = performance.now();
  process.kill(hung, 'SIGSTOP');
  await report.check('a hung hub is restarted', async () => {
    await waitFor(
      'another hub answers',
      async () => hub.pid !== undefined && hub.pid !== hung && (await answers(stage)),
      {
        deadlineMs: stage.deadline(restartFigureMs),
        everyMs: 200,
      },
    );
    return `${((performance.now() - started) / 1000).toFixed(1)} s`;
  });
  await report.check('the node stays Ready', async () => {
    const left = stage.quick ? 10_000 : observedMs - (performance.now() - started);
    await sleep(Math.max(0, left), undefined, { signal: stage.signal });
    expectThat(notReady === 0, `${notReady} times not Ready`);
  });
  observing.abort();
  await observe;
}

async function nextHeartbeat(stage: Stage): Promise<void> {
  const file = stage.edge.runFile('/run/holdfast/heartbeat');
  const mark = (): number => (existsSync(file) ? statSync(file).mtimeMs : 0);
  const last = mark();
  await waitFor('a heartbeat', () => mark() !== last, { deadlineMs: 60_000, everyMs: 100 });
}

async function answers(stage: Stage): Promise<boolean> {
  const client = await stage.throughHub();
  const path = `/api/v1/nodes/${stage.edge.name}`;
  return (await client.rawRequest('GET', path, undefined, { timeoutMs: 2_000 })).status === 200;
}
