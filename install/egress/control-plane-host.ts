// The control-plane host that the command runs on: its processes, its tunnel server, its own API server.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import http from 'node:http';
import { hostname } from 'node:os';
import type { Access, Connection } from '../../controllers/machinery/access.ts';
import { manifestFile, type EgressHost } from './egress.ts';
import { flagsOf } from './manifest.ts';

const tunnelReady = 'http://127.0.0.1:10265/readyz';
const socket = '/run/holdfast/egress.sock';

export const controlPlaneHost: EgressHost = {
  isRoot: process.getuid?.() === 0,
  // As kubeadm names the node, unless it was told another name.
  name: hostname().toLowerCase(),
  running: () => Promise.resolve(commandLines('kube-apiserver').map(flagsByName)),
  tunnelProblem: async () => {
    const answer = await ask(tunnelReady);
    if (answer !== undefined) return `the tunnel server of this host ${answer} (${tunnelReady})`;
    try {
      return statSync(socket).isSocket() ? undefined : `${socket} is no socket`;
    } catch {
      return `there is no ${socket}`;
    }
  },
};

/** The API server beside us, whatever the kubeconfig names: a load balancer would lead to others while this one restarts. */
export class LocalAccess implements Access {
  readonly #access: Access;
  readonly #port: string;

  constructor(access: Access, port: string) {
    this.#access = access;
    this.#port = port;
  }

  async connection(): Promise<Connection> {
    const connection = await this.#access.connection();
    return {
      ...connection,
      server: `https://127.0.0.1:${this.#port}`,
      tls: { ...connection.tls, servername: 'kubernetes' },
    };
  }

  close(): void {
    this.#access.close();
  }
}

/** Of kube-apiserver, by its manifest; kubeadm's where that cannot be read. */
export function localPort(): string {
  try {
    return flagsOf(readFileSync(manifestFile, 'utf8'))['secure-port'] ?? '6443';
  } catch {
    return '6443'; // the checks say what is wrong with it
  }
}

function commandLines(program: string): string[][] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
        return words[0]?.split('/').at(-1) === program ? [words] : [];
      } catch {
        return []; // it has ended
      }
    });
}

function flagsByName(words: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    words.flatMap((word) => {
      const [, name, value = ''] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
      return name === undefined ? [] : [[name, value]];
    }),
  );
}

/** Undefined for 200. */
function ask(url: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    http
      .get(url, { timeout: 5_000 }, (response) => {
        response.resume();
        resolve(response.statusCode === 200 ? undefined : `is not ready: ${response.statusCode}`);
      })
      .on('timeout', function (this: http.ClientRequest) {
        this.destroy(new Error('no answer within 5 s'));
      })
      .on('error', (error) => resolve(`does not answer: ${error.message}`));
  });
}
