// Sets ahead how long the pods of pool nodes stay when their node is cut off, as a controller of its own: a key is a pod. It
// works when pods land and when settings change, not when a node is lost, so that nothing is urgent.
import type { Log } from '../../runtime/log.ts';
import type { Api } from '../machinery/api.ts';
import { watch, type Controller } from '../machinery/controller.ts';
import { isNotFound } from '../machinery/errors.ts';
import type { Recorder } from '../machinery/event-recorder.ts';
import type { Informer } from '../machinery/informer.ts';
import { keyOf, nameOfKey } from '../machinery/resource.ts';
import { nodeResource, watchNodes } from '../nodes.ts';
import { guardedNode, podResource, poolsOf } from './collections.ts';
import type { GuardMetrics } from './metrics.ts';
import { originalTolerationAnnotation, type GuardedNode, type GuardedPod } from './objects.ts';
import type { Picture } from './picture.ts';
import { isKept, isOptedOut, stayOf } from './pod-plan.ts';
import { isShorter, planToleration } from './tolerations.ts';

export interface TolerationKeeperParts {
  readonly api: Api;
  readonly picture: Picture;
  readonly pods: Informer<GuardedPod, 'node'>;
  readonly recorder: Recorder;
  readonly log: Log;
  readonly metrics: GuardMetrics;
}

export interface TolerationKeeperSettings {
  /** Of pods in pools that do not say how long. */
  readonly staySeconds: number;
}

/** A pod whose node is silent is not told to leave earlier; it is looked at again after so long. */
const silentAgainMs = 30_000;

export class TolerationKeeper implements Controller {
  readonly name = 'pod-tolerations';
  readonly workers = 8;
  readonly watches: Controller['watches'];
  readonly #parts: TolerationKeeperParts;
  readonly #settings: TolerationKeeperSettings;
  /** Nodes with annotations that cannot be read, and what was said of them: once is enough. */
  readonly #said = new Map<string, string>();

  constructor(parts: TolerationKeeperParts, settings: TolerationKeeperSettings) {
    this.#parts = parts;
    this.#settings = settings;
    const { picture, pods } = parts;
    const onNode = (nodeName: string): string[] =>
      pods.byIndex('node', nodeName).map(({ metadata }) => keyOf(metadata));
    const changesStay = (before: GuardedNode | undefined, after: GuardedNode | undefined): boolean =>
      after !== undefined && (before?.pool !== after.pool || before?.autonomy !== after.autonomy);
    this.watches = [
      watch(pods, ({ key, after }) => (after === undefined ? [] : [key])),
      watchNodes(picture.nodes, ({ before, after }) =>
        changesStay(before && guardedNode(before), after && guardedNode(after)) ? onNode(after!.metadata.name) : [],
      ),
      // Settings and size of the pool.
      watch(picture.slices, ({ before, after }) =>
        poolsOf(before, after).flatMap((pool) =>
          picture.nodes.byIndex('pool', pool).flatMap(({ metadata }) => onNode(metadata.name)),
        ),
      ),
      // A hub that comes to a node: seen in its first report.
      watch(picture.leases, ({ before, after }) =>
        before?.report === undefined && after?.report !== undefined ? onNode(after.metadata.name) : [],
      ),
    ];
  }

  async reconcile(key: string, signal: AbortSignal): Promise<{ readonly againAfterMs: number } | void> {
    const { api, picture, pods, metrics } = this.#parts;
    const pod = pods.get(nameOfKey(key));
    const node = pod && picture.node(pod.nodeName);
    if (pod === undefined || node === undefined || !(isKept(pod) || isOptedOut(pod))) return undefined;
    const wish = isOptedOut(pod) ? { seconds: undefined } : this.#stayOn(node);
    if (wish === undefined) return undefined;
    const patch = planToleration(pod, wish.seconds);
    if (patch === undefined) return undefined;
    if (isShorter(pod, patch) && !picture.isHeard(node.metadata.name)) return { againAfterMs: silentAgainMs };
    try {
      pods.written(await api.patch(podResource, nameOfKey(key), 'merge', patch, signal));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
    const isRestored = patch.metadata.annotations[originalTolerationAnnotation] === null;
    metrics.tolerations.inc({ change: isRestored ? 'restored' : 'set' });
    return undefined;
  }

  /** Undefined: not known at present, and nothing is changed. */
  #stayOn(node: GuardedNode): { readonly seconds: number | undefined } | undefined {
    const { picture, recorder } = this.#parts;
    const { name } = node.metadata;
    if (node.pool === undefined) return { seconds: undefined };
    const membership = picture.pools.get(node.pool)?.membership;
    // Slices that are away for a moment must not give every pod back to stock timing.
    if (membership === undefined) return undefined;
    const { settings, members } = membership;
    // Without a hub nobody could tell dead from cut off.
    const size = picture.hasHub(name) ? members.length : 1;
    const stay = stayOf(node.autonomy, settings.autonomySeconds, size, this.#settings.staySeconds);
    if (stay.problem !== undefined && this.#said.get(name) !== stay.problem)
      recorder.record(nodeResource, node, 'Warning', 'AutonomyDurationInvalid', stay.problem);
    if (stay.problem === undefined) this.#said.delete(name);
    else this.#said.set(name, stay.problem);
    return stay;
  }
}
