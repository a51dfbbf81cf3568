// The HTTP/2 sessions to one API server in one lane. An API server allows 100 streams per connection; the next
// session is opened when those are taken.
import type http2 from 'node:http2';
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

  /** A request on a session with room. Rejects with the error of dialling, or with the signal's reason. */
  async request(
    headers: http2.OutgoingHttpHeaders,
    signal: AbortSignal,
    body?: Buffer,
  ): Promise<http2.ClientHttp2Stream> {
    for (;;) {
      signal.throwIfAborted();
      for (const session of this.#sessions) if (session.usable) return session.request(headers, body);
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
