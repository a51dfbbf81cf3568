import http from 'node:http';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { Ops } from './ops.ts';

function get(port: number, path: string, method = 'GET'): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: '127.0.0.1', port, path, method, agent: false }, (response) => {
      let body = '';
      response.on('data', (chunk: Buffer) => (body += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('error', reject);
    request.end();
  });
}

test('health, readiness by condition, metrics, and nothing else', async () => {
  const metrics = new Metrics();
  metrics.counter('a_total', 'A.').inc();
  let storeOpen = false;
  const ops = new Ops(
    { log: nullLog, metrics, ready: { store: () => storeOpen } },
    { opsListen: { host: '127.0.0.1', port: 0 } },
  );
  const abort = new AbortController();
  const done = ops.run(abort.signal);
  await ops.started();
  const port = ops.address?.port ?? 0;
  expect(await get(port, '/healthz')).toEqual({ status: 200, body: 'ok' });
  expect(await get(port, '/readyz')).toEqual({
    status: 503,
    body: '[+]ping ok\n[-]store failed\nreadyz check failed\n',
  });
  storeOpen = true;
  expect(await get(port, '/readyz')).toEqual({ status: 200, body: 'ok' });
  expect((await get(port, '/readyz?verbose')).body).toContain('[+]store ok');
  expect((await get(port, '/metrics')).body).toContain('a_total 1');
  expect((await get(port, '/api/v1/pods')).status).toBe(404);
  expect((await get(port, '/metrics', 'POST')).status).toBe(405);
  abort.abort();
  await done;
  await expect(get(port, '/healthz')).rejects.toThrow('ECONNREFUSED');
});

test('the ops port is for loopback only', async () => {
  const ops = new Ops({ log: nullLog, metrics: new Metrics(), ready: {} }, { opsListen: { host: '0.0.0.0', port: 0 } });
  await expect(ops.run(new AbortController().signal)).rejects.toMatchObject({ code: 'ERR_FRONT_LISTEN' });
});
