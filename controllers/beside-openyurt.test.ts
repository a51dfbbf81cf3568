import { ManualClock } from '../runtime/manual-clock.ts';
import { nullLog, type Log } from '../runtime/log.ts';
import { refuseBesideOpenYurt } from './beside-openyurt.ts';
import type { ApiObject, ObjectName, Resource } from './machinery/resource.ts';

interface Cluster {
  lease: ApiObject | undefined;
  webhooks: boolean;
}

function leaseOf(holderIdentity: string, resourceVersion = '1'): ApiObject {
  const spec = { holderIdentity, leaseDurationSeconds: 15 };
  return { metadata: { name: 'yurt-manager', uid: 'x', resourceVersion }, spec } as ApiObject;
}

/** What it says in the end, while the clock goes on; `each` is called for every second. */
async function verdict(
  cluster: Cluster,
  each: (second: number) => void = () => undefined,
  log: Log = nullLog,
): Promise<string> {
  const clock = new ManualClock();
  const api = {
    get: async <T extends ApiObject>(resource: Resource, _name: ObjectName) =>
      (resource.resource === 'leases' ? cluster.lease : cluster.webhooks ? leaseOf('') : undefined) as T | undefined,
  };
  let said = '';
  const done = refuseBesideOpenYurt({ api, clock, log }, new AbortController().signal).then(
    () => (said = `goes on after ${clock.monotonicMs() / 1000} s`),
    (error: Error) => (said = error.message),
  );
  for (let second = 0; second < 100 && said === ''; second += 1) {
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    each(second);
    clock.advance(said === '' ? 1_000 : 0);
  }
  await done;
  return said;
}

test.each([
  ['no Lease', undefined],
  ['a Lease that was released', leaseOf('')],
])('with %s it goes on at once', async (_name, lease) => {
  expect(await verdict({ lease, webhooks: false })).toBe('goes on after 0 s');
});

test('a Lease that nobody renews is of a manager that is gone: it goes on when the time of the Lease is over', async () => {
  expect(await verdict({ lease: leaseOf('gone_1'), webhooks: false })).toBe('goes on after 15 s');
});

test('a Lease that is renewed is of a manager at work: it is refused, with what to do', async () => {
  const cluster: Cluster = { lease: leaseOf('yurt-manager-0_1'), webhooks: true };
  const said = await verdict(cluster, (second) => {
    if (second === 2) cluster.lease = leaseOf('yurt-manager-0_1', '2');
  });
  expect(said).toContain('yurt-manager (yurt-manager-0_1) is at work');
  expect(said).toContain('kubectl -n kube-system scale deployment yurt-manager --replicas=0');
});

test('webhooks that are left behind are named, with the command that takes them away', async () => {
  const commands: unknown[] = [];
  const log: Log = { ...nullLog, warn: (_message, fields) => commands.push(fields?.['command']) };
  await verdict({ lease: undefined, webhooks: true }, undefined, log);
  expect(commands).toEqual([
    'kubectl delete validatingwebhookconfigurations yurt-manager-validating-webhook-configuration',
    'kubectl delete mutatingwebhookconfigurations yurt-manager-mutating-webhook-configuration',
  ]);
});
