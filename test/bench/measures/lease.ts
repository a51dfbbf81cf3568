// The node's Lease is renewed while large lists, each a new view, go through the same process: what makes a connected node
// NotReady is a renewal that waits behind a list.
import type { Percentiles } from '../load-tool.ts';
import { largeCount, paths } from '../seed.ts';
import type { Context } from './measurement.ts';
import { eachWay } from './measurement.ts';

const renewalsPerSecond = 50;

export async function measureLease(context: Context): Promise<void> {
  const { bed, samples, scale } = context;
  await eachWay(context, async (way) => {
    await using lists = await bed.load.prepare('list', way, bed.identity, {
      path: `${paths.largeCollection}?resourceVersion=0&labelSelector=other%21%3D{n}`,
      count: scale.largeListsBesideLease,
      expect: largeCount,
    });
    await using lease = await bed.load.prepare('write', way, bed.nodeIdentity, {
      path: paths.lease,
      rate: renewalsPerSecond,
    });
    lease.go();
    lists.go();
    await lists.result();
    lease.finish();
    const result = await lease.result<Percentiles & { errors: number }>();
    if (result.errors > 0) throw new Error(`${result.errors} renewals through ${way.variant} failed`);
    samples.add('lease-p99', way.variant, result.p99Ms);
    samples.add('lease-max', way.variant, result.maxMs);
  });
}
