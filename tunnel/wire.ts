// What both sides of the tunnel agree on. The agent dials and then serves HTTP/2; the server opens one CONNECT stream for
// each TCP connection, and a GET of `helloPath` first, by which both sides learn of each other and the agent registers.
import type { ClientSessionOptions, Http2Session, ServerSessionOptions } from 'node:http2';

/** Negotiated by ALPN: something else on the port is noticed before a byte of HTTP/2. */
export const alpnProtocol = 'holdfast-tunnel/1';

/** On this kind of connection the agent asks, and the server dials: edge to cloud. */
export const outgoingProtocol = 'holdfast-tunnel-out/1';

export const helloPath = '/holdfast/hello';

/** Headers of the hello, from the server: who it is, and where further replicas are (HOST:PORT, with commas). */
export const serverIdHeader = 'holdfast-server-id';
export const peersHeader = 'holdfast-peers';
/** From both sides. */
export const versionHeader = 'holdfast-version';

export interface Windows {
  /** What one stream that nobody reads may hold in memory. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
}

/** Enough for 100 streams that nobody reads; beyond it the session refuses new streams instead of growing. MB. */
const maxSessionMemory = 256;

export function sessionOptions(windows: Windows, maxStreams: number): ClientSessionOptions & ServerSessionOptions {
  return {
    settings: {
      enablePush: false,
      initialWindowSize: windows.streamWindowBytes,
      maxConcurrentStreams: maxStreams,
      maxHeaderListSize: 8192,
    },
    peerMaxConcurrentStreams: maxStreams,
    maxSessionMemory,
  };
}

/** Node.js sets the windows of streams by settings and leaves the connection's at 64 KiB, which would be the tunnel's. */
export function widenConnection(session: Http2Session, windows: Windows): void {
  session.setLocalWindowSize(windows.connectionWindowBytes);
}
