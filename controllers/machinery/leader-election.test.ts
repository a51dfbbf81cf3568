import { Metrics } from '../../runtime/metrics.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { ApiError, ApiUnreachableError } from './errors.ts';
import { electionDefaults, LeaderElection } from './leader-election.ts';
import { MachineryMetrics } from './metrics.ts';
import type { ApiObject } from './resource.ts';

type Api = ConstructorParameters<typeof LeaderElection>[0]['api'];
interface Lease extends ApiObject {
  readonly spec: { readonly holderIdentity: string; readonly leaseTransitions: number };
}

/** One Lease with optimistic locking, as the API server keeps it. */
class LeaseServer implements Api {
  lease: ApiObject | undefined;
  reachable = true;
  #version = 0;

  async get<T extends ApiObject>(): Promise<T | undefined> {
    this.#check();
    return this.lease as T | undefined;
  }

  async create<T extends ApiObject>(_resource: unknown, object: unknown): Promise<T> {
    this.#check();
    if (this.lease !== undefined) throw new ApiError('exists', 409, 'AlreadyExists');
    return this.#store(object as ApiObject) as T;
  }

  async replace<T extends ApiObject>(_resource: unknown, object: T): Promise<T> {
    this.#check();
    if (object.metadata.resourceVersion !== this.lease?.metadata.resourceVersion)
      throw new ApiError('changed', 409, 'Conflict');
    return this.#store(object) as T;
  }

  #check(): void {
    if (!this.reachable) throw new ApiUnreachableError('cut');
  }

  #store(object: ApiObject): ApiObject {
    this.#version += 1;
    this.lease = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } };
    return this.lease;
  }
}

class Replica {
  readonly log: string[];
  readonly stop = new AbortController();
  readonly ended: Promise<void>;
  leading = 0;

  constructor(identity: string, api: Api, clock: ManualClock, log: string[]) {
    this.log = log;
    const parts = { api, clock, log: nullLog, metrics: new MachineryMetrics(new Metrics()), random: () => 0 };
    const lease = { namespace: 'kube-system', name: 'holdfast-controllers' };
    const election = new LeaderElection(parts, { lease, identity, ...electionDefaults });
    this.ended = election.run(this.stop.signal, async (signal) => {
      log.push(`${identity} begins`);
      this.leading += 1;
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      this.leading -= 1;
      log.push(`${identity} ends`);
    });
  }
}

/** Lets `ms` pass in small steps; between them, what was asked of the server is answered. */
async function pass(clock: ManualClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    clock.advance(500);
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  }
}

let clock: ManualClock;
let server: LeaseServer;
let log: string[];
let replicas: Replica[];

beforeEach(() => {
  clock = new ManualClock();
  server = new LeaseServer();
  log = [];
  replicas = [];
});

afterEach(async () => {
  for (const { stop } of replicas) stop.abort();
  await pass(clock, 5_000);
  await Promise.all(replicas.map(({ ended }) => ended));
});

async function start(identity: string, api: Api = server): Promise<Replica> {
  const replica = new Replica(identity, api, clock, log);
  replicas.push(replica);
  await pass(clock, 500);
  return replica;
}

test('one of two leads; told to stop it ends its work first, releases the Lease, and the other begins within seconds', async () => {
  const a = await start('a');
  await start('b');
  await pass(clock, 60_000);
  expect(log).toEqual(['a begins']);
  a.stop.abort();
  await pass(clock, 3_000);
  expect(log).toEqual(['a begins', 'a ends', 'b begins']);
  await a.ended;
  expect((server.lease as Lease).spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
});

test('a leader that cannot renew stops by itself before another may begin', async () => {
  const link = {
    up: true,
    through: <T>(action: () => Promise<T>): Promise<T> =>
      link.up ? action() : Promise.reject(new ApiUnreachableError('cut')),
  };
  const cutApi: Api = {
    get: <T extends ApiObject>() => link.through(() => server.get<T>()),
    create: <T extends ApiObject>(r: never, o: never) => link.through(() => server.create<T>(r, o)),
    replace: <T extends ApiObject>(r: never, o: T) => link.through(() => server.replace<T>(r, o)),
  };
  await start('a', cutApi);
  await start('b');
  await pass(clock, 10_000);
  link.up = false;
  await pass(clock, 30_000);
  expect(log).toEqual(['a begins', 'a ends', 'b begins']);
  link.up = true;
  await pass(clock, 30_000);
  expect(log).toEqual(['a begins', 'a ends', 'b begins']);
});

test('a holder that vanished is replaced after its lease time, by this clock and not by the times that it wrote', async () => {
  const other = { holderIdentity: 'gone', leaseDurationSeconds: 15, renewTime: '2001-01-01T00:00:00.000000Z' };
  await server.create(undefined, { metadata: { name: 'holdfast-controllers' }, spec: other });
  await start('a');
  await pass(clock, 14_000);
  expect(log).toEqual([]);
  await pass(clock, 4_000);
  expect(log).toEqual(['a begins']);
});

test('when the API server goes away for long, leadership ends and is taken up again when it is back', async () => {
  await start('a');
  server.reachable = false;
  await pass(clock, 60_000);
  expect(log).toEqual(['a begins', 'a ends']);
  server.reachable = true;
  await pass(clock, 5_000);
  expect(log).toEqual(['a begins', 'a ends', 'a begins']);
});
