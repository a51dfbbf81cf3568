// The egress socket by itself: what HTTP clients would hide. The end of one direction is not the end of the other, and a client that
// leaves while its connection is made leaves nothing behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { waitFor } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import { podAddress } from './scrapes.ts';
import { podOf, type TunnelStage } from './stage.ts';

const dials = 1_000;
const atOnce = 50;
const inputBytes = 1 << 20;
const port = 9001;

export async function sockets(stage: TunnelStage): Promise<void> {
  const { report } = stage;
  const [node] = stage.nodes;
  if (node === undefined) throw new Error('no nodes');
  await report.check('raw TCP: the reply after the half-close arrives', async () => {
    const listen = ['exec', podOf(node.name), '--', 'nc', '-l', '-p', String(port), '-e', 'wc', '-c'];
    const listener = spawn('timeout', ['30', ...stage.kubectlArgv(listen)], {
      env: stage.kubectlEnvironment(true),
      stdio: 'ignore',
    });
    try {
      const address = await podAddress(stage, node.name);
      const socket = await waitFor('nc listens', () => connected(stage.socket(), `${address}:${port}`), {
        deadlineMs: 180_000,
        everyMs: 50,
      });
      socket.end(Buffer.alloc(inputBytes, 'x'));
      let reply = '';
      for await (const chunk of socket) reply += String(chunk);
      expectThat(reply.trim() === String(inputBytes), JSON.stringify(reply));
    } finally {
      listener.kill();
    }
  });
  await report.check(`${dials} clients leave while their connections are made: no descriptors are left`, async () => {
    const before = { server: stage.usage().descriptors, agent: stage.usage(node).descriptors };
    for (let i = 0; i < dials; i += atOnce)
      await Promise.all(Array.from({ length: atOnce }, () => dialAndLeave(stage.socket(), `${node.name}:10250`)));
    const after = await waitFor(
      `descriptors as before (${before.server}, ${before.agent})`,
      () => {
        const now = { server: stage.usage().descriptors, agent: stage.usage(node).descriptors };
        // A ping of the API server may come and go.
        return now.server <= before.server + 3 && now.agent <= before.agent + 3 ? now : undefined;
      },
      { deadlineMs: 180_000 },
    );
    return `server ${before.server} and ${after.server}, agent ${before.agent} and ${after.agent}`;
  });
}

/** A connection that was accepted; undefined if it was refused. Behind the head nothing has been read. */
async function connected(path: string, authority: string): Promise<net.Socket | undefined> {
  const socket = net.connect({ path, allowHalfOpen: true });
  socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\n`);
  const [head] = (await once(socket, 'data')) as [Buffer];
  socket.pause();
  if (head.toString().startsWith('HTTP/1.1 200')) return socket;
  socket.destroy();
  return undefined;
}

async function dialAndLeave(path: string, authority: string): Promise<void> {
  const socket = net.connect(path);
  await once(socket, 'connect');
  await new Promise<void>(
    (resolve) => void socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\n`, () => resolve()),
  );
  socket.destroy();
  await once(socket, 'close');
}
