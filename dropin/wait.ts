// Waiting with a limit, and saying what for: nothing that takes longer than two seconds is silent.
import { DropInError } from './errors.ts';
import type { Host } from './host.ts';

export interface Progress {
  begin(title: string): void;
  /** The last one that began has ended well. */
  end(): void;
  /** What is waited for, said while it takes time. */
  waiting(what: string, why: string, waitedMs: number): void;
}

const pauseMs = 100;
const sayEveryMs = 2_000;

/**
 * Until `probe` gives undefined; its text says what is not yet so. A probe that rejects says so by its message: what is being
 * restarted may refuse a call. Rejects with ERR_DROPIN_CALL after `timeoutMs`.
 */
export async function waitUntil(
  host: Pick<Host, 'now' | 'sleep'>,
  progress: Progress,
  what: string,
  timeoutMs: number,
  probe: () => Promise<string | undefined>,
): Promise<void> {
  const started = host.now();
  let said = started;
  for (;;) {
    const why = await probe().catch((error: unknown) => {
      if (error instanceof DropInError && error.code === 'ERR_DROPIN_CALL') return error.message;
      throw error;
    });
    if (why === undefined) return;
    const now = host.now();
    if (now - started >= timeoutMs)
      throw new DropInError('ERR_DROPIN_CALL', `${what}: not within ${Math.round(timeoutMs / 1000)} s: ${why}`);
    if (now - said >= sayEveryMs) {
      said = now;
      progress.waiting(what, why, now - started);
    }
    await host.sleep(pauseMs);
  }
}
