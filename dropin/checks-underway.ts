// What a conversion waits for on its way.
import type { Host } from './host.ts';
import { hubOps, kubeadm, kubeletHealth, ours } from './places.ts';
import { podsOf, podsPath, runningContainers } from './pods.ts';
import { DropInError } from './errors.ts';
import { parseMetrics } from './hub-metrics.ts';
import type { Resumed } from './outcome.ts';
import { waitUntil, type Progress } from './wait.ts';

const protobuf = 'application/vnd.kubernetes.protobuf,application/json';

/** What `--kubeconfig` of the running kubelet says; undefined when none runs. */
export async function usedKubeconfig(host: Host): Promise<string | undefined> {
  const { mainPid } = await host.units.state(kubeadm.kubeletUnit);
  const words = mainPid === 0 ? undefined : await host.commandLine(mainPid);
  return flagOf(words ?? [], 'kubeconfig');
}

/** `--name=value` or `--name value`; the last one counts. */
export function flagOf(words: readonly string[], name: string): string | undefined {
  let value: string | undefined;
  words.forEach((word, index) => {
    if (word.startsWith(`--${name}=`)) value = word.slice(name.length + 3);
    else if (word === `--${name}`) value = words[index + 1];
  });
  return value;
}

/** Undefined when it is. */
export async function kubeletIsWell(host: Host): Promise<string | undefined> {
  const answer = await host.get(kubeletHealth);
  return answer?.status === 200 ? undefined : 'its health port does not say ok';
}

export function waitForHub(host: Host, progress: Progress, timeoutMs: number): Promise<void> {
  return waitUntil(host, progress, 'the hub is ready', timeoutMs, async () => {
    const { active } = await host.units.state(ours.unit);
    if (!active) return `${ours.unit} does not run; journalctl -u ${ours.unit} says why`;
    const answer = await host.get(`${hubOps}/readyz`);
    return answer?.status === 200 ? undefined : (answer?.body.trim() ?? 'its port 10267 does not answer');
  });
}

/** What the kubelet lists when it starts, in its own encoding and words, so that the hub has it when it comes. */
export async function waitForSync(host: Host, progress: Progress, node: string, timeoutMs: number): Promise<void> {
  const start = 'limit=500&resourceVersion=0';
  const lists = [
    `/api/v1/nodes?fieldSelector=${encodeURIComponent(`metadata.name=${node}`)}&${start}`,
    `/api/v1/services?fieldSelector=${encodeURIComponent('spec.clusterIP!=None')}&${start}`,
    `${podsPath(node)}&${start}`,
    `/apis/node.k8s.io/v1/runtimeclasses?${start}`,
    `/apis/storage.k8s.io/v1/csidrivers?${start}`,
  ];
  for (const path of lists)
    await waitUntil(host, progress, `the hub has ${path.split('?')[0]}`, timeoutMs, async () => {
      const { status } = await host.hub.request({ method: 'GET', path, accept: protobuf });
      return status === 200 ? undefined : `it answers ${status}`;
    });
  await waitUntil(host, progress, 'the hub shows the pods that the API server shows', timeoutMs, async () => {
    const uids = async (api: Host['hub']): Promise<string> =>
      (await podsOf(api, node))
        .map(({ metadata }) => metadata.uid)
        .sort()
        .join(' ');
    return (await uids(host.hub)) === (await uids(host.cloud)) ? undefined : 'they differ';
  });
}

export interface HubSettings {
  readonly nodeName: string;
  readonly timeoutMs: number;
  readonly version: string;
}

