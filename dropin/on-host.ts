// The part of `holdfast convert --node` that runs on the node, in a pod of the release's image: puts the image's archive where the host
// sees it, and runs the command there, as an administrator of the host would. The pod's spec is in fleet/node-pod.ts.
import { spawn } from 'node:child_process';
import { cp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { Outcome } from './outcome.ts';
import { packOutcome } from './pod-outcome.ts';

/** In the container: the host's root. */
export const hostRoot = '/host';
/**
 * As the host's programs see it there: a volume of the pod's own, over the host's /var/tmp, which every host has and no service needs. The
 * kubelet takes it away with the pod, so that nothing is left on the host, however the pod ends.
 */
export const stageFolder = '/var/tmp';
/** Where the kubelet looks for it by default. */
const messageFile = '/dev/termination-log';
const maxOutputBytes = 1 << 20;

export interface OnHostSettings {
  /** The folder of the archive in the image. */
  readonly archive: string;
  readonly root: string;
  readonly messageFile: string;
  /** How the host is entered; the image has no other program. */
  readonly chroot: string;
}

export const onHostDefaults = { root: hostRoot, messageFile, chroot: '/usr/sbin/chroot' } as const;

/**
 * Runs `holdfast ARGS` on the host. What it says on standard error goes to `say`, which is the container's log; its outcome becomes the container's
 * message. Gives its exit status. When `signal` aborts the command is told so, and is waited for: it takes back what it did.
 */
export async function runOnHost(
  settings: OnHostSettings,
  args: readonly string[],
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<number> {
  const { archive, root } = settings;
  const stage = path.join(stageFolder, 'holdfast');
  const target = path.join(root, stage);
  await rm(target, { recursive: true, force: true }); // of a container that was killed
  await cp(archive, target, { recursive: true, verbatimSymlinks: true });
  const { code, output } = await onHost(settings, [`${stage}/bin/holdfast`, ...args, '--output', 'json'], say, signal);
  const outcome = outcomeOf(output);
  // Without one the last lines of the log become the message (terminationMessagePolicy).
  if (outcome !== undefined) await writeFile(settings.messageFile, packOutcome(outcome));
  return code;
}

function onHost(
  { root, chroot }: OnHostSettings,
  argv: readonly string[],
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(chroot, [root, ...argv], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        HOME: '/root',
        // This is the host's root, though systemctl might think that it is a folder in which some system is being made.
        SYSTEMD_IGNORE_CHROOT: '1',
      },
    });
    const stop = (): void => void child.kill('SIGTERM');
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < maxOutputBytes) output += text;
    });
    createInterface({ input: child.stderr }).on('line', say);
    child.once('error', (error) => {
      signal.removeEventListener('abort', stop);
      reject(error);
    });
    child.once('close', (code) => {
      signal.removeEventListener('abort', stop);
      resolve({ code: code ?? 1, output });
    });
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
}

function outcomeOf(output: string): Outcome | undefined {
  try {
    return JSON.parse(output) as Outcome;
  } catch {
    return undefined; // it ended before it had one, and said why in the log
  }
}
