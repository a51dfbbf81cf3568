// The server's side of one HTTP/2 connection (RFC 9113), as strict as the RFC lets it be. It serves what clients of an API
// server use; push and priorities are not served.
import type { TLSSocket } from 'node:tls';
import type { Clock, Timer } from '../../../runtime/clock.ts';
import type { Exchange, ExchangeHooks } from '../exchange.ts';
import { Allowance } from './allowance.ts';
import { AnswerBlocks } from './answer-block.ts';
import type { BatchBlocks } from '../../http2/batch-blocks.ts';
import { ConnectionError, ErrorCode, frameSize, protocol } from '../../http2/errors.ts';
import {
  defaultWindowBytes,
  Flag,
  frame,
  FrameReader,
  FrameType,
  maxFrameBytes,
  maxWindowBytes,
  numbersFrame,
  Setting,
  settingsFrame,
  unpadded,
} from '../../http2/frames.ts';
import { HpackDecoder, type Field } from '../../http2/hpack-decoder.ts';
import { areTrailers, requestHead } from './request-fields.ts';
import { Sender } from '../../http2/sender.ts';
import { Stream, type StreamOwner } from './stream.ts';

export interface ConnectionParts {
  readonly clock: Clock;
  readonly batches: BatchBlocks;
  readonly onExchange: (make: (hooks: ExchangeHooks) => Exchange) => void;
  /** A request, or a connection, was refused as malformed. */
  readonly onMalformed: () => void;
}

export interface ConnectionSettings {
  readonly maxStreams: number;
  /** Of a request's fields, as RFC 7541 4.1 counts them. */
  readonly maxHeaderBytes: number;
  readonly maxHeaderFields: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** Until the client has sent its preface and settings, milliseconds. */
  readonly handshakeMs: number;
}

/** Streams that a client gave up: a kubelet or a controller may cancel all its watches at once; a flood goes on. */
const resetsPerSecond = 200;
/** Frames that carry nothing: PING, SETTINGS, PRIORITY, empty DATA, and what we do not know. */
const idleFrames = { burst: 10_000, perSecond: 1_000 };
const maxContinuations = 32;
/** Streams that we ended before the peer had: what is still under way on them is dropped. */
const maxForgotten = 1_000;
/** How long a peer may take to read why it is let go, milliseconds. */
const lingerMs = 5_000;

interface Block {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly parts: Buffer[];
  bytes: number;
}

export class Connection implements StreamOwner {
  readonly socket: TLSSocket;
  readonly sender: Sender;
  readonly blocks = new AnswerBlocks();
  readonly #parts: ConnectionParts;
  readonly #settings: ConnectionSettings;
  readonly #reader: FrameReader;
  readonly #decoder = new HpackDecoder();
  readonly #streams = new Map<number, Stream>();
  readonly #forgotten = new Set<number>();
  readonly #resets: Allowance;
  readonly #idle: Allowance;
  readonly #handshake: Timer;
  #settled = false;
  #lastStreamId = 0;
  #block: Block | undefined;
  /** What a new stream may send, by the peer's settings. */
  #peerWindow = defaultWindowBytes;
  /** What the peer may still send on all streams. */
  #receiveWindow: number;
  #closing = false;
  #over = false;

