// Single requests of this process, for the measurements of outages: when did the first answer come that …
import { readFileSync } from 'node:fs';
import https from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClientFiles, Way } from './ways.ts';

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export interface AskOptions {
  readonly timeoutMs: number;
  readonly agent?: https.Agent;
}

/** One GET in JSON. Rejects when there is no whole answer. */
export function ask(way: Way, client: ClientFiles, path: string, options: AskOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = https.get(
      `${way.url}${path}`,
      { ...credentials(way, client), agent: options.agent ?? false, headers: { accept: 'application/json' } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
      },
    );
    request.setTimeout(options.timeoutMs, () => request.destroy(new Error(`GET ${path}: no answer`)));
    request.on('error', reject);
  });
}

/** Asks until `isGood`, and returns how long after `since` (performance.now) the good answer was whole. */
export async function untilAnswer(
  question: () => Promise<Answer>,
  isGood: (answer: Answer) => boolean,
  since: number,
  options: { readonly what: string; readonly deadlineMs: number; readonly signal: AbortSignal },
): Promise<number> {
  let last = '';
  while (performance.now() - since < options.deadlineMs) {
    try {
      const answer = await question();
      if (isGood(answer)) return performance.now() - since;
      last = `${answer.status} ${answer.body.slice(0, 300)}`;
    } catch (error) {
      last = String(error);
    }
    await delay(5, undefined, { signal: options.signal });
  }
  throw new Error(`${options.what}: not within ${options.deadlineMs} ms; last: ${last}`);
}

/** A watch in JSON that notes what comes. */
export class WatchProbe implements Disposable {
  readonly #request: ReturnType<typeof https.get>;
  readonly #waiting = new Map<string, (at: number) => void>();
  #opened: Promise<void>;

  constructor(way: Way, client: ClientFiles, path: string) {
    const opened = Promise.withResolvers<void>();
    this.#opened = opened.promise;
    this.#opened.catch(() => undefined); // seen by those who wait for it
    this.#request = https.get(
      `${way.url}${path}`,
      { ...credentials(way, client), agent: false, headers: { accept: 'application/json' } },
      (response) => {
        if (response.statusCode === 200) opened.resolve();
        else opened.reject(new Error(`watch ${path}: ${response.statusCode}`));
        let tail = '';
        response.setEncoding('utf8').on('data', (text: string) => {
          tail = (tail + text).slice(-65_536);
          for (const [mark, resolve] of this.#waiting) if (tail.includes(mark)) resolve(performance.now());
        });
        response.on('error', () => undefined); // an ended watch shows as an event that never comes
      },
    );
    this.#request.on('error', (error) => opened.reject(error));
  }

  async open(): Promise<void> {
    await this.#opened;
  }

  /** When (performance.now) the text was in an event; rejects after the deadline. */
  async saw(mark: string, deadlineMs: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.#waiting.set(mark, resolve);
    const timer = setTimeout(() => reject(new Error(`no event ${mark} within ${deadlineMs} ms`)), deadlineMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(mark);
    }
  }

  [Symbol.dispose](): void {
    this.#request.destroy();
  }
}

function credentials(way: Way, client: ClientFiles): https.RequestOptions {
  return {
    ca: readFileSync(way.caFile),
    cert: readFileSync(client.certificateFile),
    key: readFileSync(client.keyFile),
  };
}
