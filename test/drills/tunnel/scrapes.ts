// The CONNECT proxy: a real Prometheus scrapes kubelet, cAdvisor and a pod at both sites through proxy_url, and whoever has
// no rights is refused.
import { mkdirSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { cacheFolder } from '../../cluster/binaries.ts';
import { runFully, waitFor } from '../../cluster/commands.ts';
import { unpackedProgram } from '../../cluster/packages.ts';
import { logTail } from '../../cluster/processes.ts';
import { expectThat } from '../report.ts';
import { podOf, type TunnelStage } from './stage.ts';

const prometheusPort = 9390;

interface Target {
  labels: { job: string; instance: string };
  health: string;
  lastError: string;
}

export async function scrapes(stage: TunnelStage): Promise<void> {
  const { report, cluster } = stage;
  const { plane } = cluster;
  await grant(stage);
  const token = await plane.token('default', 'prometheus');
  const program = await unpackedProgram('prometheus', 'usr/bin/prometheus', path.join(cacheFolder(), 'packages'));
  const folder = path.join(stage.folder, 'prometheus');
  mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'prometheus.yaml');
  const podAddresses = await Promise.all(stage.nodes.map(({ name }) => podAddress(stage, name)));
  writeFileSync(file, configuration(stage, token, podAddresses), { mode: 0o600 });
  const logFile = path.join(stage.folder, 'log', 'prometheus.log');
  const own = [program, `--config.file=${file}`, `--storage.tsdb.path=${path.join(folder, 'data')}`];
  const argv = ['setpriv', '--pdeathsig', 'KILL', ...own, `--web.listen-address=127.0.0.1:${prometheusPort}`];
  await stage.processes.start('prometheus', argv, { logFile });
  try {
    await report.check('Prometheus: kubelet, cAdvisor and a pod at both sites are up', async () => {
      const wanted = 3 * stage.nodes.length;
      return await waitFor(
        `${wanted} targets are up`,
        async () => {
          stage.processes.assertRunning('prometheus');
          const found = await targets();
          const down = found.filter(({ health }) => health !== 'up');
          if (found.length === wanted && down.length === 0) return `${wanted} targets`;
          throw new Error(
            down.map(({ labels, lastError }) => `${labels.job} ${labels.instance}: ${lastError}`).join('; '),
          );
        },
        { deadlineMs: 180_000, everyMs: 200, context: () => logTail(logFile) },
      );
    });
  } finally {
    await stage.processes.stop('prometheus');
  }
  const [first] = stage.nodes;
  const other = await plane.token('default', 'nobody-special');
  await report.check('a client without rights is refused with 403, one without a valid token with 407', async () => {
    const refused = await curl(stage, other, `https://${first?.name}:10250/healthz`);
    expectThat(/403 system:serviceaccount:default:nobody-special may not get nodes\/proxy/.test(refused), refused);
    const unknown = await curl(stage, 'none', `https://${first?.name}:10250/healthz`);
    expectThat(/\b407\b/.test(unknown), unknown);
  });
  await report.check('a person: curl with a token, straight to the kubelet', async () => {
    const said = await curl(stage, token, `https://${first?.name}:10250/metrics/resource`);
    expectThat(/^node_cpu_usage_seconds_total /m.test(said), said.slice(0, 300));
  });
}

/** As a Prometheus has it in many clusters: nodes/proxy for the way, nodes/metrics for the kubelet. */
async function grant(stage: TunnelStage): Promise<void> {
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  const group = { apiVersion: 'rbac.authorization.k8s.io/v1', metadata: { name: 'prometheus' } };
  const rules = [{ apiGroups: [''], resources: ['nodes/proxy', 'nodes/metrics'], verbs: ['get'] }];
  await stage.cluster.plane.request('POST', `${rbac}/clusterroles`, { ...group, kind: 'ClusterRole', rules });
  await stage.cluster.plane.request('POST', `${rbac}/clusterrolebindings`, {
    ...group,
    kind: 'ClusterRoleBinding',
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'prometheus' },
    subjects: [{ kind: 'ServiceAccount', name: 'prometheus', namespace: 'default' }],
  });
}

export async function podAddress(stage: TunnelStage, node: string): Promise<string> {
  const pod = await stage.cluster.plane.request<{ status: { podIP: string } }>(
    'GET',
    `/api/v1/namespaces/default/pods/${podOf(node)}`,
  );
  return pod.status.podIP;
}

/** JSON is YAML. The token is the password of the proxy's URL: older versions can send no other header to a proxy. */
function configuration(stage: TunnelStage, token: string, podAddresses: readonly string[]): string {
  const job = (
    name: string,
    more: Record<string, unknown>,
    targetList: readonly string[],
  ): Record<string, unknown> => ({
    job_name: name,
    proxy_url: `https://prometheus:${token}@${stage.proxy}`,
    authorization: { credentials: token },
    // Kubelets sign their own serving certificates by default. The proxy is verified by the same settings.
    tls_config: { ca_file: stage.cluster.plane.caFile, insecure_skip_verify: true },
    static_configs: [{ targets: targetList }],
    ...more,
  });
  const kubelets = stage.nodes.map(({ name }) => `${name}:10250`);
  return JSON.stringify({
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: [
      job('kubelet', { scheme: 'https' }, kubelets),
      job('cadvisor', { scheme: 'https', metrics_path: '/metrics/cadvisor' }, kubelets),
      job(
        'pod',
        { authorization: undefined },
        podAddresses.map((address) => `${address}:8080`),
      ),
    ],
  });
}

/** What it answered, or what curl says of the proxy's answer. */
async function curl(stage: TunnelStage, token: string, url: string): Promise<string> {
  const proxy = ['--proxy', `https://${stage.proxy}`, '--proxy-cacert', stage.cluster.plane.caFile];
  const credentials = [
    '--proxy-header',
    `Proxy-Authorization: Bearer ${token}`,
    '-H',
    `Authorization: Bearer ${token}`,
  ];
  const argv = ['curl', '-sS', '-i', '--max-time', '20', '--insecure', ...proxy, ...credentials, url];
  const { stdout, stderr } = await runFully(argv, { mayFail: true });
  return stdout + stderr;
}

function targets(): Promise<Target[]> {
  return new Promise((resolve, reject) => {
    const url = `http://127.0.0.1:${prometheusPort}/api/v1/targets`;
    http
      .get(url, { agent: false, timeout: 2_000 }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (text: string) => (body += text));
        response.on('end', () => {
          try {
            resolve((JSON.parse(body) as { data: { activeTargets: Target[] } }).data.activeTargets);
          } catch (error) {
            reject(error);
          }
        });
      })
      .on('error', reject);
  });
}
