// What happens to a site: machines that lose power and come back, uplinks that go, switches that split it, links that flap, guards
// that restart, a cloud that is away. A seed gives the whole of it.
import type { Random } from '../random.ts';
import type { Timeline } from '../timeline.ts';
import type { PretendedCloud } from './pretended-cloud.ts';
import type { PretendedNode } from './pretended-node.ts';
import type { Link, World } from './world.ts';

export interface Site {
  readonly world: World;
  readonly time: Timeline;
  readonly random: Random;
  readonly nodes: readonly PretendedNode[];
  readonly cloud: PretendedCloud;
  /** A machine lost its power now. */
  readonly died: (node: number) => void;
  /** For people who look at one history: what happens now. */
  readonly note: (what: string) => void;
}

/** Any link between a good one and one that loses 30% with a satellite's delay. */
export function randomLink(random: Random, longestMs: number): Link {
  const loss = random.chance(0.3) ? 0 : random.between(0, 0.3);
  return { loss, roundTripMs: random.chance(0.7) ? random.between(1, 50) : random.between(50, longestMs) };
}

type Event = (site: Site) => void;

/** Between ten seconds and six minutes, most of them short: those that end when a guard is about to decide matter most. */
const lasting = (random: Random): number =>
  random.chance(0.6) ? random.between(10_000, 90_000) : random.between(30_000, 360_000);
const anyNode = ({ world, random }: Site): number => random.whole(0, world.names.length - 1);

export function powerOff(site: Site, node: number, forMs: number): void {
  const { world, time } = site;
  if (!world.isOn[node]) return;
  world.isOn[node] = false;
  world.isForgotten[node] = true;
  site.died(node);
  site.note(`${node} loses its power for ${shown(forMs)}`);
  time.after(forMs, () => {
    if (world.isOn[node]) return;
    world.isOn[node] = true;
    site.note(`${node} has power again`);
    site.nodes[node]!.boot();
  });
}

function cutUplink({ world, time, note }: Site, node: number, forMs: number): void {
  world.hasUplink[node] = false;
  note(`${node} has no uplink for ${shown(forMs)}`);
  time.after(forMs, () => {
    world.hasUplink[node] = true;
    note(`${node} has an uplink`);
  });
}

function split({ world, time, note }: Site, sideOf: (node: number) => number, forMs: number): void {
  for (const node of world.names.keys()) world.side[node] = sideOf(node);
  note(`sides for ${shown(forMs)}: ${world.side.join(' ')}`);
  time.after(forMs, () => {
    world.side.fill(0);
    note('one side again');
  });
}

const shown = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

const events: readonly Event[] = [
  // One machine, or several at once, one power strip.
  (site) => powerOff(site, anyNode(site), lasting(site.random)),
  (site) => {
    const forMs = lasting(site.random);
    for (let n = site.random.whole(1, 3); n > 0; n -= 1) powerOff(site, anyNode(site), forMs);
  },
  // The whole site loses power; machines start one after the other.
  (site) => {
    const forMs = lasting(site.random);
    for (const node of site.world.names.keys()) powerOff(site, node, forMs + site.random.between(20_000, 120_000));
  },
  (site) => cutUplink(site, anyNode(site), lasting(site.random)),
  // The site's uplink.
  (site) => {
    const forMs = lasting(site.random);
    for (const node of site.world.names.keys()) cutUplink(site, node, forMs + site.random.between(0, 5_000));
  },
  // A switch between two parts of the site; each part may have lost the uplink.
  (site) => {
    const { world, random } = site;
    const forMs = lasting(random);
    const parts = random.whole(2, 3);
    const withUplink = Array.from({ length: parts }, () => random.chance(0.5));
    split(site, () => random.whole(1, parts), forMs);
    for (const [node, side] of world.side.entries()) if (!withUplink[side - 1]!) cutUplink(site, node, forMs);
  },
  // The switch itself restarts: nobody sees anybody, nor the cloud.
  (site) => {
    const forMs = site.random.between(10_000, 120_000);
    split(site, (node) => node + 1, forMs);
    for (const node of site.world.names.keys()) cutUplink(site, node, forMs);
  },
  // An uplink, or a machine's own link to the others, comes and goes.
  (site) => {
    const { world, random, time } = site;
    const node = anyNode(site);
    const isUplink = random.chance(0.5);
    let left = random.whole(3, 30);
    const flap = (): void => {
      left -= 1;
      const isUp = left % 2 === 0;
      if (isUplink) world.hasUplink[node] = isUp;
      else world.side[node] = isUp ? 0 : 1000 + node;
      site.note(`${node} flaps: ${isUplink ? 'uplink' : 'link to the others'} ${isUp ? 'up' : 'down'}`);
      if (left > 0) time.after(random.between(500, 25_000), flap);
    };
    flap();
  },
  // Bad links get worse, and better.
  ({ world, random, note }) => {
    world.lan = randomLink(random, 300);
    world.wan = randomLink(random, 2_000);
    note(`links: ${linksOf(world)}`);
  },
  ({ cloud, random, time, note }) => {
    const forMs = random.between(1_000, 120_000);
    cloud.isGuardRunning = false;
    note(`no guard for ${shown(forMs)}`);
    time.after(forMs, () => {
      cloud.isGuardRunning = true;
      cloud.restartGuard();
    });
  },
  ({ world, random, time, note }) => {
    const forMs = random.between(5_000, 120_000);
    world.isCloudDown = true;
    note(`no cloud for ${shown(forMs)}`);
    time.after(forMs, () => (world.isCloudDown = false));
  },
];

export function linksOf({ lan, wan }: World): string {
  const text = ({ loss, roundTripMs }: Link): string => `${(loss * 100).toFixed(1)}% ${roundTripMs.toFixed(0)} ms`;
  return `site ${text(lan)}, cloud ${text(wan)}`;
}

/** Up to eight events, at any time of the history, over each other. */
export function plan(site: Site, durationMs: number): void {
  for (let n = site.random.whole(1, 8); n > 0; n -= 1) {
    const event = site.random.pick(events);
    site.time.at(site.random.between(60_000, durationMs - 60_000), () => event(site));
  }
}
