// The drill of health: pools of nodes that observe each other, report what they see, and lend each other a way out; and what the cloud
// makes of it. The parts are numbered as in the issue that asked for them.
import type { Drill } from './drill.ts';
import { CutOff } from './health/cut-off.ts';
import { equalAddresses } from './health/equal-addresses.ts';
import { Guarded } from './health/guard.ts';
import { liesMoveNobody } from './health/lies.ts';
import { relayTakesOver } from './health/relay.ts';
import { HealthStage, type PoolSettings } from './health/stage.ts';

/** The nodes of the second site have the addresses of the first. */
const pools: readonly PoolSettings[] = [
  { name: 'shop', nodes: [1, 2, 3].map((lan) => ({ name: `shop${lan}`, lan })), relay: true },
  { name: 'twin', nodes: [1, 2].map((lan) => ({ name: `twin${lan}`, lan })), relay: false },
  { name: 'solo', nodes: [{ name: 'solo1' }], relay: true },
];
/** In the full form. */
const cutOffMinutes = 15;

export const health: Drill = {
  name: 'health',
  summary: 'pools of three, two and one: cut off with and without a peer to go through, dead, and with equal addresses',
  async run(context) {
    const { report, only, quick } = context;
    const wanted = (number: string): boolean => only.size === 0 || only.has(number);
    report.say('cluster with controllers and tunnel server; three pools, six nodes with hubs …');
    const stage = await HealthStage.build(context, pools);
    // A link that is cut takes a minute to tell: meanwhile the first part goes on at another site.
    const two = wanted('2') ? await CutOff.begin(stage, { cut: 'twin1', alone: 'solo1' }) : undefined;
    if (wanted('1'))
      await report.part('(1) one of three is cut from the cloud only', () => relayTakesOver(stage, 'shop'));
    // Minutes each, so that the gate leaves them out; --only names them.
    if (!quick || only.size > 0) await guarded(stage, wanted);
    if (two !== undefined) {
      const three = quick ? undefined : await oneOfThree(stage);
      await report.part('(2, 5) one of two, and a pool of one, cut off with nobody to go through', () =>
        two.judge(cutOffMinutes),
      );
      if (three !== undefined)
        await report.part('(2) one of three, cut off with relays off', () => three.judge(cutOffMinutes));
    }
    if (wanted('6') && (!quick || only.size > 0))
      await report.part('(6) reports that are not what they seem', () =>
        liesMoveNobody(stage, { liar: 'shop1', other: 'shop2' }),
      );
    if (wanted('6'))
      await report.part('(6, 5) two sites with equal addresses, and one of two without power', () =>
        equalAddresses(stage, { node: 'twin2', namesake: 'shop2' }),
      );
    for (const line of stage.memory()) report.say(line);
  },
};

async function guarded(stage: HealthStage, wanted: (number: string) => boolean): Promise<void> {
  const parts = [
    [
      '3',
      '(3, 7) one of three without power, and the guard killed as it decides',
      (shop: Guarded) => shop.oneDies('shop3'),
    ],
    ['4', '(4) a whole site is cut off, and comes back one by one', (shop: Guarded) => shop.siteIsCut()],
    ['5', '(5) two of three without power, one after the other', (shop: Guarded) => shop.twoDie('shop2', 'shop3')],
  ] as const;
  const chosen = parts.filter(([number]) => wanted(number));
  if (chosen.length === 0) return;
  const shop = await Guarded.begin(stage, 'shop');
  try {
    for (const [, title, run] of chosen) await stage.report.part(title, () => run(shop));
  } finally {
    await shop.end();
  }
}

async function oneOfThree(stage: HealthStage): Promise<CutOff> {
  await stage.allowRelay('shop', false);
  return await CutOff.begin(stage, { cut: 'shop2' });
}
