// A site as a network sees it: nodes that run or do not, sides that do not see each other, uplinks, loss and delay. Nothing here
// knows what the nodes or the guard make of it.
import type { Random } from '../random.ts';

export interface Link {
  /** Of packets, in each direction. */
  readonly loss: number;
  /** There and back. */
  readonly roundTripMs: number;
}

export class World {
  readonly names: readonly string[];
  /** By index of the node, as everything here. */
  readonly isOn: boolean[];
  readonly hasUplink: boolean[];
  /** Lost its power, and was not heard in the cloud since: nobody there could know that it is back. */
  readonly isForgotten: boolean[];
  /** Nodes with the same number see each other. */
  readonly side: number[];
  lan: Link;
  wan: Link;
  /** Nobody reaches the API server, whatever its uplink. */
  isCloudDown = false;
  readonly #random: Random;

  constructor(size: number, lan: Link, wan: Link, random: Random) {
    this.names = Array.from({ length: size }, (_, n) => `edge-${n}`);
    this.isOn = this.names.map(() => true);
    this.hasUplink = this.names.map(() => true);
    this.side = this.names.map(() => 0);
    this.isForgotten = this.names.map(() => false);
    this.lan = lan;
    this.wan = wan;
    this.#random = random;
  }

  sees(one: number, other: number): boolean {
    return this.isOn[one]! && this.isOn[other]! && this.side[one] === this.side[other];
  }

  reachesCloud(node: number): boolean {
    return this.isOn[node]! && this.hasUplink[node]! && !this.isCloudDown;
  }

  /**
   * Those that run, but nobody who counts could know: no way to the cloud for itself or anybody on its side, and no more than half
   * of its pool, in a pool of two one of the two, on its side; those that came back from a loss of power unheard are not counted.
   * A machine in this state cannot be told from a dead one.
   */
  isolated(): boolean[] {
    const sides = new Map<number, { size: number; hasUplink: boolean }>();
    for (const [node, number] of this.side.entries()) {
      if (!this.isOn[node]) continue;
      const side = sides.get(number) ?? { size: 0, hasUplink: false };
      if (!this.isForgotten[node]) side.size += 1;
      side.hasUplink ||= this.hasUplink[node]!;
      sides.set(number, side);
    }
    return this.side.map((number, node) => {
      const side = sides.get(number);
      return this.isOn[node]! && side !== undefined && !side.hasUplink && side.size * 2 <= this.names.length;
    });
  }

  /**
   * Milliseconds until so many round trips over TCP are done, each begun again with a doubling pause while a packet of it is
   * lost; undefined when that takes longer than `limitMs`. `handshake`: the first is a new connection's, whose first pause is 1 s.
   */
  exchange({ loss, roundTripMs }: Link, roundTrips: number, handshake: boolean, limitMs: number): number | undefined {
    const arrives = (1 - loss) ** 2;
    let tookMs = 0;
    for (let trip = 0; trip < roundTrips; trip += 1) {
      let pauseMs = handshake && trip === 0 ? 1000 : Math.max(200, 2 * roundTripMs);
      while (!this.#random.chance(arrives)) {
        tookMs += pauseMs;
        pauseMs *= 2;
        if (tookMs > limitMs) return undefined;
      }
      tookMs += roundTripMs;
    }
    return tookMs > limitMs ? undefined : tookMs;
  }
}
