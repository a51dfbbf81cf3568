// Connections to what the tunnel is not needed for: nodes of the cloud, and everything else that this host can reach.
import net from 'node:net';
import type { Endpoint } from '../runtime/settings.ts';
import { refusalOf } from '../tunnel/refusal.ts';

/** `asked` is what messages name. Rejects with RefusedError, or with the reason of `signal`. Whoever gets the socket ends it. */
export function dialDirectly(target: Endpoint, asked: string, signal: AbortSignal): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ ...target, allowHalfOpen: true, noDelay: true, keepAlive: true });
    const done = (): void => {
      signal.removeEventListener('abort', aborted);
      socket.off('error', failed).off('connect', connected);
      socket.on('error', () => undefined);
    };
    const aborted = (): void => {
      done();
      socket.destroy();
      reject(signal.reason as Error);
    };
    const failed = (error: Error): void => {
      done();
      socket.destroy();
      reject(refusalOf(innermost(error), asked));
    };
    const connected = (): void => {
      done();
      resolve(socket);
    };
    socket.on('error', failed).on('connect', connected);
    if (signal.aborted) aborted();
    else signal.addEventListener('abort', aborted, { once: true });
  });
}

/** Several addresses of one name fail together: the last is as good as any. */
function innermost(error: Error): unknown {
  return error instanceof AggregateError ? error.errors.at(-1) : error;
}
