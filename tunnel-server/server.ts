// The tunnel server put together: agents come in by TLS, the API server by its socket, and the connector joins them. Start
// and stop order stand here.
import type { AddressInfo } from 'node:net';
import { delay, type Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Metrics } from '../runtime/metrics.ts';
import { untilAborted } from '../runtime/until-aborted.ts';
import { CredentialFiles } from '../tunnel/credential-files.ts';
import type { LivenessSettings } from '../tunnel/liveness.ts';
import { Ops } from '../runtime/ops.ts';
import { windowsOf } from '../tunnel/window-settings.ts';
import { AgentListener } from './agent-listener.ts';
import { Authorizer } from './authorizer.ts';
import { ConnectProxy } from './connect-proxy.ts';
import { Connector } from './connector.ts';
import { Directory } from './directory.ts';
import { DirectoryWatch } from './directory-watch.ts';
import { AddressReport } from './dnat/address-report.ts';
import { DnatMode } from './dnat/dnat-mode.ts';
import { Nftables } from './dnat/nftables.ts';
import { EgressSocket } from './egress-socket.ts';
import { HostsFile } from './hosts-file.ts';
import { KubeApi } from '../tunnel/kube-api.ts';
import { ServerMetrics } from './metrics.ts';
import { Registry } from './registry.ts';
import { OutgoingService } from './outgoing-service.ts';
import type { RouteView } from './route.ts';
import type { ServerConfiguration } from './settings.ts';

export interface TunnelServerParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly metrics: Metrics;
  /** As Math.random. */
  readonly random: () => number;
}

export interface TunnelServerOptions {
  readonly version: string;
  /** New with every start: by it agents see that two addresses are one server. */
  readonly serverId: string;
  readonly liveness: LivenessSettings;
}

export interface TunnelServerAddresses {
  readonly agents: AddressInfo;
  readonly ops: AddressInfo;
  readonly proxy: AddressInfo | undefined;
}

const helloTimeoutMs = 10_000;
/** Nodes that were connected once and are unknown to the cluster; beyond it the oldest is forgotten. */
const maxSeen = 20_000;

export class TunnelServer {
  readonly #parts: TunnelServerParts;
  readonly #settings: ServerConfiguration;
  readonly #metrics: ServerMetrics;
  readonly #credentials: CredentialFiles;
  readonly #directory: Directory;
  readonly #api: KubeApi | undefined;
  readonly #hosts: HostsFile | undefined;
  readonly #registry: Registry;
  readonly #connector: Connector;
  readonly #outgoing: OutgoingService;
  readonly #agents: AgentListener;
  readonly #egress: EgressSocket;
  readonly #proxy: ConnectProxy | undefined;
  readonly #dnat: DnatMode | undefined;
  readonly #ops: Ops;
  /** Names of nodes that have been connected since the start: no reason to dial them directly. */
  readonly #seen = new Set<string>();

