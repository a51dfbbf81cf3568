// One HTTP/2 session to an API server, the client's side (RFC 9113): streams share it, pings measure it. Why it is our own:
// docs/decisions/0031-own-http2-client.md. Nothing is pushed, nothing has a priority.
import type tls from 'node:tls';
import type { Clock } from '../../runtime/clock.ts';
import type { BatchBlocks } from '../http2/batch-blocks.ts';
import { ConnectionError, ErrorCode, frameSize, protocol } from '../http2/errors.ts';
import { FrameCutter } from '../http2/frame-cutter.ts';
import {
  defaultWindowBytes,
  Flag,
  frame,
  FrameType,
  maxWindowBytes,
  numbersFrame,
  preface,
  Setting,
  settingsFrame,
  unpadded,
} from '../http2/frames.ts';
import { HpackDecoder } from '../http2/hpack-decoder.ts';
import { HpackEncoder } from '../http2/hpack-encoder.ts';
import { Sender } from '../http2/sender.ts';
import type { AnswerSink, Exchange } from './exchange.ts';
import { requestFields, type SessionRequest } from './session-request.ts';
import type { ConnectionInput } from './session-input.ts';
import { SessionStream } from './session-stream.ts';

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
/** Of one answer's fields, with their continuations. */
const maxBlockBytes = 64 << 10;
const maxStreamId = 0x7fffffff;

export class StreamSession {
  readonly #socket: tls.TLSSocket;
  readonly #settings: SessionSettings;
  readonly #sender: Sender;
  readonly #cutter: FrameCutter;
  readonly #encoder = new HpackEncoder();
  readonly #decoder = new HpackDecoder();
  readonly #streams = new Map<number, SessionStream>();
  readonly #started = Promise.withResolvers<void>();
  readonly #pings = new Map<number, PromiseWithResolvers<void>>();
  readonly #closeListeners: (() => void)[] = [];
  #settled = false;
  #lastId = -1;
  #lastPing = 0;
  #block:
    { readonly streamId: number; readonly endStream: boolean; readonly parts: Buffer[]; bytes: number } | undefined;
  #peerMaxStreams = Infinity;
  #peerWindow = defaultWindowBytes;
  /** Read on all streams, and not given back to the window of all. */
  #ungranted = 0;
  /** What the peer may still send on all of them. */
  #window: number;
  #draining = false;
  #closed = false;
  #hasAnswered = false;
  #unansweredInARow = 0;

