// A node whose own way to the tunnel server is gone, and another way at hand: it stays in reach, and goes back.
import { once } from 'node:events';
import net from 'node:net';
import { TcpRelay } from '../../../runtime/tcp-relay.ts';
import type { Detour } from '../../../tunnel-agent/detour.ts';
import { eventually, roundTrip, TunnelTest } from './parts.ts';

let test_: TunnelTest;
beforeEach(() => (test_ = new TunnelTest()));
afterEach(() => test_.close());

async function stage() {
  const server = await test_.server();
  const link = new TcpRelay({ host: '127.0.0.1', port: server.addresses.agents.port }, { port: 0 });
  await link.listen();
  test_.defer(() => link.close());
  const echo = await test_.echo();
  const state = { isOpen: true, used: 0, inUse: 0 };
  const detour: Detour = {
    get isOpen() {
      return state.isOpen;
    },
    open: async (target) => {
      expect(target).toMatchObject({ host: '127.0.0.1', port: link.port });
      const socket = net.connect({ host: '127.0.0.1', port: server.addresses.agents.port, noDelay: true });
      await once(socket, 'connect');
      state.used += 1;
      state.inUse += 1;
      socket.once('close', () => (state.inUse -= 1));
      return socket;
    },
  };
  const { agent } = test_.agent('edge1', [link.port], { kubeletAddress: `127.0.0.1:${echo}` }, undefined, detour);
  await eventually('edge1 is connected', () => agent.connected === 1);
  const connect = () => test_.connect(server.socket, `edge1:${echo}`);
  const ask = async (): Promise<string> => {
    const { socket, status, statusLine } = await connect();
    const heard = status === 200 ? await roundTrip(socket, 'ping') : statusLine;
    socket.destroy();
    return heard;
  };
  return { server, link, agent, state, connect, ask };
}

test('the node is reached by the detour while its own way is gone, and by its own when that works again', async () => {
  const { server, link, agent, state, ask } = await stage();
  expect(await ask()).toBe('ping');
  expect(state.used).toBe(0);
  await link.cut('refuse');
  await eventually('the detour is used', () => state.inUse > 0 && agent.connected === 1);
  expect(await ask()).toBe('ping');
  await link.heal();
  await eventually('its own way is the only one', async () => state.inUse === 0 && (await server.nodes()).length === 1);
  expect([agent.connected, await ask(), state.inUse]).toEqual([1, 'ping', 0]);
});

test('whoever asks while the ways change is answered, and what was open before goes on', async () => {
  const { server, link, agent, state, ask, connect } = await stage();
  for (let change = 0; change < 3; change += 1) {
    await link.cut('refuse');
    await eventually('the detour is used', () => state.inUse > 0 && agent.connected === 1);
    const { socket } = await connect();
    expect(await roundTrip(socket, 'over the detour')).toBe('over the detour');
    const heard = new Set<string>();
    await link.heal();
    await eventually('its own way is there as well', async () => {
      for (const each of await Promise.all([ask(), ask(), ask(), ask()])) heard.add(each);
      return (await server.nodes())[0]?.connections === 2;
    });
    expect(await roundTrip(socket, 'still')).toBe('still');
    socket.destroy();
    await eventually('its own way is the only one', async () => {
      heard.add(await ask());
      return state.inUse === 0;
    });
    expect([...heard]).toEqual(['ping']);
  }
});

test('the old way is given up only when the server knows of the new one', async () => {
  const { server, link, agent, state, ask } = await stage();
  await link.cut('refuse');
  await eventually('the detour is used', () => state.inUse > 0 && agent.connected === 1);
  // The answer to the hello is on the way for as long as the test likes.
  const silence = new SilentAfterHello(server.addresses.agents.port, link.port);
  await silence.listen();
  test_.defer(() => silence.close());
  await eventually('the agent has said its last word', () => silence.isSilent);
  for (let i = 0; i < 20; i += 1) expect(await ask()).toBe('ping');
  silence.end();
  await eventually('its own way is the only one', async () => {
    expect(await ask()).toBe('ping');
    return state.inUse === 0;
  });
});

test('without a detour at hand nothing is asked of one', async () => {
  const { link, agent, state } = await stage();
  state.isOpen = false;
  await link.cut('refuse');
  await eventually('it is away', () => agent.connected === 0);
  await link.heal();
  await eventually('it is back', () => agent.connected === 1);
  expect(state.used).toBe(0);
});

/**
 * A link on which the agent is not heard from the moment that the server has said hello: the second time that the server
 * speaks, after the handshake of TLS 1.3.
 */
class SilentAfterHello {
  readonly #server: net.Server;
  readonly #port: number;
  readonly #sockets = new Set<net.Socket>();
  readonly #held: (() => void)[] = [];
  #isOver = false;

  constructor(target: number, port: number) {
    this.#port = port;
    this.#server = net.createServer({ noDelay: true }, (agent) => {
      const server = net.connect({ host: '127.0.0.1', port: target, noDelay: true });
      let turns = 0;
      agent.on('data', (chunk) => {
        if (turns % 2 === 0) turns += 1;
        if (turns < 4 || this.#isOver) server.write(chunk);
        else this.#held.push(() => server.write(chunk));
      });
      server.on('data', (chunk) => {
        if (turns % 2 === 1) turns += 1;
        agent.write(chunk);
      });
      for (const [from, to] of [
        [agent, server],
        [server, agent],
      ] as const) {
        this.#sockets.add(from);
        from.on('error', () => undefined);
        from.on('close', () => to.destroy());
      }
    });
  }

  get isSilent(): boolean {
    return this.#held.length > 0;
  }

  async listen(): Promise<void> {
    await once(this.#server.listen(this.#port, '127.0.0.1'), 'listening');
  }

  end(): void {
    this.#isOver = true;
    for (const write of this.#held.splice(0)) write();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}
