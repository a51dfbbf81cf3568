// holdfast node: reads the settings, runs the hub until a signal says to stop, and the tunnel agent beside it if asked to.
import { LinkedAbort } from '../runtime/linked-abort.ts';
import type { Endpoint, RawSettings } from '../runtime/settings.ts';
import type { Detour } from '../tunnel-agent/detour.ts';
import type { HubParts } from '../yurthub/hub.ts';
import { noNeighbours, type Neighbours } from '../yurthub/neighbours/neighbours.ts';
import { readNodeSettings, type NodeSettings } from '../yurthub/settings.ts';
import { nodeSettingsSchema } from '../yurthub/settings-schema.ts';
import type { CommandLineParts } from './command-line.ts';
import { settingsFlags, type Flag } from './flags.ts';
import { agentBesideHub } from './tunnel.ts';

export const hubFlags: readonly Flag[] = settingsFlags(nodeSettingsSchema, 'storeMaxBytes: 512Mi');

/** Resolves when hub and agent have stopped. Rejects with SettingsError, StoreOpenError and others that have a code. */
export async function runNodeCommand(
  flags: RawSettings,
  parts: Pick<CommandLineParts, 'signal' | 'version' | 'proxy'>,
): Promise<void> {
  const settings = readNodeSettings(flags);
  const { tunnelConfig } = settings;
  // Health and agent need each other: a peer's way out for the one, and where that may lead from the other.
  let neighbours = noNeighbours;
  const detour: Detour = {
    get isOpen() {
      return neighbours.relay.isOpen;
    },
    open: (target, signal) => neighbours.relay.open(target, signal),
  };
  const agent = tunnelConfig === undefined ? undefined : agentBesideHub(tunnelConfig, parts, detour);
  // Loaded only now: LevelDB is not needed to say what is wrong with the settings.
  const { runNode } = await import('../yurthub/node.ts');
  // The agent ends with the hub, however that ends; the hub never ends for the agent.
  using stop = new LinkedAbort(parts.signal);
  const makeNeighbours = await neighboursOf(settings, () => agent?.servers() ?? []);
  const beside = agent?.run(stop.signal);
  try {
    await runNode(settings, parts.signal, parts.version, (made) => (neighbours = makeNeighbours(made)));
  } finally {
    stop.abort();
    await beside;
  }
}

/** What makes the part that knows this node's peers; it is loaded only where it takes part in anything. */
async function neighboursOf(
  settings: NodeSettings,
  tunnelServers: () => readonly Endpoint[],
): Promise<(parts: Omit<HubParts, 'neighbours'>) => Neighbours> {
  const { nodeName, credential, clientCA, peers, peerListen, peerRelay, kubeletHealthAddress } = settings;
  if (!peers || credential.kind !== 'certificate') return () => noNeighbours;
  const apiServers = settings.apiServers.map(endpointOf);
  const { Health, healthDefaults } = await import('../health/health.ts');
  return ({ log, metrics, clock }) =>
    new Health(
      { log, metrics, clock, random: Math.random },
      {
        ...healthDefaults,
        nodeName,
        credentials: { certificate: credential.certificate, key: credential.key, clientCA },
        listen: peerListen,
        kubeletHealth: kubeletHealthAddress,
        relay: peerRelay,
        relayTargets: () => [...apiServers, ...tunnelServers()],
      },
    );
}

function endpointOf(url: string): Endpoint {
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/^\[(.*)\]$/, '$1'), port: port === '' ? 443 : Number(port) };
}

/** Throws SettingsError and SealError. Gives what is said to the person. */
export async function runRotateKeyCommand(flags: RawSettings): Promise<string> {
  const { file } = readNodeSettings(flags).storeKey;
  const { rotateKey } = await import('../yurthub/at-rest/seal.ts');
  await rotateKey(file);
  return `${file} is a new key, and the one before it is ${file}.old. Restart the hub: it seals the store with the new key and then removes the old one.`;
}
