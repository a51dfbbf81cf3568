// holdfast uninstall: takes away what install made, last to first, so that nothing is left that needs what is gone. Refuses while something
// depends on it. Every step may be done again.
import { ApiError } from '../controllers/machinery/errors.ts';
import type { ApiObject, Resource } from '../controllers/machinery/resource.ts';
import type { Check } from '../dropin/preflight.ts';
import { waitUntil } from '../dropin/wait.ts';
import { clusterFacts, resources, type ClusterFacts } from './cluster-facts.ts';
import type { InstallParts } from './install.ts';
import { installedKinds } from './kinds.ts';
import { nameOf, ownLabel } from './manifests.ts';
import { runAgain, type Outcome } from './outcome.ts';
import { rightsCheck } from './preflight.ts';
import { siteDnsName } from './site-dns.ts';

export interface UninstallSettings {
  readonly dryRun: boolean;
  readonly timeoutMs: number;
  /** Pools and applications of users as well, and with them their kinds. */
  readonly deleteData: boolean;
  /** Also while nodes say that they are converted: they are gone, or nobody will revert them. */
  readonly force: boolean;
  /** Names at sites alone; everything else stays. */
  readonly siteDnsOnly: boolean;
}

interface Crd extends ApiObject {
  readonly spec?: {
    readonly group: string;
    readonly scope: string;
    readonly names: { readonly plural: string; readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly storage: boolean }[];
  };
}
interface Node extends ApiObject {
  readonly spec?: { readonly taints?: readonly { readonly key: string }[] };
}
/** One object that goes. */
interface Doomed {
  readonly resource: Resource;
  readonly object: ApiObject;
}

/** Ours, and made by the controllers or by people, not from a manifest. */
const leases = ['holdfast-controllers', 'holdfast-egress'];
const systemNamespace = 'kube-system';
const nodeSettings = 'holdfast-node';

export function uninstallChecks(facts: ClusterFacts, { force }: Pick<UninstallSettings, 'force'>): Check[] {
  const checks = [rightsCheck(facts)];
  const converted = facts.convertedNodes;
  checks.push(
    converted.length === 0
      ? { name: 'nodes', verdict: 'ok', cause: 'no node is converted', fix: '' }
      : {
          name: 'nodes',
          verdict: force ? 'warning' : 'refused',
          cause: `converted: ${converted.join(', ')}`,
          fix: `Run sudo holdfast revert on each of them. One that is gone for good: kubectl delete node NAME. With --force they stay as they are, and their hubs know no pools and no tunnel.`,
        },
  );
  const through = facts.apiServers.filter(({ flags }) => flags['egress-selector-config-file'] !== undefined);
  checks.push(
    through.length === 0
      ? { name: 'kube-apiserver', verdict: 'ok', cause: 'does not go through the tunnel server', fix: '' }
      : {
          name: 'kube-apiserver',
          verdict: 'refused',
          cause: `goes through the tunnel server on ${through.map(({ node }) => node).join(', ')}: without it no webhook, no exec and no log would work`,
          fix: 'First run, on each of these hosts, one after the other: sudo holdfast uninstall --egress.',
        },
  );
  return checks;
}

/** Rejects only when it is told to stop; everything else is an outcome. */
export async function uninstall(
  parts: InstallParts,
  settings: UninstallSettings,
  signal: AbortSignal,
): Promise<Outcome> {
  const started = parts.clock.monotonicMs();
  const found = { checks: [] as readonly Check[], changes: [] as string[], notes: [] as string[] };
  const end = (outcome: Outcome['outcome'], message: string, error?: string): Outcome => ({
    command: 'uninstall',
    outcome,
    dryRun: settings.dryRun,
    ...found,
    readiness: [],
    seconds: Math.round((parts.clock.monotonicMs() - started) / 100) / 10,
    error,
    message,
  });
  try {
    parts.progress.begin('Look at the cluster');
    const facts = await clusterFacts(parts.api, [], signal);
    found.checks = settings.siteDnsOnly ? [rightsCheck(facts)] : uninstallChecks(facts, settings);
    const removal = new Removal(parts, settings, found, signal);
    const plan = await removal.look();
    parts.progress.end();
    const refused = found.checks.filter(({ verdict }) => verdict === 'refused');
    if (refused.length > 0)
      return end('refused', `Nothing was changed: ${refused.map(({ name }) => name).join(', ')}.`);
    await removal.run(plan);
    if (settings.dryRun)
      return end(
        'done',
        found.changes.length === 0 ? 'There is nothing to take away.' : 'Nothing was changed (--dry-run).',
      );
    if (found.changes.length === 0) return end('done', 'There was nothing to take away.');
    return end(
      'done',
      settings.siteDnsOnly
        ? 'Nodes ask the CoreDNS of the cluster again; a site that is cut off does when it is back.'
        : 'Holdfast is out of this cluster.',
    );
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Error)) throw error;
    return end('failed', runAgain, error.message);
  }
}

