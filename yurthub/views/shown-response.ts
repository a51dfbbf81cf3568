// An answer of the API server on its way to a client that sees objects through the filters: a list or an object that did
// not come from a view. It is held until it is whole, since an object that is shown otherwise changes what stands before
// it (lengths, in protobuf); an answer in which nothing changes is sent as it came, byte for byte.
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { headerValue } from '../../runtime/headers.ts';
import type { Wire } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import type { Headers, HubResponse } from '../types.ts';

export interface ShownResponseSettings {
  /** An answer beyond this is passed on as it comes, without filters: memory matters more. */
  readonly maxBytes: number;
}

/** How one object is shown: the very same bytes, others, or undefined when it is hidden. */
export type Shows = (wire: Wire, bytes: Buffer) => Buffer | undefined;

export type ShownOutcome =
  /** There was an answer, and the client has it. */
  | 'sent'
  /** The object is hidden from clients: nothing has been sent. */
  | 'hidden'
  /** Nothing was written: whoever was to answer did not. */
  | 'none';

const unzip = promisify(gunzip);

export class ShownResponse implements HubResponse {
  readonly #inner: HubResponse;
  readonly #verb: 'list' | 'get';
  readonly #settings: ShownResponseSettings;
  #held: { statusCode: number; headers: Headers; chunks: Buffer[]; bytes: number } | undefined;
  #ended: { trailers: Headers | undefined } | undefined;
  #passing = false;

  constructor(inner: HubResponse, verb: 'list' | 'get', settings: ShownResponseSettings) {
    this.#inner = inner;
    this.#verb = verb;
    this.#settings = settings;
  }

  get headSent(): boolean {
    return this.#held !== undefined || this.#inner.headSent;
  }

  get queuedBytes(): number {
    return this.#inner.queuedBytes;
  }

  onDrain(listener: () => void): void {
    this.#inner.onDrain(listener);
  }

  interim(statusCode: number, headers: Headers): void {
    this.#inner.interim(statusCode, headers);
  }

  head(statusCode: number, headers: Headers): void {
    if (statusCode === 200 && this.#wireOf(headers) !== undefined)
      this.#held = { statusCode, headers, chunks: [], bytes: 0 };
    else {
      this.#passing = true;
      this.#inner.head(statusCode, headers);
    }
  }

  write(chunk: Buffer): boolean {
    if (this.#held === undefined) return this.#inner.write(chunk);
    this.#held.chunks.push(chunk);
    this.#held.bytes += chunk.length;
    if (this.#held.bytes <= this.#settings.maxBytes) return true;
    return this.#passOn(this.#held);
  }

  end(chunk?: Buffer, trailers?: Headers): void {
    if (this.#held === undefined) {
      this.#inner.end(chunk, trailers);
      return;
    }
    if (chunk !== undefined) this.#held.chunks.push(chunk);
    this.#ended = { trailers };
  }

  abort(): void {
    this.#held = undefined;
    this.#passing = true;
    this.#inner.abort();
  }

  /** To be called when whoever was to answer has done so. Never rejects: what cannot be read is sent as it came. */
  async finish(shows: Shows): Promise<ShownOutcome> {
    const held = this.#held;
    if (held === undefined || this.#ended === undefined) return this.#passing ? 'sent' : 'none';
    this.#held = undefined;
    const whole = Buffer.concat(held.chunks);
    const shown = await this.#shown(held.headers, whole, shows).catch(() => whole);
    if (shown === undefined) return 'hidden';
    const { 'content-encoding': _encoding, 'content-length': _length, ...rest } = held.headers;
    const headers = shown === whole ? held.headers : { ...rest, 'content-length': String(shown.length) };
    this.#inner.head(held.statusCode, headers);
    this.#inner.end(shown, this.#ended.trailers);
    return 'sent';
  }

  async #shown(headers: Headers, whole: Buffer, shows: Shows): Promise<Buffer | undefined> {
    const wire = this.#wireOf(headers);
    if (wire === undefined) return whole;
    const body = headerValue(headers, 'content-encoding') === 'gzip' ? await unzip(whole) : whole;
    if (this.#verb === 'get') {
      const { typeMeta, item } = wire.scanObject(body);
      const shown = shows(wire, item.bytes);
      if (shown === undefined) return undefined;
      return shown === item.bytes ? whole : wire.object(typeMeta, shown);
    }
    const scanner = wire.listScanner({ maxItemBytes: this.#settings.maxBytes });
    const items = scanner.push(body);
    const head = scanner.end();
    // Twice: how the first is shown may depend on the last.
    for (const { bytes } of items) shows(wire, bytes);
    const all = items.map(({ bytes }) => shows(wire, bytes));
    if (all.every((shown, index) => shown === items[index]?.bytes)) return whole;
    const { parts } = wire.list(
      head,
      all.filter((shown) => shown !== undefined),
    );
    return Buffer.concat([...parts]);
  }

  /** Undefined for what is no plain list or object: a Table, say, or YAML. */
  #wireOf(headers: Headers): Wire | undefined {
    const type = headerValue(headers, 'content-type') ?? '';
    if (/;\s*as=/.test(type) || !['', 'gzip', 'identity'].includes(headerValue(headers, 'content-encoding') ?? ''))
      return undefined;
    if (type.startsWith('application/vnd.kubernetes.protobuf')) return wireFor('protobuf');
    return type.startsWith('application/json') ? wireFor('json') : undefined;
  }

  #passOn(held: { statusCode: number; headers: Headers; chunks: Buffer[] }): boolean {
    this.#held = undefined;
    this.#passing = true;
    this.#inner.head(held.statusCode, held.headers);
    let roomLeft = true;
    for (const chunk of held.chunks) roomLeft = this.#inner.write(chunk);
    return roomLeft;
  }
}
