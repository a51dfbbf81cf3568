// The way to the API servers through a node nearby, as the uplink needs it: where that node is, and whether it may be trusted,
// is known elsewhere.
import type net from 'node:net';

export interface RelayWay {
  /** Whether somebody nearby would lend its way out now. */
  readonly isOpen: boolean;
  /** A connection that leads to the target, paused. Rejects when there is none to be had, or with the reason of `signal`. */
  open(target: { readonly host: string; readonly port: number }, signal: AbortSignal): Promise<net.Socket>;
}

/** A node without neighbours: nothing is ever tried. */
export const noRelay: RelayWay = {
  isOpen: false,
  open: () => Promise.reject(new Error('there is no relay')),
};
