// The drill of peers: a pool at one site whose nodes observe each other, report what they see, and lend each other a way out.
import type { Drill } from './drill.ts';
import { relayTakesOver } from './health/relay.ts';
import { HealthStage } from './health/stage.ts';

export const health: Drill = {
  name: 'health',
  summary: 'a pool of three nodes at one site: a node that loses its own way out goes on through a peer',
  async run(context) {
    const { report, only } = context;
    const wanted = (letter: string): boolean => only.size === 0 || only.has(letter);
    report.say('cluster, three nodes with hubs, one pool …');
    const stage = await HealthStage.build(context, { nodeNames: ['shop1', 'shop2', 'shop3'] });
    if (wanted('a')) await report.part('(a) one node is cut from the cloud only', () => relayTakesOver(stage));
    for (const line of stage.memory()) report.say(line);
  },
};
