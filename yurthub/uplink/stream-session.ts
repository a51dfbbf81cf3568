// One HTTP/2 session to an API server: streams share it, pings measure it.
import http2 from 'node:http2';
import type tls from 'node:tls';
import type { Clock } from '../../runtime/clock.ts';

export interface SessionSettings {
  readonly maxStreams: number;
  readonly streamWindowBytes: number;
  readonly sessionWindowBytes: number;
}

/** The far end speaks no HTTP/2: no API server, or something in between that takes TLS apart. */
export class NoHttp2Error extends Error {
  readonly code = 'ERR_NO_H2';

  constructor(authority: string) {
    super(`${authority} does not speak HTTP/2`);
    this.name = 'NoHttp2Error';
  }
}

/** Streams in a row that a session may end without an answer; one that has answered before is given up at the first REFUSED_STREAM. */
const maxUnanswered = 3;

export class StreamSession {
  readonly #session: http2.ClientHttp2Session;
  readonly #socket: tls.TLSSocket;
  readonly #maxStreams: number;
  #active = 0;
  #draining = false;
  #hasAnswered = false;
  #unansweredInARow = 0;

  private constructor(session: http2.ClientHttp2Session, socket: tls.TLSSocket, maxStreams: number) {
    this.#session = session;
    this.#socket = socket;
    this.#maxStreams = maxStreams;
  }

  /**
   * Takes a connected socket; resolves when the far end's settings (its limit of streams) are known. The socket is closed
   * when this rejects.
   */
  static async start(
    origin: string,
    socket: tls.TLSSocket,
    settings: SessionSettings,
    signal: AbortSignal,
  ): Promise<StreamSession> {
    if (socket.alpnProtocol !== 'h2') {
      socket.destroy();
      throw new NoHttp2Error(origin);
    }
    const session = http2.connect(origin, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: settings.streamWindowBytes },
      maxSessionMemory: 64,
    });
    await new Promise<void>((resolve, reject) => {
      const fail = (error: Error): void => {
        signal.removeEventListener('abort', onAbort);
        // Both: a session that was reset keeps its socket.
        session.destroy();
        socket.destroy();
        reject(error);
      };
      const onAbort = (): void => fail(signal.reason as Error);
      const onClose = (): void => fail(Object.assign(new Error('closed before its settings'), { code: 'ECONNRESET' }));
      session.once('connect', () => {
        session.setLocalWindowSize(settings.sessionWindowBytes);
        // A session that is reset now is destroyed without 'close' until its socket closes, which it never does by
        // itself; only an unanswered ping is told.
        session.ping((error) => {
          if (error !== null) socket.destroy();
        });
      });
      session.once('close', onClose);
      socket.once('close', onClose);
      // For good: an error of the session reaches whoever waits by 'close' and by the streams.
      session.on('error', fail);
      session.once('remoteSettings', () => {
        session.off('close', onClose);
        socket.off('close', onClose);
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
      signal.addEventListener('abort', onAbort, { once: true });
      if (signal.aborted) onAbort();
      // A socket that has died already never tells the session.
      if (socket.destroyed) onClose();
    });
    return new StreamSession(session, socket, settings.maxStreams);
  }

  get usable(): boolean {
    if (this.#draining || this.#session.closed || this.#session.destroyed) return false;
    return this.#active < Math.min(this.#maxStreams, this.#session.remoteSettings.maxConcurrentStreams ?? Infinity);
  }

  /** Whether a ping can still be sent: a draining session answers too. */
  get open(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  onClose(listener: () => void): void {
    this.#session.once('close', listener);
  }

  /** A request with its whole body, or without one. The caller listens to the stream's events in the same turn. */
  request(headers: http2.OutgoingHttpHeaders, body?: Buffer): http2.ClientHttp2Stream {
    this.#active += 1;
    const stream = this.#session.request(headers, { endStream: body === undefined });
    if (body !== undefined) stream.end(body);
    let answered = false;
    stream.once('response', () => {
      answered = true;
      this.#hasAnswered = true;
      this.#unansweredInARow = 0;
    });
    stream.once('close', () => {
      this.#active -= 1;
      if (!answered) this.#unanswered(stream.rstCode);
      // Destroyed by the far end, a session may keep its socket and then never emits 'close'.
      if (this.#session.destroyed) this.#socket.destroy();
      if (this.#draining && this.#active === 0) this.#session.close();
    });
    return stream;
  }

  /** A far end that answers pings and takes no streams any more has to be left, or every request comes back to it. */
  #unanswered(code: number | undefined): void {
    // Given up by the client.
    if (code === http2.constants.NGHTTP2_CANCEL) return;
    this.#unansweredInARow += 1;
    const refused = code === http2.constants.NGHTTP2_REFUSED_STREAM && this.#hasAnswered;
    if (refused || this.#unansweredInARow >= maxUnanswered) this.drain();
  }

  /** The round trip in milliseconds. Rejects when the session ends first. */
  ping(clock: Clock): Promise<number> {
    return new Promise((resolve, reject) => {
      const startedMs = clock.monotonicMs();
      const onClose = (): void => reject(new Error('the session has closed'));
      this.#session.once('close', onClose);
      const accepted =
        this.open &&
        this.#session.ping((error) => {
          this.#session.off('close', onClose);
          if (error === null) resolve(clock.monotonicMs() - startedMs);
          else {
            if (this.#session.destroyed) this.#socket.destroy();
            reject(error);
          }
        });
      if (!accepted) {
        this.#session.off('close', onClose);
        reject(new Error('the session takes no ping'));
      }
    });
  }

  /** No new streams; closes when the last one has ended. */
  drain(): void {
    this.#draining = true;
    if (this.#active === 0) this.#session.close();
  }

  destroy(): void {
    // With an error: without one its streams would end as if their answers were complete.
    this.#session.destroy(new Error('the connection was given up'), http2.constants.NGHTTP2_CANCEL);
    this.#socket.destroy();
  }
}
