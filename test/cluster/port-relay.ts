// Runs in a node's network namespace and leads a unix socket, which is reachable from outside, to a port on the node's
// loopback, which is not. A program of its own: port-relay.ts SOCKET PORT.
import { connect, createServer } from 'node:net';

const [socketPath, port] = process.argv.slice(2);

createServer({ allowHalfOpen: true }, (near) => {
  const far = connect({ host: '127.0.0.1', port: Number(port), allowHalfOpen: true });
  near.pipe(far);
  far.pipe(near);
  // What one side suffers the other side sees as a connection that ends.
  near.on('error', () => far.destroy());
  far.on('error', () => near.destroy());
  near.on('close', () => far.destroy());
  far.on('close', () => near.destroy());
}).listen(socketPath);