  constructor(socket: TLSSocket, parts: ConnectionParts, settings: ConnectionSettings) {
    this.socket = socket;
    this.sender = new Sender(socket, parts.batches);
    this.#parts = parts;
    this.#settings = settings;
    this.#reader = new FrameReader((...given) => this.#onFrame(...given));
    this.#resets = new Allowance(parts.clock, 2 * settings.maxStreams, resetsPerSecond);
    this.#idle = new Allowance(parts.clock, idleFrames.burst, idleFrames.perSecond);
    this.#receiveWindow = settings.connectionWindowBytes;
    this.#handshake = parts.clock.after(settings.handshakeMs, () => socket.destroy());
    socket.on('data', (bytes) => this.#onData(bytes));
    // A client that has nothing more to say waits for no answers: its streams are over.
    socket.on('end', () => socket.destroy());
    socket.on('close', () => this.#onClose());
    socket.on('error', () => undefined);
    this.#greet();
  }

  /** Refuses further streams and closes when the open ones are over. */
  close(): void {
    if (this.#over || this.#closing) return;
    this.#closing = true;
    this.sender.control(numbersFrame(FrameType.goAway, 0, this.#lastStreamId, ErrorCode.none));
    this.#closeIfDone();
  }

  // What streams ask for

  consumed(id: number, bytes: number): void {
    if (!this.#over) this.sender.control(numbersFrame(FrameType.windowUpdate, id, bytes));
  }

  over(id: number, reset: ErrorCode | undefined): void {
    const stream = this.#streams.get(id);
    this.#streams.delete(id);
    if (this.#over) return;
    if (reset !== undefined) {
      this.sender.control(numbersFrame(FrameType.rstStream, id, reset));
      if (stream?.remoteEnded !== true) this.#forget(id);
    }
    this.#closeIfDone();
  }

  #greet(): void {
    const { maxStreams, maxHeaderBytes, streamWindowBytes, connectionWindowBytes } = this.#settings;
    this.sender.control(
      settingsFrame([
        [Setting.maxConcurrentStreams, maxStreams],
        [Setting.initialWindowSize, streamWindowBytes],
        [Setting.maxHeaderListSize, maxHeaderBytes],
      ]),
    );
    this.sender.control(numbersFrame(FrameType.windowUpdate, 0, connectionWindowBytes - defaultWindowBytes));
  }

  #onData(bytes: Buffer): void {
    if (this.#over) return;
    try {
      this.#reader.feed(bytes);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.#fail(error);
    }
  }

  #onClose(): void {
    this.#handshake.cancel();
    this.#over = true;
    for (const stream of this.#streams.values()) stream.closed();
  }

  #fail(error: ConnectionError): void {
    this.#parts.onMalformed();
    // What does not even begin as HTTP/2 would not understand that it is told so.
    if (!this.#reader.prefaceSeen) {
      this.socket.destroy();
      return;
    }
    this.sender.control(numbersFrame(FrameType.goAway, 0, this.#lastStreamId, error.errorCode));
    this.#over = true;
    for (const stream of this.#streams.values()) stream.closed();
    this.#end();
  }

  #end(): void {
    this.sender.flush();
    this.socket.setTimeout(lingerMs, () => this.socket.destroy());
    this.socket.destroySoon();
  }

  #closeIfDone(): void {
    if (this.#closing && this.#streams.size === 0 && !this.#over) {
      this.#over = true;
      this.#end();
    }
  }

  #forget(id: number): void {
    this.#forgotten.add(id);
    if (this.#forgotten.size <= maxForgotten) return;
    for (const oldest of this.#forgotten) {
      this.#forgotten.delete(oldest);
      return;
    }
  }

  // -----------------------------------------------------------------------------------------------------------------
  // Frames

  #onFrame(type: number, flags: number, id: number, payload: Buffer): void {
    if (this.#over) return;
    if (!this.#settled) {
      if (type !== FrameType.settings || (flags & Flag.ack) !== 0) throw protocol('the first frame is not SETTINGS');
      this.#settled = true;
      this.#handshake.cancel();
    }
    if (this.#block !== undefined && (type !== FrameType.continuation || id !== this.#block.streamId))
      throw protocol('a header block is interrupted');
    switch (type) {
      case FrameType.data:
        this.#onDataFrame(flags, id, payload);
        return;
      case FrameType.headers:
        this.#onHeaders(flags, id, payload);
        return;
      case FrameType.continuation:
        this.#onContinuation(flags, payload);
        return;
      case FrameType.priority:
        this.#onPriority(id, payload);
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
        if (id !== 0) throw protocol('GOAWAY on a stream');
        if (payload.length < 8) throw frameSize('GOAWAY');
        // The client opens no more streams; the open ones go on.
        return;
      case FrameType.windowUpdate:
        this.#onWindowUpdate(id, payload);
        return;
      case FrameType.pushPromise:
        throw protocol('PUSH_PROMISE from a client');
      default:
        this.#countIdle();
    }
  }

  #onDataFrame(flags: number, id: number, payload: Buffer): void {
    if (id === 0) throw protocol('DATA on no stream');
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0) throw new ConnectionError(ErrorCode.flowControl, 'more DATA than the window lets in');
    // Returned at once: what is held is bounded by the windows of the streams.
    if (this.#receiveWindow <= this.#settings.connectionWindowBytes / 2) {
      const credit = this.#settings.connectionWindowBytes - this.#receiveWindow;
      this.#receiveWindow += credit;
      this.sender.control(numbersFrame(FrameType.windowUpdate, 0, credit));
    }
    const content = unpadded(flags, payload);
    const endStream = (flags & Flag.endStream) !== 0;
    if (content.length === 0 && !endStream) this.#countIdle();
    const stream = this.#open(id, 'DATA');
    if (stream === undefined) return;
    if (stream.remoteEnded) {
      this.#refuse(stream, ErrorCode.streamClosed);
      return;
    }
    stream.receiveWindow -= payload.length;
    if (stream.receiveWindow < 0) this.#refuse(stream, ErrorCode.flowControl);
    else if (!stream.arrived(content) || (endStream && !stream.ended())) this.#refuse(stream, ErrorCode.protocol);
    // Padding is read as soon as it has come.
    else if (payload.length > content.length && !endStream) {
      stream.receiveWindow += payload.length - content.length;
      this.consumed(id, payload.length - content.length);
    }
  }

  #onHeaders(flags: number, id: number, payload: Buffer): void {
    if (id === 0 || id % 2 === 0) throw protocol('HEADERS on a stream that is not the client’s');
    let content = unpadded(flags, payload);
    if ((flags & Flag.priority) !== 0) {
      if (content.length < 5) throw frameSize('HEADERS');
      if ((content.readUInt32BE(0) & 0x7fffffff) === id) throw protocol('a stream that depends on itself');
      content = content.subarray(5);
    }
    const endStream = (flags & Flag.endStream) !== 0;
    if ((flags & Flag.endHeaders) !== 0) {
      this.#onBlock(id, endStream, content);
      return;
    }
    this.#block = { streamId: id, endStream, parts: [Buffer.from(content)], bytes: content.length };
  }

  #onContinuation(flags: number, payload: Buffer): void {
    const block = this.#block;
    if (block === undefined) throw protocol('CONTINUATION without HEADERS');
    block.parts.push(Buffer.from(payload));
    block.bytes += payload.length;
    if (block.bytes > this.#settings.maxHeaderBytes + maxFrameBytes || block.parts.length > maxContinuations)
      throw new ConnectionError(ErrorCode.enhanceYourCalm, 'a header block without end');
    if ((flags & Flag.endHeaders) === 0) return;
    this.#block = undefined;
    this.#onBlock(block.streamId, block.endStream, Buffer.concat(block.parts));
  }

  #onBlock(id: number, endStream: boolean, block: Buffer): void {
    // Before anything else: the table must stay the client's, whatever becomes of the request.
    const fields = this.#decoder.decode(block);
    if (id <= this.#lastStreamId) this.#onTrailers(id, endStream, fields);
    else this.#onRequest(id, endStream, fields);
  }

  #onRequest(id: number, endStream: boolean, fields: readonly Field[]): void {
    this.#lastStreamId = id;
    const { maxStreams, maxHeaderBytes, maxHeaderFields, streamWindowBytes } = this.#settings;
    if (this.#closing || this.#streams.size >= maxStreams) {
      this.#refuseNew(id, endStream, ErrorCode.refusedStream);
      return;
    }
    let bytes = 0;
    for (const field of fields) bytes += field.bytes;
    if (bytes > maxHeaderBytes || fields.length > maxHeaderFields) {
      this.#refuseNew(id, endStream, ErrorCode.enhanceYourCalm);
      return;
    }
    const head = requestHead(fields);
    if (head === undefined || (endStream && (head.contentLength ?? 0) > 0)) {
      this.#parts.onMalformed();
      this.#refuseNew(id, endStream, ErrorCode.protocol);
      return;
    }
    const out = { id, window: this.#peerWindow, pieces: [], end: undefined };
    this.#parts.onExchange((hooks) => {
      const stream = new Stream(head, out, this, hooks, { remoteEnded: endStream, receiveWindow: streamWindowBytes });
      this.#streams.set(id, stream);
      return stream;
    });
  }

  #onTrailers(id: number, endStream: boolean, fields: readonly Field[]): void {
    const stream = this.#open(id, 'HEADERS');
    if (stream === undefined) return;
    if (stream.remoteEnded) this.#refuse(stream, ErrorCode.streamClosed);
    else if (!endStream || !areTrailers(fields) || !stream.ended()) this.#refuse(stream, ErrorCode.protocol);
  }

  #onPriority(id: number, payload: Buffer): void {
    if (id === 0) throw protocol('PRIORITY on no stream');
    this.#countIdle();
    const isWrong = payload.length !== 5;
    if (!isWrong && (payload.readUInt32BE(0) & 0x7fffffff) !== id) return;
    const stream = this.#streams.get(id);
    const code = isWrong ? ErrorCode.frameSize : ErrorCode.protocol;
    if (stream === undefined) throw new ConnectionError(code, 'PRIORITY that makes no sense');
    this.#refuse(stream, code);
  }

