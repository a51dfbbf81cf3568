// By which keys tokens of this cluster are verified when the API server cannot be asked: its key set, issuer and
// audiences, read from it while it can be reached and kept in the store.
import { delay, type Clock } from '../../runtime/clock.ts';
import { headerValue } from '../../runtime/headers.ts';
import { LinkedAbort } from '../../runtime/linked-abort.ts';
import type { Log } from '../../runtime/log.ts';
import { isObject } from '../../kube/plain-object.ts';
import type { Store, Uplink, UpstreamReply } from '../types.ts';
import { parseKeySet, type VerificationKey } from './jws.ts';
import type { IdentityMetrics } from './metrics.ts';

const recordKey = 'identity/keys';
/** The API server tells caches of the key set to ask again after an hour: a key that is withdrawn must not live on here. */
const refreshMs = 3_600_000;
const retryMs = 300_000;
/** A token that names an unknown key makes the hub look for a new one, not more often than this. */
const minPauseMs = 10_000;
const maxBodyBytes = 256 << 10;
const maxAudiences = 20;

export interface Issuer {
  readonly issuer: string;
  readonly keys: readonly VerificationKey[];
  /** Those that the API server takes. Its own name by default; others have been seen to be accepted. */
  readonly audiences: readonly string[];
  /** Time of the API server when it was last read, milliseconds: it is not earlier now, whatever the node's clock says. */
  readonly seenMs: number;
}

interface IssuerRecord {
  readonly issuer: string;
  readonly keySet: string;
  readonly audiences: readonly string[];
  readonly seenMs: number;
}

export interface IssuerKeysParts {
  readonly store: Store;
  readonly uplink: Uplink;
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: IdentityMetrics;
}

export class IssuerKeys {
  readonly #parts: IssuerKeysParts;
  readonly #userAgent: string;
  readonly #listeners = new Set<() => void>();
  #record: IssuerRecord | undefined;
  #current: Issuer | undefined;
  #signal: AbortSignal | undefined;
  #reading: Promise<void> | undefined;
  #readMs = Number.NEGATIVE_INFINITY;
  #said = '';

  constructor(parts: IssuerKeysParts, settings: { readonly userAgent: string }) {
    this.#parts = parts;
    this.#userAgent = settings.userAgent;
  }

