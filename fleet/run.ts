// What is done to nodes from the cloud, as a process, by a kubeconfig: holdfast status, which reads Nodes and nothing else, and convert
// and revert of one node.
import { setTimeout } from 'node:timers/promises';
import { Api } from '../controllers/machinery/api.ts';
import { AccessError } from '../controllers/machinery/errors.ts';
import { KubeconfigAccess } from '../controllers/machinery/kubeconfig-access.ts';
import { MachineryMetrics } from '../controllers/machinery/metrics.ts';
import type { ApiObject } from '../controllers/machinery/resource.ts';
import { usualKubeconfig, usualPlaces } from '../controllers/machinery/usual-kubeconfig.ts';
import type { Outcome } from '../dropin/outcome.ts';
import { systemClock } from '../runtime/clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { runNodeCommand, type NodeCommandParts, type NodeCommandSettings } from './node-command.ts';
import { fleetRows, type FleetRow, type NodeObject } from './rows.ts';

/** By whom the API server is asked, and as what. */
export interface Caller {
  /** As given by flag or KUBECONFIG; undefined for the usual places. */
  readonly kubeconfig: string | undefined;
  readonly version: string;
}

const nodes = { group: '', version: 'v1', resource: 'nodes', kind: 'Node', namespaced: false } as const;

/** Nodes with Holdfast; empty where the one that was asked for (undefined for all) has none, or is none. Rejects with AccessError and ApiError. */
export function run(caller: Caller, node: string | undefined, signal: AbortSignal): Promise<FleetRow[]> {
  const fieldSelector = node === undefined ? undefined : `metadata.name=${node}`;
  return withApi(caller, 'status', async (api) =>
    fleetRows(await api.list<ApiObject & NodeObject>(nodes, { fieldSelector }, signal)),
  );
}

/** Rejects as `run`, before anything has been made. */
export function runOnNode(
  caller: Caller,
  settings: NodeCommandSettings,
  { progress, say }: Pick<NodeCommandParts, 'progress' | 'say'>,
  signal: AbortSignal,
): Promise<Outcome> {
  // Unlike those of a daemon, waits of a command keep its process alive.
  const sleep = (milliseconds: number): Promise<void> => setTimeout(milliseconds, undefined, { signal });
  const now = (): number => systemClock.monotonicMs();
  return withApi(caller, settings.command, (api) =>
    runNodeCommand({ api, now, sleep, progress, say }, settings, signal),
  );
}

async function withApi<T>({ kubeconfig, version }: Caller, what: string, task: (api: Api) => Promise<T>): Promise<T> {
  const file = kubeconfig ?? usualKubeconfig();
  if (file === undefined)
    throw new AccessError(`there is no kubeconfig at ${usualPlaces().join(' or ')}: give --kubeconfig FILE`, undefined);
  const access = new KubeconfigAccess(systemClock, file);
  const parts = { access, clock: systemClock, metrics: new MachineryMetrics(new Metrics()) };
  try {
    return await task(new Api(parts, { rate: { perSecond: 20, burst: 20 }, userAgent: `holdfast-${what}/${version}` }));
  } finally {
    access.close();
  }
}
