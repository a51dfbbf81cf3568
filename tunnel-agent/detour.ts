// Another way to a server, where this node's own does not lead there: through a node nearby. Which one, and whether it may be
// trusted, is known elsewhere; TLS with the server goes through it from end to end.
import type net from 'node:net';
import type { Endpoint } from '../runtime/settings.ts';

export interface Detour {
  /** Whether there is one now. */
  readonly isOpen: boolean;
  /** A connection that leads to the target, paused. Rejects when there is none to be had, or with the reason of `signal`. */
  open(target: Endpoint, signal: AbortSignal): Promise<net.Socket>;
}

export const noDetour: Detour = {
  isOpen: false,
  open: () => Promise.reject(new Error('there is no other way')),
};
