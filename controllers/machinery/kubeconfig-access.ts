// The one place where @kubernetes/client-node is known: kubeconfigs, service accounts, exec plugins and OIDC are its. Its API
// classes and its informer are not used (README.md), so that a bundle leaves them out.
import https from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';
import type { Clock } from '../../runtime/clock.ts';
import type { Access, Connection } from './access.ts';
import { AccessError } from './errors.ts';

/** So long are files and credentials of plugins not looked at again. */
const freshMs = 10_000;

export class KubeconfigAccess implements Access {
  readonly #clock: Clock;
  readonly #config: KubeConfig;
  readonly #server: string;
  readonly #agent: https.Agent;
  #connection: { readonly at: number; readonly value: Connection } | undefined;

  /** Of the pod's service account when `file` is undefined. Throws AccessError. */
  constructor(clock: Clock, file: string | undefined) {
    this.#clock = clock;
    this.#config = load(file);
    this.#server = checkedServer(this.#config, file);
    // As many stay open as controllers send at a time: a connection made anew costs both ends more than a request.
    this.#agent = new https.Agent({ keepAlive: true, maxSockets: 64, maxFreeSockets: 32, timeout: 0 });
  }

  async connection(): Promise<Connection> {
    const now = this.#clock.monotonicMs();
    if (this.#connection !== undefined && now - this.#connection.at < freshMs) return this.#connection.value;
    const options: https.RequestOptions = {};
    try {
      await this.#config.applyToHTTPSOptions(options);
    } catch (error) {
      throw new AccessError(`no credential for the API server: ${(error as Error).message}`, error);
    }
    const viaProxy = this.#config.getCurrentCluster()?.proxyUrl !== undefined;
    const { ca, cert, key, servername } = options as Connection['tls'];
    const value: Connection = {
      server: this.#server,
      // Its own agent keeps the first certificate for good; only a proxy needs it.
      agent: viaProxy ? (options.agent as https.Agent) : this.#agent,
      tls: {
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
        ...(servername === undefined ? {} : { servername }),
      },
      headers: Object.fromEntries(
        Object.entries(options.headers ?? {}).map(([name, text]) => [name.toLowerCase(), String(text).trim()]),
      ),
    };
    this.#connection = { at: now, value };
    return value;
  }

  close(): void {
    this.#agent.destroy();
  }
}

function load(file: string | undefined): KubeConfig {
  const config = new KubeConfig();
  try {
    if (file !== undefined) config.loadFromFile(file);
    else if (process.env['KUBERNETES_SERVICE_HOST'] === undefined)
      throw new Error('not in a pod (KUBERNETES_SERVICE_HOST is not set): give --kubeconfig FILE');
    else config.loadFromCluster();
  } catch (error) {
    throw new AccessError(`${file ?? 'service account of this pod'}: ${(error as Error).message}`, error);
  }
  return config;
}

function checkedServer(config: KubeConfig, file = 'service account of this pod'): string {
  const cluster = config.getCurrentCluster();
  if (!cluster)
    throw new AccessError(`${file}: current-context names no cluster; run: kubectl config use-context NAME`);
  if (!cluster.server.startsWith('https://'))
    throw new AccessError(`${file}: server ${cluster.server}: must begin with https://`);
  if (cluster.skipTLSVerify)
    throw new AccessError(`${file}: insecure-skip-tls-verify is not supported; give certificate-authority instead`);
  return cluster.server;
}
