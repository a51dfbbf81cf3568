// (d) The cloud is back: what changed there arrives, what changed on the node arrives there, and nobody on the node loses
// a connection over it.
import { waitFor } from '../../cluster/commands.ts';
import { waitForPods } from '../pods.ts';
import { expectThat } from '../report.ts';
import { namespace, podsPerNode, serviceName } from './application.ts';
import { applicationAddresses, headlessIsRight, noneFailed, serviceAnswers, watchShows } from './checks.ts';
import { clientState } from './client-state.ts';
import { changeSettings } from './online.ts';
import type { Stage } from './stage.ts';

const changesMs = 15_000;

interface EndpointSlice {
  endpoints?: { addresses: string[]; conditions: { ready?: boolean } }[];
}

export async function heal(stage: Stage): Promise<void> {
  const { report, edge } = stage;
  await changeSettings(stage, 'while cut off');
  const before = clientState(edge);
  expectThat(before.configMaps['settings'] !== 'while cut off', 'the link is not cut');
  const healedMs = performance.now();
  const since = (): string => `${((performance.now() - healedMs) / 1000).toFixed(1)} s after the link`;
  await edge.link.heal();

  await report.check('the watch in the pod shows what changed meanwhile', async () => {
    await watchShows(stage, 'while cut off', stage.deadline(changesMs));
    return since();
  });
  await report.check("the cloud's EndpointSlice has the new addresses, and they are ready", async () => {
    await cloudKnows(stage, [...(await applicationAddresses(stage)).values()]);
    return since();
  });
  await report.check('each pod answers for the service', () => serviceAnswers(stage, edge, 180_000));
  await report.check('names lead to the pods', () => headlessIsRight(stage, stage.deadline(2_000)));
  await report.check('no attempt of the client has failed', () => noneFailed(before, clientState(edge)));
  await report.check('a pod that is added in the cloud answers for the service', () => oneMore(stage));
}

async function cloudKnows(stage: Stage, addresses: readonly string[]): Promise<void> {
  const name = serviceName('edge');
  const url = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D${name}`;
  const wanted = [...addresses].sort().join(' ');
  await waitFor(
    `the EndpointSlice has ${wanted}`,
    async () => {
      const { items } = await stage.cloud.request<{ items: EndpointSlice[] }>('GET', url);
      const ready = items.flatMap(({ endpoints = [] }) =>
        endpoints.filter(({ conditions }) => conditions.ready === true),
      );
      const has = ready
        .flatMap((endpoint) => endpoint.addresses)
        .sort()
        .join(' ');
      if (has === wanted) return true;
      throw new Error(`it has ${has || 'none'}`);
    },
    { deadlineMs: stage.deadline(changesMs), everyMs: 100, signal: stage.signal },
  );
}

async function oneMore(stage: Stage): Promise<void> {
  const { edge, cloud } = stage;
  const name = serviceName('edge');
  const known = clientState(edge).answers;
  const url = `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`;
  const { spec } = await cloud.request<{ spec: { replicas: number } }>('GET', url);
  await cloud.request('PATCH', url, { spec: { replicas: spec.replicas + 1 } });
  await waitForPods(cloud, edge.name, podsPerNode + 1, 180_000);
  await waitFor(
    'a pod answers that did not before',
    () => Object.keys(clientState(edge).answers).some((pod) => !(pod in known)),
    { deadlineMs: stage.deadline(10_000), everyMs: 100, signal: stage.signal },
  );
}
