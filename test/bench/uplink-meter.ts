// A relay in front of the API server that counts what goes over the uplink, and what for. It ends TLS with a certificate of
// the test cluster's CA and goes on with the client's own identity, so that both sides send what they send without it.
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';
import type { PemPair } from '../cluster/certificates.ts';
import { Http1Traffic, Http2Traffic, noTraffic, trafficKinds } from './http-traffic.ts';
import type { Traffic, TrafficCounter } from './http-traffic.ts';
import type { ClientFiles, Way } from './ways.ts';

export interface UplinkUse {
  /** All bytes both ways, as TCP carries them: TLS included, TCP and IP not. */
  readonly bytes: number;
  /** Plain bytes by what they were for; what `bytes` has besides is TLS. */
  readonly traffic: Traffic;
  /** That were opened. */
  readonly connections: number;
}

export class UplinkMeter implements AsyncDisposable {
  readonly #to: Way;
  readonly #identity: ClientFiles;
  readonly #outer: net.Server;
  readonly #inner: tls.Server;
  readonly #sockets = new Set<Socket>();
  readonly #counters = new Set<TrafficCounter>();
  #traffic = noTraffic();
  #bytes = 0;
  #connections = 0;

  private constructor(to: Way, identity: ClientFiles, serving: PemPair) {
    this.#to = to;
    this.#identity = identity;
    this.#outer = net.createServer({ noDelay: true }, (near) => this.#count(near));
    this.#inner = tls.createServer(
      {
        cert: serving.certificate,
        key: serving.key,
        // As kube-apiserver: asks for a certificate; who sends one is believed, since who is asked next is the API server.
        requestCert: true,
        rejectUnauthorized: false,
        ALPNProtocols: ['h2', 'http/1.1'],
      },
      (near) => this.#pass(near),
    );
    this.#inner.on('tlsClientError', () => undefined); // the client says what was wrong
  }

  /** Counts what goes to `to` as `identity`. Whoever starts it ends it. */
  static async start(to: Way, identity: ClientFiles, serving: PemPair): Promise<UplinkMeter> {
    const meter = new UplinkMeter(to, identity, serving);
    for (const server of [meter.#outer, meter.#inner]) await once(server.listen(0, '127.0.0.1'), 'listening');
    return meter;
  }

  get way(): Way {
    return { ...this.#to, url: `https://127.0.0.1:${portOf(this.#outer)}` };
  }

  /** What went over it since the last time. */
  take(): UplinkUse {
    for (const counter of this.#counters) this.#add(counter);
    const use = { bytes: this.#bytes, traffic: this.#traffic, connections: this.#connections };
    this.#traffic = noTraffic();
    this.#bytes = this.#connections = 0;
    return use;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = [this.#outer, this.#inner].map((server) => once(server.close(), 'close'));
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(closed);
  }

  #count(near: Socket): void {
    this.#connections += 1;
    const inner = net.connect({ host: '127.0.0.1', port: portOf(this.#inner), noDelay: true });
    for (const socket of [near, inner]) socket.on('data', (chunk: Buffer) => void (this.#bytes += chunk.length));
    this.#join(near, inner);
  }

  #pass(near: tls.TLSSocket): void {
    const { hostname, port } = new URL(this.#to.url);
    const far = tls.connect({
      host: hostname,
      port: Number(port),
      ca: readFileSync(this.#to.caFile),
      cert: readFileSync(this.#identity.certificateFile),
      key: readFileSync(this.#identity.keyFile),
      ALPNProtocols: [near.alpnProtocol || 'http/1.1'],
    });
    const counter = near.alpnProtocol === 'h2' ? new Http2Traffic(() => performance.now()) : new Http1Traffic();
    this.#counters.add(counter);
    near.on('data', (chunk: Buffer) => counter.fromClient(chunk));
    far.on('data', (chunk: Buffer) => counter.fromServer(chunk));
    near.once('close', () => {
      this.#add(counter);
      this.#counters.delete(counter);
    });
    this.#join(near, far);
  }

  #join(near: Socket, far: Socket): void {
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.pipe(to);
      // The other side learns of it by 'close'.
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }

  #add(counter: TrafficCounter): void {
    const taken = counter.take();
    for (const kind of trafficKinds) this.#traffic[kind] += taken[kind];
  }
}

function portOf(server: net.Server): number {
  return (server.address() as AddressInfo).port;
}
