// What a CONNECT asks for: HOST:PORT as RFC 9110 section 7.2 writes an authority, without user information.
import net from 'node:net';
import type { Endpoint } from '../runtime/settings.ts';
import { RefusedError } from './refusal.ts';

/** Throws RefusedError (bad-target). Names come out in lower case, addresses without brackets. */
export function parseTarget(authority: string): Endpoint {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]{1,253})):(\d{1,5})$/.exec(authority);
  const host = (match?.[1] ?? match?.[2] ?? '').toLowerCase();
  const port = Number(match?.[3]);
  if (match === null || !(port >= 1 && port <= 65_535) || (match[1] !== undefined && net.isIPv6(host) === false))
    throw new RefusedError('bad-target', `CONNECT wants HOST:PORT, not ${JSON.stringify(authority.slice(0, 100))}`);
  return { host, port };
}

export function formatTarget({ host, port }: Endpoint): string {
  return `${net.isIPv6(host) ? `[${host}]` : host}:${port}`;
}

/** A set of networks to ask whether an address is in one of them. Mapped IPv4 addresses count as IPv4. */
export class Networks {
  readonly #list = new net.BlockList();

  /** Each as ADDRESS/BITS, checked before. */
  constructor(networks: readonly string[]) {
    for (const network of networks) {
      const [address = '', bits = ''] = network.split('/');
      this.#list.addSubnet(address, Number(bits), net.isIPv4(address) ? 'ipv4' : 'ipv6');
    }
  }

  has(host: string): boolean {
    const family = net.isIP(host);
    return family !== 0 && this.#list.check(host, family === 4 ? 'ipv4' : 'ipv6');
  }
}

const local = new Networks(['127.0.0.0/8', '0.0.0.0/8', '169.254.0.0/16', '::1/128', '::/128', 'fe80::/10']);

/** Addresses that mean something else on every host. */
export function isLocalAddress(host: string): boolean {
  return local.has(host);
}