  private constructor(socket: tls.TLSSocket, input: ConnectionInput, blocks: BatchBlocks, settings: SessionSettings) {
    this.#socket = socket;
    this.#settings = settings;
    this.#window = settings.sessionWindowBytes;
    this.#sender = new Sender(socket, blocks);
    this.#cutter = new FrameCutter({
      data: (id, bytes) => this.#onData(id, bytes),
      content: (id, bytes) => this.#streams.get(id)?.content(bytes),
      dataEnded: (id) => this.#streams.get(id)?.dataEnded(),
      frame: (type, flags, id, payload) => this.#onFrame(type, flags, id, payload),
    });
    // Who says no more answers no more.
    socket.once('end', () => socket.destroy());
    socket.once('close', () => this.#onClose());
    this.#greet();
    input.giveTo((bytes) => this.#onBytes(bytes));
    if (socket.destroyed) this.#onClose();
  }

  /**
   * Takes a connected socket, which reads into `input`; resolves when the far end's settings (its limit of streams) are known. The
   * socket is closed when this rejects.
   */
  static async start(
    name: string,
    connection: { readonly socket: tls.TLSSocket; readonly input: ConnectionInput },
    blocks: BatchBlocks,
    settings: SessionSettings,
    signal: AbortSignal,
  ): Promise<StreamSession> {
    const { socket, input } = connection;
    if (socket.alpnProtocol !== 'h2') {
      socket.destroy();
      throw new NoHttp2Error(name);
    }
    const session = new StreamSession(socket, input, blocks, settings);
    const onAbort = (): void => {
      session.#started.reject(signal.reason as Error);
      socket.destroy();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      await session.#started.promise;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
    return session;
  }

  get usable(): boolean {
    if (this.#draining || !this.open || this.#lastId >= maxStreamId - 2) return false;
    return this.#streams.size < Math.min(this.#settings.maxStreams, this.#peerMaxStreams);
  }

  /** Whether a ping can still be sent: a draining session answers too. */
  get open(): boolean {
    return !this.#closed && !this.#socket.destroyed;
  }

  get bytesRead(): number {
    return this.#socket.bytesRead;
  }

  onClose(listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  /** A request with its whole body, or without one. Throws TypeError for what cannot be written. */
  request(request: SessionRequest, sink: AnswerSink): Exchange {
    const block = this.#encoder.encode(requestFields(request));
    const { body } = request;
    const hasBody = body !== undefined && body.length > 0;
    const id = this.#lastId + 2;
    this.#lastId = id;
    const pieces = hasBody ? [{ bytes: body, done: undefined }] : [];
    const end = hasBody ? { trailers: '', done: ignore } : undefined;
    const windowBytes = this.#settings.streamWindowBytes;
    const stream = new SessionStream({ id, window: this.#peerWindow, pieces, end }, this.#owner, sink, {
      windowBytes,
      method: request.method,
    });
    this.#streams.set(id, stream);
    this.#sender.head(id, block, !hasBody);
    if (hasBody) this.#sender.pump(stream.out);
    return stream;
  }

  /** The round trip in milliseconds. Rejects when the session ends first. */
  async ping(clock: Clock): Promise<number> {
    if (!this.open) throw new Error('the session takes no ping');
    const startedMs = clock.monotonicMs();
    const number = (this.#lastPing + 1) >>> 0;
    this.#lastPing = number;
    const answered = Promise.withResolvers<void>();
    this.#pings.set(number, answered);
    this.#sender.control(numbersFrame(FrameType.ping, 0, 0, number));
    await answered.promise;
    return clock.monotonicMs() - startedMs;
  }

  /** No new streams; closes when the last one has ended. */
  drain(): void {
    this.#draining = true;
    this.#closeIfDone();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  readonly #owner = {
    consumed: (bytes: number): void => {
      this.#ungranted += bytes;
      if (!this.open || this.#ungranted < this.#settings.sessionWindowBytes / 4) return;
      this.#window += this.#ungranted;
      this.#sender.control(numbersFrame(FrameType.windowUpdate, 0, this.#ungranted));
      this.#ungranted = 0;
    },
    granted: (id: number, bytes: number): void => {
      if (this.open) this.#sender.control(numbersFrame(FrameType.windowUpdate, id, bytes));
    },
    over: (stream: SessionStream, reset: ErrorCode | undefined): void => {
      const { id } = stream.out;
      this.#streams.delete(id);
      this.#sender.forget(stream.out);
      if (!this.open) return;
      if (reset !== undefined) this.#sender.control(numbersFrame(FrameType.rstStream, id, reset));
      this.#closeIfDone();
    },
  };

  #greet(): void {
    const { streamWindowBytes, sessionWindowBytes } = this.#settings;
    this.#sender.control(preface);
    this.#sender.control(
      settingsFrame([
        [Setting.enablePush, 0],
        [Setting.initialWindowSize, streamWindowBytes],
      ]),
    );
    this.#sender.control(numbersFrame(FrameType.windowUpdate, 0, sessionWindowBytes - defaultWindowBytes));
  }

  #onBytes(bytes: Buffer): void {
    if (this.#closed) return;
    try {
      this.#cutter.feed(bytes);
    } catch (error) {
      // Whatever else is thrown comes from one who was given an answer: where the next frame begins is not known then either.
      const code = error instanceof ConnectionError ? error.errorCode : ErrorCode.internal;
      this.#sender.control(numbersFrame(FrameType.goAway, 0, 0, code));
      this.#sender.flush();
      this.#end(error as Error);
      this.#socket.destroy();
    }
  }

  #onClose(): void {
    this.#end(this.#socket.errored ?? new Error('the connection has closed'));
  }

  #end(error: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#started.reject(
      Object.assign(new Error('closed before its settings', { cause: error }), { code: 'ECONNRESET' }),
    );
    // Nobody may wait for it any more.
    this.#started.promise.catch(ignore);
    for (const stream of this.#streams.values()) stream.broken(error, true);
    for (const ping of this.#pings.values()) ping.reject(new Error('the session has closed'));
    this.#pings.clear();
    for (const listener of this.#closeListeners.splice(0)) listener();
  }

  #closeIfDone(): void {
    if (!this.#draining || this.#streams.size > 0 || !this.open) return;
    this.#sender.control(numbersFrame(FrameType.goAway, 0, 0, ErrorCode.none));
    this.#sender.flush();
    this.#socket.destroySoon();
  }

  // -----------------------------------------------------------------------------------------------------------------
  // Frames

  #onData(id: number, bytes: number): void {
    this.#expectSettings(FrameType.data, 0);
    this.#expectNoBlock(FrameType.data, id);
    if (!this.#isOurs(id)) throw protocol('DATA on a stream that was never opened');
    this.#window -= bytes;
    if (this.#window < 0) throw new ConnectionError(ErrorCode.flowControl, 'more DATA than the window lets in');
    const stream = this.#streams.get(id);
    // Of one that was given up: nobody holds it.
    if (stream === undefined) this.#owner.consumed(bytes);
    else if (!stream.frame(bytes)) throw new ConnectionError(ErrorCode.flowControl, 'more DATA than a stream’s window');
  }

  #onFrame(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#closed) return;
    this.#expectSettings(type, flags);
    this.#expectNoBlock(type, id);
    switch (type) {
      case FrameType.headers:
        this.#onHeaders(flags, id, payload);
        return;
      case FrameType.continuation:
        this.#onContinuation(flags, payload);
        return;
      case FrameType.rstStream:
        this.#onReset(id, payload);
        return;
      case FrameType.settings:
        this.#onSettings(flags, id, payload);
        return;
      case FrameType.ping:
        this.#onPing(flags, id, payload);
        return;
      case FrameType.goAway:
        this.#onGoAway(id, payload);
        return;
      case FrameType.windowUpdate:
        this.#onWindowUpdate(id, payload);
        return;
      case FrameType.pushPromise:
        throw protocol('PUSH_PROMISE, which is switched off');
      default:
      // Priorities, and what we do not know.
    }
  }

  #expectSettings(type: number, flags: number): void {
    if (this.#settled) return;
    if (type !== FrameType.settings || (flags & Flag.ack) !== 0) throw protocol('the first frame is not SETTINGS');
    this.#settled = true;
  }

  #expectNoBlock(type: number, id: number): void {
    if (this.#block !== undefined && (type !== FrameType.continuation || id !== this.#block.streamId))
      throw protocol('a header block is interrupted');
  }

  #onHeaders(flags: number, id: number, payload: Buffer): void {
    if (!this.#isOurs(id)) throw protocol('HEADERS on a stream that was never opened');
    let content = unpadded(flags, payload);
    if ((flags & Flag.priority) !== 0) {
      if (content.length < 5) throw frameSize('HEADERS');
      content = content.subarray(5);
    }
    const endStream = (flags & Flag.endStream) !== 0;
    if ((flags & Flag.endHeaders) !== 0) this.#onBlock(id, endStream, content);
    else this.#block = { streamId: id, endStream, parts: [Buffer.from(content)], bytes: content.length };
  }

  #onContinuation(flags: number, payload: Buffer): void {
    const block = this.#block;
    if (block === undefined) throw protocol('CONTINUATION without HEADERS');
    // At least a byte each: a block has an end.
    block.bytes += Math.max(1, payload.length);
    if (block.bytes > maxBlockBytes) throw new ConnectionError(ErrorCode.enhanceYourCalm, 'a header block without end');
    block.parts.push(Buffer.from(payload));
    if ((flags & Flag.endHeaders) === 0) return;
    this.#block = undefined;
    this.#onBlock(block.streamId, block.endStream, Buffer.concat(block.parts));
  }

  #onBlock(id: number, endStream: boolean, block: Buffer): void {
    // Also for a stream that was given up: the table must stay the server's.
    const fields = this.#decoder.decode(block);
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    this.#hasAnswered = true;
    this.#unansweredInARow = 0;
    stream.fields(fields, endStream);
  }

  #onReset(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw frameSize('RST_STREAM');
    if (!this.#isOurs(id)) throw protocol('RST_STREAM on a stream that was never opened');
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    const code = payload.readUInt32BE(0);
    // REFUSED_STREAM: the far end promises that it did nothing.
    stream.broken(new Error(`the stream was closed with code ${code}`), code !== ErrorCode.refusedStream);
    if (!stream.answered) this.#unanswered(code);
  }

  #onSettings(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw protocol('SETTINGS on a stream');
    if ((flags & Flag.ack) !== 0) {
      if (payload.length > 0) throw frameSize('SETTINGS');
      return;
    }
    if (payload.length % 6 !== 0) throw frameSize('SETTINGS');
    for (let at = 0; at < payload.length; at += 6)
      this.#onSetting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    this.#sender.control(frame(FrameType.settings, Flag.ack, 0, Buffer.alloc(0)));
    for (const { out } of this.#streams.values()) if (out.pieces.length > 0) this.#sender.pump(out);
    this.#started.resolve();
  }

  #onSetting(id: number, value: number): void {
    switch (id) {
      case Setting.headerTableSize:
        this.#encoder.limit(value);
        return;
      case Setting.maxConcurrentStreams:
        this.#peerMaxStreams = value;
        return;
      case Setting.initialWindowSize: {
        if (value > maxWindowBytes) throw new ConnectionError(ErrorCode.flowControl, 'a window that is too large');
        const change = value - this.#peerWindow;
        this.#peerWindow = value;
        for (const { out } of this.#streams.values()) out.window += change;
        return;
      }
      default:
      // The others say what may be sent of things that we do not send.
    }
  }

  #onPing(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw protocol('PING on a stream');
    if (payload.length !== 8) throw frameSize('PING');
    if ((flags & Flag.ack) === 0) {
      this.#sender.control(frame(FrameType.ping, Flag.ack, 0, payload));
      return;
    }
    const number = payload.readUInt32BE(4);
    this.#pings.get(number)?.resolve();
    this.#pings.delete(number);
  }

  #onGoAway(id: number, payload: Buffer): void {
    if (id !== 0) throw protocol('GOAWAY on a stream');
    if (payload.length < 8) throw frameSize('GOAWAY');
    this.#draining = true;
    const last = payload.readUInt32BE(0) & maxStreamId;
    const code = payload.readUInt32BE(4);
    // Those behind the last one were not looked at.
    for (const [streamId, stream] of this.#streams)
      if (streamId > last) stream.broken(new Error(`the session was ended with code ${code}`), false);
    if (code !== ErrorCode.none) this.#socket.destroy();
    this.#closeIfDone();
  }

  #onWindowUpdate(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw frameSize('WINDOW_UPDATE');
    const bytes = payload.readUInt32BE(0) & maxWindowBytes;
    if (id === 0) {
      if (bytes === 0 || !this.#sender.grow(bytes)) throw protocol('a window that grows by nothing, or too far');
      return;
    }
    if (!this.#isOurs(id)) throw protocol('WINDOW_UPDATE on a stream that was never opened');
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    stream.out.window += bytes;
    if (bytes === 0 || stream.out.window > maxWindowBytes) throw protocol('a window that grows by nothing, or too far');
    if (stream.out.pieces.length > 0) this.#sender.pump(stream.out);
  }

  #isOurs(id: number): boolean {
    return id % 2 === 1 && id <= this.#lastId;
  }

  /** A far end that answers pings and takes no streams any more has to be left, or every request comes back to it. */
  #unanswered(code: number): void {
    this.#unansweredInARow += 1;
    const refused = code === ErrorCode.refusedStream && this.#hasAnswered;
    if (refused || this.#unansweredInARow >= maxUnanswered) this.drain();
  }
}

function ignore(): void {
  // Nobody waits.
}
