// One session through a tunnel, over the socket that kube-apiserver uses, to a target that echoes.
import { once } from 'node:events';
import net from 'node:net';

/** Sends `text` to `authority`, hears `echo`, and closes. Rejects with what was heard instead. */
export async function echoSession(socketPath: string, authority: string, text: string, echo = text): Promise<void> {
  const socket = net.connect(socketPath);
  try {
    socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const [head] = (await once(socket, 'data')) as [Buffer];
    if (!head.toString().startsWith('HTTP/1.1 200')) throw new Error(`${authority}: ${head.toString()}`);
    socket.write(text);
    const [echoed] = (await once(socket, 'data')) as [Buffer];
    if (echoed.toString() !== echo) throw new Error(`${authority}: ${echoed.toString()}`);
  } finally {
    socket.destroy();
  }
}