  /** Reads what an earlier process kept. Rejects with StoreReadError. */
  async load(): Promise<void> {
    const value = await this.#parts.store.get(recordKey);
    if (value === undefined || this.#record !== undefined) return;
    try {
      this.#adopt(JSON.parse(value.toString()) as IssuerRecord);
    } catch (error) {
      this.#parts.log.error('the kept key set cannot be read; it is asked for again', { error: String(error) });
    }
  }

  /** Undefined until the API server has shown its keys once. */
  get current(): Issuer | undefined {
    return this.#current;
  }

  /** Calls back when keys or audiences have changed; returns the way to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Keeps the keys fresh until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    while (!signal.aborted) {
      const stale = this.#parts.clock.monotonicMs() - this.#readMs >= refreshMs / 2;
      if (stale && this.#parts.uplink.cloud.reachable) await this.refresh();
      await this.#pause((this.#said === '' ? refreshMs : retryMs) * (0.8 + Math.random() * 0.4), signal);
    }
    await this.#reading;
  }

  /**
   * Reads the keys now, unless that has just been done. `token`: of a service account that the API server has
   * accepted; they may read the keys where the node may not. Never rejects.
   */
  async refresh(token?: string): Promise<void> {
    const { clock } = this.#parts;
    if (this.#signal === undefined || this.#signal.aborted) return;
    if (this.#reading === undefined && clock.monotonicMs() - this.#readMs < minPauseMs) return;
    this.#reading ??= this.#read(token, this.#signal).finally(() => {
      this.#readMs = clock.monotonicMs();
      this.#reading = undefined;
    });
    await this.#reading;
  }

  /** The API server has accepted a token for these. */
  async addAudiences(audiences: readonly string[]): Promise<void> {
    const record = this.#record;
    if (record === undefined) return;
    const all = [...new Set([...record.audiences, ...audiences])].slice(0, maxAudiences);
    if (all.length > record.audiences.length) await this.#keep({ ...record, audiences: all });
  }

  // -------------------------------------------------------------------------------------------------------------

  async #read(token: string | undefined, signal: AbortSignal): Promise<void> {
    const { log, metrics } = this.#parts;
    try {
      let answers = await this.#ask(undefined, signal);
      if (token !== undefined && answers.some(isForbidden)) answers = await this.#ask(token, signal);
      const [metadata, keySet] = answers;
      if (answers.some(isForbidden)) {
        metrics.keyReads.inc({ outcome: 'forbidden' });
        this.#say(
          'the node may not read the key set of the API server: service accounts can be recognised without the cloud only after one of them has used this hub with it; apply config/rbac/node.yaml',
        );
      } else if (metadata.statusCode === 404 || keySet.statusCode === 404) {
        metrics.keyReads.inc({ outcome: 'absent' });
        this.#say('the API server publishes no key set: service accounts are not served without the cloud');
      } else {
        const issuer = issuerOf(metadata);
        const keys = keySet.statusCode === 200 ? parseKeySet(keySet.body.toString()) : undefined;
        if (issuer === undefined || keys === undefined || keys.length === 0)
          throw new Error(`no key set (${metadata.statusCode}, ${keySet.statusCode})`);
        metrics.keyReads.inc({ outcome: 'read' });
        this.#said = '';
        await this.#keep({
          issuer,
          keySet: keySet.body.toString(),
          audiences: this.#record?.issuer === issuer ? this.#record.audiences : [issuer],
          seenMs: dateOf(keySet) ?? this.#parts.clock.wallMs(),
        });
      }
    } catch (error) {
      if (signal.aborted) return;
      metrics.keyReads.inc({ outcome: 'failed' });
      log.info('the key set of the API server could not be read now', { error: String(error) });
    }
  }

  async #ask(token: string | undefined, signal: AbortSignal): Promise<[UpstreamReply, UpstreamReply]> {
    const get = (target: string): Promise<UpstreamReply> => {
      const headers = { accept: '*/*', 'user-agent': this.#userAgent };
      const request =
        token === undefined
          ? ({ method: 'GET', target, headers, lane: 'node', signal } as const)
          : ({
              method: 'GET',
              target,
              headers: { ...headers, authorization: `Bearer ${token}` },
              lane: 'bearer',
              signal,
            } as const);
      return this.#parts.uplink.fetch(request, { maxBodyBytes });
    };
    return await Promise.all([get('/.well-known/openid-configuration'), get('/openid/v1/jwks')]);
  }

  async #keep(record: IssuerRecord): Promise<void> {
    const before = this.#record;
    this.#adopt(record);
    const same = before?.keySet === record.keySet && before.audiences.length === record.audiences.length;
    if (!same || before.issuer !== record.issuer) for (const listener of this.#listeners) listener();
    await this.#parts.store
      .write([{ type: 'put', key: recordKey, value: Buffer.from(JSON.stringify(record)) }], 'written')
      .catch((error: unknown) => this.#parts.log.warn('the key set could not be kept', { error: String(error) }));
  }

  #adopt(record: IssuerRecord): void {
    const keys = parseKeySet(record.keySet) ?? [];
    const { issuer, audiences, seenMs } = record;
    this.#record = record;
    this.#current = keys.length === 0 ? undefined : { issuer, keys, audiences, seenMs };
    this.#parts.metrics.keys.set(keys.length);
  }

  /** Once, and not at every attempt. */
  #say(message: string): void {
    if (this.#said === message) return;
    this.#said = message;
    this.#parts.log.warn(message);
  }

  /** Ends early when the cloud is back. */
  async #pause(durationMs: number, signal: AbortSignal): Promise<void> {
    using early = new LinkedAbort(signal);
    const stop = this.#parts.uplink.onCloudChange(({ reachable }) => {
      if (reachable) early.abort();
    });
    await delay(this.#parts.clock, durationMs, early.signal);
    stop();
  }
}

function isForbidden({ statusCode }: UpstreamReply): boolean {
  return statusCode === 401 || statusCode === 403;
}

function issuerOf(reply: UpstreamReply): string | undefined {
  if (reply.statusCode !== 200) return undefined;
  const document: unknown = JSON.parse(reply.body.toString());
  return isObject(document) && typeof document['issuer'] === 'string' ? document['issuer'] : undefined;
}

function dateOf(reply: UpstreamReply): number | undefined {
  const time = Date.parse(headerValue(reply.headers, 'date') ?? '');
  return Number.isNaN(time) ? undefined : time;
}
