// holdfast install --egress and uninstall --egress, on a control-plane host: kube-apiserver goes through the tunnel server beside it, and
// back. What was there before is on disk before anything is changed; a kube-apiserver that does not become well gets its former
// manifest back by itself; and a run that was killed is gone on with by running it again.
import { ApiError, ApiUnreachableError } from '../../controllers/machinery/errors.ts';
import type { ApiObject } from '../../controllers/machinery/resource.ts';
import type { Files } from '../../dropin/files.ts';
import type { Check } from '../../dropin/preflight.ts';
import { waitUntil, type Progress } from '../../dropin/wait.ts';
import type { Clock } from '../../runtime/clock.ts';
import { resources, type ClusterApi } from '../cluster-facts.ts';
import { InstallError } from '../errors.ts';
import { runAgain, type Outcome } from '../outcome.ts';
import { configWithEgress, configWithoutEgress } from './kubeadm-config.ts';
import { flagsOf, withEgress, withoutEgress } from './manifest.ts';
import { digest, readState, removeState, writeState, type EgressState } from './state.ts';
import { selectorFile, wantedFlags } from './wanted.ts';

export const manifestFile = '/etc/kubernetes/manifests/kube-apiserver.yaml';
const selectorFlag = 'egress-selector-config-file';
const lease = { namespace: 'kube-system', name: 'holdfast-egress' };
const leaseMs = 600_000;
const longestWayBackMs = 180_000;
const stuck = 'an earlier run was interrupted, and kube-apiserver has not come up since';
const configName = { namespace: 'kube-system', name: 'kubeadm-config' };
const configKey = 'ClusterConfiguration';

/** This host, looked at without changing it. */
export interface EgressHost {
  readonly isRoot: boolean;
  readonly name: string;
  /** Of each kube-apiserver that runs here: its flags by name. */
  running(): Promise<readonly Readonly<Record<string, string>>[]>;
  /** Undefined when the tunnel server here is well, else why not. */
  tunnelProblem(): Promise<string | undefined>;
}

export interface EgressParts {
  /** The API server of this host and no other. */
  readonly api: ClusterApi;
  readonly host: EgressHost;
  readonly files: Files;
  readonly progress: Progress;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** Rejects when the command is to stop. */
  readonly sleep: (milliseconds: number) => Promise<void>;
  /** For the way back, which is gone to its end. */
  readonly steadySleep: (milliseconds: number) => Promise<void>;
  readonly now: () => Date;
  /** Text of the EgressSelectorConfiguration. */
  readonly selector: string;
}

export interface EgressSettings {
  readonly dryRun: boolean;
  readonly timeoutMs: number;
}

interface ConfigMap extends ApiObject {
  readonly data?: Readonly<Record<string, string>>;
}
interface Lease extends ApiObject {
  readonly spec?: { readonly holderIdentity?: string; readonly renewTime?: string };
}
interface Pod extends ApiObject {
  readonly spec?: { readonly nodeName?: string };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

export class Egress {
  readonly #parts: EgressParts;
  readonly #settings: EgressSettings;
  readonly #started: number;
  readonly #never = new AbortController().signal;
  #command = 'install';
  #checks: Check[] = [];
  #changes: string[] = [];

  constructor(parts: EgressParts, settings: EgressSettings) {
    this.#parts = parts;
    this.#settings = settings;
    this.#started = parts.clock.monotonicMs();
  }

