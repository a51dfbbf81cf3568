// The hub's address on the node that pods can reach too: a link-local address on `lo`, the same on every node. It is never
// removed: pods go on using it while the hub restarts.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Log } from '../../runtime/log.ts';

export const linkLocalAddress = '169.254.2.1';

/** Runs a program with arguments, never through a shell. Rejects when it fails. */
export type RunProgram = (file: string, args: readonly string[]) => Promise<unknown>;

export const runProgram: RunProgram = async (file, args) =>
  await promisify(execFile)(file, [...args], { timeout: 5_000 });

/** Adds the address if it is not there. Never rejects: without it the other listeners serve, and the log says so. */
export async function ensureLinkLocal(parts: { readonly log: Log; readonly run: RunProgram }): Promise<boolean> {
  try {
    // `replace` succeeds where the address exists already.
    await parts.run('ip', ['address', 'replace', `${linkLocalAddress}/32`, 'dev', 'lo', 'scope', 'host']);
    return true;
  } catch (error) {
    parts.log.warn('the link-local address cannot be added: pods will not reach the hub', {
      address: linkLocalAddress,
      error: error instanceof Error ? error.message : String(error),
    });
    return false;
  }
}
