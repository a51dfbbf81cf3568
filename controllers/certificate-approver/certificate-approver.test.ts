// Requests, nodes and people in any order, and the approver killed or too late at any write: it approves what the rules approve and
// nothing else, in a bounded number of looks, and then writes nothing.
import fc from 'fast-check';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { ApiError } from '../machinery/errors.ts';
import type { Collection } from '../machinery/informer.ts';
import type { ApiObject } from '../machinery/resource.ts';
import { SimulatedApi } from '../machinery/simulated-api.testing.ts';
import { nodeResource, type Node } from '../nodes.ts';
import type { ControllerParts } from '../registry.ts';
import { certificateApprover, requestResource } from './certificate-approver.ts';
import { clientSigner, servingSigner, type CertificateSigningRequest } from './decision.ts';
import { nodeSubject, requestPem } from './request.testing.ts';

const { signal } = new AbortController();
const nodeNames = ['edge1', 'edge2'];
const address = (name: string): string => (name === 'edge1' ? '192.168.7.11' : '192.168.7.12');

/** Made once: each has a key of its own. */
const pems = new Map(
  nodeNames.flatMap((name) => [
    [`serving ${name}`, requestPem({ subject: nodeSubject(name), names: [name, address(name)] })] as const,
    [`client ${name}`, requestPem({ subject: nodeSubject(name) })] as const,
  ]),
);

class Killed extends Error {}

class Bench {
  readonly api = new SimulatedApi();
  readonly clock = new ManualClock();
  readonly told: string[] = [];
  readonly approver;
  #names = 0;

  constructor() {
    const informers = {
      of: (collection: Collection<ApiObject>) => this.api.objects(collection.resource, collection.indexes ?? {}),
    };
    const recorder = { record: (_r: unknown, _o: unknown, _t: string, reason: string) => void this.told.push(reason) };
    const parts = { api: this.api, clock: this.clock, informers, recorder } as unknown as ControllerParts;
    this.approver = certificateApprover(parts);
  }

  get requests(): readonly CertificateSigningRequest[] {
    return this.api.objects<CertificateSigningRequest, never>(requestResource, {}).list();
  }

  ask(by: string, kind: 'serving' | 'client', subject: string): void {
    this.#names += 1;
    this.api.put(requestResource, {
      metadata: { name: `csr-${this.#names}`, creationTimestamp: new Date(this.clock.wallMs()).toISOString() },
      spec: {
        request: Buffer.from(pems.get(`${kind} ${subject}`) ?? '').toString('base64'),
        signerName: kind === 'serving' ? servingSigner : clientSigner,
        username: by.startsWith('edge') ? `system:node:${by}` : by,
        groups: by.startsWith('edge') ? ['system:nodes', 'system:authenticated'] : ['system:authenticated'],
        usages: ['digital signature', kind === 'serving' ? 'server auth' : 'client auth'],
      },
    });
  }

  node(name: string, addresses: readonly string[]): void {
    const known = addresses.map((each) => ({ type: 'InternalIP', address: each }));
    this.api.put(nodeResource, {
      metadata: { name },
      spec: {},
      status: { addresses: known, conditions: [] },
    } as unknown as Node);
  }

  async round(): Promise<void> {
    for (const { metadata } of this.requests)
      await this.approver.reconcile(metadata.name, signal).catch((error: unknown) => {
        if (!(error instanceof Killed) && !(error instanceof ApiError)) throw error;
      });
    this.clock.advance(11_000);
  }
}

const asker = fc.constantFrom(...nodeNames, 'mallory');
const step = fc.oneof(
  fc.record({
    do: fc.constant('ask' as const),
    by: asker,
    kind: fc.constantFrom('serving' as const, 'client' as const),
    subject: fc.constantFrom(...nodeNames),
  }),
  fc.record({
    do: fc.constant('node' as const),
    name: fc.constantFrom(...nodeNames),
    has: fc.subarray(nodeNames.map(address)),
  }),
  fc.record({ do: fc.constant('no node' as const), name: fc.constantFrom(...nodeNames) }),
  fc.record({ do: fc.constant('judged by a person' as const), at: fc.nat(4), verdict: fc.boolean() }),
  fc.record({ do: fc.constant('round' as const), trouble: fc.constantFrom('none', 'killed', 'denied meanwhile') }),
);
type Happening = typeof step extends fc.Arbitrary<infer T> ? T : never;

