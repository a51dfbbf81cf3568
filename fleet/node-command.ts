// holdfast convert and revert from the cloud: a pod on the node carries the command out, and its kubelet reports how it ended. The
// outcome needs no way from the API server to the kubelet; where there is one, the progress is shown as it comes.
import type { Api } from '../controllers/machinery/api.ts';
import { ApiError, ApiUnreachableError, isConflict } from '../controllers/machinery/errors.ts';
import type { ApiObject } from '../controllers/machinery/resource.ts';
import { DropInError } from '../dropin/errors.ts';
import type { Outcome, Verdict } from '../dropin/outcome.ts';
import { unpackOutcome } from '../dropin/pod-outcome.ts';
import type { Check } from '../dropin/preflight.ts';
import { waitUntil, type Progress } from '../dropin/wait.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import {
  containerName,
  nodePod,
  podName,
  podNamespace,
  podState,
  runAnnotation,
  runText,
  type NodePod,
  type PodState,
} from './node-pod.ts';

export interface NodeCommandParts {
  readonly api: Pick<Api, 'get' | 'create' | 'remove' | 'text'>;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Rejects when the command is told to stop. */
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly progress: Progress;
  /** A line of what the command says on the node. */
  readonly say: (line: string) => void;
}

export interface NodeCommandSettings {
  readonly command: 'convert' | 'revert';
  readonly node: string;
  readonly dryRun: boolean;
  /** Of revert: also when the node does not reach the API server. */
  readonly force: boolean;
  /** Longest wait for any one thing, here and on the node. */
  readonly timeoutMs: number;
  /** Undefined: that of the controllers, or `defaultImage` where there are none. */
  readonly image: string | undefined;
  readonly defaultImage: string;
}

const nodes = { group: '', version: 'v1', resource: 'nodes', kind: 'Node', namespaced: false } as const;
const pods = { group: '', version: 'v1', resource: 'pods', kind: 'Pod', namespaced: true } as const;
const deployments = {
  group: 'apps',
  version: 'v1',
  resource: 'deployments',
  kind: 'Deployment',
  namespaced: true,
} as const;
const controllersName = 'holdfast-controllers';
/** Between two looks at the pod. */
const pauseMs = 500;
/** A command waits for about so many things, one after the other, there and back. */
const waits = 12;
/** A log that was silent for so long is not what shows the progress. */
const logSilenceMs = 5_000;

type Seen = PodState | { readonly kind: 'gone' };

interface Node extends ApiObject {
  readonly status?: {
    readonly nodeInfo?: { readonly operatingSystem?: string };
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  };
}
interface Deployment extends ApiObject {
  readonly spec?: { readonly template?: { readonly spec?: { readonly containers?: readonly { image?: string }[] } } };
}

/** Rejects with ApiError, ApiUnreachableError and AccessError before there is a pod; after that everything is an outcome. */
export async function runNodeCommand(
  parts: NodeCommandParts,
  settings: NodeCommandSettings,
  signal: AbortSignal,
): Promise<Outcome> {
  const run = new NodeCommandRun(parts, settings, signal);
  return await run.whole();
}

class NodeCommandRun {
  readonly #parts: NodeCommandParts;
  readonly #settings: NodeCommandSettings;
  readonly #signal: AbortSignal;
  readonly #name: { readonly namespace: string; readonly name: string };
  readonly #startedMs: number;
  #heardMs = Number.NEGATIVE_INFINITY;

  constructor(parts: NodeCommandParts, settings: NodeCommandSettings, signal: AbortSignal) {
    this.#parts = parts;
    this.#settings = settings;
    this.#signal = signal;
    this.#name = { namespace: podNamespace, name: podName(settings.node) };
    this.#startedMs = parts.now();
  }

