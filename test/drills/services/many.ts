// (e) Memory: every node of a large cluster gets all of its services and their endpoints, twice, since kube-proxy and
// CoreDNS ask for them in different ways.
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../cluster/commands.ts';
import { core } from '../../cluster/manifest.ts';
import type { Manifest } from '../../cluster/manifest.ts';
import { expectThat } from '../report.ts';
import type { Stage } from './stage.ts';

const namespace = 'many';
const services = 1_000;
const slicesPerService = 3;
const endpointsPerSlice = 2;
const figureMebibytes = 128;
const quietMs = 30_000;
const parallel = 16;

export async function many(stage: Stage): Promise<void> {
  const { report, edge, hub, cloud } = stage;
  let peak = 0;
  const sampling = setInterval(() => (peak = Math.max(peak, hub.residentMebibytes())), 200);
  try {
    await report.check(`${services} services with ${services * slicesPerService} slices reach kube-proxy`, async () => {
      await cloud.request('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
      await createAll(
        stage,
        Array.from({ length: services }, (_, index) => objectsOf(index)),
      );
      await waitFor(
        'kube-proxy has a rule for each service',
        async () => {
          const rules = await edge.enter(['iptables-save', '-t', 'nat'], { timeoutMs: 60_000 });
          const known = new Set(rules.match(/-d 10\.96\.\d+\.\d+\/32 /g)).size;
          if (known >= services) return true;
          throw new Error(`${known} of them`);
        },
        { deadlineMs: 240_000, everyMs: 2_000, signal: stage.signal },
      );
    });
    await sleep(quietMs, undefined, { signal: stage.signal });
    await report.check(`the hub's resident memory with them is at most ${figureMebibytes} MiB`, () => {
      const now = hub.residentMebibytes();
      expectThat(now <= figureMebibytes, `${now.toFixed(0)} MiB`);
      return `${now.toFixed(0)} MiB, at most ${peak.toFixed(0)} while they came`;
    });
  } finally {
    clearInterval(sampling);
  }
}

async function createAll(stage: Stage, groups: readonly (readonly Manifest[])[]): Promise<void> {
  const left = groups.values();
  const worker = async (): Promise<void> => {
    for (const group of left) {
      stage.signal.throwIfAborted();
      for (const { path, body } of group) await stage.cloud.request('POST', path, body);
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
}

/** A service without a selector, and its slices. */
function objectsOf(index: number): Manifest[] {
  const name = `service-${index}`;
  const slices = Array.from({ length: slicesPerService }, (_, slice): Manifest => {
    const first = (index * slicesPerService + slice) * endpointsPerSlice;
    const endpoints = Array.from({ length: endpointsPerSlice }, (_endpoint, number) => ({
      addresses: [`10.250.${(first + number) >> 8}.${(first + number) & 255}`],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${(first + number) % 100}`,
      targetRef: { kind: 'Pod', namespace, name: `${name}-${first + number}` },
    }));
    return {
      path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
      body: {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: `${name}-${slice}`, labels: { 'kubernetes.io/service-name': name } },
        addressType: 'IPv4',
        ports: [{ name: '', port: 8080, protocol: 'TCP' }],
        endpoints,
      },
    };
  });
  return [
    core(namespace, 'services', 'Service', { metadata: { name }, spec: { ports: [{ port: 80, targetPort: 8080 }] } }),
    ...slices,
  ];
}
