import { X509Certificate } from 'node:crypto';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { ApiError } from '../machinery/errors.ts';
import type { Collection } from '../machinery/informer.ts';
import type { ApiObject } from '../machinery/resource.ts';
import { SimulatedApi } from '../machinery/simulated-api.testing.ts';
import type { ControllerParts } from '../registry.ts';
import { tunnelCertificates, type KeptPair } from './certificates.ts';
import { authorityName, namespace, pairData, pairOf, serverName } from './secrets.ts';
import { secretResource, tunnelCertificateController } from './tunnel-certificate.ts';

const { signal } = new AbortController();
const day = 86_400_000;
const names = ['holdfast-tunnel-server', 'tunnel.example.com', '10.0.0.1', 'fd00::1'];

class Bench {
  readonly api = new SimulatedApi();
  readonly clock = new ManualClock();
  readonly metrics = new Metrics();
  readonly told: string[] = [];
  readonly made = tunnelCertificates({ authority: undefined, server: undefined }, names, this.now);
  readonly controller;

  constructor() {
    const informers = {
      of: (collection: Collection<ApiObject>) => this.api.objects(collection.resource, collection.indexes ?? {}),
    };
    const recorder = { record: (_r: unknown, _o: unknown, _t: string, reason: string) => void this.told.push(reason) };
    const api = Object.assign(this.api, {
      get: async (_resource: unknown, name: { name: string; namespace: string }) =>
        this.api.objects<ApiObject, never>(secretResource, {}).get(name),
    });
    const parts = { api, clock: this.clock, informers, recorder, metrics: this.metrics };
    this.controller = tunnelCertificateController(parts as unknown as ControllerParts);
  }

  get now(): Date {
    return new Date(this.clock.wallMs());
  }

  put(name: string, pair: KeptPair): void {
    const type = 'kubernetes.io/tls';
    this.api.put(secretResource, { metadata: { namespace, name }, type, data: pairData(pair) });
  }

  get server(): KeptPair {
    const secret = this.api.objects<ApiObject & { data: Record<string, string> }, never>(secretResource, {});
    return pairOf(secret.get({ namespace, name: serverName }))!;
  }

  reconcile() {
    return this.controller.reconcile(serverName, signal);
  }
}

let bench: Bench;
beforeEach(() => {
  bench = new Bench();
  bench.put(authorityName, bench.made.authority);
  bench.put(serverName, bench.made.server);
});

test('a certificate in its first half stays, and is looked at again every day', async () => {
  expect(await bench.reconcile()).toEqual({ againAfterMs: day });
  bench.clock.advance(182 * day);
  const { againAfterMs } = (await bench.reconcile()) as { againAfterMs: number };
  expect(againAfterMs).toBeLessThan(day);
  expect(bench.api.writes).toEqual([]);
  expect(bench.server).toEqual(bench.made.server);
});

test('in its second half it is made anew for the same names, by the same authority, and then left alone', async () => {
  bench.clock.advance(184 * day);
  await bench.reconcile();
  const certificate = new X509Certificate(bench.server.certificate);
  const authority = new X509Certificate(bench.made.authority.certificate);
  expect(certificate.checkIssued(authority) && certificate.verify(authority.publicKey)).toBe(true);
  expect(certificate.validToDate.getTime() - bench.clock.wallMs()).toBeGreaterThan(364 * day);
  expect([certificate.checkHost('tunnel.example.com'), certificate.checkIP('10.0.0.1'), certificate.checkIP('fd00::1')]) //
    .toEqual(['tunnel.example.com', '10.0.0.1', 'fd00::1']);
  await bench.reconcile();
  expect(bench.api.writes).toEqual([`update secrets/${namespace}/${serverName}`]);
  expect(bench.told).toEqual(['Renewed']);
  const shown = await bench.metrics.text();
  expect(shown).toContain(
    `holdfast_controllers_tunnel_certificate_expiry_seconds ${certificate.validToDate.getTime() / 1_000}`,
  );
});

test('whoever was faster has the last word', async () => {
  bench.clock.advance(184 * day);
  const other = tunnelCertificates({ ...bench.made, server: undefined }, names, bench.now).server;
  bench.api.beforeWrite = () => bench.put(serverName, other);
  await expect(bench.reconcile()).rejects.toThrow(ApiError);
  expect(bench.server).toEqual(other);
});

test('without the authority, or with what is no certificate, people are told and nothing is written', async () => {
  bench.clock.advance(184 * day);
  bench.api.delete(secretResource, { namespace, name: authorityName });
  expect(await bench.reconcile()).toEqual({ againAfterMs: day });
  bench.put(serverName, { certificate: 'x', key: 'y' });
  expect(await bench.reconcile()).toEqual({ againAfterMs: day });
  bench.api.delete(secretResource, { namespace, name: serverName });
  expect(await bench.reconcile()).toEqual({});
  expect(bench.told).toEqual(['NoAuthority', 'CertificateUnreadable']);
  expect(bench.api.writes).toEqual([]);
});
