// Ports for programs that are told theirs before they listen. A port that "was free a moment ago" below `listen(0)` is soon somebody
// else's: beside other tests a few control planes in a hundred did not come up for it.
import { randomInt } from 'node:crypto';
import net from 'node:net';

/** Below the range from which Linux gives ports to whoever names none (32768 on), above those of known services. */
const from = 20_000;
const to = 30_000;

/** `count` ports, all different, that nobody listens on and that no other process gets from here while this one lives. */
export async function claimPorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(from, to);
    if ((await isClaimed(port)) && (await isFree(port))) ports.push(port);
  }
  return ports;
}

export async function claimPort(): Promise<number> {
  const [port] = await claimPorts(1);
  return port!;
}

/** A claim is a name in the abstract namespace of unix sockets: one process has it, and the kernel takes it back from the dead. */
async function isClaimed(port: number): Promise<boolean> {
  const claim = net.createServer().unref();
  return await listens(claim, { path: `\0holdfast-test-port-${port}` });
}

async function isFree(port: number): Promise<boolean> {
  const probe = net.createServer();
  if (!(await listens(probe, { port }))) return false;
  await new Promise((resolve) => probe.close(resolve));
  return true;
}

/** False when another has it. */
function listens(server: net.Server, where: net.ListenOptions): Promise<boolean> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
    );
    server.listen(where, () => resolve(true));
  });
}
