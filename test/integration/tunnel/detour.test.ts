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
  const state = { isOpen: true, used: 0 };
  const detour: Detour = {
    get isOpen() {
      return state.isOpen;
    },
    open: async (target) => {
      expect(target).toMatchObject({ host: '127.0.0.1', port: link.port });
      const socket = net.connect({ host: '127.0.0.1', port: server.addresses.agents.port, noDelay: true });
      await once(socket, 'connect');
      state.used += 1;
      return socket;
    },
  };
  const { agent } = test_.agent('edge1', [link.port], { kubeletAddress: `127.0.0.1:${echo}` }, undefined, detour);
  await eventually('edge1 is connected', () => agent.connected === 1);
  const ask = async (): Promise<string> => {
    const { socket } = await test_.connect(server.socket, `edge1:${echo}`);
    const heard = await roundTrip(socket, 'ping');
    socket.destroy();
    return heard;
  };
  return { link, agent, state, ask };
}

test('the node is reached by the detour while its own way is gone, and by its own when that works again', async () => {
  const { link, agent, state, ask } = await stage();
  expect(await ask()).toBe('ping');
  expect(state.used).toBe(0);
  await link.cut('refuse');
  await eventually('the detour is used', () => state.used > 0 && agent.connected === 1);
  expect(await ask()).toBe('ping');
  const { used } = state;
  await link.heal();
  await eventually('its own way is used', () => link.connections > 0);
  await eventually('it is the only one', async () => agent.connected === 1 && (await ask()) === 'ping');
  expect(state.used).toBe(used);
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
