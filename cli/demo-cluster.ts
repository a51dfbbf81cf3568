// What the demo's hub stands in front of: the embedded API server, or the cluster that a kubeconfig names. For the demo
// both are an address, credentials, and a way to change something behind the hub's back.
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Clock } from '../runtime/clock.ts';
import { parseKubeconfig } from '../kube/kubeconfig.ts';
import type { PemSource } from '../kube/kubeconfig.ts';
import type { KubeObject } from '../kube/wire.ts';
import type { EmbeddedApiserver } from '../embedded-apiserver/embedded-apiserver.ts';
import { podObject, runTicker, seed, seedNames } from '../embedded-apiserver/seed.ts';
import { DemoError } from './errors.ts';
import { PlainClient } from './plain-client.ts';

export interface ClusterCredential {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface DemoCluster {
  /** As in 'the embedded API server'. */
  readonly title: string;
  readonly host: string;
  readonly port: number;
  /** What the API server's certificate carries: the demo reaches it through a relay at another address. */
  readonly tlsServerName: string;
  readonly caPem: string;
  readonly credential: ClusterCredential;
  readonly nodeName: string;
  /** Where the script reads and changes things. */
  readonly namespace: string;
  /** What the script watches: pods where it may make some, config maps in a person's cluster. */
  readonly watched: 'pods' | 'configmaps';
  readonly configMap: string;
  /** To be called before the script, and the end of it afterwards. */
  prepare(): Promise<void>;
  cleanUp(): Promise<void>;
  create(name: string): Promise<void>;
  modify(name: string): Promise<void>;
  delete(name: string): Promise<void>;
  /** What goes on in the cluster by itself, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

/** The embedded API server has to run already. */
export function embeddedCluster(
  { server, clock }: { server: EmbeddedApiserver; clock: Clock },
  { tickIntervalMs }: { tickIntervalMs: number },
): DemoCluster {
  const { hostname, port } = new URL(server.url);
  const { node, namespace, configMap } = seedNames;
  const put = (name: string, podIP: string): void =>
    void server.apply(podObject(name, podIP, new Date(clock.wallMs()).toISOString()));
  seed(server, clock.wallMs());
  return {
    title: 'the embedded API server (no kubeconfig was given)',
    host: hostname,
    port: Number(port),
    tlsServerName: hostname,
    caPem: server.caPem,
    credential: server.clientCertificate(`system:node:${node}`, ['system:nodes']),
    nodeName: node,
    namespace,
    watched: 'pods',
    configMap,
    prepare: () => Promise.resolve(),
    cleanUp: () => Promise.resolve(),
    create: (name) => Promise.resolve(put(name, '10.244.1.200')),
    modify: (name) => Promise.resolve(put(name, '10.244.1.201')),
    delete: (name) => Promise.resolve(server.remove('v1', 'Pod', namespace, name)),
    run: (signal) =>
      tickIntervalMs > 0 ? runTicker({ server, clock }, { intervalMs: tickIntervalMs }, signal) : Promise.resolve(),
  };
}

/**
 * The cluster of a kubeconfig's current context. Throws KubeconfigError and DemoError. Only the script writes to it: a namespace of
 * its own, which it deletes. `suffix` makes that name unique.
 */
export function kubeconfigCluster(file: string, suffix: string): DemoCluster {
  const kubeconfig = parseKubeconfig(readFileSync(file, 'utf8'), file);
  const { hostname, port } = new URL(kubeconfig.server);
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const caPem = pemText(kubeconfig.certificateAuthority, file, 'certificate-authority of the cluster');
  const credential = {
    certificatePem: pemText(kubeconfig.clientCertificate, file, 'client-certificate of the user'),
    privateKeyPem: pemText(kubeconfig.clientKey, file, 'client-key of the user'),
  };
  const namespace = `holdfast-demo-${suffix}`;
  const maps = `/api/v1/namespaces/${namespace}/configmaps`;
  const send = async (path: string, method: string, body?: KubeObject): Promise<void> => {
    const client = new PlainClient({ url: kubeconfig.server, caPem, credential });
    try {
      const reply = await client.request(path, { method, ...(body === undefined ? {} : { body }) });
      if (reply.statusCode >= 300)
        throw new DemoError(`${method} ${path}: ${reply.statusCode} ${JSON.stringify(reply.object['message'])}`);
    } finally {
      client.close();
    }
  };
  const map = (name: string, greeting: string): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace },
    data: { greeting },
  });
  return {
    title: `the cluster ${kubeconfig.server} of ${file}`,
    host,
    tlsServerName: kubeconfig.tlsServerName ?? host,
    port: port === '' ? 443 : Number(port),
    caPem,
    credential,
    nodeName: /^CN=system:node:(.+)$/m.exec(new X509Certificate(credential.certificatePem).subject)?.[1] ?? 'demo',
    namespace,
    watched: 'configmaps',
    configMap: 'till-settings',
    async prepare() {
      await send('/api/v1/namespaces', 'POST', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
      for (const name of ['till-settings', 'opening-hours', 'prices'])
        await send(maps, 'POST', map(name, 'Good morning'));
    },
    cleanUp: () => send(`/api/v1/namespaces/${namespace}`, 'DELETE'),
    create: (name) => send(maps, 'POST', map(name, 'Hello')),
    modify: (name) => send(`${maps}/${name}`, 'PUT', map(name, 'Good evening')),
    delete: (name) => send(`${maps}/${name}`, 'DELETE'),
    run: () => Promise.resolve(),
  };
}

function pemText(source: PemSource | undefined, file: string, what: string): string {
  if (source === undefined) throw new DemoError(`kubeconfig ${file}: the ${what} is missing; the hub needs it`);
  return 'pem' in source ? source.pem : readFileSync(source.file, 'utf8');
}
