// The cluster IPs of the Service `kubernetes`: clients in pods connect to the hub by them and expect its certificate to name
// them. Learned from the API server whenever it is back, and remembered, so that a node that boots cut off knows them.
import { isIP } from 'node:net';
import { child, isObject } from '../kube/plain-object.ts';
import type { Log } from '../runtime/log.ts';
import { CloudUnreachableError } from './errors.ts';
import type { Store, Uplink } from './types.ts';

const key = 'front/service-addresses';
const target = '/api/v1/namespaces/default/services/kubernetes';
const maxBodyBytes = 256 << 10;
/** One for each address family. */
const maxAddresses = 2;

export interface ServiceAddressesParts {
  readonly store: Pick<Store, 'get' | 'write'>;
  readonly log: Log;
}

export class ServiceAddresses {
  readonly #parts: ServiceAddressesParts;
  #addresses: readonly string[] = [];

  constructor(parts: ServiceAddressesParts) {
    this.#parts = parts;
  }

  /** Empty until they are known. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** Reads what an earlier process learned. Never rejects: what cannot be read is learned again. */
  async load(): Promise<void> {
    const record = await this.#parts.store.get(key).catch(() => undefined);
    this.#addresses = addressesIn(record);
  }

  /** Asks the API server. True when the addresses are others than before. Never rejects: the next return asks again. */
  async learn(uplink: Pick<Uplink, 'fetch'>, signal: AbortSignal): Promise<boolean> {
    const { store, log } = this.#parts;
    try {
      const request = { method: 'GET', target, headers: { accept: 'application/json' }, lane: 'node', signal } as const;
      const { statusCode, body } = await uplink.fetch(request, { maxBodyBytes });
      const learned = statusCode === 200 ? addressesIn(body) : [];
      if (learned.length === 0) {
        log.warn('the API server does not give the addresses of the Service kubernetes', { statusCode });
        return false;
      }
      if (learned.join() === this.#addresses.join()) return false;
      this.#addresses = learned;
      log.info('pods find the API server by these addresses', { addresses: learned.join() });
      const value = Buffer.from(JSON.stringify({ spec: { clusterIPs: learned } }));
      await store.write([{ type: 'put', key, value }], 'written');
      return true;
    } catch (error) {
      if (!(error instanceof CloudUnreachableError) && !signal.aborted)
        log.warn('the addresses of the Service kubernetes cannot be learned now', { error: String(error) });
      return false;
    }
  }
}

/** A Service in JSON; the record has the same form. Empty for anything else, a Service without addresses among them. */
function addressesIn(bytes: Buffer | undefined): string[] {
  if (bytes === undefined) return [];
  try {
    const service: unknown = JSON.parse(bytes.toString());
    const { clusterIPs } = isObject(service) ? child(service, 'spec') : {};
    const isAddress = (value: unknown): value is string => typeof value === 'string' && isIP(value) !== 0;
    return Array.isArray(clusterIPs) ? clusterIPs.filter(isAddress).slice(0, maxAddresses) : [];
  } catch {
    return [];
  }
}
