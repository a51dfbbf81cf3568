// What the contract is held on: a real API server with objects of every sort that the cases ask for, and two hubs with the
// same prior state, one of which is then cut off.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { TcpRelay } from '../../runtime/tcp-relay.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { HubUnderTest, until } from '../integration/hub-under-test.ts';
import { LocalClient } from '../integration/local-client.ts';
import { Asker } from './asker.ts';
import type { Known } from './contract-case.ts';
import { keptBefore } from './prior-state.ts';
import { seed, seedVersions, untilServed } from './seed.ts';

export class Stage {
  readonly plane: ControlPlane;
  readonly direct: Asker;
  readonly online: Asker;
  readonly offline: Asker;
  readonly known: Known;
  readonly #offlineHub: HubUnderTest;
  readonly #ending: (() => Promise<void>)[];

  private constructor(
    parts: Pick<Stage, 'plane' | 'direct' | 'online' | 'offline' | 'known'> & { readonly offlineHub: HubUnderTest },
    ending: (() => Promise<void>)[],
  ) {
    this.plane = parts.plane;
    this.direct = parts.direct;
    this.online = parts.online;
    this.offline = parts.offline;
    this.known = parts.known;
    this.#offlineHub = parts.offlineHub;
    this.#ending = ending;
  }

  static async start(): Promise<Stage> {
    const ending: (() => Promise<void>)[] = [];
    try {
      return await Stage.#build(ending);
    } catch (error) {
      for (const end of ending.toReversed()) await end();
      throw error;
    }
  }

  static async #build(ending: (() => Promise<void>)[]): Promise<Stage> {
    const plane = await ControlPlane.start({ controllers: false });
    ending.push(() => plane.stop());
    const operator = plane.clientCertificate('operator', ['system:masters']);
    const compactedVersion = await versionNow(plane);
    await seed(plane);
    await compact(plane);
    // The watch cache of a new process knows nothing of what was before it.
    await plane.restartApiserver();
    await untilServed(plane);
    const known: Known = { ...(await seedVersions(plane)), compactedVersion };

    const client = new LocalClient({
      port: plane.port,
      ca: plane.ca,
      certificate: operator.certificate,
      key: operator.key,
    });
    ending.push(async () => client.close());
    const node = { cert: operator.certificate, key: operator.key };
    const hubs: { hub: HubUnderTest; relay: TcpRelay }[] = [];
    for (let count = 0; count < 2; count += 1) {
      const relay = new TcpRelay({ host: plane.address, port: plane.port }, { port: 0 });
      await relay.listen();
      ending.push(() => relay.close());
      const hub = await HubUnderTest.start({ apiServer: `https://127.0.0.1:${relay.port}`, ca: plane.ca, node });
      ending.push(() => hub.remove());
      await keptBefore(hub.client, known);
      hubs.push({ hub, relay });
    }
    const [online, offline] = hubs;
    if (online === undefined || offline === undefined) throw new Error('two hubs were to be started');
    await offline.relay.cut('refuse');
    await until(() => !offline.hub.hub.status().cloud.reachable, 'the cloud counts as lost');
    const askers = {
      direct: new Asker(client),
      online: new Asker(online.hub.client),
      offline: new Asker(offline.hub.client),
    };
    return new Stage({ plane, known, ...askers, offlineHub: offline.hub }, ending);
  }

  /** The hub that is cut off starts again, on what it has kept. */
  async restarted(): Promise<Asker> {
    await this.#offlineHub.stop();
    await this.#offlineHub.start();
    await until(() => !this.#offlineHub.hub.status().cloud.reachable, 'the cloud counts as lost');
    return new Asker(this.#offlineHub.client);
  }

  async stop(): Promise<void> {
    for (const end of this.#ending.toReversed()) await end();
  }
}

interface Listed {
  readonly metadata: { readonly resourceVersion: string };
}

async function versionNow(plane: ControlPlane): Promise<string> {
  const list = (await plane.request('GET', '/api/v1/namespaces')) as unknown as Listed;
  return list.metadata.resourceVersion;
}

/** Makes etcd forget all versions but the current one, by its HTTP gateway. */
async function compact(plane: ControlPlane): Promise<void> {
  const settings = JSON.parse(readFileSync(path.join(plane.dir, 'control-plane.json'), 'utf8')) as { etcdPort: number };
  const reply = await fetch(`http://127.0.0.1:${settings.etcdPort}/v3/kv/compaction`, {
    method: 'POST',
    body: JSON.stringify({ revision: await versionNow(plane), physical: true }),
  });
  if (!reply.ok) throw new Error(`etcd did not compact: ${reply.status} ${await reply.text()}`);
}
