// Nodes of one pool on addresses of loopback, with real sockets and certificates; only what the hub says is the test's.
import { once } from 'node:events';
import type net from 'node:net';
import { parseReport, type Report } from '../peers/report.ts';
import type { Endpoint } from '../runtime/settings.ts';
import { eventually, joinPool, PeerTest, type TestNode } from '../test/health/peer-test.ts';
import { authorityOf } from './relay-service.ts';

let test_: PeerTest;
beforeEach(() => (test_ = new PeerTest()));
afterEach(() => test_.close());

function reportOf({ name, health }: TestNode): Report {
  const parsed = parseReport(health.leaseAnnotation().text ?? '', name);
  if (!parsed.ok) throw new Error(`${parsed.problem}: ${parsed.detail}`);
  return parsed.report;
}

const stateOf = (observer: TestNode, peer: string): string | undefined =>
  reportOf(observer).peers.find(({ name }) => name === peer)?.state;

async function pool(targets: readonly Endpoint[] = []): Promise<[TestNode, TestNode, TestNode]> {
  const relayTargets = (): readonly Endpoint[] => targets;
  const nodes = [
    await test_.node('edge1', '127.0.0.11', { relayTargets }),
    await test_.node('edge2', '127.0.0.12', { relayTargets }),
    await test_.node('edge3', '127.0.0.13', { relayTargets }),
  ] as const;
  joinPool(nodes);
  for (const node of nodes)
    await eventually(
      `${node.name} sees the others`,
      () => reportOf(node).peers.filter(({ state }) => state === 'up').length === 2,
    );
  return [...nodes];
}

test('without a pool there is no port and no report', async () => {
  const node = await test_.node('edge1', '127.0.0.11');
  expect(node.health.leaseAnnotation()).toMatchObject({ key: 'holdfast.dev/peers', text: undefined });
  expect(node.health.address).toBeUndefined();
});

test('members of a pool see each other, and stop to when they are in it no more', async () => {
  const [one, two, three] = await pool();
  expect(reportOf(one)).toMatchObject({ reporter: 'edge1', pool: 'shop', cutSeconds: 0 });
  expect(
    reportOf(two)
      .peers.map(({ name }) => name)
      .sort(),
  ).toEqual(['edge1', 'edge3']);
  joinPool([one, two]);
  expect(reportOf(one).peers.map(({ name }) => name)).toEqual(['edge2']);
  three.hub.pool = undefined;
  await eventually('the port is closed', () => three.health.address === undefined);
  expect(three.health.leaseAnnotation().text).toBeUndefined();
});

test('each report is newer than the one before, and of this start', async () => {
  const [one] = await pool();
  const [first, second] = [reportOf(one), reportOf(one)];
  expect(second.seq).toBe(first.seq + 1);
  expect(second.boot).toBe(first.boot);
});

test('a kubelet that is not well makes its node sick', async () => {
  let status = 200;
  const kubeletHealth = await test_.kubelet(() => status);
  const nodes = [await test_.node('edge1', '127.0.0.11'), await test_.node('edge2', '127.0.0.12', { kubeletHealth })];
  joinPool(nodes);
  const [one] = nodes;
  await eventually('it is up', () => stateOf(one!, 'edge2') === 'up');
  status = 500;
  await eventually('it is sick', () => stateOf(one!, 'edge2') === 'sick');
});

test('a node whose hub has ended is a host that refuses, and up when it is back', async () => {
  const [one, two] = await pool();
  await two.stop();
  await eventually('a host', () => stateOf(one, 'edge2') === 'host');
  const again = await test_.node('edge2', '127.0.0.12');
  again.hub.pool = two.hub.pool;
  await eventually('up again', () => stateOf(one, 'edge2') === 'up');
});

test('an address where another node answers is no sign of the node that should be there', async () => {
  const [one] = await pool();
  const other = await test_.node('edge9', '127.0.0.19');
  other.hub.pool = one.hub.pool;
  joinPool([one, { ...other, name: 'edge4', address: '127.0.0.19' }]);
  const listening = await test_.node('edge9', '127.0.0.19', {
    listen: { host: '127.0.0.19', port: await test_.peerPort() },
  });
  listening.hub.pool = one.hub.pool;
  await eventually('somebody else', () => stateOf(one, 'edge4') === 'host');
});

test('a report says how its author knows its links to be: what arrived of its renewals, and of its probes', async () => {
  const [one] = await pool();
  const renewed = (): Report => {
    const { text, arrived } = one.health.leaseAnnotation();
    arrived();
    const parsed = parseReport(text ?? '', 'edge1');
    if (!parsed.ok) throw new Error(parsed.detail);
    return parsed.report;
  };
  for (let count = 0; count < 30; count += 1) renewed();
  expect(renewed().renewals.bad).toBe(0);
  // One that nobody has taken.
  one.health.leaseAnnotation();
  renewed();
  expect(renewed().renewals.bad).toBe(1);
  await eventually('probes are counted', () => renewed().peers.every(({ probes }) => probes.all > 2));
});

