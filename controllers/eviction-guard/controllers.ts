// The guard's two controllers, on one picture.
import type { ControllerFactory } from '../registry.ts';
import { guardedPods } from './collections.ts';
import { EvictionGuard } from './guard.ts';
import { GuardMetrics } from './metrics.ts';
import { Picture } from './picture.ts';
import { Refusals } from './refusals.ts';
import { TolerationKeeper, type TolerationKeeperSettings } from './toleration-keeper.ts';

export function evictionGuard(settings: TolerationKeeperSettings): ControllerFactory {
  return ({ api, informers, recorder, log, clock, metrics: registry }) => {
    const metrics = new GuardMetrics(registry);
    const refusals = new Refusals(clock, metrics);
    const picture = new Picture({ api, informers, clock, refused: (refusal) => refusals.add(refusal) });
    const pods = informers.of(guardedPods);
    picture.nodes.subscribe(({ key, after }) => {
      if (after === undefined) refusals.forget(key);
    });
    return [
      new EvictionGuard({ api, picture, pods, refusals, recorder, log, clock, metrics }),
      new TolerationKeeper({ api, picture, pods, recorder, log, metrics }, settings),
    ];
  };
}
