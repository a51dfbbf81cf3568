// The asking half of a CONNECT over HTTP/2, in whichever direction: the server asks agents, and an agent asks the server.
import type http2 from 'node:http2';
import type { ClientHttp2Session, ClientHttp2Stream } from 'node:http2';
import { detailHeader, headerText, isRefusalReason, reasonHeader, RefusedError } from './refusal.ts';

/**
 * A stream to `target` as the far end sees it; `who` names that end in messages. Rejects with RefusedError, or with the reason of
 * `signal`. Whoever gets the stream ends it.
 */
export async function openStream(
  session: ClientHttp2Session,
  target: string,
  who: string,
  signal: AbortSignal,
): Promise<ClientHttp2Stream> {
  let stream: ClientHttp2Stream;
  try {
    stream = session.request({ ':method': 'CONNECT', ':authority': target }, { endStream: false });
  } catch (error) {
    throw new RefusedError('broken', `${who}: the connection is closed`, error);
  }
  stream.on('error', () => undefined);
  return await new Promise((resolve, reject) => {
    const done = (): void => {
      signal.removeEventListener('abort', aborted);
      stream.off('response', answered).off('close', closed);
    };
    const aborted = (): void => {
      done();
      stream.destroy(new Error('cancelled'));
      reject(signal.reason as Error);
    };
    const closed = (): void => {
      done();
      reject(new RefusedError('broken', `${who}: the connection broke`));
    };
    const answered = (headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader): void => {
      done();
      if (headers[':status'] === 200) {
        resolve(stream);
        return;
      }
      stream.resume();
      stream.close();
      const reason = headers[reasonHeader];
      const detail = headerText(String(headers[detailHeader] ?? `status ${headers[':status']}`));
      reject(new RefusedError(isRefusalReason(reason) ? reason : 'failed', `${who}: ${detail}`));
    };
    stream.once('response', answered);
    stream.once('close', closed);
    if (signal.aborted) aborted();
    else signal.addEventListener('abort', aborted, { once: true });
  });
}
