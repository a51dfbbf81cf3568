// Errors of the tunnel itself; refused connections are in refusal.ts.

/** The API server answered with a status from 300 on. */
export class ApiRequestError extends Error {
  readonly code = 'ERR_API_REQUEST';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.name = 'ApiRequestError';
    this.status = status;
  }
}

export class TunnelError extends Error {
  readonly code:
    | 'ERR_TUNNEL_CREDENTIALS' // files that cannot be read or do not belong together
    | 'ERR_TUNNEL_LISTEN' // an address or socket that cannot be had
    | 'ERR_TUNNEL_NFTABLES' // rules that the kernel does not take
    | 'ERR_TUNNEL_PEER'; // a far end that is not what it should be

  constructor(code: TunnelError['code'], message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'TunnelError';
    this.code = code;
  }
}
