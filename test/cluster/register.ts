// The register of clusters on this machine, and the record of each in its folder: what there is, so that it can be found and
// removed after a crash, whoever made it.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { cacheFolder } from './binaries.ts';
import { removeCgroup } from './cgroups.ts';
import { HarnessError } from './errors.ts';
import { bridgeName, claimBridge, removeBridge, removeSite, siteOf } from './network.ts';
import { isAlive, ProcessTable, startTicks } from './processes.ts';

/** cluster.json in the state folder. */
export interface ClusterState<Settings extends SiteSettings = SiteSettings> {
  number: number;
  ownsFolder: boolean;
  /** What made the control plane: the harness itself, or kubeadm. */
  kind: 'bare' | 'kubeadm';
  nodes: { name: string; index: number; settings: Settings }[];
  nextIndex: number;
}

export interface SiteSettings {
  /** Number of the addresses behind the site's router (192.168.LAN.10); by default its own. */
  lan?: number;
}

/** One cluster in the register; without an owner it lives until `down`. */
export interface RegisterEntry {
  dir: string;
  number: number;
  owner?: { pid: number; startTicks: string };
}

/** All clusters on this machine that the register knows. */
export function registered(): RegisterEntry[] {
  const folder = registerFolder();
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as RegisterEntry);
}

/** Removes clusters whose owner ended without doing so. */
export async function sweep(say: (line: string) => void): Promise<void> {
  for (const entry of registered()) {
    if (entry.owner === undefined || isAlive(entry.owner)) continue;
    say(`removing cluster ${bridgeName(entry.number)}, left behind by process ${entry.owner.pid}`);
    await destroy(entry);
  }
}

/** Removes whatever is in `dir`, however incomplete. False if there is nothing. */
export async function remove(dir: string): Promise<boolean> {
  const entry = registered().find((candidate) => candidate.dir === dir);
  if (entry === undefined) return false;
  await destroy(entry);
  return true;
}

export interface ClaimOptions {
  /** State folder; a temporary one by default. */
  dir?: string;
  /** The cluster goes on when this process ends; else the next `sweep` removes it. */
  outlivesProcess?: boolean;
}

/** A number that no other cluster has, with its bridge, and a folder, both on record. Rejects with NO_CLUSTER if `dir` has one. */
export async function claim(
  kind: ClusterState['kind'],
  options: ClaimOptions,
): Promise<{ dir: string; state: ClusterState<never> }> {
  if (options.dir !== undefined && existsSync(path.join(options.dir, 'cluster.json'))) {
    throw new HarnessError('NO_CLUSTER', `there is a cluster in ${options.dir} already: down first`);
  }
  const number = await claimBridge();
  const dir = options.dir ?? mkdtempSync(path.join(tmpdir(), `holdfast-${bridgeName(number)}-`));
  mkdirSync(dir, { recursive: true });
  const self = { pid: process.pid, startTicks: startTicks(process.pid) ?? '' };
  register({ dir, number, ...(options.outlivesProcess === true ? {} : { owner: self }) });
  const state: ClusterState<never> = { number, ownsFolder: options.dir === undefined, kind, nodes: [], nextIndex: 1 };
  writeState(dir, state);
  return { dir, state };
}

/** Removes all that there is of a cluster, however incomplete. */
export async function destroy({ dir, number }: Pick<RegisterEntry, 'dir' | 'number'>): Promise<void> {
  const state = readState(dir);
  const processes = new ProcessTable(dir);
  // Process 1 of each node first: with it ends all that runs there.
  const names = processes.names().sort((a, b) => Number(b.endsWith('.init')) - Number(a.endsWith('.init')));
  for (const name of names) await processes.stop(name, 0);
  const planeFolder = path.join(dir, 'control-plane');
  const plane = new ProcessTable(planeFolder);
  for (const name of plane.names()) await plane.stop(name, 0);
  for (const node of state?.nodes ?? []) {
    const site = siteOf(number, node.name, node.index, node.settings.lan);
    await removeSite(site);
    await removeCgroup(site.nodeNamespace);
  }
  await removeBridge(number);
  if (state?.ownsFolder === false) {
    for (const entry of ['control-plane', 'nodes', 'processes', 'log', 'cluster.json']) {
      rmSync(path.join(dir, entry), { recursive: true, force: true });
    }
  } else rmSync(dir, { recursive: true, force: true });
  rmSync(path.join(registerFolder(), `${bridgeName(number)}.json`), { force: true });
  if (registered().length === 0) restoreInotifyLimit();
}

function registerFolder(): string {
  return path.join(cacheFolder(), 'clusters');
}

/** Without an `owner` it stays until it is removed by hand; with one, until that process has ended and somebody sweeps. */
function register(entry: RegisterEntry): void {
  mkdirSync(registerFolder(), { recursive: true });
  writeFileSync(path.join(registerFolder(), `${bridgeName(entry.number)}.json`), JSON.stringify(entry, null, 1));
}

export function readState<Settings extends SiteSettings = SiteSettings>(
  dir: string,
): ClusterState<Settings> | undefined {
  const file = path.join(dir, 'cluster.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as ClusterState<Settings>) : undefined;
}

export function writeState(dir: string, state: ClusterState): void {
  writeFileSync(path.join(dir, 'cluster.json'), JSON.stringify(state, null, 1));
}

const inotifyLimit = '/proc/sys/fs/inotify/max_user_instances';
const inotifyWanted = 1024;
const inotifyBefore = (): string => path.join(registerFolder(), 'inotify-limit-before');

/** Each kubelet and containerd takes dozens of inotify instances; the usual limit of 128 is for the whole machine. */
export function raiseInotifyLimit(say: (line: string) => void): void {
  const limit = Number(readFileSync(inotifyLimit, 'utf8'));
  if (limit >= inotifyWanted) return;
  say(`raising fs.inotify.max_user_instances from ${limit} to ${inotifyWanted} until the last cluster is down`);
  mkdirSync(registerFolder(), { recursive: true });
  writeFileSync(inotifyBefore(), String(limit));
  writeFileSync(inotifyLimit, String(inotifyWanted));
}

function restoreInotifyLimit(): void {
  if (!existsSync(inotifyBefore())) return;
  writeFileSync(inotifyLimit, readFileSync(inotifyBefore()));
  rmSync(inotifyBefore());
}