  /** Throws TunnelError (ERR_TUNNEL_CREDENTIALS). */
  constructor(parts: TunnelServerParts, settings: ServerConfiguration, options: TunnelServerOptions) {
    const { clock } = parts;
    const { proxyListen, maxAgents, maxStreams, maxStreamsPerClient } = settings;
    const log = parts.log.child('tunnel-server');
    this.#parts = { ...parts, log };
    this.#settings = settings;
    this.#metrics = new ServerMetrics(parts.metrics);
    this.#credentials = new CredentialFiles(
      { log, clock },
      {
        certificate: { file: settings.certificateFile },
        key: { file: settings.keyFile },
        ca: { file: settings.clientCAFile },
      },
    );
    this.#directory = new Directory({ edgeSelector: settings.edgeSelector });
    this.#api = settings.cluster === undefined ? undefined : new KubeApi(settings.cluster);
    this.#hosts = settings.hostsFile === undefined ? undefined : new HostsFile({ log }, settings.hostsFile);
    this.#registry = new Registry({ clock, changed: () => this.#registryChanged() });
    this.#connector = new Connector(
      { log, clock, metrics: this.#metrics, registry: this.#registry, view: this.#view() },
      settings,
    );
    this.#outgoing = new OutgoingService(
      { clock, connector: this.#connector, poolOf: (node) => this.#directory.poolOf(node) },
      {
        rules: settings.outgoingRules,
        windows: windowsOf(settings),
        liveness: options.liveness,
        maxStreams: settings.maxStreamsPerNode,
      },
    );
    this.#agents = new AgentListener(
      {
        log,
        clock,
        metrics: this.#metrics,
        registry: this.#registry,
        outgoing: this.#outgoing,
        nodeExists: (name) => this.#directory.exists(name),
      },
      {
        maxAgents,
        session: {
          windows: windowsOf(settings),
          liveness: options.liveness,
          maxStreams: settings.maxStreamsPerNode,
          helloTimeoutMs,
          serverId: options.serverId,
          version: options.version,
          peers: settings.peerText,
        },
      },
      this.#credentials.current,
    );
    this.#egress = new EgressSocket(
      { connector: this.#connector },
      { path: settings.egressSocket, owner: settings.owner },
    );
    this.#proxy =
      this.#api === undefined || proxyListen === undefined
        ? undefined
        : new ConnectProxy(
            { connector: this.#connector, authorizer: new Authorizer({ api: this.#api }) },
            { listen: proxyListen, maxConnections: maxStreams, maxStreamsPerClient },
            this.#credentials.current,
          );
    this.#dnat =
      this.#api === undefined || !settings.dnat
        ? undefined
        : new DnatMode(
            {
              log,
              clock,
              metrics: this.#metrics,
              connector: this.#connector,
              directory: this.#directory,
              nftables: new Nftables({ owner: options.serverId }),
              report: new AddressReport({ log, clock, api: this.#api }),
              isEdge: (node) => this.#isEdge(node),
            },
            { port: settings.kubeletPort },
          );
    this.#ops = new Ops({
      log,
      metrics: parts.metrics,
      ready: () => this.#api === undefined || this.#directory.nodesSynced,
      listings: { '/nodes': () => this.#registry.listing() },
    });
    parts.metrics.onScrape(() => this.#count());
  }

  /**
   * Serves until `signal` aborts, then drains. `started` gets the addresses once all are open. Rejects with TunnelError when
   * one cannot be had; nothing is left open then.
   */
  async run(signal: AbortSignal, started: (addresses: TunnelServerAddresses) => void = () => undefined): Promise<void> {
    const { log, clock } = this.#parts;
    using work = new LinkedAbort(signal);
    const background: Promise<void>[] = [];
    try {
      // The API server's way last: it asks as soon as the socket is there, and cloud nodes it reaches at once.
      await this.#dnat?.prepare();
      const ops = await this.#ops.listen(this.#settings.opsListen);
      const renewed = (): void => {
        this.#agents.use(this.#credentials.current);
        this.#proxy?.use(this.#credentials.current);
      };
      background.push(this.#credentials.run(work.signal, renewed));
      if (this.#api !== undefined) background.push(this.#watch(this.#api).run(work.signal));
      const agents = await this.#agents.listen(this.#settings.listen);
      const proxy = await this.#proxy?.listen();
      await this.#egress.listen();
      if (this.#dnat !== undefined) background.push(this.#dnat.run(signal));
      log.info('tunnel server started', { agents: `${agents.address}:${agents.port}` });
      started({ agents, ops, proxy });
      await untilAborted(signal);
      await this.#drain();
    } finally {
      await this.#egress.close();
      this.#proxy?.close();
      this.#agents.close();
      for (const session of this.#registry.all()) session.destroy();
      this.#outgoing.destroy();
      this.#connector.destroy();
      work.abort(new Error('stopped'));
      await Promise.all(background);
      await this.#hosts?.remove();
      this.#api?.close();
      await this.#ops.close();
      log.info('tunnel server stopped', { atMs: Math.round(clock.monotonicMs()) });
    }
  }

  /** Nothing new comes in, agents look for other servers, and what is open may end by itself. */
  async #drain(): Promise<void> {
    await this.#egress.close();
    this.#proxy?.close();
    this.#agents.close();
    const sessions = this.#registry.all();
    for (const session of sessions) session.drain();
    this.#outgoing.drain();
    using wait = new LinkedAbort(new AbortController().signal);
    void Promise.all(sessions.map((session) => session.closed())).then(() => wait.abort());
    await delay(this.#parts.clock, this.#settings.drainTimeoutMs, wait.signal);
  }

  #watch(api: KubeApi): DirectoryWatch {
    const { log, clock, random } = this.#parts;
    return new DirectoryWatch({
      log,
      clock,
      api,
      random,
      directory: this.#directory,
      changed: () => this.#nodesChanged(),
      nodeGone: (name) => {
        // Whoever still holds the certificate of a node that was deleted has no business here.
        this.#seen.delete(name);
        this.#registry.drop(name);
        this.#outgoing.drop(name);
      },
    });
  }

  #view(): RouteView {
    return {
      isConnected: (node) => this.#registry.isConnected(node),
      isEdge: (node) => this.#isEdge(node),
      cloudAddress: (node) => this.#directory.internalAddress(node),
      nodesAt: (host) => this.#directory.nodesAt(host),
    };
  }

  #registryChanged(): void {
    for (const { node } of this.#registry.all()) this.#seen.add(node);
    for (const node of this.#seen) {
      if (this.#seen.size <= maxSeen) break;
      this.#seen.delete(node);
    }
    this.#nodesChanged();
  }

  #isEdge(node: string): boolean {
    return this.#directory.isEdge(node) || this.#seen.has(node);
  }

  #nodesChanged(): void {
    this.#dnat?.changed();
    this.#publishNames();
  }

  #publishNames(): void {
    if (this.#hosts === undefined || !this.#directory.nodesSynced) return;
    const names = [...new Set([...this.#directory.edgeNodes(), ...this.#seen])].sort();
    void this.#hosts.set(names.map((name) => ({ names: [name], address: this.#directory.internalAddress(name) })));
  }

  #count(): void {
    this.#metrics.nodes.set(this.#registry.nodes);
    this.#metrics.sessions.set(this.#registry.connections);
    this.#metrics.directoryReady.set(this.#directory.nodesSynced && this.#directory.podsSynced ? 1 : 0);
    this.#metrics.certificateExpiry.set(this.#credentials.current.expiresMs / 1000);
  }
}
