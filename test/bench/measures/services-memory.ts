// Memory beside a kubelet with 30 pods, kube-proxy and CoreDNS in a large cluster: every node gets all services and endpoint slices,
// and twice, since the two ask for them in different ways. Stand-ins; `npm run drill -- services --only e` has the real ones.
import { setTimeout as delay } from 'node:timers/promises';
import { memoryOf, resetPeak, untilIdle } from '../process-cost.ts';
import { nodeName, podCount, seedServices } from '../seed.ts';
import type { Context } from './measurement.ts';
import { eachWay } from './measurement.ts';

export async function measureServicesMemory(context: Context): Promise<void> {
  const { bed, samples, scale, round } = context;
  if (round === 0) {
    bed.say('creating 1,000 services with 3,000 endpoint slices …');
    await seedServices(bed.plane, bed.load, bed.direct, bed.identity);
  }
  await eachWay(context, async (way) => {
    if (way.pid === undefined) return;
    resetPeak(way.pid);
    const pods = { namespace: 'bench-pods', pods: podCount };
    await using kubelet = await bed.load.prepare('kubelet', way, bed.identity, {
      node: nodeName,
      lease: nodeName,
      ...pods,
    });
    kubelet.go();
    await using services = await bed.load.prepare('services', way, bed.identity, { node: nodeName });
    services.go();
    await untilIdle(way.pid, bed.signal);
    await delay(scale.settleSeconds * 1000, undefined, { signal: bed.signal });
    const { residentMiB, proportionalMiB, peakMiB } = memoryOf(way.pid);
    samples.add('services-resident', way.variant, residentMiB);
    samples.add('services-proportional', way.variant, proportionalMiB);
    samples.add('services-peak', way.variant, peakMiB);
  });
}
