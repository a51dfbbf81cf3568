// Which processor each process of the benchmark runs on. What is measured gets one for itself; the API server, the clients
// and this process share another, so that they slow down every variant alike and none of them competes with it.
import { availableParallelism } from 'node:os';
import { run, succeeds } from '../cluster/commands.ts';

export interface Pinning {
  /** Put before an argv: what is measured. */
  readonly measured: readonly string[];
  /** Put before an argv: everything else. */
  readonly load: readonly string[];
  readonly description: string;
}

/** Not pinned where there is one processor, or no taskset. */
export async function choosePinning(): Promise<Pinning> {
  if (availableParallelism() < 2) return unpinned('one processor');
  if (!(await succeeds(['taskset', '-c', '1', 'true']).catch(() => false))) return unpinned('no taskset');
  return {
    measured: ['taskset', '-c', '0'],
    load: ['taskset', '-c', '1'],
    description: 'proxies on processor 0; API server, etcd and clients on processor 1',
  };
}

/** Moves a running process, with all its threads, to where the load is. */
export async function pinToLoad(pinning: Pinning, pid: number): Promise<void> {
  const processor = pinning.load[2];
  if (processor !== undefined) await run(['taskset', '-a', '-c', '-p', processor, String(pid)]);
}

function unpinned(why: string): Pinning {
  return { measured: [], load: [], description: `not pinned (${why}): proxies and load take each other's time` };
}