  async add(): Promise<Outcome> {
    this.#command = 'install --egress';
    return this.#guarded(async () => {
      const { files, host, selector } = this.#parts;
      const manifest = await this.#manifest();
      const state = await readState(files);
      if (state !== undefined && (await this.#isStuck(state))) return this.#rollBack(state, stuck);
      const wanted = manifest === undefined ? undefined : withEgress(manifest);
      this.#hostChecks(manifest);
      const flags = manifest === undefined ? {} : flagsOf(manifest);
      const other = flags[selectorFlag];
      this.#check(
        'EgressSelector',
        other !== undefined && other !== selectorFile ? `kube-apiserver has one already: ${other}` : undefined,
        'It is somebody else’s, Konnectivity for one. Take that out first, or use DNAT mode: config/tunnel/README.md.',
        other === undefined ? 'none yet' : 'ours',
      );
      const tunnel = await host.tunnelProblem();
      this.#check(
        'tunnel server',
        tunnel,
        'First: holdfast install, until it says that the tunnel server is ready on this host.',
        'runs on this host',
      );
      await this.#othersAreWell();
      if (this.#isRefused() || manifest === undefined || wanted === undefined) return this.#refused();
      const config = await this.#config();
      const configText = config?.data?.[configKey];
      const configWanted = configText === undefined ? undefined : configWithEgress(configText);
      if (state?.phase === 'applied' && wanted === manifest && configWanted === configText) {
        if (!this.#settings.dryRun) await this.#unlock();
        return this.#end('done', 'kube-apiserver goes through the tunnel server already.');
      }
      if ((await files.read(selectorFile))?.toString() !== selector) this.#changes.push(`write ${selectorFile}`);
      if (wanted !== manifest)
        this.#changes.push(
          `change ${manifestFile}: ${Object.keys(wantedFlags)
            .map((name) => `--${name}`)
            .join(', ')} and three mounts; the kubelet restarts kube-apiserver`,
        );
      if (configWanted !== configText)
        this.#changes.push(
          `change ConfigMap ${configName.namespace}/${configName.name}: the same, so that kubeadm upgrade keeps it`,
        );
      if (this.#settings.dryRun) return this.#end('done', 'Nothing was changed (--dry-run).');
      return this.#locked(() => this.#apply(manifest, wanted, state));
    });
  }

