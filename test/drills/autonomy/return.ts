// (d) The cloud is back after minutes in which both sides went on. What each side did has to reach the other, in order,
// and nothing on the node may be restarted by it.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../cluster/commands.ts';
import { condition, containersOf, isFinished } from '../pods.ts';
import type { Pod } from '../pods.ts';
import { expectThat } from '../report.ts';
import { dataFolder, namespace } from '../workload.ts';
import type { Outage } from './cut.ts';
import type { Stage } from './stage.ts';

/** After so long, and so many writes elsewhere, the API server has forgotten where the watches were. */
const outageMs = 125_000;
const figures = { liveMs: 3_000, nodeReadyMs: 15_000, changesMs: 15_000 };
const quietMs = 15_000;

interface Event {
  metadata: { name: string };
  involvedObject: { kind: string; name: string };
  reason: string;
  source?: { host?: string };
  reportingInstance?: string;
  lastTimestamp?: string | null;
  eventTime?: string | null;
}

export async function heal(stage: Stage, outage: Outage): Promise<void> {
  const { report, edge, cloud } = stage;
  await repairCredentials(stage);
  const changes = await changeBothSides(stage);
  await sleep(Math.max(0, outage.startedMs + outageMs - performance.now()), undefined, { signal: stage.signal });

  const before = (await stage.edgePods()).filter((pod) => pod.metadata.uid !== changes.deleted.metadata.uid);
  const healedAt = new Date();
  const healedMs = performance.now();
  const since = (): string => `${((performance.now() - healedMs) / 1000).toFixed(1)} s after the link`;
  const within = async (what: string, figureMs: number, probe: () => Promise<boolean>): Promise<string> => {
    const left = stage.deadline(figureMs) - (performance.now() - healedMs);
    await waitFor(what, probe, { deadlineMs: Math.max(0, left), everyMs: 50, signal: stage.signal });
    return since();
  };
  report.say(`outage of ${Math.round((healedMs - outage.startedMs) / 1000)} s, ${stage.writes.count} writes meanwhile`);
  await edge.link.heal();

  await Promise.all([
    report.check('the hub is live again within 3 s', () =>
      within('cloud_reachable is 1', figures.liveMs, async () => {
        return (await stage.hub.metric('holdfast_yurthub_cloud_reachable')) === 1;
      }),
    ),
    report.check('the node is Ready within 15 s', () =>
      within('node Ready', figures.nodeReadyMs, () => stage.cluster.isReady(edge.name)),
    ),
    report.check('a pod that was deleted in the cloud is gone', () =>
      within('the deleted pod is gone', figures.changesMs, async () => {
        const { status } = await cloud.rawRequest('GET', podPath(changes.deleted));
        const here = await stage.edgePods();
        return status === 404 && !here.some((pod) => pod.metadata.uid === changes.deleted.metadata.uid);
      }),
    ),
    report.check('a changed ConfigMap has arrived', async () => {
      const client = await stage.throughHub();
      const file = `/api/v1/namespaces/${namespace}/configmaps?fieldSelector=metadata.name%3Dsettings&resourceVersion=0`;
      return within('the ConfigMap is new', figures.changesMs, async () => {
        const list = await client.request<{ items: { data: { value: string } }[] }>('GET', file);
        return list.items[0]?.data.value === changes.configMapValue;
      });
    }),
    report.check('a status that changed offline has arrived', () =>
      within('the pod is unready in the cloud', figures.changesMs, async () => {
        const pod = await cloud.request<Pod>('GET', podPath(changes.unready));
        // The node controller sets Ready of all pods to False; this condition is the kubelet's alone.
        return condition(pod, 'ContainersReady') === 'False';
      }),
    ),
    report.check('the job that ended offline is complete', () =>
      within('the job is complete', figures.changesMs, async () => {
        const job = `/apis/batch/v1/namespaces/${namespace}/jobs/job-${edge.name}`;
        return (await cloud.request<{ status: { succeeded?: number } }>('GET', job)).status.succeeded === 1;
      }),
    ),
    report.check('events of the outage have arrived with their own times', () =>
      within('events from the outage', figures.changesMs, async () => {
        const { items } = await cloud.request<{ items: Event[] }>('GET', `/api/v1/namespaces/${namespace}/events`);
        const own = items.filter((event) => (event.source?.host ?? event.reportingInstance) === edge.name);
        return own.some((event) => {
          const time = new Date(event.lastTimestamp ?? event.eventTime ?? 0);
          return time > outage.startedAt && time.getTime() < healedAt.getTime() - 10_000;
        });
      }),
    ),
  ]);
  await report.check('the watches could not be resumed, and the views were listed once', async () => {
    const [lists, views] = await Promise.all([
      stage.hub.metric('holdfast_yurthub_upstream_lists_total'),
      stage.hub.metric('holdfast_yurthub_views'),
    ]);
    expectThat(lists > 0, 'no list was made: the watches were resumed, and this drill has not shown what it should');
    expectThat(lists <= 2 * views, `${lists} lists for ${views} views`);
    return `${lists} lists for ${views} views`;
  });

  stage.writeData(edge, 'ready');
  await Promise.all([
    configMapInPods(stage, changes.configMapValue),
    sleep(quietMs, undefined, { signal: stage.signal }),
  ]);
  await report.check('no pod was restarted by the return', async () => {
    const now = containersOf(await stage.edgePods());
    const changed = [...containersOf(before)].filter(([key, id]) => now.get(key) !== id).map(([key]) => key);
    const names = before.filter((pod) => changed.some((key) => key.startsWith(pod.metadata.uid)));
    expectThat(changed.length === 0, names.map((pod) => pod.metadata.name).join(', '));
  });
  await report.check('the job did not run again', () => {
    const runs = readFileSync(path.join(edge.file(dataFolder), 'job-runs'), 'utf8')
      .trim()
      .split('\n');
    expectThat(runs.length === 1, `${runs.length} runs`);
  });
  await report.check('the pod that became ready again is Ready in the cloud', () =>
    waitFor(
      'Ready in the cloud',
      async () => {
        return condition(await cloud.request<Pod>('GET', podPath(changes.unready)), 'Ready') === 'True';
      },
      { deadlineMs: stage.deadline(5_000), everyMs: 100 },
    ).then(() => undefined),
  );
  await stage.writes.stop();
}

