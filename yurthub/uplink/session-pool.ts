// The HTTP/2 sessions to one API server in one lane. An API server allows 100 streams per connection; the next
// session is opened when those are taken.
import { abortable } from './abortable.ts';
import type { StreamSession } from './stream-session.ts';

export class SessionPool {
  readonly #dial: () => Promise<StreamSession>;
  readonly #sessions = new Set<StreamSession>();
  #dialling: Promise<StreamSession> | undefined;
  #destroyed = false;

  /** `dial` opens a session with the present credentials. */
  constructor(dial: () => Promise<StreamSession>) {
    this.#dial = dial;
  }

  get sessions(): ReadonlySet<StreamSession> {
    return this.#sessions;
  }

  /** Lets `start` use a session with room. Rejects with the error of dialling, with the signal's reason, or with what `start` throws. */
  async use<T>(start: (session: StreamSession) => T, signal: AbortSignal): Promise<T> {
    for (;;) {
      signal.throwIfAborted();
      for (const session of this.#sessions) if (session.usable) return start(session);
      await abortable(this.open(), signal);
    }
  }

  /** Whether there is a session with room. */
  get usable(): boolean {
    for (const session of this.#sessions) if (session.usable) return true;
    return false;
  }

  /** Opens one more session; callers at the same time get the same one. */
  open(): Promise<StreamSession> {
    this.#dialling ??= this.#dial()
      .then((session) => {
        this.adopt(session);
        return session;
      })
      .finally(() => void (this.#dialling = undefined));
    return this.#dialling;
  }

  /** Takes over a session that was opened elsewhere, by a probe. */
  adopt(session: StreamSession): void {
    // Was ready in the moment of the end: nobody would close it any more.
    if (this.#destroyed) session.destroy();
    this.#sessions.add(session);
    session.onClose(() => this.#sessions.delete(session));
  }

  drain(): void {
    for (const session of this.#sessions) session.drain();
  }

  /** Ends every session; the next request opens one anew. */
  leave(): void {
    for (const session of this.#sessions) session.destroy();
  }

  destroy(): void {
    this.#destroyed = true;
    for (const session of this.#sessions) session.destroy();
  }
}
