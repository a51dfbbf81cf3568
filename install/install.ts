// holdfast install: looks, applies what config/ says and what the tunnel needs, and waits until it works. Every step may be done again, so
// a run that was killed is gone on with by running it once more.
import type { Clock } from '../runtime/clock.ts';
import { ApiError, ApiUnreachableError } from '../controllers/machinery/errors.ts';
import type { ApiObject } from '../controllers/machinery/resource.ts';
import type { Check } from '../dropin/preflight.ts';
import { waitUntil, type Progress } from '../dropin/wait.ts';
import { apply, describeChange } from './changes.ts';
import { clusterFacts, resources, type ClusterApi, type ClusterFacts } from './cluster-facts.ts';
import { portsCheck, takenPorts, type ThisHost } from './host-ports.ts';
import { resourceOf } from './kinds.ts';
import { imagesOf, withImage, type ClusterObject } from './manifests.ts';
import { runAgain, type Outcome } from './outcome.ts';
import { preflight } from './preflight.ts';
import { readinessOf, type Readiness } from './readiness.ts';
import { siteDnsChecks, siteDnsFacts, siteDnsObjects, siteDnsState } from './site-dns.ts';
import { authorityName, namespace, serverName } from '../controllers/tunnel-certificate/secrets.ts';
import { agentsName, tunnelObjects, type KeptObject, type TunnelObjects } from './tunnel-objects.ts';

export interface InstallParts {
  readonly api: ClusterApi;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly progress: Progress;
  /** Of config/. */
  readonly manifests: readonly ClusterObject[];
  /** Of config/site-dns. */
  readonly siteDnsManifests: readonly ClusterObject[];
  readonly here: ThisHost;
  readonly now: () => Date;
}

export interface InstallSettings {
  readonly dryRun: boolean;
  readonly timeoutMs: number;
  /** With its tag; undefined for the one that the manifests name. */
  readonly image: string | undefined;
  /** HOST:PORT; none: what was said before, or else the addresses of the control planes. */
  readonly tunnelServers: readonly string[];
  /** Names at sites as well. They stay once they are there, whatever a later run says. */
  readonly siteDns: boolean;
}

/** Rejects only when it is told to stop; everything else is an outcome. */
export async function install(parts: InstallParts, settings: InstallSettings, signal: AbortSignal): Promise<Outcome> {
  const started = parts.clock.monotonicMs();
  const found = {
    checks: [] as readonly Check[],
    changes: [] as string[],
    readiness: [] as readonly Readiness[],
    notes: [] as string[],
  };
  const end = (outcome: Outcome['outcome'], message: string, error?: string): Outcome => ({
    command: 'install',
    outcome,
    dryRun: settings.dryRun,
    ...found,
    seconds: Math.round((parts.clock.monotonicMs() - started) / 100) / 10,
    error,
    message,
  });
  try {
    parts.progress.begin('Look at the cluster');
    const crds = parts.manifests.filter(({ kind }) => kind === 'CustomResourceDefinition');
    const facts = await clusterFacts(
      parts.api,
      crds.map(({ metadata }) => metadata.name),
      signal,
    );
    const tunnel = await tunnelOf(parts, facts, settings, signal);
    const siteDns = await siteDnsFacts(parts.api, facts.convertedNodes, signal);
    const withSiteDns = settings.siteDns || siteDns.present;
    const taken = await takenPortsOf(parts, facts, signal);
    parts.progress.end();
    found.checks = [
      ...preflight(facts, {
        tunnelServers: tunnel.servers,
        image: { asked: settings.image, present: await presentImage(parts, signal) },
      }),
      portsCheck(taken),
      ...(withSiteDns ? siteDnsChecks(siteDns) : []),
    ];
    const refused = found.checks.filter(({ verdict }) => verdict === 'refused');
    if (refused.length > 0)
      return end('refused', `Nothing was changed: ${refused.map(({ name }) => name).join(', ')}.`);
    found.notes.push(...tunnel.made.map((text) => `${settings.dryRun ? 'To be made' : 'Made'} anew: ${text}.`));
    const objects = objectsFor(parts.manifests, facts, tunnel, settings);
    const forSites = withSiteDns ? siteDnsObjects(parts.siteDnsManifests, siteDns) : [];
    await applyAll(parts, [...objects, ...forSites], settings, found.changes, signal);
    if (settings.dryRun)
      return end(
        'done',
        found.changes.length === 0 ? 'Everything is there already.' : 'Nothing was changed (--dry-run).',
      );
    found.readiness = await untilReady(parts, objects, settings.timeoutMs, signal);
    const waiting = found.readiness.filter(({ ready }) => !ready);
    if (waiting.length > 0)
      return end(
        'failed',
        'All of it is in the cluster, and not all of it works yet. Run the same command again: it waits on.',
        `not ready within ${Math.round(settings.timeoutMs / 1000)} s: ${waiting.map(({ object }) => object).join(', ')}`,
      );
    found.notes.push(...(await siteDnsState(parts.api, forSites, signal)));
    return end(
      'done',
      `Installed with ${imagesOf(objects).join(', ')}. Next: holdfast convert on a node; docs/install.md.`,
    );
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Error)) throw error;
    return end('failed', runAgain, error.message);
  }
}

