// What the measurements have in common.
import type { Samples } from '../samples.ts';
import type { Scale } from '../scale.ts';
import type { Testbed } from '../testbed.ts';
import type { Way } from '../ways.ts';

export interface Context {
  readonly bed: Testbed;
  readonly samples: Samples;
  readonly scale: Scale;
  /** From 0. */
  readonly round: number;
}

/** One round of one measurement, of every way that it is about. */
export type Measurement = (context: Context) => Promise<void>;

/**
 * Measures each way once. The order turns from round to round, so that what warms up or wears out is nobody's advantage.
 * Proxy and hub are new, the hub's store is empty, and the process is gone before the next way is measured.
 */
export async function eachWay(context: Context, measure: (way: Way) => Promise<void>): Promise<void> {
  const { bed, round } = context;
  const order = ['direct', 'go-proxy', 'hub'] as const;
  for (let index = 0; index < order.length; index++) {
    const variant = order[(index + round) % order.length];
    bed.signal.throwIfAborted();
    if (variant === 'direct') await measure(bed.direct);
    else if (variant === 'go-proxy') {
      await using proxy = await bed.startGoProxy();
      await measure(proxy.way);
    } else if (bed.hasHub) {
      await using hub = await bed.startHub();
      await measure(hub.way);
    }
  }
}
