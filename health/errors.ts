// Errors of the health part. Codes are stable; messages may change.

/** A peer that is not who it should be or does not answer as one, a relay that refuses, or a port that cannot be had. */
export class PeerError extends Error {
  readonly code: 'ERR_PEER_LISTEN' | 'ERR_PEER_DIAL' | 'ERR_PEER_ANSWER' | 'ERR_PEER_RELAY';

  constructor(code: PeerError['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'PeerError';
    this.code = code;
  }
}
