import { parse } from 'yaml';
import type { Answer, ApiRequest } from './host.ts';
import { ours } from './places.ts';
import { conversionPlan } from './plan.ts';
import { tunnelOf } from './tunnel.ts';

const cloud = (status: number, data: unknown) => ({
  request: async ({ path }: ApiRequest): Promise<Answer> => {
    expect(path).toBe('/api/v1/namespaces/kube-system/configmaps/holdfast-tunnel');
    return { status, body: Buffer.from(JSON.stringify({ data })) };
  },
});
const published = { servers: '10.0.0.1:10262 tunnel.example.com:443', 'ca.crt': 'PEM' };
const tunnel = { servers: ['10.0.0.1:10262', 'tunnel.example.com:443'], certificateAuthority: 'PEM' };

test('a node finds the tunnel servers that the cloud side published, or goes without', async () => {
  expect(await tunnelOf(cloud(200, published))).toEqual(tunnel);
  expect(await tunnelOf(cloud(403, undefined))).toBeUndefined();
  expect(await tunnelOf(cloud(200, { servers: '' }))).toBeUndefined();
  expect(await tunnelOf({ request: () => Promise.reject(new Error('no way')) })).toBeUndefined();
});

test('with a tunnel the hub runs the agent, which trusts the authority of the tunnel and no other', () => {
  const facts = { version: '1', archive: '/a', unit: '', kubeconfig: '', kubeProxy: false };
  const written = (plan: ReturnType<typeof conversionPlan>): Map<string, string> =>
    new Map(
      plan
        .flatMap(({ apply }) => apply)
        .flatMap((action) => (action.kind === 'file' ? [[action.path, action.content]] : [])),
    );
  const files = written(conversionPlan({ ...facts, tunnel }));
  expect(parse(files.get(ours.settings) ?? '')).toMatchObject({ tunnelConfig: ours.tunnelSettings });
  expect(parse(files.get(ours.tunnelSettings) ?? '')).toMatchObject({
    servers: tunnel.servers,
    serverCAFile: ours.tunnelCa,
  });
  expect(files.get(ours.tunnelCa)).toBe('PEM');
  expect(written(conversionPlan({ ...facts, tunnel: undefined })).has(ours.tunnelSettings)).toBe(false);
});
