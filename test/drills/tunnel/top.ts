// `kubectl top`: a real metrics-server dials the kubelets itself, so EgressSelector does not help it. It goes through the CONNECT proxy, as
// a person would: HTTPS_PROXY with a token of its service account.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { binary, buildBinaries, metricsPrograms } from '../../cluster/binaries.ts';
import { waitFor } from '../../cluster/commands.ts';
import { clusterRoleBinding, core, create } from '../../cluster/manifest.ts';
import { logTail } from '../../cluster/processes.ts';
import { expectThat } from '../report.ts';
import { podOf, type TunnelStage } from './stage.ts';
import { expectResult } from './verbs.ts';

const namespace = 'kube-system';
const account = 'metrics-server';
const port = 4443;
/** Two scrapes, of which the second has to come after a full interval of the first. */
const deadlineMs = 90_000;

export async function top(stage: TunnelStage): Promise<void> {
  const { report, cluster, nodes } = stage;
  const { plane } = cluster;
  await buildBinaries(metricsPrograms, (line) => report.say(line));
  const pair = plane.serverCertificate(account, [`${account}.${namespace}.svc`]);
  const pem = path.join(stage.folder, 'metrics-server.pem');
  writeFileSync(pem, pair.certificate + pair.key, { mode: 0o600 });
  const token = await plane.token(namespace, account);
  const kubeconfig = path.join(stage.folder, 'metrics-server.kubeconfig');
  writeFileSync(kubeconfig, kubeconfigOf(plane.url, plane.caFile, token), { mode: 0o600 });
  await create(plane.api, manifests(plane.address, Buffer.from(plane.ca).toString('base64')));
  const logFile = path.join(stage.folder, 'log', 'metrics-server.log');
  const own = [
    binary('metrics-server'),
    `--kubeconfig=${kubeconfig}`,
    `--authentication-kubeconfig=${kubeconfig}`,
    `--authorization-kubeconfig=${kubeconfig}`,
    `--bind-address=${plane.address}`,
    `--secure-port=${port}`,
    `--tls-cert-file=${pem}`,
    `--tls-private-key-file=${pem}`,
    // Kubelets sign their own serving certificates by default.
    '--kubelet-insecure-tls',
    '--kubelet-preferred-address-types=Hostname',
    '--metric-resolution=15s',
  ];
  await stage.processes.start('metrics-server', ['setpriv', '--pdeathsig', 'KILL', ...own], {
    logFile,
    env: {
      PATH: process.env['PATH'],
      HTTPS_PROXY: `https://${account}:${token}@${stage.proxy}`,
      NO_PROXY: plane.address,
    },
  });
  const context = (): string => logTail(logFile);
  try {
    await report.check('kubectl top node: a metrics-server reads both kubelets through the proxy', async () => {
      const { stdout } = await waitFor(
        'both nodes have figures',
        async () => {
          stage.processes.assertRunning('metrics-server');
          const result = await stage.kubectl(['top', 'node', '--no-headers']);
          const whole = nodes.every(({ name }) =>
            new RegExp(`^${name} +\\d+m +\\d+% +\\d+Mi`, 'm').test(result.stdout),
          );
          if (!whole) throw new Error(result.stdout + result.stderr);
          return result;
        },
        { deadlineMs, everyMs: 1_000, context },
      );
      return stdout.trim().replaceAll(/ +/g, ' ').replaceAll('\n', '; ');
    });
    await report.check('kubectl top pod: of both sites', async () => {
      for (const { name } of nodes)
        await waitFor(
          `figures of ${podOf(name)}`,
          async () => {
            const result = await stage.kubectl(['top', 'pod', podOf(name), '--no-headers']);
            expectResult(result, 0, new RegExp(`^${podOf(name)} +\\d+m +\\d+Mi`));
            return true;
          },
          { deadlineMs, everyMs: 1_000, context },
        );
    });
    await report.check('both went through the tunnel', async () => {
      const dials = await stage.metric('holdfast_tunnel_server_dials_total{way="proxy",outcome="node"}');
      expectThat(dials >= nodes.length, `${dials} connections by the proxy`);
    });
  } finally {
    await stage.processes.stop('metrics-server');
    await stage.kubectl(['delete', 'apiservice/v1beta1.metrics.k8s.io']);
  }
}

/** JSON is YAML. */
function kubeconfigOf(server: string, ca: string, token: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'drill', cluster: { server, 'certificate-authority': ca } }],
    users: [{ name: account, user: { token } }],
    contexts: [{ name: 'drill', context: { cluster: 'drill', user: account } }],
    'current-context': 'drill',
  });
}

/** As metrics-server's own manifests have it, with an address instead of pods; and `nodes/proxy`, for the way. */
function manifests(address: string, caBundle: string): Parameters<typeof create>[1] {
  const rbac = 'rbac.authorization.k8s.io';
  const own = { name: account, namespace };
  const labels = { 'kubernetes.io/service-name': account };
  return [
    {
      path: `/apis/${rbac}/v1/clusterroles`,
      body: {
        apiVersion: `${rbac}/v1`,
        kind: 'ClusterRole',
        metadata: { name: account },
        rules: [
          { apiGroups: [''], resources: ['nodes/metrics', 'nodes/proxy'], verbs: ['get'] },
          { apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] },
        ],
      },
    },
    clusterRoleBinding(account, account, own),
    clusterRoleBinding(`${account}:auth-delegator`, 'system:auth-delegator', own),
    {
      path: `/apis/${rbac}/v1/namespaces/${namespace}/rolebindings`,
      body: {
        apiVersion: `${rbac}/v1`,
        kind: 'RoleBinding',
        metadata: { name: account },
        roleRef: { apiGroup: rbac, kind: 'Role', name: 'extension-apiserver-authentication-reader' },
        subjects: [{ kind: 'ServiceAccount', ...own }],
      },
    },
    core(namespace, 'services', 'Service', {
      metadata: { name: account },
      spec: { ports: [{ port: 443, targetPort: port }] },
    }),
    {
      path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
      body: {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name: account, labels },
        addressType: 'IPv4',
        endpoints: [{ addresses: [address], conditions: { ready: true } }],
        ports: [{ port, protocol: 'TCP', name: '' }],
      },
    },
    {
      path: '/apis/apiregistration.k8s.io/v1/apiservices',
      body: {
        apiVersion: 'apiregistration.k8s.io/v1',
        kind: 'APIService',
        metadata: { name: 'v1beta1.metrics.k8s.io' },
        spec: {
          group: 'metrics.k8s.io',
          version: 'v1beta1',
          groupPriorityMinimum: 100,
          versionPriority: 100,
          caBundle,
          service: { name: account, namespace },
        },
      },
    },
  ];
}