  #onReset(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw frameSize('RST_STREAM');
    const stream = this.#open(id, 'RST_STREAM');
    this.#countReset();
    if (stream === undefined) return;
    // Whatever the client has under way for it came before.
    stream.remoteEnded = true;
    stream.closed();
  }

  #onSettings(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw protocol('SETTINGS on a stream');
    this.#countIdle();
    if ((flags & Flag.ack) !== 0) {
      if (payload.length > 0) throw frameSize('SETTINGS');
      return;
    }
    if (payload.length % 6 !== 0) throw frameSize('SETTINGS');
    for (let at = 0; at < payload.length; at += 6)
      this.#onSetting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    this.sender.control(frame(FrameType.settings, Flag.ack, 0, Buffer.alloc(0)));
    // What larger windows let go comes behind the word that they are known.
    for (const { out } of this.#streams.values()) if (out.pieces.length > 0) this.sender.pump(out);
  }

  #onSetting(id: number, value: number): void {
    switch (id) {
      case Setting.enablePush:
        if (value > 1) throw protocol('SETTINGS_ENABLE_PUSH is no boolean');
        return;
      case Setting.maxFrameSize:
        if (value < maxFrameBytes || value > 0xffffff) throw protocol('SETTINGS_MAX_FRAME_SIZE is out of range');
        return;
      case Setting.initialWindowSize: {
        if (value > maxWindowBytes) throw new ConnectionError(ErrorCode.flowControl, 'a window that is too large');
        const change = value - this.#peerWindow;
        this.#peerWindow = value;
        for (const { out } of this.#streams.values()) {
          out.window += change;
          if (out.window > maxWindowBytes)
            throw new ConnectionError(ErrorCode.flowControl, 'a window that is too large');
        }
        return;
      }
      default:
      // The others say what may be sent to the client of things that we do not send.
    }
  }

  #onPing(flags: number, id: number, payload: Buffer): void {
    if (id !== 0) throw protocol('PING on a stream');
    if (payload.length !== 8) throw frameSize('PING');
    this.#countIdle();
    if ((flags & Flag.ack) === 0) this.sender.control(frame(FrameType.ping, Flag.ack, 0, payload));
  }

  #onWindowUpdate(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw frameSize('WINDOW_UPDATE');
    const bytes = payload.readUInt32BE(0) & 0x7fffffff;
    if (id === 0) {
      if (bytes === 0) throw protocol('a window that grows by nothing');
      if (!this.sender.grow(bytes)) throw new ConnectionError(ErrorCode.flowControl, 'a window that is too large');
      return;
    }
    const stream = this.#open(id, 'WINDOW_UPDATE');
    if (stream === undefined) return;
    stream.out.window += bytes;
    if (bytes === 0) this.#refuse(stream, ErrorCode.protocol);
    else if (stream.out.window > maxWindowBytes) this.#refuse(stream, ErrorCode.flowControl);
    else if (stream.out.pieces.length > 0) this.sender.pump(stream.out);
  }

  /** Undefined for a stream that is over, where that is no fault of the client's. */
  #open(id: number, what: 'DATA' | 'HEADERS' | 'RST_STREAM' | 'WINDOW_UPDATE'): Stream | undefined {
    const stream = this.#streams.get(id);
    if (stream !== undefined) return stream;
    if (id === 0 || id % 2 === 0 || id > this.#lastStreamId)
      throw protocol(`${what} on a stream that was never opened`);
    // These may cross with our own end of the stream; a message that goes on behind its end may not.
    if (what === 'RST_STREAM' || what === 'WINDOW_UPDATE' || this.#forgotten.has(id)) return undefined;
    throw new ConnectionError(ErrorCode.streamClosed, `${what} on a stream that is closed`);
  }

  #refuse(stream: Stream, code: ErrorCode): void {
    // Streams that the client lets us reset cost as much as those that it resets itself.
    this.#countReset();
    stream.reset(code);
  }

  #refuseNew(id: number, endStream: boolean, code: ErrorCode): void {
    this.#countReset();
    if (!endStream) this.#forget(id);
    this.sender.control(numbersFrame(FrameType.rstStream, id, code));
  }

  #countReset(): void {
    if (!this.#resets.take()) throw new ConnectionError(ErrorCode.enhanceYourCalm, 'too many streams were given up');
  }

  #countIdle(): void {
    if (!this.#idle.take()) throw new ConnectionError(ErrorCode.enhanceYourCalm, 'too many frames that carry nothing');
  }
}
