// The cloud side into a real API server and out again. No kubelet runs: a status is written where a controller would write it.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { X509Certificate } from 'node:crypto';
import { resources } from '../../../install/cluster-facts.ts';
import { install, type InstallParts, type InstallSettings } from '../../../install/install.ts';
import { installedKinds } from '../../../install/kinds.ts';
import { readManifests } from '../../../install/manifests.ts';
import type { Outcome } from '../../../install/outcome.ts';
import { uninstall } from '../../../install/uninstall.ts';
import type { Access } from '../../../controllers/machinery/access.ts';
import type { ApiObject } from '../../../controllers/machinery/resource.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { describeWithApiserver } from '../../cluster/integration.ts';
import { projectRoot } from '../../cluster/project-root.ts';
import { CertificateAccess, machinery } from '../controllers/cluster.ts';

const settings: InstallSettings = {
  dryRun: false,
  timeoutMs: 20_000,
  image: undefined,
  tunnelServers: [],
  siteDns: false,
};
const removal = { dryRun: false, timeoutMs: 20_000, deleteData: false, force: false, siteDnsOnly: false };
const never = new AbortController().signal;
const deployment = '/apis/apps/v1/namespaces/kube-system/deployments/holdfast-controllers';
const daemonSet = '/apis/apps/v1/namespaces/kube-system/daemonsets/holdfast-tunnel-server';
const siteDns = '/apis/apps/v1/namespaces/kube-system/daemonsets/holdfast-site-dns';
const read = (file: string): string => readFileSync(path.join(projectRoot(), 'config', file), 'utf8');
const manifests = readManifests(read);

const deployments = '/apis/apps/v1/namespaces/kube-system/deployments';
/** As kubeadm makes it, and with what somebody has added. */
const coreDns = (image: string): object => ({
  apiVersion: 'apps/v1',
  kind: 'Deployment',
  metadata: { name: 'coredns', labels: { 'k8s-app': 'kube-dns' } },
  spec: {
    selector: { matchLabels: { 'k8s-app': 'kube-dns' } },
    template: {
      metadata: { labels: { 'k8s-app': 'kube-dns' } },
      spec: {
        imagePullSecrets: [{ name: 'pull' }],
        containers: [
          {
            name: 'coredns',
            image,
            args: ['-conf', '/etc/coredns/Corefile'],
            volumeMounts: [
              { name: 'config-volume', mountPath: '/etc/coredns' },
              { name: 'zones', mountPath: '/zones' },
            ],
          },
        ],
        volumes: [
          { name: 'config-volume', configMap: { name: 'coredns' } },
          { name: 'zones', configMap: { name: 'zones' } },
        ],
      },
    },
  },
});

