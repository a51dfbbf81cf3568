// Replicas of `holdfast controllers` with the eviction guard alone, with the rights of config/controllers, and the API server that
// refuses them when a test wants it to.
import { readFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { Controllers } from '../../../controllers/controllers.ts';
import { evictionGuard } from '../../../controllers/eviction-guard/controllers.ts';
import type { Access, Connection } from '../../../controllers/machinery/access.ts';
import { poolsNamespace } from '../../../peers/membership.ts';
import type { Clock } from '../../../runtime/clock.ts';
import { nullLog } from '../../../runtime/log.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { projectRoot } from '../../cluster/project-root.ts';
import { CertificateAccess } from './cluster.ts';

const account = 'system:serviceaccount:kube-system:holdfast-controllers';

/** The rights of config/controllers, so that a rule that is missing fails the suite. */
export async function installRights(plane: ControlPlane): Promise<void> {
  await plane.request('POST', '/api/v1/namespaces', {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: poolsNamespace },
  });
  const texts = ['machinery', 'eviction-guard'].map((name) =>
    readFileSync(path.join(projectRoot(), `config/controllers/${name}.yaml`), 'utf8'),
  );
  type Manifest = { kind: string; metadata: { namespace?: string } };
  const manifests = texts.flatMap((text) => parseAllDocuments(text).map((document) => document.toJS() as Manifest));
  for (const object of manifests) {
    if (object.kind === 'ServiceAccount') continue;
    const { namespace } = object.metadata;
    const within = namespace === undefined ? '' : `/namespaces/${namespace}`;
    await plane.request('POST', `/apis/rbac.authorization.k8s.io/v1${within}/${object.kind.toLowerCase()}s`, object);
  }
}

/** As the service account; while `refuses`, every request meets an API server that has too much to do, or fails. */
class RefusingAccess implements Access {
  refuses = false;
  readonly #real: CertificateAccess;
  readonly #server: https.Server;
  #refusals = 0;

  constructor(plane: ControlPlane) {
    this.#real = new CertificateAccess(plane, account, []);
    const { certificate: cert, key } = plane.serverCertificate('refusing', ['127.0.0.1']);
    this.#server = https.createServer({ cert, key }, (request, response) => {
      request.resume();
      this.#refusals += 1;
      response.writeHead(this.#refusals % 2 === 0 ? 429 : 500, { 'retry-after': '1' }).end();
    });
    this.#server.listen(0, '127.0.0.1');
  }

  async connection(): Promise<Connection> {
    const connection = await this.#real.connection();
    if (!this.refuses) return connection;
    return { ...connection, server: `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}` };
  }

  close(): void {
    this.#real.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

export class GuardReplica {
  readonly access: RefusingAccess;
  readonly #metrics = new Metrics();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  constructor(plane: ControlPlane, clock: Clock, identity: string) {
    this.access = new RefusingAccess(plane);
    const parts = { access: this.access, log: nullLog, clock, metrics: this.#metrics, random: Math.random };
    const options = {
      version: 'test',
      identity,
      leaseNamespace: 'kube-system',
      requestsPerSecond: 100,
      opsListen: { host: '127.0.0.1', port: 0 },
      election: { leaseMs: 15_000, renewMs: 10_000, retryMs: 2_000 },
    };
    this.#ended = new Controllers(parts, options, [evictionGuard({ staySeconds: 86_400 })]).run(this.#stop.signal);
  }

  async metric(series: string): Promise<number> {
    const line = (await this.#metrics.text())
      .split('\n')
      .find((text) => text.startsWith(`holdfast_controllers_guard_${series} `));
    return Number(line?.split(' ').at(-1));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}
