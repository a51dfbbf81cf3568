// Asks this node how it is: its units, its hub and its kubelet. Nothing of it needs the cloud, and nothing is changed.
import { usedKubeconfig } from './checks-underway.ts';
import { DropInError } from './errors.ts';
import { looseFiles } from './file-modes.ts';
import type { Files } from './files.ts';
import type { Host } from './host.ts';
import { parseMetrics } from './hub-metrics.ts';
import { Journal } from './journal.ts';
import { needKey, needsOf, offlineChecks } from './offline-check.ts';
import { hubOps, kubeadm, ours } from './places.ts';
import { podsOf, type Pod } from './pods.ts';
import type { Check } from './preflight.ts';
import type { StatusFacts } from './status.ts';

export interface LookParts {
  readonly host: Host;
  readonly files: Files;
  /** From kubeadm's kubelet.conf; undefined when that cannot be read. */
  readonly node: string | undefined;
  /** Seconds since 1970. */
  readonly wallSeconds: () => number;
}

export async function statusFacts({ host, files, node, wallSeconds }: LookParts): Promise<StatusFacts> {
  const journal = await Journal.open(files);
  const metrics = await host.get(`${hubOps}/metrics`);
  return {
    node,
    conversion: journal && {
      phase: journal.phase,
      version: journal.version,
      begunAt: journal.begunAt,
      upgradeTo: journal.upgrade?.to,
    },
    hubUnit: await host.units.state(ours.unit),
    kubeletActive: (await host.units.state(kubeadm.kubeletUnit)).active,
    usedKubeconfig: await usedKubeconfig(host),
    ready: await host.get(`${hubOps}/readyz`),
    metrics: metrics?.status === 200 ? parseMetrics(metrics.body) : undefined,
    now: wallSeconds(),
    untilReboot: (await files.stat(ours.untilRebootFile)) !== undefined,
    loose: await looseFiles(files),
  };
}

/** Would every pod come back? Rejects with ERR_DROPIN_REFUSED where there is no hub to ask. */
export async function preflightOffline(parts: LookParts): Promise<Check[]> {
  const { host, node } = parts;
  const facts = await statusFacts(parts);
  if (node === undefined || facts.metrics === undefined)
    throw new DropInError(
      'ERR_DROPIN_REFUSED',
      'there is no hub on this node that could be asked: holdfast diagnose says why',
    );
  const pods = (await podsOf(host.hub, node)).filter(isMeantToRun);
  const kept = new Map<string, boolean>();
  for (const need of pods.flatMap(needsOf)) {
    if (kept.has(needKey(need))) continue;
    const { resource, namespace, name } = need;
    const collection = `/api/v1/namespaces/${namespace}/${resource}`;
    // In the kubelet's own words: what is answered now is kept from now on.
    const path =
      resource === 'persistentvolumeclaims'
        ? `${collection}/${name}`
        : `${collection}?fieldSelector=${encodeURIComponent(`metadata.name=${name}`)}&limit=500&resourceVersion=0`;
    const { status, body } = await host.hub.request({ method: 'GET', path });
    const isThere = resource === 'persistentvolumeclaims' || (status === 200 && hasItems(body));
    kept.set(needKey(need), status === 200 && isThere);
  }
  return offlineChecks({
    pods,
    kept,
    savedTokens: facts.metrics.value('holdfast_yurthub_saved_tokens') ?? 0,
    hubStartsAtBoot: facts.hubUnit.enabled,
    kubeletAtHub: facts.usedKubeconfig === ours.kubeconfig,
  });
}

function hasItems(body: Buffer): boolean {
  const { items } = JSON.parse(body.toString('utf8')) as { items?: unknown[] | null };
  return (items ?? []).length > 0;
}

/** Finished pods, and those that are being deleted, need not come back. */
function isMeantToRun({ metadata, status }: Pod): boolean {
  return metadata.deletionTimestamp === undefined && status?.phase !== 'Succeeded' && status?.phase !== 'Failed';
}
