// kubeadm, as a machine that is to join has it.
import { spawn } from 'node:child_process';
import { open, readdir, readFile, unlink } from 'node:fs/promises';
import { DropInError } from './errors.ts';

export interface Kubeadm {
  /** Such as v1.34.4; undefined when there is none on the path. */
  version(): Promise<string | undefined>;
  /** Whether any runs on this machine, also one that outlives whoever started it. */
  isRunning(): Promise<boolean>;
  /** `configuration` holds a secret, which is on no disk and on no command line. Rejects with ERR_DROPIN_CALL, in kubeadm's words. */
  join(configuration: string, secret: string): Promise<void>;
  /** Takes away what a join left. Rejects with ERR_DROPIN_CALL. */
  reset(): Promise<void>;
}

const joinMs = 600_000;
const resetMs = 120_000;

export class KubeadmProgram implements Kubeadm {
  async version(): Promise<string | undefined> {
    return run(['version', '--output', 'short'], 10_000).then(
      (text) => text.trim(),
      () => undefined,
    );
  }

  async isRunning(): Promise<boolean> {
    const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
    const names = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => ''))); // it has ended
    return names.some((name) => name.trim() === 'kubeadm');
  }

  async join(configuration: string, secret: string): Promise<void> {
    // A file without a name, in memory: kubeadm opens its standard input anew, which it could not do with a socket.
    const name = `/run/holdfast-join-${process.pid}`;
    const handle = await open(name, 'wx', 0o600);
    try {
      await unlink(name);
      await handle.writeFile(configuration);
      await run(['join', '--config', '/dev/stdin'], joinMs, handle.fd);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      // Without the cause, in which the secret could stand.
      throw new DropInError('ERR_DROPIN_CALL', said.replaceAll(secret, '[token]'));
    } finally {
      await handle.close();
    }
  }

  async reset(): Promise<void> {
    await run(['reset', '--force'], resetMs);
  }
}

/** Standard output. No shell: each argument reaches kubeadm as it is. */
function run(args: readonly string[], timeoutMs: number, stdin?: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('kubeadm', args, { stdio: [stdin ?? 'ignore', 'pipe', 'pipe'], timeout: timeoutMs });
    const said = { out: '', err: '' };
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (said.out += text));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said.err += text));
    const fail = (why: string): void => reject(new DropInError('ERR_DROPIN_CALL', `kubeadm ${args[0]}: ${why}`));
    child.once('error', (error) => fail(error.message));
    child.once('close', (code) => {
      if (code === 0) resolve(said.out);
      else
        fail((said.err || said.out).trim().split('\n').slice(-12).join('\n') || `it ended with ${code ?? 'a signal'}`);
    });
  });
}
