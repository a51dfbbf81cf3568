// Runs histories and says what was decided in them: of nodes that were dead, after how long; of nodes that were not, whether anybody
// could have known.
import { Observation } from '../../../peers/observers.ts';
import { Random } from '../random.ts';
import { Timeline } from '../timeline.ts';
import { linksOf, plan, powerOff, randomLink, type Site } from './history.ts';
import { PretendedCloud } from './pretended-cloud.ts';
import { PretendedNode, type Sent } from './pretended-node.ts';
import { SuperEdge } from './superedge.ts';
import { World, type Link } from './world.ts';

const pool = 'site';
const observers = 5;
const justBackMs = 20_000;
const newGuardMs = 150_000;

export interface Outcome {
  /** Pods deleted of a node that ran, and that the cloud or the larger part of its pool could reach. */
  falseEvictions: number;
  /** The histories with those, as SIZE:SEED. */
  readonly falseHistories: string[];
  /** Pods deleted of a node that ran, isolated from the cloud and from all but a small part of its pool. */
  isolated: number;
  /** Milliseconds from the loss of power to the deletion of pods, of those that stayed off until then. */
  readonly foundMs: number[];
  /** Of those, and of the others below, how many by a guard that had been started less than two and a half minutes before. */
  byNewGuard: number;
  /** Milliseconds from the loss of power until the node was called dead, of those that were off then. */
  readonly calledMs: number[];
  /** Pods deleted of a node that had been dead or isolated, and was back for less than two renewals of its Lease. */
  justBack: number;
  refusedReports: number;
  readonly superEdge: { falseEvictions: number; isolated: number; justBack: number; readonly foundMs: number[] };
}

export function emptyOutcome(): Outcome {
  return {
    falseEvictions: 0,
    falseHistories: [],
    isolated: 0,
    justBack: 0,
    foundMs: [],
    byNewGuard: 0,
    calledMs: [],
    refusedReports: 0,
    superEdge: { falseEvictions: 0, isolated: 0, justBack: 0, foundMs: [] },
  };
}

interface Running extends Site {
  readonly outcome: Outcome;
  readonly superEdge: SuperEdge;
}

type Note = (atMs: number, what: string) => void;

function start(size: number, lan: Link, wan: Link, random: Random, outcome: Outcome, tell: Note): Running {
  const time = new Timeline();
  const world = new World(size, lan, wan, random);
  const observation = new Observation(world.names, observers);
  const diedMs = new Map<number, number>();
  const lastLostMs = world.names.map(() => -Infinity);
  const watch = (): void => {
    const isolated = world.isolated();
    for (const node of world.names.keys()) if (!world.isOn[node] || isolated[node]) lastLostMs[node] = time.nowMs;
    time.after(1_000, watch);
  };
  watch();
  const judge = (node: number, found: Pick<Outcome, 'falseEvictions' | 'isolated' | 'justBack' | 'foundMs'>): void => {
    if (!world.isOn[node]) found.foundMs.push(time.nowMs - diedMs.get(node)!);
    else if (world.isolated()[node]) found.isolated += 1;
    else if (time.nowMs - lastLostMs[node]! < justBackMs) found.justBack += 1;
    else found.falseEvictions += 1;
  };
  const note = (what: string): void => tell(time.nowMs, what);
  const cloud = new PretendedCloud({ pool, names: world.names, observation, time }, (decision) => {
    note(`guard: ${decision.name} ${decision.kind}${decision.acts ? ', PODS DELETED' : ''}; ${decision.message}`);
    const node = world.names.indexOf(decision.name);
    if (decision.isNew && decision.kind === 'dead' && !world.isOn[node])
      outcome.calledMs.push(time.nowMs - diedMs.get(node)!);
    if (!decision.acts) return;
    judge(node, outcome);
    if (cloud.guardMs < newGuardMs) outcome.byNewGuard += 1;
  });
  const superEdge = new SuperEdge(world, time, ({ node }) => judge(node, outcome.superEdge));
  const nodes = world.names.map((name, index) => {
    const deliver = (report: string): void => {
      world.isForgotten[index] = false;
      cloud.renewed(name, report);
      superEdge.renewed(index);
    };
    return new PretendedNode(index, { pool, world, time, random, observation, deliver });
  });
  for (const node of nodes) node.boot();
  const died = (node: number): void => void diedMs.set(node, time.nowMs);
  return { world, time, random, nodes, cloud, superEdge, outcome, died, note };
}

