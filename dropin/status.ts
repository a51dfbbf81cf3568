// How this node is: what `holdfast status` and `holdfast diagnose` say. Pure: from what was asked on the node itself, so that both
// work without the cloud.
import type { LooseFile } from './file-modes.ts';
import type { Phase } from './journal.ts';
import type { HubMetrics } from './hub-metrics.ts';
import { hubOps, kubeadm, ours } from './places.ts';
import type { Check } from './preflight.ts';

export interface StatusFacts {
  readonly node: string | undefined;
  /** Of the journal; undefined when this node was not converted, or was set up by hand. */
  readonly conversion:
    | {
        readonly phase: Phase;
        readonly version: string;
        readonly begunAt: string;
        /** Of an upgrade that is not over. */
        readonly upgradeTo: string | undefined;
      }
    | undefined;
  readonly hubUnit: { readonly loaded: boolean; readonly active: boolean; readonly enabled: boolean };
  readonly kubeletActive: boolean;
  readonly usedKubeconfig: string | undefined;
  /** The hub's /readyz: undefined when nobody answers. */
  readonly ready: { readonly status: number; readonly body: string } | undefined;
  readonly metrics: HubMetrics | undefined;
  /** Seconds since 1970. */
  readonly now: number;
  /** The Service of the API server is left alone until the node is booted. */
  readonly untilReboot: boolean;
  /** Files that others can read or change. */
  readonly loose: readonly Pick<LooseFile, 'problem' | 'fix'>[];
}

export interface NodeStatus {
  readonly node: string | undefined;
  readonly converted: boolean;
  readonly version: string | undefined;
  readonly hub: 'ready' | 'not ready' | 'down';
  readonly cloudReachable: boolean | undefined;
  readonly roundTripMs: number | undefined;
  readonly kept:
    { readonly views: number; readonly objects: number; readonly bytes: number; readonly tokens: number } | undefined;
  readonly watches: number | undefined;
  /** Events and statuses that wait for the cloud. */
  readonly waiting: { readonly events: number; readonly statuses: number } | undefined;
  readonly certificateDays: number | undefined;
  readonly verdict: 'well' | 'look' | 'broken';
}

const dayS = 86_400;

export function nodeStatus(facts: StatusFacts): NodeStatus {
  const { metrics, conversion, ready } = facts;
  const value = (name: string): number => metrics?.value(`holdfast_yurthub_${name}`) ?? 0;
  const expiry = value('client_certificate_expiry_seconds');
  const verdicts = diagnose(facts).map(({ verdict }) => verdict);
  return {
    node: facts.node,
    converted: conversion?.phase === 'converted',
    version: conversion?.version,
    hub: ready === undefined ? 'down' : ready.status === 200 ? 'ready' : 'not ready',
    cloudReachable: metrics === undefined ? undefined : value('cloud_reachable') === 1,
    roundTripMs: metrics === undefined ? undefined : Math.round(value('upstream_round_trip_seconds') * 1_000),
    kept:
      metrics === undefined
        ? undefined
        : {
            views: value('views'),
            objects: value('view_objects'),
            bytes: value('store_bytes'),
            tokens: value('saved_tokens'),
          },
    watches: metrics === undefined ? undefined : value('view_watchers'),
    waiting:
      metrics === undefined ? undefined : { events: value('event_spool_events'), statuses: value('overlay_objects') },
    certificateDays: expiry === 0 ? undefined : Math.floor((expiry - facts.now) / dayS),
    verdict: verdicts.includes('refused') ? 'broken' : verdicts.includes('warning') ? 'look' : 'well',
  };
}

export function statusText(status: NodeStatus): string {
  const { kept, waiting } = status;
  const rows: [string, string][] = [
    ['node', status.node ?? 'unknown'],
    ['converted', status.converted ? `with Holdfast ${status.version}` : 'no'],
    ['hub', status.hub],
  ];
  if (status.cloudReachable !== undefined)
    rows.push([
      'cloud',
      status.cloudReachable
        ? `in reach, round trip ${status.roundTripMs} ms`
        : 'out of reach: the node lives on what it keeps',
    ]);
  if (kept !== undefined)
    rows.push([
      'kept',
      `${kept.objects} objects in ${kept.views} lists, ${kept.tokens} tokens, ${(kept.bytes / 1024 / 1024).toFixed(1)} MiB`,
    ]);
  if (status.watches !== undefined) rows.push(['watches', `${status.watches} of clients on this node`]);
  if (waiting !== undefined)
    rows.push(['waiting', `${waiting.events} events and ${waiting.statuses} statuses for the cloud`]);
  if (status.certificateDays !== undefined)
    rows.push(['certificate', `of the node, for ${status.certificateDays} more days`]);
  rows.push([
    'verdict',
    { well: 'well', look: 'holdfast diagnose has something to say', broken: 'holdfast diagnose says what to do' }[
      status.verdict
    ],
  ]);
  return rows.map(([name, text]) => `${name.padEnd(13)}${text}`).join('\n');
}