test('what was seen during a cut is told from what was seen since', async () => {
  const [one] = await pool();
  one.hub.cloud = { reachable: false, own: false };
  expect(reportOf(one).onlineSeconds).toBe(0);
  one.hub.cloud = { reachable: true, own: true };
  expect(reportOf(one)).toMatchObject({ onlineSeconds: 0, cutSeconds: 0 });
});

test('a node without a way out tells its peers of its pods, and nobody else', async () => {
  const [one, two] = await pool();
  const pods = [{ uid: 'a', addresses: ['10.1.2.3'], ready: true, finished: false }];
  two.hub.podStates = pods;
  expect(one.health.cutOffPeers).toEqual([]);
  two.hub.cloud = { reachable: false, own: false };
  await eventually('they are known', () => one.health.cutOffPeers.length === 1);
  expect(one.health.cutOffPeers).toEqual([{ node: 'edge2', pods }]);
  two.hub.cloud = { reachable: true, own: false };
  await eventually('the cloud knows better', () => one.health.cutOffPeers.length === 0);
});

describe('the relay', () => {
  const never = new AbortController().signal;

  async function roundTrip(socket: net.Socket, text: string): Promise<string> {
    socket.write(text);
    socket.resume();
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    return chunk.toString();
  }

  test('leads to the cloud through a peer that has a way out', async () => {
    const cloud = await test_.echo();
    const [one, two, three] = await pool([cloud]);
    one.hub.cloud = { reachable: false, own: false };
    two.hub.cloud = { reachable: false, own: false };
    await eventually('only edge3 is left', async () => {
      const socket = await one.health.relay.open(cloud, never).catch(() => undefined);
      if (socket === undefined) return false;
      test_.defer(() => socket.destroy());
      expect(await roundTrip(socket, 'hello')).toBe('hello');
      return true;
    });
    expect(await three.metrics.text()).toMatch(/relay_requests_total\{outcome="relayed"} [1-9]/);
    expect(await three.metrics.text()).toMatch(/relay_connections [1-9]/);
    // Two has no way out itself: nothing went through it.
    expect(await two.metrics.text()).toMatch(/relay_requests_total\{outcome="relayed"} 0/);
  });

  test('ends both ways when either side does, and counts the bytes', async () => {
    const cloud = await test_.echo();
    const [one, two, three] = await pool([cloud]);
    const socket = await one.health.relay.open(cloud, never);
    expect(await roundTrip(socket, 'x'.repeat(1000))).toHaveLength(1000);
    socket.destroy();
    await eventually('counted', async () => {
      const texts = await Promise.all([two, three].map(({ metrics }) => metrics.text()));
      return texts.some(
        (text) => /relay_bytes_total\{direction="up"} 1000\n/.test(text) && /relay_connections 0/.test(text),
      );
    });
  });

  test.each<[string, (nodes: TestNode[], cloud: Endpoint) => Promise<Endpoint> | Endpoint, string]>([
    ['where neither API server nor tunnel server is', async () => await test_.echo(), 'target'],
    [
      'while the relay itself has no way out',
      (nodes, cloud) => {
        // Between two probes: the peer does not know yet.
        for (const { hub } of nodes.slice(1)) hub.cloud = { reachable: true, own: false };
        return cloud;
      },
      'no-way-out',
    ],
    [
      'for a node that is not of the pool',
      (nodes, cloud) => {
        joinPool(nodes.slice(1));
        return cloud;
      },
      'stranger',
    ],
  ])('does not lead anywhere %s', async (_when, arrange, outcome) => {
    const cloud = await test_.echo();
    const nodes = await pool([cloud]);
    const target = await arrange(nodes, cloud);
    await expect(nodes[0].health.relay.open(target, never)).rejects.toMatchObject({ code: 'ERR_PEER_RELAY' });
    const texts = await Promise.all(nodes.slice(1).map(({ metrics }) => metrics.text()));
    expect(texts.join('\n')).toMatch(new RegExp(`relay_requests_total\\{outcome="${outcome}"} [1-9]`));
    expect(cloud.connections()).toBe(0);
  });

  test('is switched off for a pool by an annotation', async () => {
    const cloud = await test_.echo();
    const nodes = await pool([cloud]);
    const open = await nodes[0].health.relay.open(cloud, never);
    const ended = once(open, 'close');
    joinPool(nodes, { 'holdfast.dev/relay': 'false' });
    open.resume();
    await ended;
    expect(nodes[0].health.relay.isOpen).toBe(false);
    await expect(nodes[0].health.relay.open(cloud, never)).rejects.toThrow(
      `no way to ${authorityOf(cloud)} through a peer: no peer has a way out`,
    );
  });

  test('a node that does not want to be one says so', async () => {
    const cloud = await test_.echo();
    const one = await test_.node('edge1', '127.0.0.11');
    const two = await test_.node('edge2', '127.0.0.12', { relay: false, relayTargets: () => [cloud] });
    joinPool([one, two]);
    await eventually('up', () => stateOf(one, 'edge2') === 'up');
    expect(one.health.relay.isOpen).toBe(false);
  });
});
