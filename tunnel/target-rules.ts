// Which targets somebody may reach, as people write it: HOST:PORT, where HOST is a name, *.SUFFIX, an address, ADDRESS/BITS or @POOL
// (the nodes of a pool, and pods on them), and PORT may be *. Both ends of a connection judge by it, each by its own list.
import net from 'node:net';
import type { Endpoint } from '../runtime/settings.ts';
import { isLocalAddress, Networks } from './target.ts';

export interface TargetRule {
  matches(target: Endpoint, pool: string | undefined): boolean;
}

/** Throws Error with a message that says what is expected. */
export function parseTargetRule(text: string): TargetRule {
  const match = /^(.+):(\d{1,5}|\*)$/.exec(text.trim());
  const host = (match?.[1] ?? '').replace(/^\[(.*)\]$/, '$1').toLowerCase();
  const port = match?.[2] === '*' ? undefined : Number(match?.[2]);
  if (match === null || (port !== undefined && !(port >= 1 && port <= 65_535)))
    throw new Error(`must be HOST:PORT or HOST:*, is ${JSON.stringify(text)}`);
  const isHost = hostMatcher(host, text);
  return {
    matches: (target, pool) =>
      (port === undefined || port === target.port) && !isLocalAddress(target.host) && isHost(target.host, pool),
  };
}

function hostMatcher(host: string, text: string): (asked: string, pool: string | undefined) => boolean {
  const name = /^[a-z0-9]([-a-z0-9._]*[a-z0-9])?$/;
  if (host.startsWith('@') && name.test(host.slice(1))) return (_asked, pool) => pool === host.slice(1);
  const [address = '', bits] = host.split('/');
  const family = net.isIP(address);
  if (family !== 0) {
    const most = family === 4 ? 32 : 128;
    const width = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
    if (!(width >= 0 && width <= most)) throw new Error(`${host} must be ADDRESS/BITS with at most ${most} bits`);
    const network = new Networks([`${address}/${width}`]);
    return (asked) => network.has(asked);
  }
  if (host.startsWith('*.') && name.test(host.slice(2)))
    return (asked) => net.isIP(asked) === 0 && asked.endsWith(host.slice(1));
  if (name.test(host)) return (asked) => asked === host;
  throw new Error(`must begin with a name, *.SUFFIX, an address, ADDRESS/BITS or @POOL, is ${JSON.stringify(text)}`);
}
