// The way out through an HTTP proxy, as curl understands HTTPS_PROXY and NO_PROXY: one CONNECT, then bytes.
import net from 'node:net';
import tls from 'node:tls';
import { askConnect } from '../runtime/ask-connect.ts';
import type { Endpoint } from '../runtime/settings.ts';
import { TunnelError } from '../tunnel/errors.ts';
import { formatTarget, Networks } from '../tunnel/target.ts';

export interface HttpProxy {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** The value of Proxy-Authorization; never logged. */
  readonly authorization: string | undefined;
}

/** Undefined for an empty text. Throws TypeError with what is expected, without the password. */
export function parseProxy(text: string): HttpProxy | undefined {
  if (text === '') return undefined;
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.hostname === '')
    throw new TypeError('must be http://[USER:PASSWORD@]HOST:PORT or https://…');
  const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : Number(url.port),
    tls: url.protocol === 'https:',
    authorization: user === ':' ? undefined : `Basic ${Buffer.from(user).toString('base64')}`,
  };
}

/** Whether `host` is to be dialled directly. Entries: `*`, a domain (its subdomains too), an address, ADDRESS/BITS. */
export function bypassesProxy(host: string, noProxy: string): boolean {
  const name = host.toLowerCase();
  return noProxy
    .split(/[\s,]+/)
    .filter(Boolean)
    .some((entry) => {
      if (entry === '*') return true;
      const [address = '', bits] = entry.split('/');
      if (bits !== undefined) return net.isIP(address) !== 0 && /^\d+$/.test(bits) && new Networks([entry]).has(host);
      const domain = entry.toLowerCase().replace(/^\./, '').replace(/:\d+$/, '');
      return name === domain || (net.isIP(name) === 0 && name.endsWith(`.${domain}`));
    });
}

/** A socket to `target` through the proxy; paused. Rejects with TunnelError (ERR_TUNNEL_PEER), or with the reason of `signal`. */
export async function connectThroughProxy(
  proxy: HttpProxy,
  target: Endpoint,
  signal: AbortSignal,
): Promise<net.Socket> {
  const { host, port, authorization } = proxy;
  const socket = proxy.tls
    ? tls.connect({ host, port, ...(net.isIP(host) === 0 ? { servername: host } : {}) })
    : net.connect({ host, port, noDelay: true });
  const question = {
    authority: formatTarget(target),
    fields: authorization === undefined ? [] : [`Proxy-Authorization: ${authorization}`],
    refused: (problem: string, cause?: unknown) =>
      new TunnelError('ERR_TUNNEL_PEER', `proxy ${host}:${port}: ${problem}`, cause),
  };
  await askConnect(socket, question, signal);
  return socket;
}
