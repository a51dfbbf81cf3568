// What ends a stream or a connection of HTTP/2 (RFC 9113 section 7).

export const ErrorCode = {
  none: 0x0,
  protocol: 0x1,
  internal: 0x2,
  flowControl: 0x3,
  streamClosed: 0x5,
  frameSize: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compression: 0x9,
  enhanceYourCalm: 0xb,
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** The peer broke the protocol so that nothing it sends can be understood any more: GOAWAY, and the connection is closed. */
export class ConnectionError extends Error {
  readonly code = 'ERR_HTTP2_CONNECTION';
  readonly errorCode: ErrorCode;

  constructor(errorCode: ErrorCode, message: string) {
    super(message);
    this.name = 'ConnectionError';
    this.errorCode = errorCode;
  }
}

export function protocol(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.protocol, message);
}

export function frameSize(what: string): ConnectionError {
  return new ConnectionError(ErrorCode.frameSize, `${what} has a wrong length`);
}
