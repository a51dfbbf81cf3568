// The tunnel end to end: what comes in at the egress socket reaches the node and nothing else, and each way that rivals fail
// their users is a test here.
import { once } from 'node:events';
import { existsSync, readdirSync, statSync } from 'node:fs';
import net from 'node:net';
import { claimPort } from '../../cluster/ports.ts';
import { eventually, metric, readAll, roundTrip, TunnelTest } from './parts.ts';

let test_: TunnelTest;
beforeEach(() => (test_ = new TunnelTest()));
afterEach(() => test_.close());

async function connectedPair(kubelet: number, serverFlags = {}, agentFlags = {}) {
  const server = await test_.server(serverFlags);
  const link = await test_.link(server.addresses.agents.port);
  const agent = test_.agent('edge1', [link.port], { kubeletAddress: `127.0.0.1:${kubelet}`, ...agentFlags });
  await eventually('edge1 is connected', async () => (await server.nodes()).length === 1);
  return { server, link, agent };
}

test('by the name of the node, bytes pass both ways unchanged', async () => {
  const port = await test_.echo();
  const { server } = await connectedPair(port);
  const { socket, status, rest } = await test_.connect(server.socket, `edge1:${port}`);
  expect([status, rest]).toEqual([200, '']);
  const everyByte = Buffer.from(Array.from({ length: 4096 }, (_, i) => i % 256)).toString('latin1');
  socket.write(Buffer.from(everyByte, 'latin1'));
  socket.end();
  expect((await readAll(socket)).toString('latin1')).toBe(`${everyByte}bye`);
  expect(await server.nodes()).toMatchObject([{ node: 'edge1', connections: 1, version: 'agent-1' }]);
});

test('after a half-close the late reply arrives', async () => {
  const port = await test_.target((socket) => {
    let bytes = 0;
    socket.on('data', (chunk) => (bytes += chunk.length));
    socket.on('end', () => setTimeout(() => socket.end(`counted ${bytes}`), 300));
  });
  const { server } = await connectedPair(port);
  const { socket } = await test_.connect(server.socket, `edge1:${port}`);
  socket.end(Buffer.alloc(1 << 20));
  expect((await readAll(socket)).toString()).toBe(`counted ${1 << 20}`);
});

test('a target that speaks first never speaks in the same read as the answer', async () => {
  const port = await test_.target((socket) => socket.end('220 ready\r\n'));
  const { server } = await connectedPair(port);
  for (let i = 0; i < 10; i += 1) {
    const { socket, status, rest } = await test_.connect(server.socket, `edge1:${port}`);
    expect([status, rest]).toEqual([200, '']);
    expect((await readAll(socket)).toString()).toBe('220 ready\r\n');
    socket.destroy();
  }
});