  async whole(): Promise<Outcome> {
    const { progress } = this.#parts;
    const { node, command } = this.#settings;
    progress.begin(`Look at node ${node}`);
    const problem = await this.#nodeProblem();
    if (problem !== undefined) return this.#refused(problem);
    const image = await this.#image();
    progress.end();
    const pod = await this.#pod(image);
    if ('verdict' in pod) return this.#refused(pod);
    try {
      progress.begin(`Start a pod of ${pod.spec?.containers?.[0]?.image ?? image} on ${node}`);
      const started = await this.#started(pod);
      if (started.kind === 'waiting') return await this.#notStarted(pod, image, started.why);
      progress.end();
      progress.begin(`holdfast ${command} on ${node}`);
      const ended = await this.#ended(pod, started);
      if (ended.kind === 'gone') return this.#gone();
      const outcome = this.#outcomeOf(ended);
      progress.end();
      await this.#remove(pod);
      return outcome;
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const why = this.#signal.aborted ? 'this command was told to stop' : error.message;
      return this.#outcome(
        'stranded',
        `The pod ${podNamespace}/${this.#name.name} goes on by itself. The same command shows how it ends; to have it take everything back, delete the pod.`,
        { error: why },
      );
    }
  }

  /** What came of the command is known; the next one removes the pod as well. */
  async #remove({ metadata: { uid } }: NodePod): Promise<void> {
    const { api, say } = this.#parts;
    await api.remove(pods, this.#name, { uid }, this.#signal).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      say(`The pod ${podNamespace}/${this.#name.name} is left, and may be deleted: ${why}`);
    });
  }

  async #nodeProblem(): Promise<Check | undefined> {
    const { node, command } = this.#settings;
    const found = await this.#parts.api.get<Node>(nodes, { name: node }, this.#signal);
    if (found === undefined) return refusal('node', `there is no node ${node}`, 'kubectl get nodes');
    const { nodeInfo, conditions = [] } = found.status ?? {};
    const system = nodeInfo?.operatingSystem ?? 'linux';
    if (system !== 'linux') return refusal('node', `${node} runs ${system}`, 'Only Linux nodes can be converted.');
    const ready = conditions.find(({ type }) => type === 'Ready');
    if (ready?.status === 'True') return undefined;
    return refusal(
      'node',
      `${node} is not Ready (${ready?.message ?? 'it has never said how it is'}), so it would start no pod`,
      `See to it first (kubectl describe node ${node}), or run holdfast ${command} on the node itself.`,
    );
  }

  async #image(): Promise<string> {
    const { image, defaultImage } = this.#settings;
    if (image !== undefined) return image;
    const name = { namespace: podNamespace, name: controllersName };
    const found = await this.#parts.api.get<Deployment>(deployments, name, this.#signal).catch((error: unknown) => {
      // Who may make pods and not read Deployments can do without, or give --image.
      if (error instanceof ApiError && error.status === 403) return undefined;
      throw error;
    });
    return found?.spec?.template?.spec?.containers?.[0]?.image ?? defaultImage;
  }

  /** A new one; or that of an earlier run of the same command, which goes on. */
  async #pod(image: string): Promise<NodePod | Check> {
    const { api, now, sleep, say } = this.#parts;
    const { node, timeoutMs } = this.#settings;
    const wanted = { node, image, args: this.#args() };
    const deadline = now() + timeoutMs;
    for (;;) {
      const found = await api.get<NodePod>(pods, this.#name, this.#signal);
      const runs = found?.metadata.annotations?.[runAnnotation];
      if (found !== undefined && found.metadata.deletionTimestamp === undefined && podState(found).kind === 'running') {
        if (runs !== runText(wanted)) return underway(this.#name.name, runs);
        say(`An earlier run of the same command goes on in pod ${podNamespace}/${this.#name.name}.`);
        return found;
      }
      if (found !== undefined) {
        if (found.metadata.deletionTimestamp === undefined)
          await api.remove(pods, this.#name, { uid: found.metadata.uid }, this.#signal).catch(unlessConflict);
        if (now() > deadline) return underway(this.#name.name, runs);
        await sleep(pauseMs);
        continue;
      }
      try {
        return await api.create<NodePod>(pods, nodePod(wanted), this.#signal);
      } catch (error) {
        if (error instanceof ApiError && error.status === 403)
          return refusal(
            'pod',
            error.message,
            `A pod in ${podNamespace} with the host's files has to be allowed; or run the command on the node itself.`,
          );
        // Somebody else was quicker: it is looked at.
        if (!isConflict(error) || now() > deadline) throw error;
      }
    }
  }

  #args(): string[] {
    const { command, dryRun, force, timeoutMs } = this.#settings;
    return [
      command,
      '--timeout',
      String(Math.round(timeoutMs / 1000)),
      ...(dryRun ? ['--dry-run'] : []),
      ...(force ? ['--force'] : []),
    ];
  }

  /** Waits no longer when it never will start; then the state is `waiting` still. */
  async #started(pod: NodePod): Promise<Seen> {
    let state: Seen = podState(pod);
    const give = this.#settings.timeoutMs;
    await this.#poll('the pod starts', give, async () => {
      state = await this.#state(pod);
      // The reason alone: its message may be lines long, and is told in the end if it stays.
      return state.kind === 'waiting' && !state.lasting ? state.why.split(': ')[0] : undefined;
    }).catch((error: unknown) => {
      if (!(error instanceof DropInError) || state.kind !== 'waiting') throw error;
    });
    return state;
  }

  async #notStarted(pod: NodePod, image: string, why: string): Promise<Outcome> {
    await this.#remove(pod);
    const { node } = this.#settings;
    const isImage = /image/i.test(why);
    return this.#refused(
      refusal(
        isImage ? 'image' : 'pod',
        `the pod did not start on ${node}: ${why}`,
        isImage
          ? `Have ${image} on the node (ctr -n k8s.io images import holdfast-VERSION-image-linux-ARCHITECTURE.tar), or name one that it can pull: --image REGISTRY/holdfast:VERSION.`
          : `kubectl describe node ${node}, or run the command on the node itself.`,
      ),
    );
  }

  async #ended(pod: NodePod, state: Seen): Promise<Seen & { kind: 'ended' | 'gone' }> {
    let last = state;
    using following = new LinkedAbort(this.#signal);
    const log = this.#follow(following.signal);
    try {
      await this.#poll('it has ended', this.#settings.timeoutMs * waits, async () => {
        last = await this.#state(pod);
        return last.kind === 'running' || last.kind === 'waiting'
          ? 'it runs; its log is not seen from here'
          : undefined;
      });
    } finally {
      following.abort();
      await log;
    }
    if (last.kind === 'running' || last.kind === 'waiting') throw new TypeError('the wait is over, and the pod is not');
    return last;
  }

  async #state({ metadata: { uid } }: NodePod): Promise<Seen> {
    const now = await this.#parts.api.get<NodePod>(pods, this.#name, this.#signal);
    return now === undefined || now.metadata.uid !== uid ? { kind: 'gone' } : podState(now);
  }

  #gone(): Outcome {
    const { node } = this.#settings;
    return this.#outcome(
      'stranded',
      `A command whose pod is deleted takes back what it did. Run the same command again, or holdfast status on ${node}.`,
      { error: `the pod ${podNamespace}/${this.#name.name} was deleted before it had ended` },
    );
  }

  #poll(what: string, timeoutMs: number, probe: () => Promise<string | undefined>): Promise<void> {
    const { now, sleep, progress } = this.#parts;
    const quiet: Progress = {
      begin: (title) => progress.begin(title),
      end: () => progress.end(),
      waiting: (about, why, waitedMs) => {
        if (now() - this.#heardMs > logSilenceMs) progress.waiting(about, why, waitedMs);
      },
    };
    return waitUntil({ now, sleep: () => sleep(pauseMs) }, quiet, what, timeoutMs, async () => {
      try {
        return await probe();
      } catch (error) {
        // The way to the API server may be gone for a while; what goes on on the node does not need it.
        if (error instanceof ApiUnreachableError || (error instanceof ApiError && error.status >= 500))
          return error.message;
        throw error;
      }
    });
  }

  /** The container's log, while it can be had. */
  async #follow(signal: AbortSignal): Promise<void> {
    const { api, now, say } = this.#parts;
    const { namespace, name } = this.#name;
    let rest = '';
    try {
      for await (const text of api.text(
        `/api/v1/namespaces/${namespace}/pods/${name}/log?follow=true&container=${containerName}`,
        signal,
      )) {
        this.#heardMs = now();
        const lines = (rest + text).split('\n');
        rest = lines.pop() ?? '';
        lines.forEach((line) => say(line));
      }
    } catch {
      // The API server does not reach the kubelet, as behind NAT: the outcome comes with the pod's status.
    }
    if (rest !== '') say(rest);
  }

  #outcomeOf({ exitCode, message }: PodState & { kind: 'ended' }): Outcome {
    const { node, command } = this.#settings;
    const outcome = unpackOutcome(message);
    if (outcome !== undefined) return outcome;
    const error = message.trim() === '' ? 'it said nothing' : message.trim();
    if (exitCode === undefined)
      return this.#refused(
        refusal('pod', `the pod did not run on ${node}: ${error}`, 'Mend that, or run the command on the node itself.'),
      );
    return this.#outcome(
      'stranded',
      `holdfast ${command} on ${node} ended with ${exitCode}, and nothing is known of how it left the node. Run the same command again: it goes on from there.`,
      { error },
    );
  }

  #refused(check: Check): Outcome {
    return this.#outcome('refused', `Nothing was changed: ${check.name}.`, { checks: [check] });
  }

  #outcome(outcome: Verdict, message: string, more: { error?: string; checks?: readonly Check[] }): Outcome {
    const { command, node, dryRun } = this.#settings;
    return {
      command,
      outcome,
      node,
      dryRun,
      checks: more.checks ?? [],
      steps: [],
      seconds: Math.round((this.#parts.now() - this.#startedMs) / 10) / 100,
      kubeletDownSeconds: undefined,
      hubDownSeconds: undefined,
      resumed: undefined,
      restartAdvised: [],
      error: more.error,
      message,
    };
  }
}

function refusal(name: string, cause: string, fix: string): Check {
  return { name, verdict: 'refused', cause, fix };
}

function underway(pod: string, runs: string | undefined): Check {
  return refusal(
    'underway',
    `pod ${podNamespace}/${pod} is on this node already${runs === undefined ? '' : ` and runs holdfast ${runs}`}`,
    'Wait until it has ended, or delete it: it then takes back what it did.',
  );
}

function unlessConflict(error: unknown): void {
  if (!isConflict(error)) throw error;
}
