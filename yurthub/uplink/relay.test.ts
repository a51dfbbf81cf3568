// A way to the API server through somebody nearby: sought when there is no other, end to end the API server's own TLS, and
// left when the node's own way works again.
import { once } from 'node:events';
import net from 'node:net';
import { TcpRelay } from '../../runtime/tcp-relay.ts';
import { FarEnd, hubRequest, issue, RecordedResponse, TestUplink, type FarHandler } from './far-end.ts';
import type { CloudAccess } from './hub-uplink.ts';
import type { RelayWay } from './relay.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

const handler: FarHandler = (request, response) => {
  if (request.url === '/large') response.end(Buffer.alloc(3 << 20, 'x'));
  else if (request.url === '/api/v1/pods?watch=true') response.write('event');
  else response.end('live');
};

interface Stage {
  readonly far: FarEnd;
  /** The node's own way. */
  readonly own: TcpRelay;
  readonly hub: TestUplink;
  readonly changes: CloudAccess[];
  /** Where the relay leads; 0: nowhere. */
  relayPort: number;
  readonly relayed: () => number;
  /** Whether the own way still counted as good when the relay was asked for, of each time. */
  readonly soughtWithOwn: boolean[];
}

async function stage(settings: ConstructorParameters<typeof TestUplink>[1] = {}, isOpen = true): Promise<Stage> {
  const far = await FarEnd.start(handler);
  closers.push(() => far.close());
  const own = new TcpRelay({ host: '127.0.0.1', port: far.port }, { port: 0 });
  await own.listen();
  closers.push(() => own.close());
  let relayed = 0;
  const soughtWithOwn: boolean[] = [];
  let relayPort = isOpen ? far.port : 0;
  const relay: RelayWay = {
    get isOpen() {
      return relayPort !== 0;
    },
    open: async (target) => {
      expect(target).toMatchObject({ host: '127.0.0.1', port: own.port });
      soughtWithOwn.push(hub.uplink.access.own);
      if (relayPort === 0) throw new Error('no peer has a way out');
      const socket = net.connect({ host: '127.0.0.1', port: relayPort, noDelay: true });
      await once(socket, 'connect');
      relayed += 1;
      return socket;
    },
  };
  const hub = await new TestUplink(
    [`https://127.0.0.1:${own.port}`],
    // Silence is the reason only where a test wants it to be, however slow this machine is.
    {
      ownWaySteady: { steadyMinMs: 100, steadyMaxMs: 100 },
      pingTimeoutWithRelayMs: 60_000,
      ...settings,
    },
    undefined,
    relay,
  ).start();
  closers.push(() => hub.stop());
  const changes: CloudAccess[] = [];
  hub.uplink.onAccessChange((access) => changes.push(access));
  return {
    far,
    own,
    hub,
    changes,
    get relayPort() {
      return relayPort;
    },
    set relayPort(port) {
      relayPort = port;
    },
    relayed: () => relayed,
    soughtWithOwn,
  };
}

async function ask(hub: TestUplink, target = '/a', kind: 'node' | 'bearer' = 'node'): Promise<string> {
  const response = new RecordedResponse();
  await hub.uplink.forward(hubRequest(target, { kind }), response);
  return response.text;
}

