// Says to the supervisor that the hub works: a request through the hub's own TLS listener to itself, then a touch of a file.
// A process that is stopped, or whose event loop hangs, lets the file grow old; one that no longer accepts connections, within a minute.
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { mkdir, open } from 'node:fs/promises';
import path from 'node:path';
import { delay, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { selfCheckPath } from './front.ts';
import type { HubCertificates } from './hub-ca.ts';

export interface HeartbeatParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly certificates: HubCertificates;
  /** Where the front listens; a beat is missed while there is no address. */
  readonly addresses: () => readonly AddressInfo[];
}

export interface HeartbeatSettings {
  readonly runDir: string;
  readonly periodMs: number;
  readonly timeoutMs: number;
  /** A connection serves so many beats; the next one shows that the front still accepts connections. */
  readonly beatsPerConnection: number;
}

export const heartbeatDefaults = { periodMs: 2_000, timeoutMs: 5_000, beatsPerConnection: 15 } as const;

export class Heartbeat {
  readonly #parts: HeartbeatParts;
  readonly #settings: HeartbeatSettings;
  #connection: https.Agent | undefined;
  #beats = 0;

  constructor(parts: HeartbeatParts, settings: HeartbeatSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /** Beats until `signal` aborts. Never rejects: a beat that fails is logged and missed. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.beat(signal).catch((error: unknown) => {
        if (!signal.aborted) this.#parts.log.warn('heartbeat missed', { error: String(error) });
      });
      await delay(this.#parts.clock, this.#settings.periodMs, signal);
    }
    this.close();
  }

  /** Closes the connection; the next beat makes a new one. */
  close(): void {
    this.#connection?.destroy();
    this.#connection = undefined;
    this.#beats = 0;
  }

  /** One request and one touch of `runDir/heartbeat`. */
  async beat(signal: AbortSignal): Promise<void> {
    const address = this.#parts.addresses()[0];
    if (address === undefined) throw new Error('the front does not listen');
    if (this.#beats >= this.#settings.beatsPerConnection) this.close();
    this.#beats += 1;
    try {
      await this.#ask(address, signal);
    } catch (error) {
      this.close();
      throw error;
    }
    await mkdir(this.#settings.runDir, { recursive: true });
    const file = await open(path.join(this.#settings.runDir, 'heartbeat'), 'a');
    try {
      // Only that it changes counts: the supervisor compares no clocks, since a node's may jump by hours.
      const now = new Date(this.#parts.clock.wallMs());
      await file.utimes(now, now);
    } finally {
      await file.close();
    }
  }

  #ask(address: AddressInfo, signal: AbortSignal): Promise<void> {
    const { certificates, clock } = this.#parts;
    // Not one for each beat: both ends of it are here, and what a TLS connection leaves behind waits for a full collection.
    const agent = (this.#connection ??= new https.Agent({
      keepAlive: true,
      maxSockets: 1,
      ca: certificates.caCertificate,
      cert: certificates.localClient.certificate,
      key: certificates.localClient.key,
    }));
    return new Promise((resolve, reject) => {
      const request = https.get({ host: address.address, port: address.port, path: selfCheckPath, agent });
      const timer = clock.after(this.#settings.timeoutMs, () => request.destroy(new Error('no answer in time')));
      const stop = (): void => void request.destroy(new Error('stopped'));
      signal.addEventListener('abort', stop, { once: true });
      request.on('response', (response) => {
        response.resume();
        if (response.statusCode !== 200) reject(new Error(`answered ${response.statusCode}`));
      });
      request.on('error', reject);
      request.on('close', () => {
        timer.cancel();
        signal.removeEventListener('abort', stop);
        resolve();
      });
    });
  }
}
