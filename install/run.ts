// holdfast install and uninstall as a process: the cluster by a kubeconfig, the manifests that came with the program.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { KubeconfigAccess } from '../controllers/machinery/kubeconfig-access.ts';
import { Api } from '../controllers/machinery/api.ts';
import { MachineryMetrics } from '../controllers/machinery/metrics.ts';
import type { Progress } from '../dropin/wait.ts';
import { systemClock } from '../runtime/clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { NodeFiles } from '../dropin/files.ts';
import { controlPlaneHost, LocalAccess, localPort } from './egress/control-plane-host.ts';
import { Egress, type EgressSettings } from './egress/egress.ts';
import { InstallError } from './errors.ts';
import { isBusy } from './host-ports.ts';
import { install, type InstallParts, type InstallSettings } from './install.ts';
import { readManifests } from './manifests.ts';
import type { Outcome } from './outcome.ts';
import { uninstall, type UninstallSettings } from './uninstall.ts';

const adminKubeconfig = '/etc/kubernetes/admin.conf';

export interface ProcessFacts {
  readonly version: string;
  /** The folder that has config/ in it. */
  readonly folder: string;
  /** As given by flag or KUBECONFIG; undefined for the usual places. */
  readonly kubeconfig: string | undefined;
  readonly progress: Progress;
}

export type Request =
  | { readonly command: 'install' | 'uninstall'; readonly egress: EgressSettings }
  | { readonly command: 'install'; readonly settings: InstallSettings }
  | { readonly command: 'uninstall'; readonly settings: UninstallSettings };

/** Rejects with AccessError, InstallError, and when it is told to stop. */
export async function run(request: Request, facts: ProcessFacts, signal: AbortSignal): Promise<Outcome> {
  const onHost = 'egress' in request;
  // On a control plane it is the API server of this host that counts.
  const file = facts.kubeconfig ?? (onHost ? adminKubeconfig : usualKubeconfig());
  const access = new KubeconfigAccess(systemClock, file);
  const metrics = new MachineryMetrics(new Metrics());
  const settings = { rate: { perSecond: 100, burst: 200 }, userAgent: `holdfast-${request.command}/${facts.version}` };
  const read = (name: string): string => readFileSync(path.join(facts.folder, 'config', name), 'utf8');
  // Unlike those of a daemon, waits of a command keep its process alive.
  const sleep = (milliseconds: number): Promise<void> => setTimeout(milliseconds, undefined, { signal });
  const shared = { clock: systemClock, sleep, progress: facts.progress, now: () => new Date() };
  try {
    if (onHost) {
      const parts = {
        ...shared,
        api: new Api({ access: new LocalAccess(access, localPort()), clock: systemClock, metrics }, settings),
        host: controlPlaneHost,
        files: new NodeFiles(),
        steadySleep: (milliseconds: number) => setTimeout<void>(milliseconds),
        selector: read('tunnel/egress-selector.yaml'),
      };
      const egress = new Egress(parts, request.egress);
      return await (request.command === 'install' ? egress.add() : egress.remove());
    }
    const api = new Api({ access, clock: systemClock, metrics }, settings);
    const parts: InstallParts = {
      ...shared,
      api,
      manifests: readManifests(read),
      siteDnsManifests: readManifests(read, 'site-dns/'),
      here: { name: controlPlaneHost.name, isBusy },
    };
    return request.command === 'install'
      ? await install(parts, request.settings, signal)
      : await uninstall(parts, request.settings, signal);
  } finally {
    access.close();
  }
}

/** As kubectl; and on a control plane of kubeadm, where root has nothing else, its administrator's. */
function usualKubeconfig(): string {
  const places = [path.join(homedir(), '.kube', 'config'), adminKubeconfig];
  const found = places.find(existsSync);
  if (found === undefined)
    throw new InstallError(
      'ERR_INSTALL_REFUSED',
      `there is no kubeconfig at ${places.join(' or ')}: give --kubeconfig FILE`,
    );
  return found;
}
