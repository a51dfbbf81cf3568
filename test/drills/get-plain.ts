// One GET without TLS, for the ops ports of the daemons.
import http, { type RequestOptions } from 'node:http';

/** Rejects without a whole answer within 20 s of silence. */
export function getPlain(target: RequestOptions): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = http.get({ ...target, agent: false, timeout: 20_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (text: string) => (body += text));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('timeout', () => request.destroy(new Error(`${target.path ?? ''}: no answer`)));
    request.on('error', reject);
  });
}
