import { parseMetrics } from './hub-metrics.ts';
import { diagnose, nodeStatus, statusText, type StatusFacts } from './status.ts';

const day = 86_400;
const well: StatusFacts = {
  node: 'edge-1',
  conversion: { phase: 'converted', version: '1.2.3', begunAt: '2026-01-01T00:00:00Z', upgradeTo: undefined },
  hubUnit: { loaded: true, active: true, enabled: true },
  kubeletActive: true,
  usedKubeconfig: '/etc/holdfast/kubelet.conf',
  ready: { status: 200, body: 'ok' },
  metrics: parseMetrics(
    [
      '# HELP holdfast_yurthub_cloud_reachable Whether',
      'holdfast_yurthub_cloud_reachable 1',
      'holdfast_yurthub_upstream_round_trip_seconds 0.0123',
      'holdfast_yurthub_views 12',
      'holdfast_yurthub_view_objects 340',
      'holdfast_yurthub_view_watchers 9',
      'holdfast_yurthub_store_bytes 1.5e+06',
      'holdfast_yurthub_saved_tokens 3',
      'holdfast_yurthub_token_keys 1',
      'holdfast_yurthub_offline_writes_total{kind="lease",outcome="acknowledged"} 4',
      'holdfast_yurthub_offline_writes_total{kind="event",outcome="refused"} 2',
      `holdfast_yurthub_client_certificate_expiry_seconds ${100 * day}`,
    ].join('\n'),
  ),
  now: 10 * day,
  untilReboot: false,
  loose: [],
};
const broken = (facts: Partial<StatusFacts>): string[] =>
  diagnose({ ...well, ...facts })
    .filter(({ verdict }) => verdict === 'refused')
    .map(({ name }) => name);

test('metrics are read by name, and summed by label', () => {
  expect(well.metrics?.value('holdfast_yurthub_offline_writes_total')).toBe(6);
  expect(well.metrics?.value('holdfast_yurthub_offline_writes_total', { kind: 'event' })).toBe(2);
  expect(well.metrics?.value('holdfast_yurthub_views')).toBe(12);
  expect(well.metrics?.value('holdfast_yurthub_none')).toBeUndefined();
});

test('a node that is well has nothing to say, and its figures are those of the hub', () => {
  expect(diagnose(well).filter(({ verdict }) => verdict !== 'ok')).toEqual([]);
  expect(nodeStatus(well)).toMatchObject({
    converted: true,
    hub: 'ready',
    cloudReachable: true,
    roundTripMs: 12,
    watches: 9,
    certificateDays: 90,
    kept: { views: 12, objects: 340, bytes: 1_500_000, tokens: 3 },
    verdict: 'well',
  });
  expect(statusText(nodeStatus(well))).toContain('cloud        in reach, round trip 12 ms');
});

test('a key that others may read is a broken node', () => {
  expect(broken({ loose: [{ problem: 'others may read it', fix: 'chmod go-rwx it' }] })).toEqual(['files']);
});

test('without the cloud a node is not broken', () => {
  const metrics = parseMetrics(
    'holdfast_yurthub_cloud_reachable 0\nholdfast_yurthub_view_watchers 9\nholdfast_yurthub_client_certificate_expiry_seconds 9e9',
  );
  expect(broken({ metrics })).toEqual([]);
  const status = nodeStatus({ ...well, metrics });
  expect(status).toMatchObject({ cloudReachable: false, verdict: 'look' });
  expect(statusText(status)).toContain('out of reach');
});

test('what is broken is named, with what to do', () => {
  expect(
    broken({ hubUnit: { loaded: true, active: false, enabled: false }, ready: undefined, metrics: undefined }),
  ).toEqual(['unit', 'boot', 'ready']);
  expect(broken({ usedKubeconfig: '/etc/kubernetes/kubelet.conf' })).toEqual(['kubelet at the hub']);
  expect(broken({ now: 101 * day })).toEqual(['certificate']);
  const begun = { version: '1', begunAt: '2026', upgradeTo: undefined };
  expect(broken({ conversion: { ...begun, phase: 'reverting' } })).toEqual(['conversion']);
  expect(broken({ conversion: { ...begun, phase: 'converted', upgradeTo: '2' } })).toEqual(['upgrade']);
  for (const check of diagnose({ ...well, ready: undefined, metrics: undefined, kubeletActive: false }))
    expect([check.name, check.verdict === 'ok' || check.fix !== '']).toEqual([check.name, true]);
});

test('a node that is not converted says so, and nothing else', () => {
  const facts = {
    ...well,
    conversion: undefined,
    hubUnit: { loaded: false, active: false, enabled: false },
    ready: undefined,
    metrics: undefined,
  };
  expect(diagnose(facts)).toMatchObject([
    { name: 'conversion', verdict: 'refused', cause: 'this node is not converted' },
  ]);
  expect(statusText(nodeStatus(facts))).toContain('converted    no');
});
