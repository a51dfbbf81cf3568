// Each node has its own cgroup root: a kubelet kills what it finds under its root and does not know, so two kubelets on
// one machine must not share one. Both cgroup versions.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { waitFor } from './commands.ts';

const mount = '/sys/fs/cgroup';
const isVersion2 = (): boolean => existsSync(path.join(mount, 'cgroup.controllers'));

/** Makes the cgroup `/holdfast/NAME` in every hierarchy and returns that path. */
export function createCgroup(name: string): string {
  for (const hierarchy of hierarchies()) {
    let folder = hierarchy;
    for (const part of ['holdfast', name]) {
      const parent = folder;
      folder = path.join(parent, part);
      if (isVersion2()) enableControllers(parent);
      mkdirSync(folder, { recursive: true });
      // A version 1 cpuset is born empty, and nothing can be put into an empty one.
      for (const file of ['cpuset.cpus', 'cpuset.mems']) {
        const inherited = path.join(parent, file);
        if (!isVersion2() && existsSync(inherited)) writeFileSync(path.join(folder, file), readFileSync(inherited));
      }
    }
  }
  return `/holdfast/${name}`;
}

/** Removes what the kubelet and containers left; the processes have to be gone already. */
export async function removeCgroup(name: string): Promise<void> {
  for (const hierarchy of hierarchies()) {
    const folder = path.join(hierarchy, 'holdfast', name);
    await waitFor(`cgroup ${folder} is empty`, () => removeTree(folder), { deadlineMs: 60_000, everyMs: 20 });
    try {
      rmdirSync(path.join(hierarchy, 'holdfast'));
    } catch {
      // another node still has its cgroup there
    }
  }
}

function hierarchies(): string[] {
  if (isVersion2()) return [mount];
  return readdirSync(mount)
    .map((name) => path.join(mount, name))
    .filter((folder) => existsSync(path.join(folder, 'cgroup.procs')));
}

function enableControllers(folder: string): void {
  const controllers = readFileSync(path.join(folder, 'cgroup.controllers'), 'utf8').trim().split(/\s+/).filter(Boolean);
  for (const controller of controllers) {
    try {
      writeFileSync(path.join(folder, 'cgroup.subtree_control'), `+${controller}`);
    } catch {
      // the kubelet says which one it misses, if it misses one
    }
  }
}

/** False as long as the kernel calls a cgroup busy: a killed process leaves it a moment later. */
function removeTree(folder: string): boolean {
  if (!existsSync(folder)) return true;
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.isDirectory() && !removeTree(path.join(folder, entry.name))) return false;
    }
    rmdirSync(folder);
    return true;
  } catch {
    return false;
  }
}
