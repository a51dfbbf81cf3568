// holdfast tunnel-agent as a process of its own: makes the parts, runs them until a signal says to stop.
import { lookup } from 'node:dns/promises';
import { networkInterfaces } from 'node:os';
import { systemClock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { untilAborted } from '../runtime/until-aborted.ts';
import type { BackoffSettings } from '../runtime/backoff.ts';
import { CredentialFiles } from '../tunnel/credential-files.ts';
import { livenessDefaults, type LivenessSettings } from '../tunnel/liveness.ts';
import { Ops } from '../runtime/ops.ts';
import { KubeApi } from '../tunnel/kube-api.ts';
import { Networks } from '../tunnel/target.ts';
import { windowsOf } from '../tunnel/window-settings.ts';
import { Agent } from './agent.ts';
import { noDetour, type Detour } from './detour.ts';
import { bypassesProxy } from './http-proxy.ts';
import { AgentMetrics } from './metrics.ts';
import { LocalProxy } from './local-proxy.ts';
import { Outgoing } from './outgoing.ts';
import { PodNetworks } from './pod-networks.ts';
import { ServerSet } from './server-set.ts';
import type { AgentConfiguration } from './settings.ts';
import { StreamService } from './stream-service.ts';

export interface AgentTimings {
  readonly liveness: LivenessSettings;
  readonly tcpTimeoutMs: number;
  readonly handshakeTimeoutMs: number;
  readonly backoff: BackoffSettings;
  readonly duplicateRetryMs: number;
  readonly ownWayRetryMs: number;
  readonly resolveIntervalMs: number;
}

export const agentTimings: AgentTimings = {
  liveness: livenessDefaults,
  tcpTimeoutMs: 4_000,
  handshakeTimeoutMs: 10_000,
  // Short, so that a link that is back is used within seconds; spread out by chance.
  backoff: { firstMs: 500, longestMs: 4_000 },
  duplicateRetryMs: 60_000,
  ownWayRetryMs: 10_000,
  resolveIntervalMs: 60_000,
};

/** The server's own limit is 10 s by default: what it says should arrive. */
const outgoingDialTimeoutMs = 15_000;

/** The agent and its metrics, without a port of its own: what `holdfast node` can take in as well. */
export function createAgent(
  parts: { log: Log; metrics: Metrics },
  settings: AgentConfiguration,
  version: string,
  timings: AgentTimings = agentTimings,
  detour: Detour = noDetour,
): Agent {
  const clock = systemClock;
  const log = parts.log.child('tunnel-agent');
  const metrics = new AgentMetrics(parts.metrics);
  const { nodeName, httpProxy, noProxy } = settings;
  const proxyFor = (host: string): typeof httpProxy => (bypassesProxy(host, noProxy) ? undefined : httpProxy);
  // What the settings list is all there is then.
  const api =
    settings.cluster === undefined || settings.podNetworks.length > 0 ? undefined : new KubeApi(settings.cluster);
  const learned = api && new PodNetworks({ log, clock, api, random: Math.random }, { nodeName });
  const policy = {
    nodeName,
    kubelet: settings.kubeletAddress,
    ports: settings.allowPorts,
    podNetworks: learned ?? new Networks(settings.podNetworks),
    isOwnAddress,
  };
  const service = new StreamService(
    { log, clock, metrics, policy },
    { version, dialTimeoutMs: settings.dialTimeoutMs, maxStreams: settings.maxStreams },
  );
  const credentials = new CredentialFiles({ log, clock }, settings.credentials);
  const connect = {
    windows: windowsOf(settings),
    liveness: timings.liveness,
    maxStreams: settings.maxStreams,
    tcpTimeoutMs: timings.tcpTimeoutMs,
    handshakeTimeoutMs: timings.handshakeTimeoutMs,
  };
  const localProxy =
    settings.localListen === undefined
      ? undefined
      : new LocalProxy(
          {
            log,
            clock,
            metrics,
            random: Math.random,
            outgoing: new Outgoing(
              { clock, credentials, proxyFor, servers: () => agent.servers() },
              { ...connect, dialTimeoutMs: outgoingDialTimeoutMs },
            ),
          },
          { listen: settings.localListen, rules: settings.localRules, maxConnections: settings.maxStreams },
        );
  const agent: Agent = new Agent(
    {
      log,
      clock,
      metrics,
      credentials,
      service,
      servers: new ServerSet(
        { resolve: async (host) => (await lookup(host, { all: true })).map(({ address }) => address) },
        {
          servers: settings.servers,
          serverName: settings.serverName,
          keepsNames: (host) => proxyFor(host) !== undefined,
        },
      ),
      proxyFor,
      detour,
      beside: async (signal) => {
        await Promise.all([learned?.run(signal), localProxy?.run(signal)]);
        api?.close();
      },
      random: Math.random,
    },
    {
      link: {
        connect,
        backoff: timings.backoff,
        duplicateRetryMs: timings.duplicateRetryMs,
        ownWayRetryMs: timings.ownWayRetryMs,
      },
      resolveIntervalMs: timings.resolveIntervalMs,
    },
  );
  return agent;
}

/** Resolves when all has ended. Rejects with TunnelError. `started` is given the agent before it connects. */
export async function runTunnelAgent(
  settings: AgentConfiguration,
  log: Log,
  version: string,
  signal: AbortSignal,
  detour: Detour = noDetour,
  started: (agent: Agent) => void = () => undefined,
): Promise<void> {
  const metrics = new Metrics();
  const agent = createAgent({ log, metrics }, settings, version, agentTimings, detour);
  started(agent);
  const ops = new Ops({
    log: log.child('ops'),
    metrics,
    ready: () => agent.connected > 0,
    listings: { '/servers': () => agent.listing() },
  });
  await ops.listen(settings.opsListen);
  log.info('tunnel agent started', { node: settings.nodeName, version });
  const running = agent.run(signal);
  await untilAborted(signal);
  await Promise.all([running, ops.close()]);
}

/** Asked at each dial: addresses come and go with DHCP. */
function isOwnAddress(host: string): boolean {
  return Object.values(networkInterfaces()).some((each) =>
    each?.some(({ address, internal }) => !internal && address === host),
  );
}
