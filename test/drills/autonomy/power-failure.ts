// (f) The power fails right after a deletion was delivered, and whatever was not synced to the disk is lost. A pod whose
// deletion a client has seen must not come back from the store.
import type { WatchEvent } from '../../cluster/api-client.ts';
import { waitFor } from '../../cluster/commands.ts';
import { podsOn, podsPath } from '../pods.ts';
import type { Pod } from '../pods.ts';
import { expectThat } from '../report.ts';
import { namespace, podsPerNode } from '../workload.ts';
import type { Stage } from './stage.ts';

/** For the whole watch: the pod seen, deleted, its deletion seen. */
const deliveryMs = 180_000;

export async function powerFailures(stage: Stage): Promise<void> {
  const rounds = stage.quick ? 2 : 10;
  await stage.report.check(`no deleted pod comes back in ${rounds} power failures`, async () => {
    for (let round = 0; round < rounds; round += 1) await oneFailure(stage, round);
  });
}

async function oneFailure(stage: Stage, round: number): Promise<void> {
  const { edge, cloud } = stage;
  const victim = await makeVictim(stage, round);
  const client = await stage.throughHub();
  const reader = new AbortController();
  const patience = AbortSignal.any([reader.signal, AbortSignal.timeout(deliveryMs)]);
  try {
    const watch = followPod(client.watch<Pod>(`${podsPath(edge.name)}&resourceVersion=0`, patience), victim);
    // Only a client that has seen the pod is told of its deletion.
    await Promise.race([watch.seen, watch.deleted]);
    // Without grace it is deleted in one step, and the next that anybody hears of it is the deletion.
    await cloud.request('DELETE', `/api/v1/namespaces/${namespace}/pods/${victim.metadata.name}?gracePeriodSeconds=0`);
    await watch.deleted;
    await edge.powerFailure();
  } finally {
    reader.abort();
  }
  await edge.link.apply({ kind: 'drop' });
  try {
    const rebooted = await stage.bootEdge();
    const pods = await waitFor('the hub answers from its store', () => podsOn(rebooted, edge.name), {
      deadlineMs: 180_000,
      everyMs: 50,
    });
    const back = pods.some((pod) => pod.metadata.uid === victim.metadata.uid);
    expectThat(!back, `round ${round + 1}: ${victim.metadata.name} is back after its deletion was delivered`);
    expectThat(pods.length >= podsPerNode - 1, `round ${round + 1}: only ${pods.length} pods are left`);
  } finally {
    await edge.link.heal();
  }
  await stage.cluster.waitForNode(edge.name, true, 180_000);
}

/** `deleted` rejects when the watch ends before. */
function followPod(
  events: AsyncIterable<WatchEvent<Pod>>,
  { metadata }: Pod,
): { seen: Promise<void>; deleted: Promise<void> } {
  const seen = Promise.withResolvers<void>();
  const deleted = (async (): Promise<void> => {
    for await (const { type, object } of events) {
      if (object.metadata.uid !== metadata.uid) continue;
      if (type === 'DELETED') return;
      seen.resolve();
    }
    throw new Error('the watch ended before the deletion was delivered');
  })();
  // Nobody waits for it when something else failed first.
  deleted.catch(() => undefined);
  return { seen: seen.promise, deleted };
}

async function makeVictim(stage: Stage, round: number): Promise<Pod> {
  const name = `victim-${round}`;
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'victim' } },
    spec: {
      nodeName: stage.edge.name,
      tolerations: [{ operator: 'Exists' }],
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image: 'holdfast.test/busybox:1', command: ['sleep', '1000000'] }],
    },
  };
  await stage.cloud.request('POST', `/api/v1/namespaces/${namespace}/pods`, pod);
  return waitFor(
    `${name} runs`,
    async () =>
      (await stage.edgePods()).find(({ metadata, status }) => metadata.name === name && status.phase === 'Running'),
    { deadlineMs: 180_000, everyMs: 100 },
  );
}
