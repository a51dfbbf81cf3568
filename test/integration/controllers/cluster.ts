// A real API server, and the controllers' way to it.
import https from 'node:https';
import type { Access, Connection } from '../../../controllers/machinery/access.ts';
import { Api } from '../../../controllers/machinery/api.ts';
import { InformerSet } from '../../../controllers/machinery/informer.ts';
import { MachineryMetrics } from '../../../controllers/machinery/metrics.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { nullLog } from '../../../runtime/log.ts';
import { Metrics } from '../../../runtime/metrics.ts';
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