test('what several targets send at once comes to each client as its own target sent it, to slow ones as well', async () => {
  const words = 1 << 18;
  let count = 0;
  // Each word tells whose it is and where it belongs: the agent uses its memory for one target after the other.
  const port = await test_.target((socket) => {
    const whole = Buffer.alloc(4 * words);
    const of = (count += 1) << 24;
    for (let i = 0; i < words; i += 1) whole.writeUInt32BE(of | i, 4 * i);
    // Of many sizes, since memory is handled by size.
    let at = 0;
    const pour = (): void => {
      while (at < whole.length) {
        const from = at;
        at = Math.min(whole.length, from + 1 + ((from * 7) % 150_000));
        if (!socket.write(whole.subarray(from, at))) return;
      }
      socket.end();
    };
    socket.on('drain', pour);
    socket.resume();
    pour();
  });
  const { server } = await connectedPair(port);
  const clients = await Promise.all(Array.from({ length: 6 }, () => test_.connect(server.socket, `edge1:${port}`)));
  const seen = await Promise.all(
    clients.map(async ({ socket }, index) => {
      const chunks: Buffer[] = [];
      for await (const chunk of socket) {
        chunks.push(chunk as Buffer);
        if (index % 2 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      const whole = Buffer.concat(chunks);
      const of = whole.readUInt32BE(0);
      for (let i = 0; i < words; i += 1) if (whole.readUInt32BE(4 * i) !== (of | i)) return `wrong at word ${i}`;
      return `${whole.length} bytes of ${of >>> 24}`;
    }),
  );
  expect(seen.sort()).toEqual([1, 2, 3, 4, 5, 6].map((of) => `${4 * words} bytes of ${of}`));
});

test('a reader that stalls delays nobody, and fills no memory', async () => {
  let sentBytes = 0;
  const flood = await test_.target((socket) => {
    const chunk = Buffer.alloc(64 * 1024, 120);
    const pour = (): void => {
      do sentBytes += chunk.length;
      while (socket.write(chunk));
    };
    socket.on('drain', pour);
    socket.on('end', () => socket.end());
    socket.once('data', pour);
  });
  const echo = await test_.echo();
  const { server } = await connectedPair(flood, {}, { allowPorts: `${echo}` });
  const stalled = await test_.connect(server.socket, `edge1:${flood}`);
  stalled.socket.write('go');
  let before = -1;
  await eventually('the flood has stopped for want of a reader', async () => {
    const still = sentBytes > 0 && sentBytes === before;
    before = sentBytes;
    await new Promise((resolve) => setTimeout(resolve, 200));
    return still;
  });
  // The stream's window, and what the kernel holds in three sockets.
  expect(sentBytes).toBeLessThan(40 << 20);
  for (let i = 0; i < 50; i += 1) {
    const { socket } = await test_.connect(server.socket, `edge1:${echo}`);
    expect(await roundTrip(socket, 'ping')).toBe('ping');
    socket.destroy();
  }
  // It goes on where it stopped, without an end in between.
  let got = 0;
  const paused = sentBytes;
  stalled.socket.on('data', (chunk: Buffer) => (got += chunk.length));
  stalled.socket.on('end', () => (got = Number.NaN));
  stalled.socket.resume();
  await eventually('the stalled stream goes on', () => got > paused);
});

test('a path that is black-holed is replaced, and the end of the old one harms nothing on the new', async () => {
  const port = await test_.echo();
  const { server, link } = await connectedPair(port);
  const old = await test_.connect(server.socket, `edge1:${port}`);
  expect(await roundTrip(old.socket, 'one')).toBe('one');
  link.freeze();
  await eventually('the agent is back by a new connection', async () => (await server.nodes())[0]?.connections === 2);
  const young = await test_.connect(server.socket, `edge1:${port}`);
  expect(await roundTrip(young.socket, 'two')).toBe('two');
  link.endFrozen();
  await eventually('the old connection is gone', async () => (await server.nodes())[0]?.connections === 1);
  expect(await roundTrip(young.socket, 'three')).toBe('three');
  const another = await test_.connect(server.socket, `edge1:${port}`);
  expect(await roundTrip(another.socket, 'four')).toBe('four');
});

test('when the way breaks, an open connection ends at once and never hangs', async () => {
  const port = await test_.echo();
  const { server, link } = await connectedPair(port);
  const { socket } = await test_.connect(server.socket, `edge1:${port}`);
  expect(await roundTrip(socket, 'one')).toBe('one');
  // A unix socket cannot be reset: what is inside, TLS, tells the cut from an end.
  const ended = once(socket.resume(), 'end');
  await link.close();
  await ended;
  const { status, reason } = await test_.connect(server.socket, `edge1:${port}`);
  expect([status, reason]).toEqual([503, 'not-connected']);
});

test('each failure has its own status, reason and text', async () => {
  const closed = await test_.target(() => undefined);
  const { server } = await connectedPair(1, {}, { allowPorts: '1,2', podNetworks: '10.99.0.0/16' });
  const ask = async (authority: string) => {
    const { status, reason, statusLine } = await test_.connect(server.socket, authority);
    return [status, reason, statusLine.split(' ').slice(2).join(' ')];
  };
  expect(await ask('edge1:2')).toEqual([502, 'refused', 'node edge1: dial edge1:2: connection refused']);
  expect(await ask(`edge1:${closed}`)).toEqual([
    403,
    'policy',
    `node edge1: the agent does not allow edge1:${closed}: port ${closed} of this node is not listed in allowPorts`,
  ]);
  expect(await ask('nosuch.invalid:1')).toEqual([502, 'unknown-host', 'dial nosuch.invalid:1: no such host']);
  expect(await ask('127.0.0.1:1')).toEqual([502, 'refused', 'dial 127.0.0.1:1: connection refused']);
  expect(await ask('edge1')).toEqual([400, 'bad-target', 'CONNECT wants HOST:PORT, not "edge1"']);
});

test('what is no edge node is dialled directly', async () => {
  const port = await test_.echo();
  const server = await test_.server();
  const { socket } = await test_.connect(server.socket, `127.0.0.1:${port}`);
  expect(await roundTrip(socket, 'direct')).toBe('direct');
  expect(await metric(server.metrics, 'holdfast_tunnel_server_dials_total{way="egress",outcome="direct"}')).toBe(1);
});

test('dials that clients cancel leave no descriptors and no streams', async () => {
  const { server } = await connectedPair(1);
  // An agent that is registered and never answers a CONNECT would be the worst; a name that resolves slowly is like it.
  const open = (): number => readdirSync('/proc/self/fd').length;
  const port = await test_.echo();
  const cancelledDials = async (round: number): Promise<void> => {
    const clients = Array.from({ length: 50 }, () => {
      const client = net.connect(server.socket);
      client.on('error', () => undefined);
      client.write(`CONNECT ${round % 2 === 0 ? 'edge1:1' : `127.0.0.1:${port}`} HTTP/1.1\r\nHost: x\r\n\r\n`, () =>
        client.destroy(),
      );
      return once(client, 'close');
    });
    await Promise.all(clients);
  };
  const noStreams = async (): Promise<boolean> => (await server.nodes())[0]?.streams === 0;
  // Both ways once before: what is opened for the first dial and kept is no leak.
  for (const round of [0, 1]) await cancelledDials(round);
  await eventually('no stream is left', noStreams);
  const before = open();
  for (let round = 0; round < 20; round += 1) await cancelledDials(round);
  await eventually('descriptors are back where they were', () => open() <= before);
  await eventually('no stream is left', noStreams);
});

test('limits: too many connections to a node are refused, and room is made when one ends', async () => {
  const port = await test_.echo();
  const { server } = await connectedPair(port, { maxStreamsPerNode: '2' });
  const first = await test_.connect(server.socket, `edge1:${port}`);
  await test_.connect(server.socket, `edge1:${port}`);
  expect((await test_.connect(server.socket, `edge1:${port}`)).reason).toBe('limit');
  first.socket.destroy();
  await eventually('room', async () => (await test_.connect(server.socket, `edge1:${port}`)).status === 200);
});

test('a renewed certificate is taken up without dropping an open connection', async () => {
  const port = await test_.echo();
  const server = await test_.server();
  const pem = test_.writePair('rotating.pem', test_.node('edge1'));
  test_.agent('edge1', [server.addresses.agents.port], {
    kubeletAddress: `127.0.0.1:${port}`,
    certificateFile: pem,
    keyFile: pem,
  });
  await eventually('connected', async () => (await server.nodes()).length === 1);
  const { socket } = await test_.connect(server.socket, `edge1:${port}`);
  expect(await roundTrip(socket, 'one')).toBe('one');
  test_.writePair('rotating.pem', test_.node('edge1'));
  const superseded = 'holdfast_tunnel_server_superseded_registrations_total';
  await eventually('the agent came with the new one', async () => (await metric(server.metrics, superseded)) === 1);
  expect(await roundTrip(socket, 'two')).toBe('two');
  socket.end();
  await readAll(socket);
  await eventually(
    'the old connection ended with its last stream',
    async () => (await server.nodes())[0]?.connections === 1,
  );
});

test('a server that is stopped drains: no new connections, open ones may end, the socket is gone', async () => {
  const port = await test_.echo();
  const { server } = await connectedPair(port, { drainTimeoutMs: '20000' });
  const { socket } = await test_.connect(server.socket, `edge1:${port}`);
  expect(statSync(server.socket).mode & 0o777).toBe(0o600);
  const stopped = server.stop();
  await eventually('the socket is gone', () => !existsSync(server.socket));
  expect(await roundTrip(socket, 'still')).toBe('still');
  socket.end();
  expect((await readAll(socket)).toString()).toBe('bye');
  await stopped;
});

test('a server that takes over the path of another keeps it when the other ends', async () => {
  const old = await test_.server();
  const young = await test_.server({ egressSocket: old.socket });
  await old.stop();
  const port = await test_.echo();
  const { socket } = await test_.connect(young.socket, `127.0.0.1:${port}`);
  expect(await roundTrip(socket, 'mine')).toBe('mine');
});

test('an agent holds a connection to every server, also to those that a server tells of', async () => {
  const port = await test_.echo();
  const second = await test_.server();
  const first = await test_.server({ peers: `localhost:${second.addresses.agents.port}` });
  const { agent } = test_.agent('edge1', [first.addresses.agents.port], { kubeletAddress: `127.0.0.1:${port}` });
  for (const server of [first, second]) {
    await eventually('connected to each', async () => (await server.nodes()).length === 1);
    const { socket } = await test_.connect(server.socket, `edge1:${port}`);
    expect(await roundTrip(socket, 'hello')).toBe('hello');
  }
  await first.stop();
  await eventually('one is left', () => agent.connected === 1);
  const { socket } = await test_.connect(second.socket, `edge1:${port}`);
  expect(await roundTrip(socket, 'hello')).toBe('hello');
});

test('two addresses of one server are held by one connection', async () => {
  const server = await test_.server();
  const alias = await test_.link(server.addresses.agents.port);
  const { agent, metrics } = test_.agent('edge1', [server.addresses.agents.port, alias.port]);
  const duplicates = 'holdfast_tunnel_agent_connects_total{outcome="duplicate"}';
  await eventually('the second was found to be the first', async () => (await metric(metrics, duplicates)) === 1);
  await eventually('one connection', async () => (await server.nodes())[0]?.connections === 1);
  expect(agent.connected).toBe(1);
});

test('the agent comes back after the server was away', async () => {
  const port = await test_.echo();
  const listenPort = await claimPort();
  const first = await test_.server({ listen: `127.0.0.1:${listenPort}` });
  const { agent } = test_.agent('edge1', [listenPort], { kubeletAddress: `127.0.0.1:${port}` });
  await eventually('connected', () => agent.connected === 1);
  await first.stop();
  await eventually('gone', () => agent.connected === 0);
  const second = await test_.server({ listen: `127.0.0.1:${listenPort}` });
  await eventually('back', async () => (await second.nodes()).length === 1);
  const { socket } = await test_.connect(second.socket, `edge1:${port}`);
  expect(await roundTrip(socket, 'again')).toBe('again');
});
