// Why a connection through the tunnel was not made. The reasons travel in the answer to CONNECT, and people see the text:
// kubectl and Prometheus print the reason phrase of the status line.
import type { ServerHttp2Stream } from 'node:http2';

/** Each reason is one HTTP status, so that a client without our header can tell them apart as well. */
export const refusalStatus = {
  /** Not an authority of the form HOST:PORT. */
  'bad-target': 400,
  /** The policy of the agent, or the rights of the client, do not allow it. */
  policy: 403,
  /** A proxy's 401. */
  unauthenticated: 407,
  /** Nothing listens there. */
  refused: 502,
  /** No route, network down. */
  unreachable: 502,
  /** The name does not resolve. */
  'unknown-host': 502,
  /** The way to the agent broke while it dialled. */
  broken: 502,
  failed: 502,
  /** The node is known and has no live connection to this server. */
  'not-connected': 503,
  /** Several nodes have this address: only names tell them apart. */
  ambiguous: 503,
  /** Too many connections of this node or client. */
  limit: 503,
  /** The API server, which decides, cannot be asked. */
  unavailable: 503,
  /** No answer within the deadline. */
  timeout: 504,
} as const;

export type RefusalReason = keyof typeof refusalStatus;
export const refusalReasons = Object.keys(refusalStatus) as readonly RefusalReason[];

export const reasonHeader = 'holdfast-reason';
export const detailHeader = 'holdfast-detail';

/** A connection that was not made; `message` says which and why, in one line for people. */
export class RefusedError extends Error {
  readonly code = 'ERR_TUNNEL_REFUSED';
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'RefusedError';
    this.reason = reason;
  }

  get status(): number {
    return refusalStatus[this.reason];
  }
}

/** Answers a CONNECT over HTTP/2, if it can still be answered. */
export function refuseStream(stream: ServerHttp2Stream, { status, reason, message }: RefusedError): void {
  if (!stream.destroyed && !stream.closed)
    stream.respond(
      { ':status': status, [reasonHeader]: reason, [detailHeader]: headerText(message) },
      { endStream: true },
    );
  stream.resume();
}

export function isRefusalReason(text: unknown): text is RefusalReason {
  return typeof text === 'string' && Object.hasOwn(refusalStatus, text);
}

/** What may stand in a header or a status line: printable ASCII, at most 300 characters. */
export function headerText(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 300);
}

/** What a failed dial of `target` means; `error` as net.connect gives it. */
export function refusalOf(error: unknown, target: string): RefusedError {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? '';
  const say = (reason: RefusalReason, text: string): RefusedError =>
    new RefusedError(reason, `dial ${target}: ${text}`, error);
  switch (code) {
    case 'ECONNREFUSED':
      return say('refused', 'connection refused');
    case 'ETIMEDOUT':
      return say('timeout', 'no answer');
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ENETDOWN':
    case 'EADDRNOTAVAIL':
      return say('unreachable', `no route (${code})`);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return say('unknown-host', 'no such host');
    case 'EMFILE':
    case 'ENFILE':
      return say('limit', 'too many open files');
    default:
      return say('failed', code === '' ? String((error as Error | undefined)?.message ?? error) : code);
  }
}