/** The hub has been started anew: it is of this version, serves, and carries the kubelet's Lease. What its clients did meanwhile. */
export async function verifyHub(host: Host, progress: Progress, settings: HubSettings): Promise<Resumed> {
  const { nodeName, timeoutMs, version } = settings;
  const metrics = async (): Promise<ReturnType<typeof parseMetrics>> =>
    parseMetrics((await host.get(`${hubOps}/metrics`))?.body ?? '');
  await waitUntil(host, progress, `the hub is Holdfast ${version}`, timeoutMs, async () =>
    (await metrics()).value('holdfast_yurthub_build_info', { version }) === 1
      ? undefined
      : `another one answers; systemctl cat ${ours.unit} says what the unit starts`,
  );
  await waitUntil(host, progress, 'the hub reaches the cloud', timeoutMs, async () =>
    (await metrics()).value('holdfast_yurthub_cloud_reachable') === 1 ? undefined : 'it does not yet',
  );
  await waitUntil(host, progress, 'the clients of the hub are back', timeoutMs, async () =>
    ((await metrics()).value('holdfast_yurthub_view_watchers') ?? 0) > 0 ? undefined : 'none watches anything',
  );
  const before = await leaseVersion(host, nodeName);
  await waitUntil(host, progress, "the kubelet has renewed the node's Lease", timeoutMs, async () =>
    (await leaseVersion(host, nodeName)) === before ? 'it renews it every ten seconds' : undefined,
  );
  const now = await metrics();
  const count = (name: string, labels: Record<string, string> = {}): number =>
    now.value(`holdfast_yurthub_${name}`, labels) ?? 0;
  return {
    clientWatches: count('view_watchers'),
    clientLists: count('front_requests_total', { verb: 'list' }),
    upstreamLists: count('upstream_lists_total'),
    upstreamWatches: count('upstream_watches_total'),
  };
}

/** As the API server has it: the kubelet reaches that through the hub alone. */
async function leaseVersion(host: Host, node: string): Promise<string> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${node}`;
  const { status, body } = await host.cloud.request({ method: 'GET', path });
  if (status !== 200) throw new DropInError('ERR_DROPIN_CALL', `the node's Lease was answered with ${status}`);
  const { metadata } = JSON.parse(body.toString('utf8')) as { metadata: { resourceVersion: string } };
  return metadata.resourceVersion;
}

export interface VerifySettings {
  readonly nodeName: string;
  readonly timeoutMs: number;
  /** What `runningContainers` gave before anything was changed. */
  readonly containers: readonly string[];
}

export async function verifyNode(host: Host, progress: Progress, settings: VerifySettings): Promise<void> {
  const { nodeName, timeoutMs, containers } = settings;
  await waitUntil(host, progress, 'the node is Ready, by the hub', timeoutMs, async () => {
    const { status, body } = await host.hub.request({ method: 'GET', path: `/api/v1/nodes/${nodeName}` });
    if (status !== 200) return `the hub answers ${status}`;
    const { conditions = [] } = (JSON.parse(body.toString('utf8')) as NodeObject).status ?? {};
    const ready = conditions.find(({ type }) => type === 'Ready');
    return ready?.status === 'True' ? undefined : `Ready is ${ready?.status ?? 'not there'}`;
  });
  await waitUntil(host, progress, 'the kubelet watches its pods at the hub', timeoutMs, async () => {
    if ((await usedKubeconfig(host)) !== ours.kubeconfig) return `it does not use ${ours.kubeconfig}`;
    const metrics = (await host.get(`${hubOps}/metrics`))?.body ?? '';
    const watchers = Number(/^holdfast_yurthub_view_watchers (\d+)/m.exec(metrics)?.[1] ?? 0);
    return watchers > 0 ? undefined : 'it has opened no watch yet';
  });
  const after = await podsOf(host.cloud, nodeName);
  const now = new Set(runningContainers(after));
  const known = new Set(after.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
  // Pods that somebody deleted meanwhile are none of our business.
  const lost = containers.filter((line) => !now.has(line) && known.has(line.split('/').slice(0, 2).join('/')));
  if (lost.length > 0)
    throw new DropInError('ERR_DROPIN_CALL', `containers were started anew meanwhile: ${lost.map(nameOf).join(', ')}`);
}

const nameOf = (line: string): string => line.split(' ')[0] ?? line;

interface NodeObject {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}
