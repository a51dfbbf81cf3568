// The node itself: systemctl, the API with the kubelet's certificate, the ports on loopback.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, statfs } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { PemSource } from '../kube/kubeconfig.ts';
import { DropInError } from './errors.ts';
import type { Answer, ApiRequest, Host, MachineFacts, NodeApi, UnitState, Units } from './host.ts';

const requestMs = 10_000;
const commandMs = 90_000;
const maxBodyBytes = 64 << 20;

export interface ApiTarget {
  readonly server: string;
  readonly tlsServerName: string | undefined;
  readonly certificateAuthority: PemSource;
  readonly certificate: PemSource;
  readonly key: PemSource;
}

/** Reads certificates at each request: the kubelet renews its own, and the hub makes its authority at its first start. */
export class HttpsApi implements NodeApi {
  readonly #target: () => ApiTarget;

  constructor(target: () => ApiTarget) {
    this.#target = target;
  }

  request({ method, path, body, accept }: ApiRequest): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        const why = error instanceof Error ? error.message : String(error);
        reject(new DropInError('ERR_DROPIN_CALL', `${method} ${path.split('?')[0]}: ${why}`, { cause: error }));
      };
      try {
        const { server, tlsServerName, certificateAuthority, certificate, key } = this.#target();
        const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
        const request = https.request(
          `${server}${path}`,
          {
            method,
            agent: false,
            timeout: requestMs,
            ca: pemText(certificateAuthority),
            cert: pemText(certificate),
            key: pemText(key),
            ...(tlsServerName === undefined ? {} : { servername: tlsServerName }),
            headers: {
              accept: accept ?? 'application/json',
              'user-agent': 'holdfast',
              ...(payload === undefined
                ? {}
                : {
                    'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
                    'content-length': String(payload.length),
                  }),
            },
          },
          (response) => {
            collect(response, maxBodyBytes).then(
              (bytes) => resolve({ status: response.statusCode ?? 0, body: bytes }),
              fail,
            );
          },
        );
        request.on('timeout', () => request.destroy(new Error(`no answer within ${requestMs / 1000} s`)));
        request.on('error', fail);
        request.end(payload);
      } catch (error) {
        fail(error);
      }
    });
  }
}

class Systemd implements Units {
  async state(unit: string): Promise<UnitState> {
    const text = await systemctl(['show', unit, '--property=LoadState,ActiveState,UnitFileState,MainPID']);
    const property = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? '';
    return {
      loaded: property('LoadState') === 'loaded',
      active: property('ActiveState') === 'active',
      enabled: property('UnitFileState') === 'enabled',
      mainPid: Number(property('MainPID') || 0),
    };
  }

  async reload(): Promise<void> {
    await systemctl(['daemon-reload']);
  }

  async enable(unit: string): Promise<void> {
    await systemctl(['enable', unit]);
  }

  async disable(unit: string): Promise<void> {
    await systemctl(['disable', unit]);
  }

  async start(unit: string): Promise<void> {
    await systemctl(['start', unit]);
  }

  async stop(unit: string): Promise<void> {
    await systemctl(['stop', unit]);
  }

  async restart(unit: string): Promise<void> {
    await systemctl(['restart', unit]);
  }
}

export class NodeHost implements Host {
  readonly units: Units = new Systemd();
  readonly cloud: NodeApi;
  readonly hub: NodeApi;
  readonly #signal: AbortSignal;

  /** With `signal`, waits end when it aborts. */
  constructor(apis: { cloud: NodeApi; hub: NodeApi }, signal: AbortSignal) {
    this.cloud = apis.cloud;
    this.hub = apis.hub;
    this.#signal = signal;
  }

  get(url: string): Promise<{ status: number; body: string } | undefined> {
    return new Promise((resolve) => {
      const request = http.get(url, { agent: false, timeout: 2_000 }, (response) => {
        collect(response, maxBodyBytes).then(
          (bytes) => resolve({ status: response.statusCode ?? 0, body: bytes.toString('utf8') }),
          () => resolve(undefined),
        );
      });
      request.on('timeout', () => request.destroy());
      request.on('error', () => resolve(undefined)); // nobody is there, or not any more
    });
  }

  async commandLine(pid: number): Promise<readonly string[] | undefined> {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined); // it has ended
    return text?.split('\0').slice(0, -1);
  }

  async machine(ports: readonly number[]): Promise<MachineFacts> {
    const { bavail, bsize } = await statfs('/opt').catch(() => statfs('/'));
    const busy = await Promise.all(ports.map(async (port) => ((await isBusy(port)) ? [port] : [])));
    return {
      isRoot: process.getuid?.() === 0,
      architecture: process.arch,
      freeBytes: bavail * bsize,
      hasIp: ['/usr/sbin/ip', '/sbin/ip', '/usr/bin/ip', '/bin/ip'].some(existsSync),
      busyPorts: busy.flat(),
    };
  }

  now(): number {
    return performance.now();
  }

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#signal.throwIfAborted();
      const stop = (): void => {
        clearTimeout(timer);
        reject(this.#signal.reason as Error);
      };
      const timer = setTimeout(() => {
        this.#signal.removeEventListener('abort', stop);
        resolve();
      }, milliseconds);
      this.#signal.addEventListener('abort', stop, { once: true });
    });
  }
}

/** Standard output. No shell: each argument reaches systemctl as it is. */
function systemctl(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('systemctl', args, { timeout: commandMs, encoding: 'utf8' }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else {
        const said = (stderr || stdout || error.message).trim();
        reject(new DropInError('ERR_DROPIN_CALL', `systemctl ${args.join(' ')}: ${said}`, { cause: error }));
      }
    });
  });
}

async function collect(stream: AsyncIterable<Buffer>, limit: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stream) {
    size += part.length;
    if (size > limit) throw new Error(`the answer is larger than ${limit} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function pemText(source: PemSource): string {
  return 'pem' in source ? source.pem : readFileSync(source.file, 'utf8');
}

function isBusy(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
