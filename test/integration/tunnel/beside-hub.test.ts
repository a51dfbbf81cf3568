// `holdfast node --tunnel-config`: hub and agent in one process. The agent ends with the hub, and the hub never for the agent.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { runCommandLine } from '../../../cli/command-line.ts';
import { eventually, roundTrip, TunnelTest } from './parts.ts';

let test_: TunnelTest;
beforeEach(() => (test_ = new TunnelTest()));
afterEach(() => test_.close());

/** The hub with an API server that is out of reach, as on a node whose cloud is cut. */
function startNode(tunnelConfig: Readonly<Record<string, unknown>>): {
  ended: Promise<number>;
  err: string[];
  stop: () => void;
} {
  const abort = new AbortController();
  test_.defer(() => abort.abort());
  const pem = test_.writePair('node.pem', test_.node('edge1'));
  const ca = path.join(test_.folder, 'ca.crt');
  const config = { certificateFile: pem, keyFile: pem, serverCAFile: ca, logLevel: 'error', ...tunnelConfig };
  const err: string[] = [];
  const ended = runCommandLine(
    {
      version: '1.2.3',
      out: () => undefined,
      err: (text) => void err.push(text),
      signal: abort.signal,
      script: '',
      kubeconfig: undefined,
      proxy: { httpsProxy: '', noProxy: '' },
      terminal: undefined,
    },
    [
      'node',
      '--api-servers=https://127.0.0.1:1',
      `--certificate-authority-file=${ca}`,
      `--client-certificate-file=${pem}`,
      `--client-key-file=${pem}`,
      '--listen=127.0.0.1:0',
      '--ops-listen=127.0.0.1:0',
      `--data-dir=${path.join(test_.folder, 'data')}`,
      `--run-dir=${path.join(test_.folder, 'run')}`,
      '--log-level=error',
      `--tunnel-config=${test_.write('tunnel.yaml', JSON.stringify(config))}`,
    ],
  );
  return { ended, err, stop: () => abort.abort() };
}

test('the agent serves the tunnel, and both end at the signal', async () => {
  const server = await test_.server();
  const port = await test_.echo();
  const servers = [`127.0.0.1:${server.addresses.agents.port}`];
  const node = startNode({ servers, kubeletAddress: `127.0.0.1:${port}`, opsListen: '127.0.0.1:0' });
  await eventually('edge1 is connected', async () => (await server.nodes())[0]?.version === '1.2.3');
  const { socket } = await test_.connect(server.socket, `edge1:${port}`);
  expect(await roundTrip(socket, 'ping')).toBe('ping');
  node.stop();
  expect(await node.ended).toBe(0);
  await eventually('edge1 is gone', async () => (await server.nodes()).length === 0);
});

test('an agent that cannot start does not end the hub', async () => {
  const taken = net.createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  test_.defer(() => void taken.close());
  const address = taken.address() as net.AddressInfo;
  const node = startNode({ servers: ['127.0.0.1:1'], opsListen: `127.0.0.1:${address.port}` });
  const heartbeat = path.join(test_.folder, 'run', 'heartbeat');
  await eventually('the hub beats', () => existsSync(heartbeat));
  node.stop();
  expect([await node.ended, node.err]).toEqual([0, []]);
});

test('settings that cannot be used are told before anything starts', async () => {
  const { ended, err } = startNode({ server: ['a:1'] });
  expect(await ended).toBe(1);
  expect(err.join('\n')).toMatch(/tunnel.yaml: server: there is no such setting; did you mean servers\?/);
});
