// A real API server, and the controllers' way to it.
import { readdirSync, readFileSync } from 'node:fs';
import https from 'node:https';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { Access, Connection } from '../../../controllers/machinery/access.ts';
import { Api } from '../../../controllers/machinery/api.ts';
import { InformerSet } from '../../../controllers/machinery/informer.ts';
import { MachineryMetrics } from '../../../controllers/machinery/metrics.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { nullLog } from '../../../runtime/log.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import { waitFor } from '../../cluster/commands.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';

/** As the service account that config/controllers gives its rights to. */
export class ServiceAccountAccess implements Access {
  readonly #agent = new https.Agent({ keepAlive: true });
  readonly #connection: Connection;

  private constructor(connection: Omit<Connection, 'agent'>) {
    this.#connection = { ...connection, agent: this.#agent };
  }

  static async of(plane: ControlPlane): Promise<ServiceAccountAccess> {
    const token = await plane.token('kube-system', 'holdfast-controllers');
    const headers = { authorization: `Bearer ${token}` };
    return new ServiceAccountAccess({ server: plane.url, tls: { ca: plane.ca }, headers });
  }

  async connection(): Promise<Connection> {
    return this.#connection;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** With a client certificate of the cluster's CA. */
export class CertificateAccess implements Access {
  readonly #agent = new https.Agent({ keepAlive: true });
  readonly #connection: Connection;

  constructor(plane: ControlPlane, user = 'controllers', groups: readonly string[] = ['system:masters']) {
    const { certificate: cert, key } = plane.clientCertificate(user, groups);
    this.#connection = { server: plane.url, agent: this.#agent, tls: { ca: plane.ca, cert, key }, headers: {} };
  }

  async connection(): Promise<Connection> {
    return this.#connection;
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** What a controller is made of, without leader election. To be closed. */
export function machinery(access: Access): {
  api: Api;
  informers: InformerSet;
  metrics: Metrics;
  own: MachineryMetrics;
} {
  const metrics = new Metrics();
  const own = new MachineryMetrics(metrics);
  const clock = systemClock;
  const api = new Api({ access, clock, metrics: own }, { rate: { perSecond: 1000, burst: 1000 }, userAgent: 'test' });
  return {
    api,
    informers: new InformerSet({ api, log: nullLog, clock, metrics: own, random: Math.random }),
    metrics,
    own,
  };
}

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: {
    readonly group?: string;
    readonly names?: { readonly plural: string };
    readonly versions?: readonly { readonly name: string }[];
  };
}

const configFolder = path.join(__dirname, '..', '..', '..', 'config');

/** Files and folders below config/, by server-side apply as kubectl would; resolves when CRDs among them are served. */
export async function applyConfig(plane: ControlPlane, ...places: readonly string[]): Promise<void> {
  for (const place of places) {
    const full = path.join(configFolder, place);
    const files = place.endsWith('.yaml') ? [full] : readdirSync(full).map((file) => path.join(full, file));
    for (const file of files.sort()) if (file.endsWith('.yaml')) await applyText(plane, readFileSync(file, 'utf8'));
  }
}

export async function applyText(plane: ControlPlane, yaml: string): Promise<void> {
  for (const document of parseAllDocuments(yaml)) {
    const object = document.toJS() as Manifest;
    await plane.request('PATCH', `${pathOf(object)}?fieldManager=test&force=true`, object, {
      contentType: 'application/apply-patch+yaml',
    });
    const { group, names, versions } = object.spec ?? {};
    if (object.kind !== 'CustomResourceDefinition' || names === undefined) continue;
    const served = `/apis/${group}/${versions?.[0]?.name}/${names.plural}`;
    await waitFor(`${served} is served`, async () => (await plane.rawRequest('GET', served)).status === 200, {
      deadlineMs: 30_000,
    });
  }
}

function pathOf({ apiVersion, kind, metadata }: Manifest): string {
  const root = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  const namespace = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`;
  const plural = kind.toLowerCase().replace(/y$/, 'ie');
  return `${root}${namespace}/${plural}s/${metadata.name}`;
}