interface RemovalPlan {
  readonly ours: readonly Doomed[];
  /** Objects of users, by their kind. */
  readonly data: readonly { readonly crd: Crd; readonly resource: Resource; readonly objects: readonly ApiObject[] }[];
  readonly tainted: readonly Node[];
}

class Removal {
  readonly #parts: InstallParts;
  readonly #settings: UninstallSettings;
  readonly #found: { readonly changes: string[]; readonly notes: string[] };
  readonly #signal: AbortSignal;

  constructor(
    parts: InstallParts,
    settings: UninstallSettings,
    found: { readonly changes: string[]; readonly notes: string[] },
    signal: AbortSignal,
  ) {
    this.#parts = parts;
    this.#settings = settings;
    this.#found = found;
    this.#signal = signal;
  }

  async look(): Promise<RemovalPlan> {
    const { api } = this.#parts;
    const labelSelector = `${ownLabel.key}=${ownLabel.value}`;
    const ours: Doomed[] = [];
    if (this.#settings.siteDnsOnly) {
      ours.push(...(await this.#named(resources.daemonSets, siteDnsName)));
      return { ours, data: [], tainted: [] };
    }
    const data: RemovalPlan['data'][number][] = [];
    for (const resource of installedKinds) {
      const objects = await api.list<Crd>(resource, { labelSelector }, this.#signal).catch(absent);
      for (const object of objects) {
        if (resource.kind === 'CustomResourceDefinition') data.push(await this.#dataOf(object));
        else ours.push({ resource, object });
      }
    }
    for (const name of leases) ours.push(...(await this.#named(resources.leases, name)));
    const settings = await this.#named(resources.configMaps, nodeSettings);
    if (this.#settings.deleteData) ours.push(...settings);
    else if (settings.length > 0)
      this.#found.notes.push(
        `ConfigMap ${systemNamespace}/${nodeSettings} stays: somebody wrote it. --delete-data takes it along.`,
      );
    const nodes = await api.list<Node>(resources.nodes, {}, this.#signal);
    return {
      ours,
      data,
      tainted: nodes.filter(({ spec }) => spec?.taints?.some(({ key }) => key.startsWith('holdfast.dev/'))),
    };
  }

  async run(plan: RemovalPlan): Promise<void> {
    const { ours, data, tainted } = plan;
    // Of users first: the controllers, while they run, take back what pools gave to nodes, and end applications.
    if (this.#settings.deleteData) for (const { resource, objects } of data) await this.#removeData(resource, objects);
    const order = (kind: string): number => installedKinds.findIndex((known) => known.kind === kind);
    const lastToFirst = [...ours].sort((a, b) => order(b.resource.kind) - order(a.resource.kind));
    const workloads = lastToFirst.filter(({ resource }) => resource.group === 'apps');
    const rest = lastToFirst.filter((doomed) => !workloads.includes(doomed));
    await this.#step('Stop what runs', workloads);
    if (this.#settings.siteDnsOnly) return;
    await this.#untilStopped();
    for (const node of tainted) await this.#untaint(node);
    if (!this.#settings.deleteData) for (const kept of data) await this.#release(kept);
    const withoutData = data.filter(({ objects }) => objects.length === 0 || this.#settings.deleteData);
    await this.#step('Take away the rest', [
      ...rest,
      ...withoutData.map(({ crd }) => ({ resource: resources.crds, object: crd })),
    ]);
    for (const { crd, objects } of data.filter((kept) => !withoutData.includes(kept)))
      this.#found.notes.push(
        `${nameOf({ kind: 'CustomResourceDefinition', metadata: crd.metadata })} stays with its ${objects.length} objects, which are yours. --delete-data takes them along.`,
      );
  }

  async #dataOf(crd: Crd): Promise<RemovalPlan['data'][number]> {
    const { group, names, scope, versions } = crd.spec!;
    const version = versions.find(({ storage }) => storage)?.name ?? '';
    const resource = { group, version, resource: names.plural, kind: names.kind, namespaced: scope === 'Namespaced' };
    return { crd, resource, objects: await this.#parts.api.list<ApiObject>(resource, {}, this.#signal).catch(absent) };
  }

  async #named(resource: Resource, name: string): Promise<Doomed[]> {
    const object = await this.#parts.api.get<ApiObject>(resource, { namespace: systemNamespace, name }, this.#signal);
    return object === undefined ? [] : [{ resource, object }];
  }

  async #removeData(resource: Resource, objects: readonly ApiObject[]): Promise<void> {
    await this.#step(
      `Delete ${objects.length} ${resource.resource}`,
      objects.map((object) => ({ resource, object })),
    );
    if (this.#settings.dryRun || objects.length === 0) return;
    // Nodes leave their pools first, so a pool with nodes goes only by this: its finalizer would wait for ever for a label to go.
    for (const object of await this.#parts.api.list<ApiObject>(resource, {}, this.#signal))
      await this.#withoutFinalizers(resource, object);
  }

  /** What stays must not need a controller to be deleted one day. */
  async #release({ resource, objects }: RemovalPlan['data'][number]): Promise<void> {
    for (const object of objects) await this.#withoutFinalizers(resource, object);
  }

  async #withoutFinalizers(resource: Resource, object: ApiObject): Promise<void> {
    const finalizers = object.metadata.finalizers ?? [];
    const others = finalizers.filter((name) => !name.startsWith('holdfast.dev/'));
    if (others.length === finalizers.length) return;
    this.#found.changes.push(`take our finalizer off ${nameOf({ kind: resource.kind, metadata: object.metadata })}`);
    if (this.#settings.dryRun) return;
    const body = { metadata: { finalizers: others, resourceVersion: object.metadata.resourceVersion } };
    await this.#parts.api.patch(resource, object.metadata, 'merge', body, this.#signal).catch(unlessGone);
  }

  async #untaint(node: Node): Promise<void> {
    const taints = (node.spec?.taints ?? []).filter(({ key }) => !key.startsWith('holdfast.dev/'));
    this.#found.changes.push(`take our taint off Node ${node.metadata.name}`);
    if (this.#settings.dryRun) return;
    const body = { metadata: { resourceVersion: node.metadata.resourceVersion }, spec: { taints } };
    await this.#parts.api.patch(resources.nodes, node.metadata, 'merge', body, this.#signal).catch(unlessGone);
  }

  async #step(title: string, doomed: readonly Doomed[]): Promise<void> {
    const { api, progress } = this.#parts;
    this.#signal.throwIfAborted();
    if (!this.#settings.dryRun && doomed.length > 0) progress.begin(title);
    for (const { resource, object } of doomed) {
      const { name, namespace, uid } = object.metadata;
      this.#found.changes.push(`delete ${nameOf({ kind: resource.kind, metadata: object.metadata })}`);
      if (!this.#settings.dryRun)
        // By UID: what took its place meanwhile is not ours.
        await api.remove(resource, { name, namespace }, { uid }, this.#signal).catch((error: unknown) => {
          if (!(error instanceof ApiError && error.status === 409)) throw error;
        });
    }
    if (!this.#settings.dryRun && doomed.length > 0) progress.end();
  }

  /** The tunnel server takes its names out of the hosts file when it ends; the controllers write no more once they have. */
  async #untilStopped(): Promise<void> {
    const { api, clock, sleep, progress } = this.#parts;
    if (this.#settings.dryRun) return;
    const labelSelector = `${ownLabel.key}=${ownLabel.value}`;
    progress.begin('Wait until it has stopped');
    await waitUntil(
      { now: () => clock.monotonicMs(), sleep },
      progress,
      'no pod of ours is left',
      this.#settings.timeoutMs,
      async () => {
        const pods = await api.list<ApiObject>(
          resources.pods,
          { namespace: systemNamespace, labelSelector },
          this.#signal,
        );
        return pods.length === 0 ? undefined : pods.map(({ metadata }) => metadata.name).join(', ');
      },
    );
    progress.end();
  }
}

/** A kind that this cluster does not serve, or no longer. */
function absent(error: unknown): ApiObject[] {
  if (error instanceof ApiError && (error.status === 404 || error.status === 403)) return [];
  throw error;
}

function unlessGone(error: unknown): undefined {
  if (error instanceof ApiError && error.status === 404) return undefined;
  throw error;
}