async function access(hub: TestUplink, wanted: CloudAccess): Promise<void> {
  const holds = (): boolean => hub.uplink.access.own === wanted.own && hub.uplink.access.reachable === wanted.reachable;
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test.each(['refuse', 'blackhole'] as const)(
  '%s: requests go through the relay, and back when the own way works',
  async (fault) => {
    const { own, hub, changes, relayed } = await stage(fault === 'blackhole' ? { pingTimeoutWithRelayMs: 1_000 } : {});
    expect(await ask(hub)).toBe('live');
    expect(relayed()).toBe(0);
    await own.cut(fault);
    // A request that is under way shows the silence.
    const underWay = fault === 'blackhole' ? ask(hub).catch(() => undefined) : undefined;
    await access(hub, { reachable: true, own: false });
    await underWay;
    // That it can be reached is said when it has been proved, and not before. A black hole may be bridged before it counts as a loss:
    // the relay is sought when a ping is late.
    const lost = { reachable: false, own: false };
    const found = { reachable: true, own: false };
    const ways = fault === 'refuse' ? [[lost, found]] : [[lost, found], [found]];
    expect(ways).toContainEqual(changes.slice(0, changes.findIndex(({ reachable }) => reachable) + 1));
    expect(await ask(hub)).toBe('live');
    expect(await ask(hub, '/a', 'bearer')).toBe('live');
    expect((await ask(hub, '/large')).length).toBe(3 << 20);
    expect(await hub.metric('holdfast_yurthub_cloud_relayed')).toBe(1);
    await own.heal();
    await access(hub, { reachable: true, own: true });
    // Once that has proved steady, nothing goes through the relay any more.
    await hub.metricIs('holdfast_yurthub_cloud_relayed', 0);
    const before = relayed();
    for (let count = 0; count < 5; count += 1) expect(await ask(hub)).toBe('live');
    expect(relayed()).toBe(before);
    await own.cut('refuse');
    await access(hub, { reachable: true, own: false });
    expect(relayed()).toBeGreaterThan(before);
  },
);

test('a watch through the relay ends when the own way is steady, so that it goes on there', async () => {
  const { own, hub } = await stage();
  await own.cut('refuse');
  await access(hub, { reachable: true, own: false });
  const signal = new AbortController().signal;
  const watch = await hub.uplink.stream({
    method: 'GET',
    target: '/api/v1/pods?watch=true',
    headers: {},
    lane: 'node',
    signal,
  });
  const ended = (async (): Promise<string> => {
    try {
      for await (const chunk of watch.body) if (chunk.toString() !== 'event') return 'other';
      return 'clean end';
    } catch (error) {
      return (error as { code: string }).code;
    }
  })();
  await own.heal();
  expect(await ended).toBe('ERR_CLOUD_UNREACHABLE');
});

test('a relay that leads to somebody who is not the API server is no way', async () => {
  const impostor = await FarEnd.start(handler, { ...issue('kube-apiserver', 'client') });
  closers.push(() => impostor.close());
  const made = await stage();
  made.relayPort = impostor.port;
  await made.own.cut('refuse');
  await made.hub.cloud(false);
  while (made.relayed() < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(made.hub.uplink.access).toEqual({ reachable: false, own: false });
  expect(impostor.clients).toEqual([]);
  made.relayPort = made.far.port;
  await access(made.hub, { reachable: true, own: false });
});

test('a relay that is lost is sought again, and the cloud is not reachable meanwhile', async () => {
  const made = await stage();
  const near = new TcpRelay({ host: '127.0.0.1', port: made.far.port }, { port: 0 });
  await near.listen();
  closers.push(() => near.close());
  made.relayPort = near.port;
  await made.own.cut('refuse');
  await access(made.hub, { reachable: true, own: false });
  await near.cut('refuse');
  await made.hub.cloud(false);
  await near.heal();
  await access(made.hub, { reachable: true, own: false });
  expect(await ask(made.hub)).toBe('live');
});

test('with a relay at hand a silent way is known soon, though nobody asks for anything', async () => {
  const { own, hub } = await stage({ idlePingMs: 60_000, idlePingWithRelayMs: 50, pingTimeoutWithRelayMs: 1_000 });
  expect(await ask(hub)).toBe('live');
  await own.cut('blackhole');
  await access(hub, { reachable: true, own: false });
});

test('the relay is sought when a ping is late, before it is overdue', async () => {
  const { own, hub, soughtWithOwn } = await stage({ idlePingWithRelayMs: 50, pingTimeoutWithRelayMs: 1_000 });
  // Over a session, which is what pings go over.
  expect(await ask(hub, '/api/v1/pods?watch=1')).toBe('live');
  await own.cut('blackhole');
  await access(hub, { reachable: true, own: false });
  expect(soughtWithOwn[0]).toBe(true);
});

test('so it is when the relay was not at hand from the start', async () => {
  const soon = { idlePingMs: 60_000, idlePingWithRelayMs: 50, pingTimeoutWithRelayMs: 1_000 };
  const made = await stage(soon, false);
  expect(await ask(made.hub)).toBe('live');
  made.relayPort = made.far.port;
  await made.own.cut('blackhole');
  await access(made.hub, { reachable: true, own: false });
});

test('without a relay at hand the own way is sought as ever', async () => {
  const made = await stage();
  made.relayPort = 0;
  await made.own.cut('refuse');
  await made.hub.cloud(false);
  await made.own.heal();
  await access(made.hub, { reachable: true, own: true });
  expect(await ask(made.hub)).toBe('live');
});
