// Carries out what a plan says, one action after the other. Every change is in the journal before it is made, and every action can
// be carried out again.
import { kubeletIsWell, usedKubeconfig, verifyHub, verifyNode, waitForHub, waitForSync } from './checks-underway.ts';
import { DropInError } from './errors.ts';
import type { Files } from './files.ts';
import type { Host } from './host.ts';
import type { Journal } from './journal.ts';
import type { Resumed } from './outcome.ts';
import { convertedAnnotation, hubAnnotation, kubeadm, ours, reportAnnotation } from './places.ts';
import { describe, type Action } from './plan.ts';
import { isKubeProxy, isReady, podsOf } from './pods.ts';
import { waitUntil, type Progress } from './wait.ts';

export interface ActionParts {
  readonly host: Host;
  readonly files: Files;
  readonly journal: Journal;
  readonly progress: Progress;
}

export interface ActionSettings {
  readonly nodeName: string;
  /** Longest wait for any one thing. */
  readonly timeoutMs: number;
}

export class Actions {
  readonly #parts: ActionParts;
  readonly #settings: ActionSettings;
  /** How long the kubelet's health was not to be had when it was restarted last; undefined if it was not. */
  kubeletDownMs: number | undefined;
  /** The same of the hub, from its restart until it was ready. */
  hubDownMs: number | undefined;
  /** What clients of the hub did after its restart. */
  resumed: Resumed | undefined;

  constructor(parts: ActionParts, settings: ActionSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Rejects with ERR_DROPIN_STEP, which names the title and the action. */
  async all(title: string, actions: readonly Action[]): Promise<void> {
    for (const action of actions) {
      try {
        await this.#carryOut(action);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        const why = error.message;
        throw new DropInError('ERR_DROPIN_STEP', `${title}: ${describe(action)}: ${why}`, { cause: error });
      }
    }
  }

  async #carryOut(action: Action): Promise<void> {
    const { host, files, journal, progress } = this.#parts;
    const { nodeName, timeoutMs } = this.#settings;
    switch (action.kind) {
      case 'folder':
        await journal.saveBefore(action.path);
        if (journal.before(action.path)?.entry === undefined) await files.makeFolder(action.path, action.mode);
        return;
      case 'file':
        await journal.saveBefore(action.path);
        return files.write(action.path, action.content, { mode: action.mode, uid: 0, gid: 0 });
      case 'link':
        await journal.saveBefore(action.path);
        return files.link(action.path, action.target);
      case 'tree':
        await journal.saveBefore(action.path);
        // From the place where it is already, there is nothing to copy; and it must not be removed under its own feet.
        if (action.from !== action.path) await files.copyTree(action.from, action.path);
        return;
      case 'restore':
        return this.#restore(action.path, action.whole === true);
      case 'remove':
        return this.#remove(action.path);
      case 'reload-units':
        return host.units.reload();
      case 'enable-unit':
        return host.units.enable(action.unit);
      case 'start-unit':
        return host.units.start(action.unit);
      case 'stop-unit':
        if ((await host.units.state(action.unit)).loaded) await host.units.stop(action.unit);
        return;
      case 'disable-unit':
        if ((await host.units.state(action.unit)).enabled) await host.units.disable(action.unit);
        return;
      case 'restart-kubelet':
        return this.#restartKubelet(action.kubeconfig);
      case 'announce':
        return this.#announce(action.version, action.back === true);
      case 'label':
        return this.#label(action.labels);
      case 'unlabel':
        return this.#unlabel();
      case 'restart-hub':
        return this.#restartHub();
      case 'renew-kube-proxy':
        if (action.only === undefined || journal.hasBegun(action.only)) await this.#renewKubeProxy(action.note);
        return;
      case 'forget-report':
        return this.#forgetReport();
      case 'await-hub':
        return waitForHub(host, progress, timeoutMs);
      case 'await-sync':
        return waitForSync(host, progress, nodeName, timeoutMs);
      case 'verify-hub':
        this.resumed = await verifyHub(host, progress, { nodeName, timeoutMs, version: action.version });
        return;
      case 'verify':
        return verifyNode(host, progress, { nodeName, timeoutMs, containers: journal.note('containers') ?? [] });
      default:
        return action satisfies never;
    }
  }