/** The link and the credentials are good again, without any check. */
export async function endOutage(stage: Stage): Promise<void> {
  await repairCredentials(stage);
  await stage.edge.link.heal();
  await stage.writes.stop();
  await stage.cluster.waitForNode(stage.edge.name, true, 180_000);
}

/** The clock is right again, and an operator has put a new certificate where the expired one was. */
async function repairCredentials(stage: Stage): Promise<void> {
  stage.edge.issueCertificate();
  await stage.hub.stop();
  await stage.hub.start();
  await stage.hub.ready();
  await stage.edge.stopProcess('kubelet');
  await stage.edge.startKubelet();
}

interface Changes {
  deleted: Pod;
  unready: Pod;
  configMapValue: string;
}

async function changeBothSides(stage: Stage): Promise<Changes> {
  const pods = await stage.edgePods();
  const named = (app: string): Pod => {
    const pod = pods.find((candidate) => candidate.metadata.labels?.['app'] === app && !isFinished(candidate));
    if (pod === undefined) throw new Error(`no pod of ${app}`);
    return pod;
  };
  const changes = { deleted: named('application'), unready: named('latest'), configMapValue: 'changed while cut off' };
  await stage.cloud.request('DELETE', podPath(changes.deleted));
  await stage.cloud.request('PATCH', `/api/v1/namespaces/${namespace}/configmaps/settings`, {
    data: { value: changes.configMapValue },
  });
  await stage.edge.enter(['rm', `${dataFolder}/ready`]);
  await stage.report.check('a pod that becomes unready offline is unready for the node', async () => {
    const probe = async (): Promise<boolean> => {
      const pod = (await stage.edgePods()).find(({ metadata }) => metadata.uid === changes.unready.metadata.uid);
      return pod !== undefined && condition(pod, 'ContainersReady') === 'False';
    };
    await waitFor('ContainersReady is False', probe, { deadlineMs: 180_000, everyMs: 100 });
  });
  return changes;
}

async function configMapInPods(stage: Stage, value: string): Promise<void> {
  await stage.report.check('the changed ConfigMap is in the files of the pods', async () => {
    const probe = async (): Promise<boolean> => {
      const pods = (await stage.edgePods()).filter((pod) => pod.metadata.labels?.['app'] === 'application');
      const values = pods.map(({ metadata }) => stage.edge.execInPod(metadata.uid, 'main', ['cat', '/settings/value']));
      return (await Promise.all(values)).every((text) => text === value);
    };
    // The kubelet looks at its volumes every minute or so.
    await waitFor('the file is new', probe, { deadlineMs: 120_000, everyMs: 500, signal: stage.signal });
  });
}

function podPath({ metadata }: Pod): string {
  return `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`;
}
