// The way out through an HTTP proxy, as curl understands HTTPS_PROXY and NO_PROXY: one CONNECT, then bytes.
import net from 'node:net';
import tls from 'node:tls';
import { TunnelError } from '../tunnel/errors.ts';
import { formatTarget, Networks } from '../tunnel/target.ts';
import type { Endpoint } from '../runtime/settings.ts';

export interface HttpProxy {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** The value of Proxy-Authorization; never logged. */
  readonly authorization: string | undefined;
}

const maxHeadBytes = 8192;

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

/** A socket to `target` through the proxy. Rejects with TunnelError (ERR_TUNNEL_PEER), or with the reason of `signal`. */
export function connectThroughProxy(proxy: HttpProxy, target: Endpoint, signal: AbortSignal): Promise<net.Socket> {
  const { host, port } = proxy;
  const socket = proxy.tls
    ? tls.connect({ host, port, ...(net.isIP(host) === 0 ? { servername: host } : {}) })
    : net.connect({ host, port, noDelay: true });
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    const fail = (error: unknown): void => {
      done();
      socket.destroy();
      reject(error);
    };
    const refuse = (problem: string): void =>
      fail(new TunnelError('ERR_TUNNEL_PEER', `proxy ${host}:${port}: ${problem}`));
    const aborted = (): void => fail(signal.reason);
    const ended = (): void => refuse('ended the connection');
    const read = (chunk: Buffer): void => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf('\r\n\r\n');
      if (end === -1) {
        if (head.length > maxHeadBytes) refuse('the head of its answer is too long');
        return;
      }
      const [statusLine = ''] = head.toString('latin1', 0, end).split('\r\n');
      if (!/^HTTP\/1\.[01] 2\d\d\b/.test(statusLine)) {
        refuse(`answered ${JSON.stringify(statusLine.slice(0, 100))}`);
        return;
      }
      done();
      socket.pause();
      if (head.length > end + 4) socket.unshift(head.subarray(end + 4));
      resolve(socket);
    };
    const done = (): void => {
      socket.off('data', read).off('error', fail).off('end', ended);
      signal.removeEventListener('abort', aborted);
    };
    socket.on('data', read).on('error', fail).on('end', ended);
    if (signal.aborted) return aborted();
    signal.addEventListener('abort', aborted, { once: true });
    const authority = formatTarget(target);
    const credential = proxy.authorization === undefined ? '' : `Proxy-Authorization: ${proxy.authorization}\r\n`;
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n${credential}\r\n`);
  });
}