  async #restore(place: string, whole: boolean): Promise<void> {
    const { files, journal } = this.#parts;
    const before = journal.before(place);
    if (before === undefined) return;
    const isFolder = (await files.stat(place))?.kind === 'folder';
    // What somebody else has put into a folder since is not ours to take away.
    if (isFolder && before.entry === undefined && !whole) await files.removeEmptyFolder(place);
    else await journal.restore(place);
  }

  async #remove(place: string): Promise<void> {
    const { files } = this.#parts;
    if (place !== ours.data) return files.remove(place);
    for (const name of await files.list(place)) {
      const inside = `${place}/${name}`;
      if (inside !== ours.journal) await files.remove(inside);
    }
  }

  async #restartKubelet(kubeconfig: string): Promise<void> {
    const { host, progress } = this.#parts;
    const started = host.now();
    if ((await usedKubeconfig(host)) !== kubeconfig) {
      await host.units.restart(kubeadm.kubeletUnit);
      await waitUntil(host, progress, `the kubelet is well with ${kubeconfig}`, this.#settings.timeoutMs, async () =>
        (await usedKubeconfig(host)) === kubeconfig ? kubeletIsWell(host) : 'it has not started yet',
      );
      this.kubeletDownMs = host.now() - started;
    } else {
      await waitUntil(host, progress, 'the kubelet is well', this.#settings.timeoutMs, () => kubeletIsWell(host));
    }
  }

  /** Not to be had is no reason to stop: a node is reverted without the cloud as well, and an old report says nothing new. */
  async #forgetReport(): Promise<void> {
    const { host, progress } = this.#parts;
    const path = `/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/${this.#settings.nodeName}`;
    const body = { metadata: { annotations: { [reportAnnotation]: null } } };
    const why = await host.cloud.request({ method: 'PATCH', path, body }).then(
      ({ status }) => (status < 400 || status === 404 ? undefined : `it was answered with ${status}`),
      (error: unknown) => {
        if (error instanceof DropInError && error.code === 'ERR_DROPIN_CALL') return error.message;
        throw error;
      },
    );
    if (why !== undefined) progress.waiting(`the annotation ${reportAnnotation} stays on the Lease`, why, 0);
  }

  async #announce(version: string | undefined, isBack: boolean): Promise<void> {
    const annotations = {
      [convertedAnnotation]: version ?? null,
      ...(version === undefined ? { [hubAnnotation]: null } : {}),
    };
    // The way back is gone without the cloud as well; what is left there only makes `holdfast uninstall` ask for --force.
    await this.#patchNode({ annotations }, 'the annotation').catch((error: unknown) => {
      if (!isBack || !(error instanceof DropInError)) throw error;
    });
  }

  /** What somebody else gave the Node stays when it is given back. */
  async #label(labels: Readonly<Record<string, string>>): Promise<void> {
    const { host, journal } = this.#parts;
    const added = await journal.noteOnce('labels', async () => {
      const { status, body } = await host.cloud.request({ method: 'GET', path: this.#nodePath });
      if (status !== 200) throw new DropInError('ERR_DROPIN_CALL', `the Node was answered with ${status}`);
      const { metadata } = JSON.parse(body.toString('utf8')) as { metadata?: { labels?: Record<string, string> } };
      return Object.keys(labels).filter((name) => metadata?.labels?.[name] === undefined);
    });
    const missing = Object.fromEntries(Object.entries(labels).filter(([name]) => added.includes(name)));
    await this.#patchNode({ labels: missing }, 'the labels');
  }

  async #unlabel(): Promise<void> {
    const labels = Object.fromEntries((this.#parts.journal.note('labels') ?? []).map((name) => [name, null]));
    if (Object.keys(labels).length === 0) return;
    await this.#patchNode({ labels }, 'the labels').catch((error: unknown) => {
      // As with the annotation: nothing on this node goes by them.
      if (!(error instanceof DropInError)) throw error;
    });
  }

  get #nodePath(): string {
    return `/api/v1/nodes/${this.#settings.nodeName}`;
  }

  async #patchNode(metadata: object, what: string): Promise<void> {
    const { status } = await this.#parts.host.cloud.request({
      method: 'PATCH',
      path: this.#nodePath,
      body: { metadata },
    });
    if (status >= 400) throw new DropInError('ERR_DROPIN_CALL', `${what} of the Node was answered with ${status}`);
  }

  /** Also other programs of the archive that run on this node: each leaves the folder that is going to be removed one day. */
  async #restartHub(): Promise<void> {
    const { host, progress } = this.#parts;
    const started = host.now();
    await host.units.restart(ours.unit);
    await waitForHub(host, progress, this.#settings.timeoutMs);
    this.hubDownMs = host.now() - started;
    if ((await host.units.state(ours.agentUnit)).active) await host.units.restart(ours.agentUnit);
  }

  /** The pods that are there now are noted first: a second run deletes those, and not the ones that took their place. */
  async #renewKubeProxy(note: string): Promise<void> {
    const { host, journal, progress } = this.#parts;
    const { nodeName, timeoutMs } = this.#settings;
    const proxies = async () => (await podsOf(host.cloud, nodeName)).filter(isKubeProxy);
    const old = await journal.noteOnce(note, async () => (await proxies()).map(({ metadata }) => metadata.uid));
    for (const { metadata } of await proxies()) {
      if (!old.includes(metadata.uid) || metadata.deletionTimestamp !== undefined) continue;
      const { status } = await host.cloud.request({
        method: 'DELETE',
        path: `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`,
        body: { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid: metadata.uid } },
      });
      // 404 and 409: it is gone, or another one already.
      if (status >= 400 && status !== 404 && status !== 409)
        throw new DropInError('ERR_DROPIN_CALL', `the deletion of pod ${metadata.name} was answered with ${status}`);
    }
    if (old.length === 0) return;
    await waitUntil(host, progress, 'the new kube-proxy is Ready', timeoutMs, async () => {
      const now = await proxies();
      const ready = now.some((pod) => !old.includes(pod.metadata.uid) && isReady(pod));
      const left = now.some((pod) => old.includes(pod.metadata.uid));
      return ready && !left ? undefined : left ? 'the old one is ending' : 'it has not started yet';
    });
  }
}