async function tunnelOf(
  { api, now }: InstallParts,
  { controlPlanes }: ClusterFacts,
  { tunnelServers }: InstallSettings,
  signal: AbortSignal,
): Promise<TunnelObjects> {
  const kept = (resource: (typeof resources)['secrets'] | (typeof resources)['configMaps'], name: string) =>
    api.get<ApiObject & KeptObject>(resource, { namespace, name }, signal).catch(unlessForbidden);
  const facts = {
    agents: await kept(resources.configMaps, agentsName),
    authority: await kept(resources.secrets, authorityName),
    server: await kept(resources.secrets, serverName),
    controlPlanes,
    given: tunnelServers,
  };
  return tunnelObjects(facts, now());
}

function takenPortsOf({ api, here }: InstallParts, { controlPlanes }: ClusterFacts, signal: AbortSignal) {
  const hosts = controlPlanes.map(({ name }) => name);
  return takenPorts(api, hosts, here, signal).catch((error: unknown) => unlessForbidden(error) ?? []);
}

/** Of the controllers, as they run now. */
async function presentImage({ api, manifests }: InstallParts, signal: AbortSignal): Promise<string | undefined> {
  const deployment = manifests.find(({ kind }) => kind === 'Deployment');
  if (deployment === undefined) return undefined;
  const live = await api.get<ApiObject>(resourceOf(deployment), deployment.metadata, signal).catch(unlessForbidden);
  return live === undefined ? undefined : imagesOf([live as unknown as ClusterObject])[0];
}

function unlessForbidden(error: unknown): undefined {
  // The preflight says what is missing.
  if (error instanceof ApiError && error.status === 403) return undefined;
  throw error;
}

/** A CRD that was there before is somebody else's. The authority comes before what it signed: a run that is killed between loses nothing. */
function objectsFor(
  manifests: readonly ClusterObject[],
  { crds, apiServers }: ClusterFacts,
  tunnel: TunnelObjects,
  { image }: InstallSettings,
): ClusterObject[] {
  const foreign = new Set(crds.filter(({ isOurs }) => !isOurs).map(({ name }) => name));
  const ports = new Set(apiServers.map(({ flags }) => flags['secure-port'] ?? '6443'));
  const [port = '6443'] = ports.size === 1 ? ports : [];
  const own = (image === undefined ? manifests : withImage(manifests, image))
    .filter(({ kind, metadata }) => kind !== 'CustomResourceDefinition' || !foreign.has(metadata.name))
    .map((object) => withPort(object, port));
  const workload = own.findIndex(({ kind }) => kind === 'DaemonSet' || kind === 'Deployment');
  return [...own.slice(0, workload), ...tunnel.objects, ...own.slice(workload)];
}

/** Of kube-apiserver, where it is another one than kubeadm's. */
function withPort(object: ClusterObject, port: string): ClusterObject {
  const { data } = object as { data?: Record<string, string> };
  if (object.kind !== 'ConfigMap' || data?.['kubeconfig'] === undefined || port === '6443') return object;
  return {
    ...object,
    data: { ...data, kubeconfig: data['kubeconfig'].replace('127.0.0.1:6443', `127.0.0.1:${port}`) },
  };
}

async function applyAll(
  { api, progress }: InstallParts,
  objects: readonly ClusterObject[],
  { dryRun }: InstallSettings,
  changes: string[],
  signal: AbortSignal,
): Promise<void> {
  progress.begin(dryRun ? 'Ask what would change' : `Apply ${objects.length} objects`);
  for (const object of objects) {
    const change = describeChange(object, await apply(api, object, { dryRun }, signal));
    if (change !== undefined) changes.push(change);
  }
  progress.end();
}

async function untilReady(
  parts: InstallParts,
  objects: readonly ClusterObject[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<readonly Readiness[]> {
  const { api, clock, sleep, progress } = parts;
  let last: readonly Readiness[] = [];
  progress.begin('Wait until it works');
  try {
    await waitUntil({ now: () => clock.monotonicMs(), sleep }, progress, 'everything is ready', timeoutMs, async () => {
      try {
        last = await readinessOf(api, objects, signal);
      } catch (error) {
        // An API server that starts anew is asked again.
        if (error instanceof ApiUnreachableError || (error instanceof ApiError && error.status >= 500))
          return error.message;
        throw error;
      }
      const waiting = last.filter(({ ready }) => !ready);
      return waiting.length === 0 ? undefined : waiting.map(({ object, detail }) => `${object}: ${detail}`).join('; ');
    });
    progress.end();
  } catch (error) {
    signal.throwIfAborted();
    if ((error as { code?: string }).code !== 'ERR_DROPIN_CALL') throw error;
  }
  return last;
}