describeWithApiserver('install and uninstall', () => {
  let plane: ControlPlane;
  let access: Access;
  let parts: InstallParts;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    access = new CertificateAccess(plane, 'admin');
    parts = partsFor(access);
    await plane.request('POST', '/api/v1/nodes', {
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'cp1', labels: { 'node-role.kubernetes.io/control-plane': '' } },
    });
    await plane.request('PATCH', '/api/v1/nodes/cp1/status', {
      status: { addresses: [{ type: 'InternalIP', address: '10.0.0.1' }] },
    });
    await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'edge1' } });
  }, 120_000);
  afterAll(async () => {
    access?.close();
    await plane?.stop();
  });

  /** Between two looks the workloads become ready. */
  function partsFor(as: Access, becomesReady = true): InstallParts {
    return {
      api: machinery(as).api,
      clock: systemClock,
      sleep: async () => {
        if (becomesReady) await becomeReady();
      },
      progress: { begin: () => undefined, end: () => undefined, waiting: () => undefined },
      manifests,
      siteDnsManifests: readManifests(read, 'site-dns/'),
      here: { name: 'elsewhere', isBusy: async () => true },
      now: () => new Date(),
    };
  }

  async function becomeReady(): Promise<void> {
    for (const [place, status] of [
      [deployment, { replicas: 2, readyReplicas: 2, updatedReplicas: 2 }],
      [
        daemonSet,
        {
          currentNumberScheduled: 1,
          desiredNumberScheduled: 1,
          numberMisscheduled: 0,
          numberReady: 1,
          updatedNumberScheduled: 1,
        },
      ],
    ] as const) {
      const { status: found, body } = await plane.rawRequest('GET', place);
      if (found !== 200) continue;
      const { metadata } = JSON.parse(body.toString()) as ApiObject;
      await plane.request('PATCH', `${place}/status`, {
        status: { observedGeneration: metadata.generation, ...status },
      });
    }
  }

  /** Everything of ours in the cluster. */
  async function present(): Promise<string[]> {
    const found: string[] = [];
    for (const resource of installedKinds)
      for (const { metadata } of await parts.api.list<ApiObject>(
        resource,
        { labelSelector: 'app.kubernetes.io/part-of=holdfast' },
        never,
      ))
        if (metadata.deletionTimestamp === undefined)
          found.push(`${resource.kind} ${metadata.namespace ?? ''} ${metadata.name}`);
    return found.sort();
  }

  const check = ({ checks }: Outcome, name: string) => checks.find((candidate) => candidate.name === name);

  test('a dry run names every object and makes none', async () => {
    const outcome = await install(parts, { ...settings, dryRun: true }, never);
    expect(outcome).toMatchObject({ outcome: 'done', error: undefined });
    expect(outcome.changes).toHaveLength(manifests.length + 3);
    expect(outcome.changes).toContain('create DaemonSet kube-system/holdfast-tunnel-server');
    expect(await present()).toEqual([]);
  });

  test('who may not do it is refused, with what is missing, and nothing is changed', async () => {
    const weak = new CertificateAccess(plane, 'somebody', ['nobodies']);
    try {
      const outcome = await install(partsFor(weak), settings, never);
      expect(outcome.outcome).toBe('refused');
      expect(check(outcome, 'rights')).toMatchObject({
        verdict: 'refused',
        cause: expect.stringContaining('create namespaces') as string,
      });
      expect(await present()).toEqual([]);
    } finally {
      weak.close();
    }
  });

  test("beside OpenYurt's manager it is refused", async () => {
    const lease = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases';
    await plane.request('POST', lease, {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'yurt-manager' },
      spec: { holderIdentity: 'theirs' },
    });
    const outcome = await install(parts, settings, never);
    expect(outcome.outcome).toBe('refused');
    expect(check(outcome, 'OpenYurt')?.fix).toContain('kubectl -n kube-system delete lease yurt-manager');
    await plane.request('DELETE', `${lease}/yurt-manager`);
  });

  test('what is not ready in time is said, with the reason; the next run goes on', async () => {
    const outcome = await install(partsFor(access, false), { ...settings, timeoutMs: 300 }, never);
    expect(outcome.outcome).toBe('failed');
    expect(outcome.readiness).toContainEqual({
      object: 'Deployment kube-system/holdfast-controllers',
      ready: false,
      detail: expect.stringContaining('it has no pods') as string,
    });
    expect(await install(parts, settings, never)).toMatchObject({ outcome: 'done', changes: [] });
  });

  test('a second run changes nothing, and what somebody changed is put right, but for settings', async () => {
    const before = await present();
    expect(await install(parts, settings, never)).toMatchObject({ outcome: 'done', changes: [] });
    expect(await present()).toEqual(before);
    await plane.request('PATCH', '/apis/rbac.authorization.k8s.io/v1/clusterroles/holdfast:node', { rules: [] });
    const map = '/api/v1/namespaces/kube-system/configmaps/holdfast-tunnel-server';
    await plane.request('PATCH', map, { data: { 'tunnel-server.yaml': 'proxyListen: 0.0.0.0:10264\n' } });
    const { changes } = await install(parts, settings, never);
    expect(changes).toContainEqual(expect.stringMatching(/^change ClusterRole holdfast:node: rules/));
    expect(changes).toContainEqual(expect.stringMatching(/^keep ConfigMap kube-system\/holdfast-tunnel-server/));
    const { data } = await plane.request<{ data: Record<string, string> }>('GET', map);
    expect(data['tunnel-server.yaml']).toBe('proxyListen: 0.0.0.0:10264\n');
  });

  test("the tunnel's certificate is good for its servers; named ones are kept, and the certificate is renewed for them", async () => {
    const read = async (): Promise<{ servers: string; authority: X509Certificate; server: X509Certificate }> => {
      const { data } = await plane.request<{ data: Record<string, string> }>(
        'GET',
        '/api/v1/namespaces/kube-system/configmaps/holdfast-tunnel',
      );
      const secret = await plane.request<{ data: Record<string, string> }>(
        'GET',
        '/api/v1/namespaces/kube-system/secrets/holdfast-tunnel-server',
      );
      const certificate = Buffer.from(secret.data['tls.crt'] ?? '', 'base64');
      return {
        servers: data['servers'] ?? '',
        authority: new X509Certificate(data['ca.crt'] ?? ''),
        server: new X509Certificate(certificate),
      };
    };
    const first = await read();
    expect(first.servers).toBe('10.0.0.1:10262');
    expect(first.server.checkIP('10.0.0.1')).toBe('10.0.0.1');
    expect(first.server.verify(first.authority.publicKey)).toBe(true);
    await install(parts, { ...settings, tunnelServers: ['tunnel.example.com:443'] }, never);
    const second = await read();
    expect(second.servers).toBe('tunnel.example.com:443');
    expect(second.server.checkHost('tunnel.example.com')).toBe('tunnel.example.com');
    expect(second.authority.fingerprint256).toBe(first.authority.fingerprint256);
    const { changes } = await install(parts, settings, never);
    expect(changes.filter((change) => !change.startsWith('keep '))).toEqual([]);
    expect((await read()).servers).toBe('tunnel.example.com:443');
  });

  test('names at sites need a CoreDNS, take its image and settings, stay when installed again, and go alone', async () => {
    const refused = await install(parts, { ...settings, siteDns: true }, never);
    expect([refused.outcome, check(refused, 'names at sites')?.verdict]).toEqual(['refused', 'refused']);
    await plane.request('POST', '/api/v1/namespaces/kube-system/services', {
      metadata: { name: 'kube-dns' },
      spec: { selector: { 'k8s-app': 'kube-dns' }, ports: [{ name: 'dns', port: 53, protocol: 'UDP' }] },
    });
    await plane.request('POST', deployments, coreDns('registry.example.com/coredns:v1'));
    const before = await plane.request<ApiObject>('GET', `${deployments}/coredns`);

    // Settings that the test before has changed are kept, each time.
    const changesOf = ({ changes }: Outcome): string[] => changes.filter((change) => !change.startsWith('keep '));
    const dry = await install(parts, { ...settings, siteDns: true, dryRun: true }, never);
    expect(changesOf(dry)).toEqual(['create DaemonSet kube-system/holdfast-site-dns']);
    expect(await install(parts, { ...settings, siteDns: true }, never)).toMatchObject({
      outcome: 'done',
      changes: dry.changes,
      notes: [expect.stringContaining('CoreDNS is ready on 0 of 0 converted nodes') as string],
    });
    const template = async (): Promise<unknown> =>
      (await plane.request<{ spec: { template: { spec: unknown } } }>('GET', siteDns)).spec.template.spec;
    expect(await template()).toMatchObject({
      nodeSelector: { 'holdfast.dev/converted': 'true' },
      serviceAccountName: 'coredns',
      imagePullSecrets: [{ name: 'pull' }],
      containers: [{ image: 'registry.example.com/coredns:v1', args: ['-conf', '/etc/coredns/Corefile'] }],
      volumes: [{ name: 'config-volume', configMap: { name: 'coredns' } }, { name: 'zones' }],
    });

    // As after `kubeadm upgrade`: another image. Who installs again need not say --site-dns once more.
    expect(changesOf(await install(parts, settings, never))).toEqual([]);
    await plane.request('PUT', `${deployments}/coredns`, coreDns('registry.example.com/coredns:v2'));
    expect(changesOf(await install(parts, settings, never))).toEqual([
      expect.stringMatching(
        /^change DaemonSet kube-system\/holdfast-site-dns: spec\.template\.spec\.containers\.0\.image$/,
      ),
    ]);
    expect(await template()).toMatchObject({ containers: [{ image: 'registry.example.com/coredns:v2' }] });

    const rest = (await present()).filter((name) => !name.endsWith('holdfast-site-dns'));
    expect(await uninstall(parts, { ...removal, siteDnsOnly: true }, never)).toMatchObject({
      outcome: 'done',
      changes: ['delete DaemonSet kube-system/holdfast-site-dns'],
    });
    expect(await present()).toEqual(rest);
    const after = await plane.request<ApiObject>('GET', `${deployments}/coredns`);
    expect(after.metadata.labels).toEqual(before.metadata.labels);
    expect(await uninstall(parts, { ...removal, siteDnsOnly: true }, never)).toMatchObject({ changes: [] });
    await plane.request('DELETE', `${deployments}/coredns`);
  });

  test('while nodes are converted uninstall refuses and names them', async () => {
    const annotate = (value: string | null): Promise<unknown> =>
      plane.request('PATCH', '/api/v1/nodes/edge1', { metadata: { annotations: { 'holdfast.dev/converted': value } } });
    await annotate('0.1.0');
    const before = await present();
    const outcome = await uninstall(parts, removal, never);
    expect(outcome.outcome).toBe('refused');
    expect(check(outcome, 'nodes')?.cause).toBe('converted: edge1');
    expect(await present()).toEqual(before);
    await annotate(null);
  });

  test('uninstall leaves kinds that have objects, which can then be deleted without us', async () => {
    await plane.request('POST', '/apis/apps.openyurt.io/v1beta2/nodepools', {
      apiVersion: 'apps.openyurt.io/v1beta2',
      kind: 'NodePool',
      metadata: { name: 'berlin', finalizers: ['holdfast.dev/node-pool'] },
      spec: { type: 'Edge' },
    });
    await plane.request('PATCH', '/api/v1/nodes/edge1', {
      spec: { taints: [{ key: 'holdfast.dev/cut-off', effect: 'NoSchedule' }] },
    });
    const dry = await uninstall(parts, { ...removal, dryRun: true }, never);
    const outcome = await uninstall(parts, removal, never);
    expect(outcome).toMatchObject({ outcome: 'done', error: undefined });
    expect(outcome.changes).toEqual(dry.changes);
    expect(await present()).toEqual(['CustomResourceDefinition  nodepools.apps.openyurt.io']);
    expect(outcome.notes.join()).toContain('nodepools.apps.openyurt.io stays with its 1 objects');
    const edge = await parts.api.get<ApiObject & { spec?: { taints?: unknown } }>(
      resources.nodes,
      { name: 'edge1' },
      never,
    );
    expect(edge?.spec?.taints).toBeUndefined();
    await plane.request('DELETE', '/apis/apps.openyurt.io/v1beta2/nodepools/berlin');
    expect((await plane.rawRequest('GET', '/apis/apps.openyurt.io/v1beta2/nodepools/berlin')).status).toBe(404);
  });

  test('with --delete-data everything goes, and once more there is nothing to do', async () => {
    const all = { ...removal, deleteData: true };
    await plane.request('POST', '/apis/apps.openyurt.io/v1beta2/nodepools', {
      apiVersion: 'apps.openyurt.io/v1beta2',
      kind: 'NodePool',
      metadata: { name: 'paris', finalizers: ['holdfast.dev/node-pool'] },
      spec: { type: 'Edge' },
    });
    expect(await uninstall(parts, all, never)).toMatchObject({ outcome: 'done', error: undefined });
    expect(await present()).toEqual([]);
  });
});