test('whoever asks for what, whoever judges, and whenever it dies: only a node for itself, and what was denied stays denied', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (all) => {
      const bench = new Bench();
      const denied = new Set<string>();
      for (const each of all) await take(bench, each, denied);
      await bench.round();
      const before = bench.api.asked.length;
      await bench.round();
      expect(bench.api.asked.slice(before)).toEqual([]);
      expect(bench.requests.flatMap((request) => problemOf(request, denied))).toEqual([]);
    }),
    { numRuns: 200 },
  );
});

test('a request whose node has not its addresses yet is approved when they come, and nobody is told before it has waited', async () => {
  const bench = new Bench();
  bench.node('edge1', []);
  bench.ask('edge1', 'serving', 'edge1');
  expect(await bench.approver.reconcile('csr-1', signal)).toEqual({ againAfterMs: 10_000 });
  expect(bench.told).toEqual([]);
  bench.node('edge1', [address('edge1')]);
  await bench.approver.reconcile('csr-1', signal);
  expect(bench.requests[0]?.status?.conditions).toMatchObject([{ type: 'Approved' }]);
  expect(bench.told).toEqual(['Approved']);
});

/** What must not be of a request in the end. */
function problemOf({ metadata, spec, status }: CertificateSigningRequest, denied: ReadonlySet<string>): string[] {
  const conditions: readonly { readonly type: string; readonly reason?: string }[] = status?.conditions ?? [];
  const [condition] = conditions;
  if (denied.has(metadata.name)) return condition?.type === 'Denied' ? [] : [`${metadata.name} was denied`];
  const text = Buffer.from(spec.request, 'base64').toString();
  const [, subject = ''] = [...pems].find(([, pem]) => pem === text)?.[0].split(' ') ?? [];
  const byItself = spec.username === `system:node:${subject}`;
  if (condition?.reason?.startsWith('Holdfast') === true)
    return byItself ? [] : [`${metadata.name}: ${spec.username} got a certificate of ${subject}`];
  // A client certificate needs nothing but the node itself asking.
  const isDue = spec.signerName === clientSigner && byItself;
  return isDue && condition === undefined ? [`${metadata.name} waits in vain`] : [];
}

async function take(bench: Bench, happening: Happening, denied: Set<string>): Promise<void> {
  switch (happening.do) {
    case 'ask':
      bench.ask(happening.by, happening.kind, happening.subject);
      return;
    case 'node':
      bench.node(happening.name, happening.has);
      return;
    case 'no node':
      bench.api.delete(nodeResource, { name: happening.name });
      return;
    case 'judged by a person': {
      const request = bench.requests[happening.at];
      if (request === undefined || (request.status?.conditions ?? []).length > 0) return;
      judge(bench, request, happening.verdict ? 'Approved' : 'Denied', denied);
      return;
    }
    case 'round':
      bench.api.beforeWrite = (what) => {
        if (happening.trouble === 'killed') throw new Killed('killed');
        if (happening.trouble !== 'denied meanwhile') return;
        const request = bench.requests.find(({ metadata }) => what.includes(`/${metadata.name}/`));
        if (request !== undefined && (request.status?.conditions ?? []).length === 0)
          judge(bench, request, 'Denied', denied);
      };
      await bench.round();
      bench.api.beforeWrite = () => undefined;
  }
}

function judge(bench: Bench, request: CertificateSigningRequest, type: string, denied: Set<string>): void {
  const conditions = [{ type, status: 'True', reason: 'ByAPerson' }];
  bench.api.put(requestResource, { ...request, status: { ...request.status, conditions } });
  if (type === 'Denied') denied.add(request.metadata.name);
}
