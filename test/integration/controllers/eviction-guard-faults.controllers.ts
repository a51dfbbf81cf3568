// The eviction guard among those that lie to it, and when it is itself in trouble: in front of a real API server, node controller,
// scheduler and NodeRestriction.
import { waitFor } from '../../cluster/commands.ts';
import { describeWithControlPlane } from '../../cluster/integration.ts';
import type { GuardReplica } from './guard-replica.ts';
import { GuardStage, isKept, isKind, leaving, pass, within } from './guard-stage.ts';
import { leasePath } from './pretended-pool.ts';

describeWithControlPlane('the eviction guard in trouble', () => {
  let stage: GuardStage;
  let guard: GuardReplica;

  beforeAll(async () => {
    stage = await GuardStage.start();
    guard = stage.guard('first');
  }, 600_000);
  afterAll(async () => {
    await guard?.stop();
    await stage?.stop();
  }, 60_000);

  it('reports that are forged, replayed, too large or garbage are named and counted, and move nobody; a Lease of another is not writable', async () => {
    const pool = await stage.startPool('forged', 3);
    await stage.deploy('forged', 3);
    const [liar, other] = [pool.node(1), pool.node(2)];
    const lease = await stage.plane.request<object>('GET', leasePath(other.name));
    const written = await liar.api.rawRequest('PUT', leasePath(other.name), lease);
    expect(written.status).toBe(403);
    const old = pool.report(liar);
    const { seq } = liar;
    const lies = [
      ['forged', (text: string) => text.replace('"n":"forged-1"', '"n":"forged-3"')],
      ['replayed', () => old],
      ['oversized', () => 'x'.repeat(20_000)],
      ['garbage', () => '{"v":1'],
    ] as const;
    // It is old once a newer one is there, which a busy machine may take its time for.
    await waitFor('a newer report is there', async () => (await stage.reportedSeq(liar.name)) > seq, within(60));
    for (const [problem, forgery] of lies) {
      liar.forgery = forgery;
      await waitFor(
        `${problem} is told`,
        async () => (await stage.eventsOn(liar.name)).some((text) => text.startsWith(`PeerReportRefused ${problem}: `)),
        within(60),
      );
    }
    for (const [problem] of lies)
      expect(await guard.metric(`reports_refused_total{problem="${problem}"}`)).toBeGreaterThan(0);
    expect(leaving(await stage.podsOf('forged'))).toEqual([]);
  }, 600_000);

  it('guards that die at any moment, and an API server that refuses: the dead are found, nobody else is moved, no original is lost', async () => {
    await guard.stop();
    const pool = await stage.startPool('chaos', 3);
    const replicas: GuardReplica[] = [stage.guard('a'), stage.guard('b')];
    try {
      const before = await stage.deploy('chaos', 9);
      const victim = pool.node(3);
      pool.node(2).hasUplink = false;
      await stage.says('chaos-2', 'CutOff', 90);
      victim.isOn = false;
      // One of the two is cut down again and again, without handing over; then the API server refuses all that is written.
      for (const n of [0, 1, 0]) {
        await pass(20);
        replicas[n]!.access.refuses = true;
        await replicas[n]!.stop();
        replicas[n] = stage.guard(`after-${n}`);
      }
      for (const replica of replicas) replica.access.refuses = true;
      await pass(60);
      for (const replica of replicas) replica.access.refuses = false;
      // Two of three are not heard: that the one is dead is known when the other is back.
      pool.restoreUplink(pool.node(2));
      await waitFor(
        'its pods are deleted',
        async () => {
          const pods = (await stage.podsOf('chaos', victim.name)).filter((pod) => isKind(pod, 'ReplicaSet'));
          return leaving(pods).length === pods.length;
        },
        within(200),
      );
      const now = await stage.podsOf('chaos');
      const survivors = before.filter(({ spec }) => spec.nodeName !== victim.name);
      expect(survivors.length).toBeGreaterThan(0);
      for (const { metadata } of survivors) {
        const same = now.find((pod) => pod.metadata.uid === metadata.uid);
        expect(same?.metadata.deletionTimestamp).toBeUndefined();
        expect(isKept(same!)).toBe(true);
      }
    } finally {
      await Promise.all(replicas.map((replica) => replica.stop()));
    }
  }, 600_000);
});
