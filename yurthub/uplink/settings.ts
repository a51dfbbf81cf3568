// What the uplink can be told. The defaults carry the promises of design.md "Uplinks"; tests make them small.

import type { ProbeTimes } from '../return-pace.ts';
import type { ServerOrder, SteadySettings } from './server-choice.ts';

/** Of ProbeTimes: while a path is not reachable an attempt starts after a random time between probeMinMs and probeMaxMs. */
export interface UplinkSettings extends ProbeTimes, SteadySettings {
  /** https URLs; only scheme, host and port count. */
  readonly apiServers: readonly string[];
  /** How the next request finds its server among them. */
  readonly apiServerOrder: ServerOrder;
  /** What serving certificates must carry, where it is not the host of the URL. */
  readonly tlsServerName?: string | undefined;
  /** Unary connections per API server and lane; requests beyond wait their turn. */
  readonly maxUnaryConnections: number;
  /** An idle unary connection is closed after this: before NAT boxes forget it. */
  readonly unaryIdleMs: number;
  /** Upper bound of streams on one HTTP/2 session; a smaller limit of the peer wins. */
  readonly maxStreamsPerSession: number;
  readonly streamWindowBytes: number;
  readonly sessionWindowBytes: number;
  /** A unary answer is paused when its client is this far behind. */
  readonly maxQueuedBytes: number;
  /** The same for watches and followed logs, of which there are many. */
  readonly maxStreamQueuedBytes: number;
  /** Request bodies up to this size are held, so that they can be sent again on another connection. */
  readonly maxHeldRequestBytes: number;
  /** One attempt to connect, TCP and TLS: satellite links need four round trips of 2 s and a lost packet. */
  readonly dialTimeoutMs: number;
  /** A request without an answer for this long has its path checked by a ping. With pingTimeoutMs under 3 s. */
  readonly unansweredMs: number;
  /** A ping without an answer for this long, or for two round trips if that is longer, makes the path suspect. */
  readonly pingTimeoutMs: number;
  /**
   * At the start a node waits for this verdict with everything: a first connection that takes longer than `startTimeoutMs`, or
   * than four of the round trips that were measured before the restart, makes the path suspect. Without such a measure
   * (undefined) the first connection has as long as a ping.
   */
  readonly startTimeoutMs: number;
  readonly expectedRoundTripMs: number | undefined;
  readonly idlePingMs: number;
  /**
   * The path is pinged after so long without a sign of life while a relay is at hand: to know sooner is worth its bytes only to a
   * node that can do something about it. Between two renewals of the node's Lease that is three times.
   */
  readonly idlePingWithRelayMs: number;
  /** Likewise in the place of `pingTimeoutMs`; after half of it the relay is sought. */
  readonly pingTimeoutWithRelayMs: number;
  /**
   * A read on a connection that was idle for `forgottenIdleMs` and has no answer after `forgottenMs`, while the path answers
   * pings, is sent once more on a fresh one: NAT boxes forget connections one by one.
   */
  readonly forgottenMs: number;
  readonly forgottenIdleMs: number;
  /** While a relay is used: a relay is near, and to stay with it a little longer costs less than to be cut off once more. */
  readonly ownWaySteady: SteadySettings;
}

export const defaultUplinkSettings: Omit<UplinkSettings, 'apiServers'> = {
  apiServerOrder: 'priority',
  maxUnaryConnections: 64,
  unaryIdleMs: 25_000,
  maxStreamsPerSession: 100,
  streamWindowBytes: 1 << 20,
  sessionWindowBytes: 4 << 20,
  maxQueuedBytes: 4 << 20,
  maxStreamQueuedBytes: 1 << 20,
  maxHeldRequestBytes: 256 << 10,
  dialTimeoutMs: 15_000,
  unansweredMs: 800,
  pingTimeoutMs: 2_000,
  startTimeoutMs: 800,
  expectedRoundTripMs: undefined,
  idlePingMs: 30_000,
  idlePingWithRelayMs: 2_600,
  pingTimeoutWithRelayMs: 900,
  forgottenMs: 3_000,
  forgottenIdleMs: 1_000,
  probeMinMs: 500,
  probeMaxMs: 1_200,
  probeHeldMaxMs: 15_000,
  steadyMinMs: 30_000,
  steadyMaxMs: 600_000,
  ownWaySteady: { steadyMinMs: 10_000, steadyMaxMs: 300_000 },
};
