// What an idle node costs on its uplink, with the hub and without: a metered or satellite link is paid by the byte.
import { setTimeout as delay } from 'node:timers/promises';
import { trafficKinds } from '../http-traffic.ts';
import { idleUplinkRow } from '../rows.ts';
import { nodeName, otherNodeName, podCount } from '../seed.ts';
import type { Testbed } from '../testbed.ts';
import { UplinkMeter } from '../uplink-meter.ts';
import type { Variant, Way } from '../ways.ts';
import type { Context } from './measurement.ts';

const hourMs = 3_600_000;

/** Both ways at the same time, over one stretch. What comes once per start is over before it begins. */
export async function measureIdleUplink(context: Context): Promise<void> {
  const { bed } = context;
  // Once: it counts for long, and hardly differs from one time to the next.
  if (!bed.hasHub || context.round > 0) return;
  await using direct = await startMeter(bed);
  await using uplink = await startMeter(bed);
  await using hub = await bed.startHub(uplink.way.url);
  await using kubelet = await startKubelet(bed, direct.way, otherNodeName);
  await using kubeletOfHub = await startKubelet(bed, hub.way, nodeName);
  for (const client of [kubelet, kubeletOfHub]) client.go();
  const meters: readonly (readonly [Variant, UplinkMeter])[] = [
    ['direct', direct],
    ['hub', uplink],
  ];
  await delay(context.scale.idleSettleSeconds * 1_000, undefined, { signal: bed.signal });
  for (const [, meter] of meters) meter.take();
  bed.say(`bytes of an idle node for ${context.scale.idleMinutes} minutes …`);
  const started = performance.now();
  await delay(context.scale.idleMinutes * 60_000, undefined, { signal: bed.signal });
  for (const [variant, meter] of meters) {
    const perHour = hourMs / (performance.now() - started);
    const { bytes, traffic, connections } = meter.take();
    const add = (kind: string, value: number): void => context.samples.add(idleUplinkRow(kind), variant, value);
    add('total', (bytes * perHour) / 1_000);
    let plain = 0;
    for (const kind of trafficKinds) {
      add(kind, (traffic[kind] * perHour) / 1_000);
      plain += traffic[kind];
    }
    add('tls', ((bytes - plain) * perHour) / 1_000);
    add('connections', connections * perHour);
  }
}

async function startMeter(bed: Testbed): Promise<UplinkMeter> {
  return await UplinkMeter.start(bed.direct, bed.identity, bed.plane.serverCertificate('meter', ['127.0.0.1']));
}

async function startKubelet(bed: Testbed, way: Way, lease: string): ReturnType<Testbed['load']['prepare']> {
  return await bed.load.prepare('kubelet', way, bed.identity, {
    node: nodeName,
    lease,
    namespace: 'bench-pods',
    pods: podCount,
  });
}
