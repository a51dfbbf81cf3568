// Ends what an earlier run left behind when it was killed: its state folder names its own process, and the processes that
// it started with the time of their start, so that nothing else is ever ended.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ControlPlane } from '../cluster/control-plane.ts';
import { isAlive, startTicks } from '../cluster/processes.ts';

const prefix = 'holdfast-bench-';
const ownerFile = 'owner.json';

interface Owner {
  pid: number;
  startTicks: string;
}

/** A folder for this run's state; whoever asked for it removes it. */
export function makeStateFolder(): string {
  const dir = mkdtempSync(path.join(tmpdir(), prefix));
  writeFileSync(path.join(dir, ownerFile), JSON.stringify(record(process.pid)));
  return dir;
}

/** Notes a process that would outlive this one. The file goes with the folder. */
export function noteProcess(stateFolder: string, pid: number): void {
  writeFileSync(path.join(stateFolder, `bench-${pid}.pid.json`), JSON.stringify(record(pid)));
}

export async function endLeftovers(say: (line: string) => void): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(prefix))) {
    const dir = path.join(tmpdir(), name);
    const owner = read(path.join(dir, ownerFile));
    if (owner === undefined || isAlive(owner)) continue;
    say(`ending what an earlier run left in ${dir}`);
    for (const file of readdirSync(dir).filter((entry) => entry.endsWith('.pid.json'))) {
      const left = read(path.join(dir, file));
      if (left !== undefined && isAlive(left)) process.kill(left.pid, 'SIGKILL');
    }
    if (existsSync(path.join(dir, 'control-plane.json'))) await ControlPlane.attach(dir).stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

function record(pid: number): Owner {
  return { pid, startTicks: startTicks(pid) ?? '' };
}

function read(file: string): Owner | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Owner;
  } catch {
    return undefined; // made a moment ago, or not ours
  }
}
