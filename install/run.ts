// holdfast install and uninstall as a process: the cluster by a kubeconfig, the manifests that came with the program.
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { KubeconfigAccess } from '../controllers/machinery/kubeconfig-access.ts';
import { Api } from '../controllers/machinery/api.ts';
import { MachineryMetrics } from '../controllers/machinery/metrics.ts';
import type { Progress } from '../dropin/wait.ts';
import { delay, systemClock } from '../runtime/clock.ts';
import { Metrics } from '../runtime/metrics.ts';
import { InstallError } from './errors.ts';
import { install, type InstallParts, type InstallSettings } from './install.ts';
import { readManifests } from './manifests.ts';
import type { Outcome } from './outcome.ts';
import { uninstall, type UninstallSettings } from './uninstall.ts';

export interface ProcessFacts {
  readonly version: string;
  /** The folder that has config/ in it. */
  readonly folder: string;
  /** As given by flag or KUBECONFIG; undefined for the usual places. */
  readonly kubeconfig: string | undefined;
  readonly progress: Progress;
}

export type Request =
  | { readonly command: 'install'; readonly settings: InstallSettings }
  | { readonly command: 'uninstall'; readonly settings: UninstallSettings };

/** Rejects with AccessError, InstallError, and when it is told to stop. */
export async function run(request: Request, facts: ProcessFacts, signal: AbortSignal): Promise<Outcome> {
  const access = new KubeconfigAccess(systemClock, facts.kubeconfig ?? usualKubeconfig());
  const metrics = new MachineryMetrics(new Metrics());
  const settings = { rate: { perSecond: 100, burst: 200 }, userAgent: `holdfast-${request.command}/${facts.version}` };
  const parts: InstallParts = {
    api: new Api({ access, clock: systemClock, metrics }, settings),
    clock: systemClock,
    sleep: async (milliseconds) => {
      await delay(systemClock, milliseconds, signal);
      signal.throwIfAborted();
    },
    progress: facts.progress,
    manifests: readManifests((file) => readFileSync(path.join(facts.folder, 'config', file), 'utf8')),
    now: () => new Date(),
  };
  try {
    return request.command === 'install'
      ? await install(parts, request.settings, signal)
      : await uninstall(parts, request.settings, signal);
  } finally {
    access.close();
  }
}

/** As kubectl; and on a control plane of kubeadm, where root has nothing else, its administrator's. */
function usualKubeconfig(): string {
  const places = [path.join(homedir(), '.kube', 'config'), '/etc/kubernetes/admin.conf'];
  const found = places.find(existsSync);
  if (found === undefined)
    throw new InstallError(
      'ERR_INSTALL_REFUSED',
      `there is no kubeconfig at ${places.join(' or ')}: give --kubeconfig FILE`,
    );
  return found;
}
