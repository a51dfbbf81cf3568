// The drill of the tunnel: what kubectl does reaches nodes behind NAT through kube-apiserver's EgressSelector, at two sites
// that have the same addresses, and goes on when links and servers fail.
import type { Drill } from './drill.ts';
import { churn } from './tunnel/churn.ts';
import { dnat } from './tunnel/dnat.ts';
import { failures } from './tunnel/failures.ts';
import { outgoing } from './tunnel/outgoing.ts';
import { replicas } from './tunnel/replicas.ts';
import { scrapes } from './tunnel/scrapes.ts';
import { sockets } from './tunnel/sockets.ts';
import { TunnelStage } from './tunnel/stage.ts';
import { top } from './tunnel/top.ts';
import { verbs } from './tunnel/verbs.ts';
import { webhooks } from './tunnel/webhooks.ts';
import { withoutTunnel } from './tunnel/without.ts';

export const tunnel: Drill = {
  name: 'tunnel',
  summary:
    'kubectl through the tunnel to two sites with the same addresses behind NAT; black holes and a server killed',
  async run(context) {
    const { report, only } = context;
    const wanted = (letter: string): boolean => only.size === 0 || only.has(letter);
    report.say('cluster with an EgressSelector, two nodes with the same addresses …');
    const stage = await TunnelStage.build(context);
    if (wanted('a')) await report.part('(a) without agents', () => withoutTunnel(stage));
    await stage.startAgents();
    if (wanted('b')) await report.part('(b) every verb, both sites', () => verbs(stage));
    if (wanted('p')) await report.part('(p) Prometheus and people through the proxy', () => scrapes(stage));
    if (wanted('t') && !context.quick) await report.part('(t) kubectl top', () => top(stage));
    if (wanted('o')) await report.part('(o) edge to cloud and edge to edge', () => outgoing(stage));
    if (wanted('w')) await report.part('(w) webhooks and aggregated APIs on edge nodes', () => webhooks(stage));
    if (wanted('c')) await report.part('(c) links and servers that fail', () => failures(stage));
    if (wanted('s')) await report.part('(s) half-close, and clients that leave', () => sockets(stage));
    if (wanted('r')) await report.part('(r) three replicas, one of them killed', () => replicas(stage));
    if (wanted('h') && !context.quick) await report.part('(h) a day of churn in minutes', () => churn(stage));
    if (wanted('d')) await report.part('(d) DNAT mode, an API server without EgressSelector', () => dnat(stage));
    for (const line of stage.memory()) report.say(line);
  },
};
