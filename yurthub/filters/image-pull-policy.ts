// While the cloud is out of reach, `imagePullPolicy: Always` (every image tagged :latest) is shown as IfNotPresent: the
// registry is out there too, and a container that restarts would wait for it although its image lies on the node.
// The container hash of the kubelet covers name and image only, so that the change restarts nothing.
import type { KubeObject, Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';

/** On a pod: 'true' keeps its pull policy as written. */
export const keepPullPolicyAnnotation = 'holdfast.dev/keep-image-pull-policy';

const always = Buffer.from('Always');
const podType = { apiVersion: 'v1', kind: 'Pod' };

export class ImagePullPolicyFilter implements Filter {
  readonly name = 'image-pull-policy';
  readonly #cutOff: () => boolean;

  constructor(cutOff: () => boolean) {
    this.#cutOff = cutOff;
  }

  concerns({ group, version, resource }: Collection): boolean {
    return group === '' && version === 'v1' && resource === 'pods';
  }

  apply(wire: Wire, bytes: Buffer): Buffer {
    if (!this.#cutOff() || !mayHoldAlways(bytes)) return bytes;
    const pod = wire.decode(podType, bytes);
    return withLocalImages(pod) ? wire.encode(podType, pod) : bytes;
  }
}

/** A cheap look before a full decode: also true for pods that say Always elsewhere (restartPolicy). */
export function mayHoldAlways(bytes: Buffer): boolean {
  return bytes.includes(always);
}

/** Changes Always to IfNotPresent in place; false when there was none, or when the pod's annotation forbids it. */
export function withLocalImages(pod: KubeObject): boolean {
  const metadata = pod['metadata'] as { annotations?: Record<string, string> } | undefined;
  if (metadata?.annotations?.[keepPullPolicyAnnotation] === 'true') return false;
  const spec = pod['spec'] as Record<string, { imagePullPolicy?: string }[] | undefined> | undefined;
  let changed = false;
  for (const list of ['initContainers', 'containers', 'ephemeralContainers']) {
    for (const container of spec?.[list] ?? []) {
      if (container.imagePullPolicy !== 'Always') continue;
      container.imagePullPolicy = 'IfNotPresent';
      changed = true;
    }
  }
  return changed;
}
