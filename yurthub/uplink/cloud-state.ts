// When an API server counts as reachable, as a table: what is known of its path, what happens, what to do about it.
// Nothing here knows sockets or clocks (design.md "Uplinks").

export const lossReasons = [
  'refused',
  'reset',
  'timeout',
  'unroutable',
  'dns',
  'certificate_time',
  'tls',
  'protocol',
  'gateway',
  'silent',
  'other',
] as const;
export type LossReason = (typeof lossReasons)[number];

/** suspect: silent, and its connections are kept in case they come back alive. lost: known not to answer. */
export type PathStatus = 'reachable' | 'suspect' | 'lost';

export type PathEvent =
  /** A ping or anything else on a connection that stood before was answered. */
  | { readonly kind: 'answered' }
  /** A probe on a new connection was answered by an API server. */
  | { readonly kind: 'replaced' }
  /** A new connection could not be made. */
  | { readonly kind: 'dialFailed'; readonly reason: LossReason }
  /** 502, 503 or 504 from something that is no API server. */
  | { readonly kind: 'gateway' }
  /** A ping is overdue and nothing else arrived either. */
  | { readonly kind: 'silent' };

/**
 * rejectPending: requests without an answer get CloudUnreachableError, those not sent yet included. rejectWaiting: only
 * those not sent yet. dropSilent: connections on which nothing arrived since the path became suspect are destroyed.
 */
export type PathAction = 'startProbing' | 'stopProbing' | 'rejectPending' | 'rejectWaiting' | 'dropSilent';

export interface PathDecision {
  readonly status: PathStatus;
  /** Set when this event made a reachable path unreachable. */
  readonly lossReason: LossReason | undefined;
  readonly actions: readonly PathAction[];
}

export function decidePath(status: PathStatus, event: PathEvent): PathDecision {
  const stay: PathDecision = { status, lossReason: undefined, actions: [] };
  switch (event.kind) {
    case 'answered':
      // A lost path stays lost: the answer may come from a load balancer, or from a server that no longer accepts.
      return status === 'suspect' ? { ...stay, status: 'reachable', actions: ['stopProbing'] } : stay;
    case 'replaced':
      return status === 'reachable' ? stay : { ...stay, status: 'reachable', actions: ['stopProbing', 'dropSilent'] };
    case 'dialFailed':
      if (status === 'lost') return stay;
      if (status === 'suspect') return { ...stay, status: 'lost' };
      return { status: 'lost', lossReason: event.reason, actions: ['rejectWaiting', 'startProbing'] };
    case 'gateway':
      if (status === 'lost') return stay;
      if (status === 'suspect') return { ...stay, status: 'lost' };
      return { status: 'lost', lossReason: 'gateway', actions: ['rejectWaiting', 'startProbing'] };
    case 'silent':
      if (status !== 'reachable') return { ...stay, actions: ['rejectPending'] };
      return { status: 'suspect', lossReason: 'silent', actions: ['rejectPending', 'startProbing'] };
  }
}

/** How long a ping may take: two round trips on a slow link, `floorMs` on a fast one. */
export function pingDeadlineMs(roundTripMs: number, floorMs: number): number {
  return Math.max(floorMs, 2 * roundTripMs);
}

/** The longest round trip of late: a sixteenth of what is above the newest one is forgotten with each. */
export function worstRoundTripMs(before: number, measured: number): number {
  return measured >= before ? measured : before - (before - measured) / 16;
}

/** How long the first connection after a start may take: TCP, TLS and HTTP/2 are three round trips, and one to spare. */
export function startDeadlineMs(expectedRoundTripMs: number | undefined, floorMs: number, pingMs: number): number {
  return expectedRoundTripMs === undefined ? pingMs : Math.max(floorMs, 4 * expectedRoundTripMs);
}

const byCode: Readonly<Record<string, LossReason>> = {
  ECONNREFUSED: 'refused',
  ECONNRESET: 'reset',
  EPIPE: 'reset',
  ETIMEDOUT: 'timeout',
  ERR_DIAL_TIMEOUT: 'timeout',
  EHOSTUNREACH: 'unroutable',
  ENETUNREACH: 'unroutable',
  EHOSTDOWN: 'unroutable',
  ENETDOWN: 'unroutable',
  EADDRNOTAVAIL: 'unroutable',
  ENOTFOUND: 'dns',
  EAI_AGAIN: 'dns',
  EAI_FAIL: 'dns',
  ENODATA: 'dns',
  CERT_NOT_YET_VALID: 'certificate_time',
  CERT_HAS_EXPIRED: 'certificate_time',
  ERR_NO_H2: 'protocol',
  ERR_ANSWER_SYNTAX: 'protocol',
};

/** The reason in a connection error of Node.js, by its code. */
export function lossReasonOf(error: unknown): LossReason {
  if (typeof error !== 'object' || error === null) return 'other';
  // Happy eyeballs: all addresses failed, each with its own error; the first one speaks.
  if ('errors' in error && Array.isArray(error.errors) && error.errors.length > 0) return lossReasonOf(error.errors[0]);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  const known = byCode[code];
  if (known !== undefined) return known;
  if (/^(ERR_TLS|ERR_SSL|ERR_OSSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|EPROTO)/.test(code))
    return 'tls';
  return code.startsWith('ERR_HTTP2') ? 'protocol' : 'other';
}