/** Each with cause and fix; `refused` stands for: broken. */
export function diagnose(facts: StatusFacts): Check[] {
  const checks: Check[] = [];
  const check = (name: string, problem: string | undefined, fix: string, found: string, weak = false): void => {
    if (problem === undefined) checks.push({ name, verdict: 'ok', cause: found, fix: '' });
    else checks.push({ name, verdict: weak ? 'warning' : 'refused', cause: problem, fix });
  };
  const { conversion, hubUnit, metrics, ready } = facts;
  const value = (name: string, labels: Record<string, string> = {}): number =>
    metrics?.value(`holdfast_yurthub_${name}`, labels) ?? 0;
  check(
    'conversion',
    conversion === undefined
      ? hubUnit.loaded
        ? undefined
        : 'this node is not converted'
      : conversion.phase === 'converted'
        ? undefined
        : `a run that began at ${conversion.begunAt} was interrupted while ${conversion.phase}`,
    conversion === undefined
      ? 'holdfast convert, from the archive of a release.'
      : 'Run holdfast convert to go on, or holdfast revert to go back.',
    conversion === undefined ? 'the hub was set up by hand' : `Holdfast ${conversion.version}`,
  );
  if (conversion?.upgradeTo !== undefined)
    check(
      'upgrade',
      `one from Holdfast ${conversion.version} to ${conversion.upgradeTo} was interrupted, or goes on`,
      'holdfast upgrade with the same archive goes on; with that of the old version it goes back.',
      '',
    );
  if (!hubUnit.loaded && ready === undefined) return checks;
  check(
    'files',
    facts.loose.length === 0 ? undefined : facts.loose.map(({ problem }) => problem).join('; '),
    `${facts.loose.map(({ fix }) => fix).join('; ')}. What others may have read is renewed by holdfast revert and convert.`,
    'keys and programs are root’s alone',
  );
  check(
    'unit',
    hubUnit.active ? undefined : `${ours.unit} does not run`,
    `journalctl -u ${ours.unit}; systemctl start ${ours.unit}`,
    'the hub runs',
  );
  check(
    'boot',
    hubUnit.enabled ? undefined : `${ours.unit} does not start at boot`,
    `systemctl enable ${ours.unit}`,
    'it starts at boot',
  );
  check(
    'ready',
    ready === undefined
      ? `${hubOps} does not answer`
      : ready.status === 200
        ? undefined
        : ready.body.trim().replaceAll('\n', ' '),
    `journalctl -u ${ours.unit} says why; a full disk is the usual reason.`,
    'the hub is ready',
  );
  check(
    'kubelet',
    facts.kubeletActive ? undefined : 'the kubelet does not run',
    `journalctl -u ${kubeadm.kubeletUnit}`,
    'the kubelet runs',
  );
  check(
    'kubelet at the hub',
    facts.usedKubeconfig === ours.kubeconfig
      ? undefined
      : `the kubelet runs with --kubeconfig=${facts.usedKubeconfig ?? '(none)'}`,
    `Something took the drop-in away, or names another: systemctl cat kubelet. It should be ${ours.kubeconfig}.`,
    'the kubelet uses the hub',
  );
  if (metrics === undefined) return checks;
  check(
    'cloud',
    value('cloud_reachable') === 1 ? undefined : 'no API server can be reached; the node lives on what it keeps',
    'Look at the way to the API server. Nothing has to be done on the node.',
    'in reach',
    true,
  );
  check(
    'watches',
    value('view_watchers') > 0 ? undefined : 'no client watches anything at the hub',
    'The kubelet should within seconds of its start: journalctl -u kubelet.',
    `${value('view_watchers')} watches`,
  );
  check(
    'disk',
    value('store_degraded') === 0 ? undefined : 'the store cannot be written; the hub keeps in memory what comes',
    `Free disk space, or see why ${ours.data} is read-only. The hub goes on by itself.`,
    'the store is on disk',
  );
  check(
    'keys',
    value('token_keys') > 0
      ? undefined
      : 'no key is known by which tokens of service accounts could be verified without the cloud',
    'As administrator: kubectl apply -f config/rbac/node.yaml; it is read within minutes.',
    `${value('token_keys')} keys of service account tokens`,
    true,
  );
  const left = (value('client_certificate_expiry_seconds') - facts.now) / dayS;
  check(
    'certificate',
    left < 7
      ? `the node's client certificate ${left < 0 ? 'has expired' : `expires in ${Math.floor(left)} days`}`
      : undefined,
    'The kubelet renews it when the cloud is in reach: kubectl get csr, and who approves.',
    `valid for ${Math.floor(left)} more days`,
    left >= 0,
  );
  check(
    'faults',
    value('front_handler_failures_total') === 0
      ? undefined
      : `${value('front_handler_failures_total')} requests failed inside the hub`,
    `journalctl -u ${ours.unit} has the error; please report it.`,
    'none inside the hub',
    true,
  );
  check(
    'running pods',
    facts.untilReboot ? 'pods that were started before the conversion ask the API server directly' : undefined,
    'Restart those that should do without the cloud, or the node, when it suits.',
    'all pods find the hub',
    true,
  );
  return checks;
}
