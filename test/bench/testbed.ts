// What every measurement stands on: a real API server with the objects to read, and new proxies and hubs on demand.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildBinaries } from '../cluster/binaries.ts';
import type { PemPair } from '../cluster/certificates.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { Hub, hubExecutable } from './hub-process.ts';
import { endLeftovers, makeStateFolder, noteProcess } from './leftovers.ts';
import { buildLoadTool, LoadTool } from './load-tool.ts';
import { choosePinning, pinToLoad } from './pinning.ts';
import type { Pinning } from './pinning.ts';
import { nodeName, seedCluster } from './seed.ts';
import type { ClientFiles, Way } from './ways.ts';

export interface TestbedOptions {
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  /** Where each hub leaves a CPU profile when it ends. What is measured then includes the profiler. */
  readonly profileFolder: string | undefined;
}

export class Testbed implements AsyncDisposable {
  readonly plane: ControlPlane;
  readonly load: LoadTool;
  readonly pinning: Pinning;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  readonly direct: Way;
  /** May read everything; the hub has it upstream as well, so that its clients are to it what the kubelet is. */
  readonly identity: ClientFiles;
  /** `system:node:…`, for what only a node may write. */
  readonly nodeIdentity: ClientFiles;
  readonly #profileFolder: string | undefined;
  readonly #stack: AsyncDisposableStack;

  private constructor(
    parts: Pick<Testbed, 'plane' | 'load' | 'pinning' | 'direct' | 'identity' | 'nodeIdentity'>,
    options: TestbedOptions,
    stack: AsyncDisposableStack,
  ) {
    this.plane = parts.plane;
    this.load = parts.load;
    this.pinning = parts.pinning;
    this.direct = parts.direct;
    this.identity = parts.identity;
    this.nodeIdentity = parts.nodeIdentity;
    this.signal = options.signal;
    this.say = options.say;
    this.#profileFolder = options.profileFolder;
    this.#stack = stack;
  }

  /** Builds what is missing, starts, seeds; under a minute when everything is built. */
  static async start(options: TestbedOptions): Promise<Testbed> {
    await buildBinaries(['etcd', 'kube-apiserver'], options.say);
    const file = await buildLoadTool(options.say);
    const pinning = await choosePinning();
    options.say(pinning.description);
    await pinToLoad(pinning, process.pid);
    await using stack = new AsyncDisposableStack();
    options.signal.throwIfAborted();
    await endLeftovers(options.say);
    const dir = makeStateFolder();
    stack.defer(() => rmSync(dir, { recursive: true, force: true }));
    const plane = await ControlPlane.start({ controllers: false, dir });
    stack.defer(() => plane.stop());
    for (const name of ['etcd', 'kube-apiserver']) {
      const record = plane.processes.running(name);
      if (record) await pinToLoad(pinning, record.pid);
    }
    const identity = writePair(plane, plane.clientCertificate('bench', ['system:masters']), 'bench');
    const nodeIdentity = writePair(plane, plane.nodeCertificate(nodeName), 'node');
    const load = new LoadTool({ file, pinning, signal: options.signal });
    const direct: Way = { variant: 'direct', url: plane.url, caFile: plane.caFile, pid: undefined };
    await seedCluster(plane, load, direct, identity, options.say);
    const parts = { plane, load, pinning, direct, identity, nodeIdentity };
    return new Testbed(parts, options, stack.move());
  }

  get hasHub(): boolean {
    return hubExecutable() !== undefined;
  }

  /** A new reverse proxy in front of the API server. Whoever starts it ends it. */
  async startGoProxy(): Promise<{ way: Way } & AsyncDisposable> {
    const serving = writePair(this.plane, this.plane.serverCertificate('go-proxy', ['127.0.0.1']), 'go-proxy');
    const { child, port } = await this.load.startProxy(this.direct, this.identity, serving);
    return {
      way: { variant: 'go-proxy', url: `https://127.0.0.1:${port}`, caFile: this.plane.caFile, pid: child.pid },
      [Symbol.asyncDispose]: () => child.stop(),
    };
  }

  /** A hub with an empty store in front of the API server, or of what `upstream` names. Whoever starts it ends it. */
  startHub(upstream: string = this.plane.url): Promise<Hub> {
    const { pinning, signal, identity, plane } = this;
    const dir = mkdtempSync(path.join(plane.dir, 'hub-'));
    const onStart = (pid: number): void => noteProcess(plane.dir, pid);
    const profile = this.#profileFolder;
    const nodeFlags = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
    const parts = { pinning, signal, identity, clusterCaFile: plane.caFile, nodeName, dir, onStart, nodeFlags };
    return Hub.start(parts, upstream);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

function writePair(plane: ControlPlane, pair: PemPair, name: string): ClientFiles {
  const files = {
    certificateFile: path.join(plane.dir, `bench-${name}.crt`),
    keyFile: path.join(plane.dir, `bench-${name}.key`),
  };
  writeFileSync(files.certificateFile, pair.certificate);
  writeFileSync(files.keyFile, pair.key, { mode: 0o600 });
  return files;
}