  async remove(): Promise<Outcome> {
    this.#command = 'uninstall --egress';
    return this.#guarded(async () => {
      const { files } = this.#parts;
      const manifest = await this.#manifest();
      const state = await readState(files);
      if (state !== undefined && (await this.#isStuck(state))) return this.#rollBack(state, stuck);
      this.#hostChecks(manifest);
      await this.#othersAreWell();
      if (this.#isRefused() || manifest === undefined) return this.#refused();
      if (!isOurs(manifest) && state === undefined) {
        // What a run that was killed at its very end left.
        if (!this.#settings.dryRun) {
          await removeState(files);
          await this.#unlock();
        }
        return this.#end(
          'done',
          'kube-apiserver does not go through the tunnel server: there is nothing to take back.',
        );
      }
      const before = former(manifest, state);
      if (before !== manifest) this.#changes.push(`put back ${manifestFile}; the kubelet restarts kube-apiserver`);
      this.#changes.push(
        `take ConfigMap ${configName.namespace}/${configName.name} back, if this is the last control plane`,
        `remove ${selectorFile}`,
      );
      if (this.#settings.dryRun) return this.#end('done', 'Nothing was changed (--dry-run).');
      return this.#locked(async () => {
        if (before !== manifest) await this.#write(before);
        await this.#untilWell(false, this.#parts.sleep);
        await this.#configBack(state);
        await files.remove(selectorFile);
        await removeState(files);
        return this.#end('done', 'kube-apiserver goes its own ways again.');
      });
    });
  }

  async #apply(manifest: string, wanted: string, known: EgressState | undefined): Promise<Outcome> {
    const { files, selector } = this.#parts;
    // What an earlier run found is what was there before; a manifest that was written anew since is not ours to forget.
    const state: EgressState = {
      ...(known ?? {
        format: 1,
        manifestBefore: Buffer.from(isOurs(manifest) ? withoutEgress(manifest) : manifest).toString('base64'),
      }),
      phase: 'applying',
      manifestAfter: digest(wanted),
    };
    try {
      await writeState(files, state);
      await files.write(selectorFile, selector, { mode: 0o600, uid: 0, gid: 0 });
      if (wanted !== manifest) await this.#write(wanted);
      await this.#untilWell(true, this.#parts.sleep);
    } catch (error) {
      return this.#rollBack(state, error instanceof Error ? error.message : String(error));
    }
    const config = await this.#editConfig(configWithEgress);
    await writeState(files, { ...state, ...(state.configBefore === undefined ? config : {}), phase: 'applied' });
    return this.#end(
      'done',
      'kube-apiserver goes through the tunnel server: kubectl exec and logs reach nodes behind NAT. Now the next control plane, if there is one.',
    );
  }

  async #rollBack(state: EgressState, why: string): Promise<Outcome> {
    const { files, progress, steadySleep } = this.#parts;
    progress.begin('It failed, so the former manifest is put back');
    progress.end();
    try {
      await this.#write(Buffer.from(state.manifestBefore, 'base64').toString('utf8'));
      // Nothing else could be done, so this is waited for longer.
      await this.#untilWell(false, steadySleep, Math.max(this.#settings.timeoutMs, longestWayBackMs));
      await files.remove(selectorFile);
      await removeState(files);
      await this.#unlock();
    } catch (error) {
      return this.#end(
        'stranded',
        `The former manifest is at ${manifestFile} again, and kube-apiserver is not well with it. See crictl ps -a and journalctl -u kubelet.`,
        `${why}; and on the way back: ${(error as Error).message}`,
      );
    }
    return this.#end(
      'rolled-back',
      'kube-apiserver did not become well and has its former manifest again: everything is as it was.',
      why,
    );
  }

  /** Keeps mode and owner. The kubelet takes no notice of the file that it is written to first, whose name begins with a dot. */
  async #write(text: string): Promise<void> {
    const { files } = this.#parts;
    const entry = await files.stat(manifestFile);
    await files.write(manifestFile, text, entry?.kind === 'file' ? entry : { mode: 0o600 });
  }

  /** Until the one that runs has the selector, or has not, and answers; through the tunnel server, if it is to. */
  async #untilWell(through: boolean, sleep: EgressParts['sleep'], timeoutMs = this.#settings.timeoutMs): Promise<void> {
    const { api, host, clock, progress } = this.#parts;
    progress.begin(
      through
        ? 'Wait until kube-apiserver is well, and reaches this node through the tunnel server'
        : 'Wait until kube-apiserver is well without the tunnel server',
    );
    await waitUntil(
      { now: () => clock.monotonicMs(), sleep },
      progress,
      'kube-apiserver is well',
      timeoutMs,
      async () => {
        const running = await host.running();
        if (running.length === 0) return 'it does not run: crictl ps -a --name kube-apiserver, crictl logs';
        if (running.some((flags) => (flags[selectorFlag] === selectorFile) !== through))
          return 'the kubelet has not restarted it yet';
        try {
          await api.read('/api/v1/namespaces/kube-system', this.#never);
          // Its kubelet is reached by name through the socket: what exec and logs need.
          if (through) await api.read(`/api/v1/nodes/${host.name}/proxy/configz`, this.#never);
          return undefined;
        } catch (error) {
          if (error instanceof ApiUnreachableError || error instanceof ApiError) return error.message;
          throw error;
        }
      },
    );
    progress.end();
  }

  /** Gives the texts before and after. Where kubeadm has no configuration there is nothing to keep it in. */
  async #editConfig(
    edit: (text: string) => string,
  ): Promise<{ configBefore: string; configAfter: string } | undefined> {
    for (;;) {
      const map = await this.#config();
      const configBefore = map?.data?.[configKey];
      if (map === undefined || configBefore === undefined) return undefined;
      const configAfter = edit(configBefore);
      if (configAfter === configBefore) return undefined;
      try {
        await this.#parts.api.replace(
          resources.configMaps,
          { ...map, data: { ...map.data, [configKey]: configAfter } },
          this.#never,
        );
        return { configBefore, configAfter };
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 409)) throw error; // somebody else was faster: once more
      }
    }
  }

  async #configBack(state: EgressState | undefined): Promise<void> {
    const others = (await this.#apiServers()).filter(({ spec }) => spec?.nodeName !== this.#parts.host.name);
    const flags = others.map((pod) => JSON.stringify(pod.spec));
    if (flags.some((text) => text.includes(selectorFile))) return;
    const { configBefore, configAfter } = state ?? {};
    await this.#editConfig((text) =>
      text === configAfter && configBefore !== undefined ? configBefore : configWithoutEgress(text),
    );
  }

  #config(): Promise<ConfigMap | undefined> {
    return this.#parts.api.get<ConfigMap>(resources.configMaps, configName, this.#never);
  }

  #apiServers(): Promise<Pod[]> {
    const labelSelector = 'component=kube-apiserver,tier=control-plane';
    return this.#parts.api.list<Pod>(resources.pods, { namespace: 'kube-system', labelSelector }, this.#never);
  }

  async #manifest(): Promise<string | undefined> {
    return (await this.#parts.files.read(manifestFile))?.toString('utf8');
  }

  #hostChecks(manifest: string | undefined): void {
    this.#check(
      'root',
      this.#parts.host.isRoot ? undefined : 'this is not root',
      'Run it as root: sudo holdfast …',
      'runs as root',
    );
    this.#check(
      'control plane',
      manifest === undefined ? `there is no ${manifestFile}` : undefined,
      'Run it on each control plane that kubeadm made. Where kube-apiserver runs otherwise: config/tunnel/README.md.',
      manifestFile,
    );
  }

  /** One control plane at a time: the others carry the cluster meanwhile. */
  async #othersAreWell(): Promise<void> {
    const others = (await this.#apiServers()).filter(({ spec }) => spec?.nodeName !== this.#parts.host.name);
    const ill = others.filter(
      ({ status }) =>
        status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') !== true,
    );
    this.#check(
      'other control planes',
      ill.length === 0
        ? undefined
        : `kube-apiserver is not Ready on ${ill.map(({ spec }) => spec?.nodeName).join(', ')}`,
      'Wait until they are: one control plane is changed at a time.',
      others.length === 0
        ? 'there are none: the API is away while it restarts, some seconds'
        : `${others.length} Ready`,
    );
  }

  /** Nobody else changes another control plane meanwhile. A holder that died is waited for, for ten minutes at most. */
  async #locked(task: () => Promise<Outcome>): Promise<Outcome> {
    const { api, host, now } = this.#parts;
    const draft = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: lease,
      spec: { holderIdentity: host.name, renewTime: now().toISOString().replace('Z', '000Z') },
    };
    try {
      await api.create(resources.leases, draft, this.#never);
    } catch (error) {
      if (!(error instanceof ApiError && error.status === 409)) throw error;
      const held = await api.get<Lease>(resources.leases, lease, this.#never);
      const holder = held?.spec?.holderIdentity ?? '';
      const ageMs = now().getTime() - Date.parse(held?.spec?.renewTime ?? '');
      if (held !== undefined && holder !== host.name && ageMs < leaseMs)
        throw new InstallError(
          'ERR_INSTALL_REFUSED',
          `the control plane ${holder} is being changed; wait until that has ended`,
        );
      if (held !== undefined) await api.replace(resources.leases, { ...held, spec: draft.spec }, this.#never);
    }
    const outcome = await task();
    if (outcome.outcome !== 'stranded') await this.#unlock();
    return outcome;
  }

  /** Also what a run that was killed holds still. */
  async #unlock(): Promise<void> {
    const { api, host } = this.#parts;
    const held = await api.get<Lease>(resources.leases, lease, this.#never);
    if (held?.spec?.holderIdentity === host.name) await api.remove(resources.leases, lease, {}, this.#never);
  }

  /** Of an earlier run that was killed in between, and after which kube-apiserver did not come up: nobody else takes that back. */
  async #isStuck(state: EgressState): Promise<boolean> {
    if (state.phase !== 'applying' || this.#settings.dryRun) return false;
    try {
      await this.#apiServers();
      return false;
    } catch (error) {
      if (error instanceof ApiUnreachableError) return true;
      throw error;
    }
  }

  async #guarded(task: () => Promise<Outcome>): Promise<Outcome> {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const refused = error instanceof InstallError && error.code === 'ERR_INSTALL_REFUSED';
      return this.#end(refused ? 'refused' : 'failed', refused ? 'Nothing was changed.' : runAgain, error.message);
    }
  }

  #check(name: string, problem: string | undefined, fix: string, found: string): void {
    this.#checks.push(
      problem === undefined
        ? { name, verdict: 'ok', cause: found, fix: '' }
        : { name, verdict: 'refused', cause: problem, fix },
    );
  }

  #isRefused(): boolean {
    return this.#checks.some(({ verdict }) => verdict === 'refused');
  }

  #refused(): Outcome {
    const names = this.#checks.filter(({ verdict }) => verdict === 'refused').map(({ name }) => name);
    return this.#end('refused', `Nothing was changed: ${names.join(', ')}.`);
  }

  #end(outcome: Outcome['outcome'], message: string, error?: string): Outcome {
    return {
      command: this.#command,
      outcome,
      dryRun: this.#settings.dryRun,
      checks: this.#checks,
      changes: this.#changes,
      readiness: [],
      notes: [],
      seconds: Math.round((this.#parts.clock.monotonicMs() - this.#started) / 100) / 10,
      error,
      message,
    };
  }
}

const isOurs = (manifest: string): boolean => flagsOf(manifest)[selectorFlag] === selectorFile;

/** Byte for byte while it is what was written; else, as after kubeadm upgrade, the one of now without what is ours. */
function former(manifest: string, state: EgressState | undefined): string {
  if (state !== undefined && digest(manifest) === state.manifestAfter)
    return Buffer.from(state.manifestBefore, 'base64').toString('utf8');
  if (state === undefined) return withoutEgress(manifest);
  const before = flagsOf(Buffer.from(state.manifestBefore, 'base64').toString('utf8'))[
    'kubelet-preferred-address-types'
  ];
  return withoutEgress(manifest, before);
}
