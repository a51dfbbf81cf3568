// What the API server itself calls on edge nodes: an admission webhook and an aggregated API by their Services, whose pod is behind
// NAT. All of that passes the tunnel server beside it, so its death, a server that hangs, and one that starts late are tried.
import { readFileSync } from 'node:fs';
import { binary, buildBinaries, tunnelPrograms } from '../../cluster/binaries.ts';
import { waitFor, type RunResult } from '../../cluster/commands.ts';
import { registryName } from '../../cluster/images.ts';
import { core, create } from '../../cluster/manifest.ts';
import { expectThat } from '../report.ts';
import type { TunnelStage } from './stage.ts';
import { expectResult } from './verbs.ts';

const image = `${registryName}/webhook:1`;
const labels = { app: 'webhook' };
/** Only there is the webhook asked. */
const namespace = 'with-webhook';
const place = '/apis/drill.holdfast.dev/v1/places/here';
const webhookTimeoutSeconds = 3;
const backWithinMs = 10_000;

export async function webhooks(stage: TunnelStage): Promise<void> {
  const { report, cluster } = stage;
  const { plane } = cluster;
  const [node] = stage.nodes;
  if (node === undefined) throw new Error('no nodes');
  await buildBinaries(tunnelPrograms, (line) => report.say(line));
  const pair = plane.serverCertificate('webhook', ['webhook.default.svc']);
  await node.importImage({
    name: image,
    command: ['/webhook'],
    files: [
      { path: '/webhook', content: readFileSync(binary('webhook')), mode: 0o755 },
      { path: '/webhook.pem', content: Buffer.from(pair.certificate + pair.key) },
    ],
  });
  await create(plane.api, manifests(node.name, Buffer.from(plane.ca).toString('base64')));

  let count = 0;
  const object = (where: string, label?: string): Record<string, unknown> => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: `object-${(count += 1)}`,
      namespace: where,
      ...(label === undefined ? {} : { labels: { [label]: '' } }),
    },
  });
  const admitted = (label?: string): Promise<RunResult> =>
    stage.kubectl(['create', '-f', '-'], { input: JSON.stringify(object(namespace, label)) });
  // Not by kubectl, which asks for the schema of every API first.
  const elsewhere = (): Promise<unknown> =>
    plane.request('POST', '/api/v1/namespaces/default/configmaps', object('default'), { timeoutMs: 5_000 });

  await report.check('an admission webhook in a pod on an edge node refuses and lets pass', async () => {
    await waitFor(
      'the webhook decides',
      async () => /forbidden by the webhook at/.test((await admitted('forbidden')).stderr),
      { deadlineMs: 180_000 },
    );
    const refused = await admitted('forbidden');
    expectThat(
      refused.code !== 0 && refused.stderr.includes(`forbidden by the webhook at ${node.name}`),
      refused.stderr,
    );
    expectResult(await admitted(), 0, /created/);
  });
  await report.check('an aggregated API in a pod on an edge node answers', async () => {
    await waitFor(
      'the API is there',
      async () => (await stage.kubectl(['get', '--raw', place])).stdout.includes(`"node":"${node.name}"`),
      { deadlineMs: 180_000 },
    );
  });
  await report.check(
    'the tunnel server is dead: what needs the webhook fails at once, everything else goes on',
    async () => {
      await stage.killServer();
      const startMs = performance.now();
      const refused = await admitted();
      const tookMs = performance.now() - startMs;
      expectThat(refused.code !== 0 && /failed calling webhook/.test(refused.stderr), refused.stderr);
      expectThat(tookMs <= stage.deadline(2_000), `after ${Math.round(tookMs)} ms`);
      await elsewhere();
      return refused.stderr.trim().slice(0, 250);
    },
  );
  await report.check(
    'kube-apiserver starts without it, and the webhook is asked again soon after its late start',
    async () => {
      await plane.restartApiserver();
      await stage.startServer();
      const startMs = performance.now();
      await waitFor('the webhook lets pass', async () => (await admitted()).code === 0, {
        deadlineMs: 180_000,
        everyMs: 50,
      });
      const backMs = performance.now() - startMs;
      expectThat(backMs <= stage.deadline(backWithinMs), `after ${Math.round(backMs)} ms`);
      await waitFor('the API is there', async () => (await stage.kubectl(['get', '--raw', place])).code === 0, {
        deadlineMs: 180_000,
        everyMs: 50,
      });
      return `${Math.round(backMs)} ms after the server was ready`;
    },
  );
  await report.check(
    'the server hangs: the timeout of the webhook ends the request, and it goes on with the server',
    async () => {
      const startMs = performance.now();
      const sinceStart = (): number => Math.round(performance.now() - startMs);
      stage.processes.signal('tunnel-server', 'SIGSTOP');
      let refusedMs: number;
      try {
        const refused = await admitted();
        refusedMs = sinceStart();
        expectThat(refused.code !== 0 && /failed calling webhook/.test(refused.stderr), refused.stderr);
        expectThat(refusedMs <= stage.deadline((webhookTimeoutSeconds + 2) * 1_000), `after ${refusedMs} ms`);
        await elsewhere();
      } finally {
        stage.processes.signal('tunnel-server', 'SIGCONT');
      }
      const resumedMs = sinceStart();
      await waitFor('the webhook lets pass', async () => (await admitted()).code === 0, {
        deadlineMs: 180_000,
        everyMs: 50,
      });
      return `refused after ${refusedMs} ms; back ${sinceStart() - resumedMs} ms after it went on at ${resumedMs} ms`;
    },
  );
  // What follows shall not depend on it.
  await stage.kubectl(['delete', 'validatingwebhookconfiguration/drill', 'apiservice/v1.drill.holdfast.dev']);
}

function manifests(nodeName: string, caBundle: string): Parameters<typeof create>[1] {
  const service = { namespace: 'default', name: 'webhook' };
  return [
    {
      path: '/api/v1/namespaces',
      body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: { drill: 'webhook' } } },
    },
    core('default', 'pods', 'Pod', {
      metadata: { name: 'webhook', labels },
      spec: {
        nodeName,
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            name: 'main',
            image,
            command: ['/webhook', `--node=${nodeName}`],
            readinessProbe: { tcpSocket: { port: 8443 }, periodSeconds: 1 },
          },
        ],
      },
    }),
    core('default', 'services', 'Service', {
      metadata: { name: service.name },
      spec: { selector: labels, ports: [{ port: 443, targetPort: 8443 }] },
    }),
    {
      path: '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations',
      body: {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingWebhookConfiguration',
        metadata: { name: 'drill' },
        webhooks: [
          {
            name: 'drill.holdfast.dev',
            admissionReviewVersions: ['v1'],
            sideEffects: 'None',
            failurePolicy: 'Fail',
            timeoutSeconds: webhookTimeoutSeconds,
            namespaceSelector: { matchLabels: { drill: 'webhook' } },
            rules: [{ apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'], resources: ['configmaps'] }],
            clientConfig: { caBundle, service: { ...service, path: '/validate' } },
          },
        ],
      },
    },
    {
      path: '/apis/apiregistration.k8s.io/v1/apiservices',
      body: {
        apiVersion: 'apiregistration.k8s.io/v1',
        kind: 'APIService',
        metadata: { name: 'v1.drill.holdfast.dev' },
        spec: {
          group: 'drill.holdfast.dev',
          version: 'v1',
          groupPriorityMinimum: 100,
          versionPriority: 1,
          caBundle,
          service,
        },
      },
    },
  ];
}