export const historyMs = 600_000;

/** One random history of a pool of `size`. */
export function runHistory(size: number, seed: number, outcome: Outcome, tell: Note = () => undefined): void {
  const random = new Random(seed);
  const before = outcome.falseEvictions;
  const running = start(size, randomLink(random, 300), randomLink(random, 2_000), random, outcome, tell);
  running.note(`links: ${linksOf(running.world)}`);
  plan(running, historyMs);
  running.time.runUntil(historyMs);
  outcome.refusedReports += running.cloud.refused;
  if (outcome.falseEvictions > before) outcome.falseHistories.push(`${size}:${seed}`);
}

export interface DeathTrial {
  /** From the loss of power to the deletion of pods; undefined when that did not come within ten minutes. */
  readonly foundMs: number | undefined;
  /** Until it was called dead. */
  readonly calledMs: number | undefined;
  readonly superEdgeMs: number | undefined;
  /** Of all nodes in the minute before. */
  readonly perNode: { readonly probesPerMinute: number; readonly reportBytes: number };
  readonly superEdgeChecksPerMinute: number;
}

export interface DeathOptions {
  /** Ends when the rule of SuperEdge has found it as well. */
  readonly untilSuperEdge: boolean;
  /** The guard is started when the machine dies, and has seen nothing before. */
  readonly newGuard: boolean;
}

/** One machine of a pool loses its power for good, at a given loss on all links. Ends when the guard has found it. */
export function runDeath(
  size: number,
  loss: number,
  seed: number,
  { untilSuperEdge, newGuard }: DeathOptions,
): DeathTrial {
  const random = new Random(seed);
  const link = { loss, roundTripMs: 20 };
  const outcome = emptyOutcome();
  const running = start(size, link, link, random, outcome, () => undefined);
  const { time, nodes } = running;
  const settledMs = 60_000;
  time.runUntil(settledMs);
  const before = total(nodes);
  const checksBefore = running.superEdge.checks;
  const diesMs = 2 * settledMs + random.between(0, 10_000);
  time.runUntil(2 * settledMs);
  const after = total(nodes);
  const superEdgeChecksPerMinute = (running.superEdge.checks - checksBefore) / size;
  time.at(diesMs, () => {
    powerOff(running, random.whole(0, size - 1), Infinity);
    if (newGuard) running.cloud.restartGuard();
  });
  for (let until = diesMs; until < diesMs + 600_000; until += 10_000) {
    time.runUntil(until);
    if (outcome.foundMs.length > 0 && (outcome.superEdge.foundMs.length > 0 || !untilSuperEdge)) break;
  }
  if (outcome.falseEvictions > 0) throw new Error(`seed ${seed}: a node was evicted that nothing happened to`);
  return {
    foundMs: outcome.foundMs[0],
    calledMs: outcome.calledMs[0],
    superEdgeMs: outcome.superEdge.foundMs[0],
    perNode: {
      probesPerMinute: (after.probes - before.probes) / size,
      reportBytes: (after.reportBytes - before.reportBytes) / (after.reports - before.reports),
    },
    superEdgeChecksPerMinute,
  };
}

function total(nodes: readonly PretendedNode[]): Sent {
  const sum: Sent = { probes: 0, reportBytes: 0, reports: 0 };
  for (const { sent } of nodes) for (const key of Object.keys(sum) as (keyof Sent)[]) sum[key] += sent[key];
  return sum;
}
