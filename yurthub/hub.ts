// The hub, put together: which parts there are, in which order they start and end, and what happens when the cloud
// goes and comes back. Start order: the store and what it holds, then the uplink, then the views, then the front; so that
// the first request of a client finds everything that an earlier process kept. The end is the other way round.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { isIPv6, type AddressInfo } from 'node:net';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import { hubReportText } from '../kube/hub-report.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { upstreamFiles } from './credential-files.ts';
import { FilterFailures } from './filters/failures.ts';
import { filterMetrics } from './filters/metrics.ts';
import { FilterState } from './filters/filter-state.ts';
import { makeFilters } from './filters/filters.ts';
import { mayHoldAlways } from './filters/image-pull-policy.ts';
import { StoreReadError } from './errors.ts';
import { ClientTrustFiles } from './front/client-trust.ts';
import { Front, frontDefaults } from './front/front.ts';
import { Heartbeat, heartbeatDefaults } from './front/heartbeat.ts';
import { hubCertificates, type HubCertificates } from './front/hub-ca.ts';
import { runProgram } from './front/link-local.ts';
import { FrontMetrics } from './front/metrics.ts';
import { Ops } from './front/ops.ts';
import { PeerProcesses } from './front/peer-process.ts';
import { Identities } from './identity/identities.ts';
import type { Neighbours } from './neighbours/neighbours.ts';
import { HubForNeighbours } from './neighbours/node-hub.ts';
import { OwnPoolFeed } from './neighbours/own-pool.ts';
import { LocalDiscovery } from './local-people/local-discovery.ts';
import { localKubeconfigName, writeLocalKubeconfig } from './local-people/local-kubeconfig.ts';
import { KeyRotation, keyRotationDefaults } from './at-rest/key-rotation.ts';
import { SecretCipher } from './at-rest/record-cipher.ts';
import { ReturnGate } from './return-gate.ts';
import { ReturnTurns } from './return-pace.ts';
import { RoundTripRecord } from './round-trip-record.ts';
import { Router } from './router.ts';
import { Seal } from './at-rest/seal.ts';
import { openSealedStore } from './at-rest/sealed-store.ts';
import type { NodeSettings } from './settings.ts';
import { ServiceAddresses } from './service-addresses.ts';
import { accountPrefix, nodePrefix, SingleObjects } from './single-objects.ts';
import type { OpenedStore } from './store/level-store.ts';
import type { CloudState, ViewKey, ViewReader } from './types.ts';
import { HubUplink } from './uplink/hub-uplink.ts';
import { Credentials } from './uplink/credentials.ts';
import { uplinkMetrics } from './uplink/metrics.ts';
import { defaultUplinkSettings } from './uplink/settings.ts';
import { viewMetrics } from './views/metrics.ts';
import { Presenter } from './views/presenter.ts';
import type { Concerns } from './views/view.ts';
import { ViewSet, type ViewSetStatus } from './views/view-set.ts';
import { OfflineWrites } from './writes/offline-writes.ts';

export interface HubParts {
  readonly log: Log;
  readonly metrics: Metrics;
  readonly clock: Clock;
  readonly version: string;
  /** What knows the peers of this node; `noNeighbours` for a hub alone. */
  readonly neighbours: Neighbours;
}

export interface HubStatus extends ViewSetStatus {
  readonly cloud: CloudState;
}

const viewSettings = {
  residentBytes: 512 << 10,
  logMaxCount: 512,
  logMaxBytes: 512 << 10,
  maxObjectBytes: 8 << 20,
  maxViews: 2_000,
  idleMs: 3_600_000,
} as const;
const documents = { maxDocumentBytes: 4 << 20 } as const;
const singleSettings = { prefix: nodePrefix, maxBodyBytes: 1 << 20, ...documents, maxCount: 2_000 } as const;
const accountSingleSettings = { prefix: accountPrefix, maxBodyBytes: 1 << 20, ...documents, maxCount: 500 } as const;
const eventSpoolMaxBytes = 4 << 20;

export class Hub {
  readonly #settings: NodeSettings;
  readonly #parts: HubParts;
  readonly #started = Promise.withResolvers<void>();
  #front: Front | undefined;
  #views: ViewSet | undefined;
  #uplink: HubUplink | undefined;
  #caPem = '';

