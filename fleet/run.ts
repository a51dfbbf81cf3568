// holdfast status from the cloud, as a process: one list of Nodes by a kubeconfig, and no more rights than to read them.
import { Api } from '../controllers/machinery/api.ts';
import { AccessError } from '../controllers/machinery/errors.ts';
import { KubeconfigAccess } from '../controllers/machinery/kubeconfig-access.ts';
import { MachineryMetrics } from '../controllers/machinery/metrics.ts';
import type { ApiObject } from '../controllers/machinery/resource.ts';
import { usualKubeconfig, usualPlaces } from '../controllers/machinery/usual-kubeconfig.ts';
import { systemClock } from '../runtime/clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { fleetRows, type FleetRow, type NodeObject } from './rows.ts';

export interface FleetQuestion {
  /** As given by flag or KUBECONFIG; undefined for the usual places. */
  readonly kubeconfig: string | undefined;
  /** One node; undefined for all. */
  readonly node: string | undefined;
  readonly version: string;
}

const nodes = { group: '', version: 'v1', resource: 'nodes', kind: 'Node', namespaced: false } as const;

/** Nodes with Holdfast; empty where the one that was asked for has none, or is none. Rejects with AccessError and ApiError. */
export async function run({ kubeconfig, node, version }: FleetQuestion, signal: AbortSignal): Promise<FleetRow[]> {
  const file = kubeconfig ?? usualKubeconfig();
  if (file === undefined)
    throw new AccessError(`there is no kubeconfig at ${usualPlaces().join(' or ')}: give --kubeconfig FILE`, undefined);
  const access = new KubeconfigAccess(systemClock, file);
  const parts = { access, clock: systemClock, metrics: new MachineryMetrics(new Metrics()) };
  const api = new Api(parts, { rate: { perSecond: 20, burst: 20 }, userAgent: `holdfast-status/${version}` });
  try {
    const fieldSelector = node === undefined ? undefined : `metadata.name=${node}`;
    return fleetRows(await api.list<ApiObject & NodeObject>(nodes, { fieldSelector }, signal));
  } finally {
    access.close();
  }
}
