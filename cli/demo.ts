// The hub in front of a cluster, or of the embedded API server, with a link that can be cut: so that anyone can watch a
// client go on while the cloud is away. Everything it makes is in one temporary folder and gone at the end.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { delay, systemClock } from '../runtime/clock.ts';
import { LinkedAbort } from '../runtime/linked-abort.ts';
import { createFileLog } from '../runtime/log.ts';
import { Metrics } from '../runtime/metrics.ts';
import { TcpRelay } from '../runtime/tcp-relay.ts';
import { EmbeddedApiserver, embeddedDefaults } from '../embedded-apiserver/embedded-apiserver.ts';
import { Hub } from '../yurthub/hub.ts';
import { noNeighbours } from '../yurthub/neighbours/neighbours.ts';
import { readNodeSettings } from '../yurthub/settings.ts';
import { embeddedCluster, kubeconfigCluster } from './demo-cluster.ts';
import type { DemoCluster } from './demo-cluster.ts';
import { playScript } from './demo-script.ts';
import { demoKubeconfig, statusLine } from './demo-text.ts';
import type { PlainTarget } from './plain-client.ts';
import type { Terminal } from './terminal.ts';

export interface DemoParts {
  readonly version: string;
  readonly out: (text: string) => void;
  readonly signal: AbortSignal;
  readonly terminal: Terminal | undefined;
}

export interface DemoSettings {
  /** Undefined: the embedded API server. */
  readonly kubeconfigFile: string | undefined;
  /** Play the script and end, instead of running until told to stop. */
  readonly once: boolean;
}

const tickIntervalMs = 3_000;
const statusIntervalMs = 500;

/** Exit status 0, or 1 when a check of the script failed. Rejects with KubeconfigError, DemoError and the hub's errors. */
export async function runDemo(parts: DemoParts, settings: DemoSettings): Promise<number> {
  using all = new LinkedAbort(parts.signal);
  const folder = await mkdtemp(path.join(tmpdir(), 'holdfast-demo-'));
  const embedded =
    settings.kubeconfigFile === undefined ? new EmbeddedApiserver({ clock: systemClock }, embeddedDefaults) : undefined;
  const serving = embedded?.run(all.signal);
  try {
    await embedded?.listening;
    const cluster =
      embedded === undefined
        ? kubeconfigCluster(settings.kubeconfigFile ?? '', randomBytes(4).toString('hex'))
        : embeddedCluster(
            { server: embedded, clock: systemClock },
            { tickIntervalMs: settings.once ? 0 : tickIntervalMs },
          );
    return await demonstrate(parts, settings, cluster, folder, all);
  } finally {
    all.abort();
    await serving;
    await rm(folder, { recursive: true, force: true });
  }
}

async function demonstrate(
  parts: DemoParts,
  { once }: DemoSettings,
  cluster: DemoCluster,
  folder: string,
  all: LinkedAbort,
): Promise<number> {
  const relay = new TcpRelay(cluster, { port: 0 });
  await relay.listen();
  const hub = await createHub(parts, cluster, relay, folder);
  const running = hub.run(all.signal);
  // A hub that ends by itself ends the demo; its error is thrown where `running` is awaited.
  running.catch(() => undefined).finally(() => all.abort());
  const life = cluster.run(all.signal);
  try {
    await Promise.race([hub.started(), running]);
    const target: PlainTarget = {
      url: `https://127.0.0.1:${hub.addresses[0]?.port ?? 0}`,
      caPem: hub.caPem,
      credential: cluster.credential,
    };
    const kubeconfigFile = path.join(folder, 'kubeconfig');
    await writeFile(kubeconfigFile, demoKubeconfig(target, cluster), { mode: 0o600 });
    parts.out(`The hub serves at ${target.url}, in front of ${cluster.title}.`);
    parts.out(`Its log: ${path.join(folder, 'hub.log')}`);
    if (once) {
      const script = {
        cluster,
        clock: systemClock,
        out: parts.out,
        cut: () => relay.cut('blackhole'),
        heal: () => relay.heal(),
        cloudReachable: () => hub.status().cloud.reachable,
      };
      return (await playScript(script, target, all.signal)) ? 0 : 1;
    }
    parts.out(`Try it:  kubectl --kubeconfig ${kubeconfigFile} get pods -w`);
    if (parts.terminal === undefined) await untilAborted(all.signal);
    else await attend(parts.terminal, hub, relay, all);
    return 0;
  } finally {
    all.abort();
    await Promise.allSettled([running, life]);
    await relay.close();
    // What ended the hub is what the demo failed of.
    await running;
  }
}

/** The hub as `holdfast node` runs it, apart from where its files and ports are. */
async function createHub(parts: DemoParts, cluster: DemoCluster, relay: TcpRelay, folder: string): Promise<Hub> {
  const file = async (name: string, text: string): Promise<string> => {
    const target = path.join(folder, name);
    await writeFile(target, text, { mode: 0o600 });
    return target;
  };
  const settings = readNodeSettings({
    nodeName: cluster.nodeName,
    apiServers: [`https://127.0.0.1:${relay.port}`],
    tlsServerName: cluster.tlsServerName,
    certificateAuthorityFile: await file('cluster-ca.crt', cluster.caPem),
    clientCertificateFile: await file('client.crt', cluster.credential.certificatePem),
    clientKeyFile: await file('client.key', cluster.credential.privateKeyPem),
    listen: ['127.0.0.1:0'],
    manageLinkLocal: false,
    opsListen: '127.0.0.1:0',
    dataDir: path.join(folder, 'data'),
    runDir: path.join(folder, 'run'),
  });
  const log = createFileLog(settings.logLevel, path.join(folder, 'hub.log'));
  const { version } = parts;
  return new Hub(settings, { log, metrics: new Metrics(), clock: systemClock, version, neighbours: noNeighbours });
}

/** Shows the live line and obeys keys until one says to quit. */
async function attend(terminal: Terminal, hub: Hub, relay: TcpRelay, all: LinkedAbort): Promise<void> {
  terminal.print('Keys:  c cuts the cloud off (its answers are swallowed)   r lets it refuse   h heals it   q quits');
  const act = async (key: string): Promise<void> => {
    switch (key) {
      case 'c':
        return await relay.cut('blackhole');
      case 'r':
        return await relay.cut('refuse');
      case 'h':
        return await relay.heal();
      case 'q':
      case 'ctrl-c':
        return all.abort();
      default:
    }
  };
  // One after the other: a relay in the middle of a fault cannot take another.
  let acting: Promise<void> = Promise.resolve();
  const release = terminal.onKey((key) => {
    acting = acting.then(() => act(key)).catch((error: unknown) => terminal.print(`key ${key}: ${String(error)}`));
  });
  try {
    while (!all.signal.aborted) {
      terminal.status(statusLine(hub.status(), relay.fault, systemClock.wallMs()));
      await delay(systemClock, statusIntervalMs, all.signal);
    }
  } finally {
    release();
    await acting;
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