  constructor(settings: NodeSettings, parts: HubParts) {
    this.#settings = settings;
    this.#parts = parts;
    // Whoever does not wait for the start hears of its failure from `run`.
    this.#started.promise.catch(() => undefined);
  }

  /** Resolves when clients are served; rejects when the hub ended before. */
  async started(): Promise<void> {
    await this.#started.promise;
  }

  /** Where clients are served; empty before the start. */
  get addresses(): readonly AddressInfo[] {
    return this.#front?.addresses ?? [];
  }

  /** The certificate authority that clients have to trust; '' before the start. */
  get caPem(): string {
    return this.#caPem;
  }

  status(): HubStatus {
    const views = this.#views?.status() ?? { views: 0, objects: 0, watchers: 0, allLive: false };
    return { ...views, cloud: this.#uplink?.cloud ?? { reachable: false, sinceMs: this.#parts.clock.wallMs() } };
  }

  /** Serves until `signal` aborts. Rejects with SettingsError, StoreOpenError, SealError or FrontError. */
  async run(signal: AbortSignal): Promise<void> {
    try {
      await this.#run(signal);
    } finally {
      this.#started.reject(new Error('the hub has ended'));
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { dataDir, storeKey, storeMaxBytes, storePendingMaxBytes } = this.#settings;
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
    const seal = await Seal.open(storeKey);
    const directory = path.join(dataDir, 'store');
    const settings = { directory, maxBytes: storeMaxBytes, maxPendingBytes: storePendingMaxBytes };
    const store = await openSealedStore(this.#parts, settings, seal);
    try {
      await this.#serve(store, seal, signal);
    } finally {
      await store.close();
    }
  }

  async #serve(store: OpenedStore, seal: Seal, signal: AbortSignal): Promise<void> {
    const { nodeName, dataDir, runDir } = this.#settings;
    const { log, metrics, clock, version, neighbours } = this.#parts;
    const cipher = new SecretCipher(seal);
    const files = await upstreamFiles(this.#settings);
    const serviceAddresses = new ServiceAddresses({ store, log: log.child('front') });
    await serviceAddresses.load();
    const certified = (): Promise<HubCertificates> => {
      const addresses = [...this.#settings.listen.map(({ host }) => host), ...serviceAddresses.addresses];
      return hubCertificates({ log: log.child('front'), clock }, { dataDir, nodeName, addresses });
    };
    const certificates = await certified();
    this.#caPem = certificates.caCertificate;

    const roundTrip = new RoundTripRecord(store);
    const ofUplink = { log: log.child('uplink'), clock, metrics: uplinkMetrics(metrics) };
    const credentials = new Credentials(ofUplink, files);
    const uplink = new HubUplink(
      { ...ofUplink, credentials, random: Math.random, relay: neighbours.relay },
      {
        ...defaultUplinkSettings,
        apiServers: this.#settings.apiServers,
        apiServerOrder: this.#settings.apiServerOrder,
        tlsServerName: this.#settings.tlsServerName,
        expectedRoundTripMs: await roundTrip.load(),
      },
    );
    const gate = new ReturnGate({ uplink, log: log.child('return'), clock });
    const filterState = new FilterState();
    // Before the front listens, where it is going to: filters look at kept objects when they are loaded, and must not be of
    // another mind about them a moment later.
    const listen = this.#settings.listen.map(({ host, port }) => ({
      address: host,
      port,
      family: isIPv6(host) ? 'IPv6' : 'IPv4',
    }));
    const addresses = (): readonly AddressInfo[] => (this.addresses.length === 0 ? listen : this.addresses);
    const filters = makeFilters(
      { nodeName, caPem: certificates.caCertificate, addresses, cutOff: () => gate.cutOff, state: filterState },
      this.#settings.disabledFilters,
    );
    // Views and write path need each other: readers see the overlay, and the overlay is made from what is stored.
    const filterFailures = new FilterFailures({ log: log.child('filters'), metrics: filterMetrics(metrics) });
    const presenter = new Presenter({
      overlay: () => writes.overlay,
      filters,
      cloudSaw: (key, item) =>
        writes.cloudSaw(key.group, key.resource, item.namespace, item.name, item.resourceVersion),
      failed: (name, error) => filterFailures.note(name, error),
    });
    const userAgent = `holdfast-yurthub/${version}`;
    const identities = new Identities(
      {
        store,
        uplink,
        // Asked when a client comes with a token: the views are there by then.
        pods: (namespace, name) => views.uidIn(podsOf(nodeName), namespace, name),
        log: log.child('identity'),
        clock,
        metrics,
      },
      { ...this.#settings, userAgent },
    );
    const ofViews = viewMetrics(metrics);
    const views = new ViewSet(
      {
        store,
        cipher,
        presenter,
        uplink,
        cloudReady: (waiting) => gate.ready(waiting),
        accounts: identities.allowances,
        accountBounds: () => identities.bounds,
        log: log.child('views'),
        clock,
        metrics: ofViews,
        turns: new ReturnTurns(clock, Math.random),
      },
      { ...viewSettings, userAgent },
    );
    const shownViews: ViewReader = {
      stored: (request) => views.stored(request),
      localChange: async (request) => {
        await views.localChange(request);
        if (request.resource === 'pods') await filterState.podsChanged();
      },
    };
    const writes = new OfflineWrites(
      {
        store,
        seal,
        uplink,
        views: shownViews,
        log: log.child('writes'),
        metrics,
        clock,
        leaseAnnotation: () => neighbours.leaseAnnotation(),
        report: () =>
          hubReportText({
            version,
            cloudSince: new Date(uplink.cloud.sinceMs).toISOString(),
            lists: views.status().views,
            objects: views.status().objects,
            bytes: store.usage().bytes,
            ...writes.counts(),
            roundTripMs: uplink.roundTripMs,
          }),
      },
      {
        nodeName,
        eventSpoolMaxCount: this.#settings.eventSpoolMaxEvents,
        eventSpoolMaxBytes,
        maxBodyBytes: this.#settings.maxRequestBodyBytes,
      },
    );
    filterState.connect({
      views,
      clock,
      log: log.child('filters'),
      podStatuses: () => writes.podStatuses(),
      nodeName,
      cutOffPeers: () => neighbours.cutOffPeers,
      isAlive: (node) => neighbours.isAlive(node),
    });
    neighbours.onSeen(() => filterState.peerSeen());
    const pool = new OwnPoolFeed({ views, clock, log: log.child('pool') }, nodeName);
    const forNeighbours = new HubForNeighbours({ uplink, pool, pods: () => filterState.ownPods() });
    const singles = new SingleObjects(store, cipher, singleSettings);
    const accountSingles = new SingleObjects(store, cipher, accountSingleSettings);
    const load = async (): Promise<void> => {
      const parts = [views, writes, singles, accountSingles, identities];
      throwFirst(await Promise.allSettled(parts.map((part) => part.load())));
      await filterState.load();
    };
    await credentials.load();
    // The second time after damage that the first one found: reads wait while it is repaired.
    let loaded = true;
    await load()
      .catch(load)
      .catch((error: unknown) => {
        if (!(error instanceof StoreReadError)) throw error;
        loaded = false;
        log.error('the store cannot be read; requests pass through until it can be', { error: error.message });
      });

    const accounts = identities.accounts(views);
    const router = new Router({
      uplink,
      views,
      presenter,
      singles,
      accounts,
      accountSingles,
      writes,
      log: log.child('router'),
      clock,
      metrics: ofViews,
    });
    const frontMetrics = new FrontMetrics(metrics);
    frontMetrics.build.set({ version }, 1);
    const front = new Front(
      {
        log: log.child('front'),
        metrics: frontMetrics,
        clock,
        certificates,
        trust: new ClientTrustFiles({ log, clock }, files),
        peers: new PeerProcesses({ procDir: '/proc' }),
        run: runProgram,
        handler: (request, response) => router.handle(request, response),
        dialRaw: (lane, dialSignal) => uplink.dialRaw(lane, dialSignal),
      },
      {
        ...frontDefaults,
        nodeName,
        listen: this.#settings.listen,
        manageLinkLocal: this.#settings.manageLinkLocal,
        maxConnections: this.#settings.maxConnections,
      },
    );
    const ops = new Ops(
      { log, metrics, ready: { listening: () => front.listening, store: () => !store.degraded } },
      { opsListen: this.#settings.opsListen },
    );
    const heartbeat = new Heartbeat(
      { log, clock, certificates, addresses: () => front.addresses },
      { ...heartbeatDefaults, runDir },
    );
    metrics.onScrape(() => void views.status());
    this.#front = front;
    this.#views = views;
    this.#uplink = uplink;

    const serving = new AbortController();
    const learnAddresses = async (): Promise<void> => {
      if (!(await serviceAddresses.learn(uplink, serving.signal))) return;
      const { caCertificate, serving: renewed } = await certified();
      // Clients trust the CA that they were shown: another one can only be served after a restart.
      if (caCertificate === certificates.caCertificate) front.serveWith(renewed);
    };
    let learning = Promise.resolve();

    const changed: Concerns = (_key, bytes) => mayHoldAlways(bytes);
    const discovery = new LocalDiscovery(
      { uplink, singles, store, clock, log: log.child('local'), random: Math.random },
      { nodeName, userAgent },
    );
    let discovering = Promise.resolve();
    const steps = {
      lost: () => views.refresh(pods, changed),
      returning: async (returning: AbortSignal) => {
        await filterState.returning();
        await writes.beginReturn(returning);
      },
      returned: async () => {
        await roundTrip.keep(uplink.roundTripMs);
        const known = serviceAddresses.addresses.length > 0;
        learning = learning.then(learnAddresses).catch((error: unknown) => {
          log.error('the serving certificate could not be renewed', { error: String(error) });
        });
        // The first time before any view is there, since views lead clients to the hub by these addresses.
        if (!known) await learning;
        await views.refresh(pods, changed);
        await filterState.returned();
        // Beside what goes on now, which nobody at the node waits for.
        discovering = discovery.refresh(serving.signal);
      },
    };

    store.onStateChange(({ degraded, recovery }) => {
      if (degraded) return;
      views.keepAgain();
      if (loaded && recovery === 'none') return;
      const task = loaded ? views.verify() : load().then(() => writes.beginReturn(serving.signal));
      loaded = true;
      task.catch((error: unknown) => log.error('the store could not be read again', { error: String(error) }));
    });

    // Everything ends with the first part that ends; the front first, so that no request meets a part that is gone.
    using all = new LinkedAbort(signal);
    const ending = (part: Promise<void>): Promise<void> => part.finally(() => all.abort());
    const inner = [uplink.run(serving.signal), gate.run(steps, serving.signal)];
    inner.push(views.run(serving.signal), writes.run(serving.signal), identities.run(views, serving.signal));
    inner.push(filterState.run(serving.signal), neighbours.run(forNeighbours, serving.signal));
    const rotation = new KeyRotation(
      { store, seal, log: log.child('seal'), clock },
      { ...keyRotationDefaults, storeDirectory: path.join(dataDir, 'store'), keyFile: this.#settings.storeKey.file },
    );
    const rotating = rotation.run(serving.signal).catch((error: unknown) => {
      log.error('the key of the store could not be rotated; both keys stay', { error: String(error) });
    });
    const outer = [front.run(all.signal), ops.run(all.signal), heartbeat.run(all.signal)];
    void front.started().then(async () => {
      if (!front.listening) return;
      const { caCertificate, localReader: client } = certificates;
      const kubeconfig = { addresses: front.addresses, caCertificate, client };
      await writeLocalKubeconfig(path.join(dataDir, localKubeconfigName), kubeconfig).catch((error: unknown) => {
        log.warn('the kubeconfig for people on this node cannot be written', { error: String(error) });
      });
      log.info('the hub serves', { node: nodeName, apiServers: this.#settings.apiServers.join(','), version });
      this.#started.resolve();
    });
    const results = await Promise.allSettled([
      ...inner.map(ending),
      Promise.allSettled(outer.map(ending)).then((outcome) => {
        serving.abort();
        throwFirst(outcome);
      }),
    ]);
    await Promise.all([rotating, learning, discovering]);
    throwFirst(results);
    log.info('the hub has stopped');
  }
}

const pods = { group: '', resource: 'pods' } as const;

/** The kubelet's view of its pods: complete, and the judge of which there are. */
function podsOf(nodeName: string): ViewKey {
  const selectors = { labelSelector: '', fieldSelector: `spec.nodeName=${nodeName}` };
  return { ...pods, version: 'v1', namespace: '', ...selectors, encoding: 'protobuf' };
}

function throwFirst(results: readonly PromiseSettledResult<unknown>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
