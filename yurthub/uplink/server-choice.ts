// Which API server the next request goes to, of several: by priority or in turn, and not back and forth with one that flaps.
// Pure: what is known of each server goes in, its index comes out.
import type { PathStatus } from './cloud-state.ts';

/** priority: the first in the list that is healthy. round-robin: each request to the next one that is healthy. */
export const serverOrders = ['priority', 'round-robin'] as const;
export type ServerOrder = (typeof serverOrders)[number];

/** What is remembered of one API server. Times are monotonic milliseconds. */
export interface ServerStanding {
  readonly status: PathStatus;
  readonly sinceMs: number;
  /** Losses that followed each other closely. */
  readonly losses: number;
  /** Used before that moment only if no other one is reachable: it has to prove steady first. */
  readonly trustedFromMs: number;
}

export interface SteadySettings {
  /** How long a server that was lost has to answer before it is preferred again: at least `steadyMinMs`, doubled with each loss … */
  readonly steadyMinMs: number;
  /** … up to this. A server that was reachable for twice as long begins anew. */
  readonly steadyMaxMs: number;
}

/** Before anything is known: hoped to be well. */
export function newStanding(nowMs: number): ServerStanding {
  return { status: 'reachable', sinceMs: nowMs, losses: 0, trustedFromMs: nowMs };
}

/** `random` in [0, 1): nodes that lost a server together do not go back to it together. */
export function standingAfter(
  before: ServerStanding,
  status: PathStatus,
  nowMs: number,
  random: number,
  settings: SteadySettings,
): ServerStanding {
  if ((before.status === 'reachable') === (status === 'reachable')) return { ...before, status };
  if (status !== 'reachable') {
    const wasSteady = nowMs - before.sinceMs >= 2 * settings.steadyMaxMs;
    return { ...before, status, sinceMs: nowMs, losses: wasSteady ? 1 : before.losses + 1 };
  }
  const steadyMs = Math.min(settings.steadyMinMs * 2 ** (before.losses - 1), settings.steadyMaxMs) * (1 + random);
  return { ...before, status, sinceMs: nowMs, trustedFromMs: nowMs + steadyMs };
}

/** `last` is the server that was used before. Undefined when none is reachable. */
export function chooseServer(
  order: ServerOrder,
  servers: readonly ServerStanding[],
  last: number,
  nowMs: number,
): number | undefined {
  let untrusted: number | undefined;
  for (let step = 0; step < servers.length; step += 1) {
    const at = order === 'priority' ? step : (last + 1 + step) % servers.length;
    const server = servers[at];
    if (server?.status !== 'reachable') continue;
    // By priority the one in use stays in use until a better one has proved steady.
    if (nowMs >= server.trustedFromMs || (order === 'priority' && at === last)) return at;
    untrusted ??= at;
  }
  return untrusted;
}
