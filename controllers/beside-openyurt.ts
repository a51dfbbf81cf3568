// Two managers of the same pools would undo each other's work for ever. Whether OpenYurt's is at work shows by its Lease: a
// holder that renews it. What it leaves behind (CRDs, objects, records on nodes) is taken over as it is.
import { delay, type Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { BesideOpenYurtError } from './errors.ts';
import type { Api } from './machinery/api.ts';
import { ApiError } from './machinery/errors.ts';
import { leases } from './machinery/leader-election.ts';
import type { ApiObject, ObjectName, Resource } from './machinery/resource.ts';

export interface BesideParts {
  readonly api: Pick<Api, 'get'>;
  readonly clock: Clock;
  readonly log: Log;
}

interface Lease extends ApiObject {
  readonly spec?: { readonly holderIdentity?: string; readonly leaseDurationSeconds?: number };
}

const lease = { namespace: 'kube-system', name: 'yurt-manager' };
const pollMs = 1_000;
const longestMs = 60_000;

const webhooks = ['validating', 'mutating'].map((kind): { resource: Resource; name: string } => ({
  resource: {
    group: 'admissionregistration.k8s.io',
    version: 'v1',
    resource: `${kind}webhookconfigurations`,
    kind: 'WebhookConfiguration',
    namespaced: false,
  },
  name: `yurt-manager-${kind}-webhook-configuration`,
}));

/**
 * Resolves when OpenYurt's manager is not at work; at once where there is no trace of one, else after its Lease has stood still
 * for its time. Rejects with BesideOpenYurtError when it is, and with ApiError when it may not
 * be looked at.
 */
export async function refuseBesideOpenYurt(parts: BesideParts, signal: AbortSignal): Promise<void> {
  const { clock, log } = parts;
  const first = await read<Lease>(parts, leases, lease, signal);
  const { holderIdentity = '', leaseDurationSeconds = 15 } = first?.spec ?? {};
  if (first !== undefined && holderIdentity !== '') {
    // By when it changes, not by the times in it: those are another machine's.
    const untilMs = clock.monotonicMs() + Math.min(longestMs, leaseDurationSeconds * 1000);
    log.info('a Lease of OpenYurt is there; looking whether somebody renews it', { holder: holderIdentity });
    while (!signal.aborted && clock.monotonicMs() < untilMs) {
      await delay(clock, pollMs, signal);
      if (signal.aborted) return;
      const now = await read<Lease>(parts, leases, lease, signal);
      if (now !== undefined && now.metadata.resourceVersion !== first.metadata.resourceVersion)
        throw new BesideOpenYurtError(now.spec?.holderIdentity ?? holderIdentity);
    }
  }
  for (const { resource, name } of webhooks)
    if ((await read(parts, resource, { name }, signal)) !== undefined)
      log.warn("OpenYurt's manager is gone and its webhooks are not: they refuse pools and applications; delete them", {
        command: `kubectl delete ${resource.resource} ${name}`,
      });
}

/** An API server that is away for a moment is asked again. */
async function read<T extends ApiObject>(
  { api, clock }: BesideParts,
  resource: Resource,
  name: ObjectName,
  signal: AbortSignal,
): Promise<T | undefined> {
  for (;;) {
    try {
      return await api.get<T>(resource, name, signal);
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && error.status < 500 && error.status !== 429)) throw error;
      await delay(clock, pollMs, signal);
    }
  }
}
