// The far end of the relay's benchmark, in a process of its own as an API server is: takes what comes, at most so many MiB a second
// if it is told, as a link of that speed would. Says its port, and ends when its input does.
import net from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const mebibytesPerSecond = Number(process.argv[2] ?? Number.NaN);
/** A link holds little back: a burst beyond that would not be its speed. */
const burstMs = 10;

const server = net.createServer((socket) => {
  socket.on('error', () => undefined);
  if (Number.isNaN(mebibytesPerSecond)) socket.resume();
  else void atSpeed(socket);
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as net.AddressInfo).port}\n`);
});
process.stdin.on('end', () => process.exit()).resume();

async function atSpeed(socket: net.Socket): Promise<void> {
  const bytesPerMs = (mebibytesPerSecond * (1 << 20)) / 1_000;
  let takenAt = performance.now();
  socket.pause();
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    const nowMs = performance.now();
    takenAt = Math.max(takenAt, nowMs - burstMs) + chunk.length / bytesPerMs;
    if (takenAt > nowMs + 1) await delay(takenAt - nowMs);
  }
}
