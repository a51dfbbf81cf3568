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

interface Crd {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly group: string;
    readonly names: { readonly plural: string };
    readonly versions: readonly { readonly name: string }[];
  };
}

const crdFolder = path.join(__dirname, '..', '..', '..', 'config', 'crds');

/** The CRDs of config/crds, and only them; resolves when they are served. */
export async function installCrds(plane: ControlPlane): Promise<void> {
  for (const file of readdirSync(crdFolder)) await installCrd(plane, readFileSync(path.join(crdFolder, file), 'utf8'));
}

export async function installCrd(plane: ControlPlane, yaml: string): Promise<void> {
  for (const document of parseAllDocuments(yaml)) {
    const crd = document.toJS() as Crd;
    await plane.request('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', crd);
    const { group, names, versions } = crd.spec;
    const served = `/apis/${group}/${versions[0]!.name}/${names.plural}`;
    await waitFor(`${served} is served`, async () => (await plane.rawRequest('GET', served)).status === 200, {
      deadlineMs: 30_000,
    });
  }
}
