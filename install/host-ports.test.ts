import type { AddressInfo } from 'node:net';
import net from 'node:net';
import type { ApiObject } from '../controllers/machinery/resource.ts';
import type { ClusterApi } from './cluster-facts.ts';
import { isBusy, portsCheck, takenPorts } from './host-ports.ts';

const { signal } = new AbortController();
const pod = (name: string, spec: object, labels = {}): ApiObject & { spec: object } => ({
  metadata: { name, namespace: 'kube-system', uid: name, resourceVersion: '1', labels },
  spec,
});
const listening = (containerPort: number, hostPort?: number): object => ({
  containers: [{ ports: [{ containerPort, ...(hostPort === undefined ? {} : { hostPort }) }] }],
});
const judge = async (pods: readonly object[], busy: readonly number[] = [], name = 'cp1') => {
  const api = { list: async () => pods } as unknown as Pick<ClusterApi, 'list'>;
  return takenPorts(api, ['cp1'], { name, isBusy: async (port) => busy.includes(port) }, signal);
};
const ours = pod(
  'ours',
  { hostNetwork: true, containers: [{}] },
  { 'app.kubernetes.io/name': 'holdfast-tunnel-server' },
);

test('a pod of the host’s network, or with a host port, has it; one with a network of its own has not', async () => {
  const taken = await judge([
    pod('a', { hostNetwork: true, ...listening(10_262) }),
    pod('b', listening(8080, 10_265)),
    pod('c', listening(10_265)),
  ]);
  expect(taken).toEqual([
    { host: 'cp1', port: 10_262, by: 'Pod kube-system/a' },
    { host: 'cp1', port: 10_265, by: 'Pod kube-system/b' },
  ]);
  const { verdict, cause, fix } = portsCheck(taken);
  expect(verdict).toBe('refused');
  expect(cause).toContain('10262 on cp1, by Pod kube-system/a; 10265 on cp1, by Pod kube-system/b');
  expect(fix).not.toBe('');
});

test('on a control plane itself what listens there counts, unless it is the tunnel server', async () => {
  expect(await judge([], [10_265])).toMatchObject([
    { port: 10_265, by: expect.stringContaining('a process') as string },
  ]);
  expect(await judge([ours], [10_262, 10_265])).toEqual([]);
  expect(await judge([], [10_265], 'laptop')).toEqual([]);
  expect(portsCheck([]).verdict).toBe('ok');
});

test('a port is busy while something listens', async () => {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  expect(await isBusy(port)).toBe(true);
  await new Promise((resolve) => server.close(resolve));
});
