// Reading pods: what runs on a node according to an API (the cloud's or a hub's), and whether it is what it should be.
import type { ApiClient } from '../cluster/api-client.ts';
import { waitFor } from '../cluster/commands.ts';

export interface Pod {
  metadata: {
    name: string;
    namespace: string;
    uid: string;
    resourceVersion: string;
    labels?: Record<string, string>;
    deletionTimestamp?: string;
  };
  spec: { nodeName?: string };
  status: {
    phase?: string;
    podIP?: string;
    conditions?: { type: string; status: string }[];
    containerStatuses?: { name: string; containerID?: string; restartCount: number; ready: boolean }[];
  };
}

interface PodList {
  metadata: { resourceVersion: string };
  items: Pod[];
}

export function podsPath(nodeName: string): string {
  return `/api/v1/pods?fieldSelector=spec.nodeName%3D${nodeName}`;
}

/** `api` is the cloud or a node's hub; from a hub, what it shows local clients (`resourceVersion=0`). */
export async function podsOn(api: ApiClient, nodeName: string): Promise<Pod[]> {
  const list = await api.request<PodList>('GET', `${podsPath(nodeName)}&resourceVersion=0`, undefined, {
    timeoutMs: 20_000,
  });
  return list.items;
}

export function condition(pod: Pod, type: string): string | undefined {
  return pod.status.conditions?.find((candidate) => candidate.type === type)?.status;
}

export const isFinished = (pod: Pod): boolean => pod.status.phase === 'Succeeded' || pod.status.phase === 'Failed';
export const isReady = (pod: Pod): boolean => condition(pod, 'Ready') === 'True';

/** Container ids by `podUid/containerName`, of pods that have not finished. */
export function containersOf(pods: readonly Pod[]): Map<string, string> {
  const ids = new Map<string, string>();
  for (const pod of pods.filter((candidate) => !isFinished(candidate))) {
    for (const { name, containerID } of pod.status.containerStatuses ?? []) {
      ids.set(`${pod.metadata.uid}/${name}`, containerID ?? '');
    }
  }
  return ids;
}

/** Which pods are not yet Ready with a container started anew, by name; none after a reboot that is over. */
export function notBack(pods: readonly Pod[], before: ReadonlyMap<string, string>): string[] {
  return pods
    .filter((pod) => !isFinished(pod))
    .filter((pod) => {
      const statuses = pod.status.containerStatuses ?? [];
      const anew = statuses.every(({ name, containerID = '' }) => {
        return containerID !== '' && before.get(`${pod.metadata.uid}/${name}`) !== containerID;
      });
      return !(isReady(pod) && statuses.length > 0 && anew);
    })
    .map((pod) => pod.metadata.name);
}

/** Waits until a node has `count` pods and each is Ready or finished. */
export async function waitForPods(api: ApiClient, nodeName: string, count: number, deadlineMs: number): Promise<Pod[]> {
  return waitFor(
    `${count} pods of ${nodeName} are Ready`,
    async () => {
      const pods = await podsOn(api, nodeName);
      const waiting = pods.filter((pod) => !isReady(pod) && !isFinished(pod)).map((pod) => pod.metadata.name);
      if (pods.length === count && waiting.length === 0) return pods;
      throw new Error(`${pods.length} pods, not Ready: ${waiting.join(' ') || 'none'}`);
    },
    { deadlineMs, everyMs: 200 },
  );
}

/** Waits until each of the pods of before a reboot is Ready with new containers; returns them. */
export async function waitUntilBack(
  api: ApiClient,
  nodeName: string,
  before: readonly Pod[],
  deadlineMs: number,
): Promise<Pod[]> {
  const containers = containersOf(before);
  const expected = before.filter((pod) => !isFinished(pod)).length;
  return waitFor(
    `the pods of ${nodeName} are back`,
    async () => {
      const pods = await podsOn(api, nodeName);
      const waiting = notBack(pods, containers);
      const running = pods.filter((pod) => !isFinished(pod)).length;
      if (running >= expected && waiting.length === 0) return pods;
      throw new Error(`${running} of ${expected} pods, not back: ${waiting.join(' ')}`);
    },
    { deadlineMs, everyMs: 50 },
  );
}
