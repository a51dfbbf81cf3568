// Whether the kernel has closed the connection under a socket, which Node.js may never tell: HTTP/2 does not read while it waits for a
// write, and TLS of Node.js 24 loses the failure of a write that another one was in front of.
import type { Socket } from 'node:net';

/** What net.Socket asks for its `remoteAddress`, whose first answer it keeps. Of TLS the same, of the socket below. */
interface Handle {
  /** A negative number of libuv on failure: there is no peer any more. */
  getpeername?: (into: object) => number;
}

/** False as well where it cannot be told. Behind a reset, bytes that were not read yet may still be there. */
export function isClosedBelow(socket: Socket): boolean {
  const handle = (socket as { readonly _handle?: Handle | null })._handle;
  return typeof handle?.getpeername === 'function' && handle.getpeername({}) < 0;
}
