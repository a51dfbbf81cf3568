// Names at a site behind NAT, where kubeadm's CoreDNS answers nobody: `install --site-dns` puts one on converted nodes, which pods find
// at the same address; with the cloud gone, after a reboot without it, and taken out again. The control plane keeps its own.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { waitFor } from '../../cluster/commands.ts';
import { registryName } from '../../cluster/images.ts';
import type { KubeadmMachine } from '../../cluster/kubeadm/kubeadm-machine.ts';
import { core, create, type Manifest } from '../../cluster/manifest.ts';
import { expectThat } from '../report.ts';
import { onControlPlane, unpackOnControlPlane } from './cloud-side.ts';
import type { Stage } from './stage.ts';

const namespace = 'names';
/** On the machine; hostPath of the pod that asks. */
const folder = '/var/lib/drill-names';
const asked = 'web.default.svc.cluster.local';
/** As any pod asks: whom the kubelet wrote into its resolv.conf. */
const script = `ok=0; bad=0
while :; do
  if timeout 3 nslookup ${asked} >/data/last 2>&1; then ok=$((ok + 1)); else bad=$((bad + 1)); fi
  echo "$ok $bad" > /data/count.new; mv /data/count.new /data/count
  sleep 0.2
done`;

interface Count {
  answered: number;
  failed: number;
}

export async function namesAtSites(stage: Stage): Promise<void> {
  const { report, cluster, node } = stage;
  const plane = cluster.controlPlane;
  await node.importArchive(cluster.coreDnsArchive);
  await unpackOnControlPlane(stage);
  await plane.importArchive(stage.image);
  const kubeadms = await ofKubeadm(stage);
  const namespaceObject = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } };
  await create(cluster.api, [{ path: '/api/v1/namespaces', body: namespaceObject }, asker(plane), asker(node)]);

  await report.check('before: a pod behind NAT finds no name, a pod on the control plane does', async () => {
    await until('the pod on the control plane finds a name', plane, ({ answered }) => answered > 2);
    await until('the pod behind NAT has asked', node, ({ failed }) => failed > 1);
    expectThat(count(node).answered === 0, `${count(node).answered} answers`);
  });
  await report.check(
    'install --site-dns: CoreDNS for converted nodes, and nothing of kubeadm’s is changed',
    async () => {
      const { seconds, notes } = await onControlPlane(stage, ['install', '--site-dns'], 0);
      expectThat((await ofKubeadm(stage)) === kubeadms, 'the Service, the Deployment or the ConfigMap was changed');
      return `${seconds} s; ${notes.at(-1)}`;
    },
  );
  await report.check('convert: the pod finds the name at the address that it always asked', async () => {
    await stage.succeed(['convert']);
    const started = Date.now();
    await until('the pod behind NAT finds a name', node, ({ answered }) => answered > 2);
    const resolver = readFileSync(node.file(`${folder}/last`), 'utf8').split('\n')[0];
    return `${since(started)} after the conversion; ${resolver}`;
  });
  await report.check('the cloud is cut off: no question stays without an answer', async () => {
    await node.link.apply({ kind: 'drop' });
    const before = count(node);
    await until('it asks on', node, ({ answered }) => answered > before.answered + 30);
    expectThat(count(node).failed === before.failed, `${count(node).failed - before.failed} failed`);
    return '30 answers';
  });
  await report.check('rebooted with the cloud gone: names are found again', async () => {
    const started = Date.now();
    await node.powerOff();
    rmSync(node.file(`${folder}/count`), { force: true });
    await node.powerOn();
    await until('the pod behind NAT finds a name', node, ({ answered }) => answered > 2);
    return `${since(started)} after the power was cut, ${count(node).failed} questions before that`;
  });
  await report.check('the cloud is back: names are found on, there and on the control plane', async () => {
    const before = { site: count(node), plane: count(plane) };
    await node.link.heal();
    await cluster.waitForNode(node.name, 180_000);
    await until('both ask on', node, ({ answered }) => answered > before.site.answered + 20);
    expectThat(count(node).failed === before.site.failed, `${count(node).failed - before.site.failed} failed`);
    expectThat(count(plane).answered > before.plane.answered, 'none on the control plane');
    expectThat(count(plane).failed === before.plane.failed, `${count(plane).failed} failed on the control plane`);
  });
  await report.check('uninstall --site-dns leaves nothing of it, and kubeadm’s as it was', async () => {
    const { changes } = await onControlPlane(stage, ['uninstall', '--site-dns'], 0);
    expectThat(changes.length === 1, changes.join('\n'));
    await waitFor('its pods are gone', async () => (await siteDnsPods(stage)) === '', {
      deadlineMs: 60_000,
      everyMs: 500,
    });
    expectThat((await ofKubeadm(stage)) === kubeadms, 'the Service, the Deployment or the ConfigMap was changed');
    await cluster.kubectl('delete', 'namespace', namespace, '--wait=false');
    await stage.succeed(['revert'], '/usr/local/bin/holdfast');
  });
}

/** A pod on that machine that asks for a name all the time, and counts. */
function asker(machine: KubeadmMachine): Manifest {
  const { name } = machine;
  mkdirSync(machine.file(folder), { recursive: true });
  return core(namespace, 'pods', 'Pod', {
    metadata: { name: `asker-${name}` },
    spec: {
      nodeName: name,
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: 'main',
          image: `${registryName}/busybox:1`,
          command: ['sh', '-c', script],
          volumeMounts: [{ name: 'data', mountPath: '/data' }],
        },
      ],
      volumes: [{ name: 'data', hostPath: { path: folder } }],
    },
  });
}

function count(machine: KubeadmMachine): Count {
  const file = machine.file(`${folder}/count`);
  const [answered = 0, failed = 0] = existsSync(file) ? readFileSync(file, 'utf8').split(' ').map(Number) : [];
  return { answered, failed };
}

async function until(what: string, machine: KubeadmMachine, isSo: (count: Count) => boolean): Promise<void> {
  await waitFor(what, () => isSo(count(machine)), {
    deadlineMs: 180_000,
    everyMs: 100,
    context: () => JSON.stringify(count(machine)),
  });
}

/** What kubeadm made for names, without what changes by itself. */
async function ofKubeadm({ cluster }: Stage): Promise<string> {
  const objects = ['service/kube-dns', 'deployment/coredns', 'configmap/coredns'];
  const text = await cluster.kubectl('-n', 'kube-system', 'get', ...objects, '-o', 'json');
  interface Made {
    metadata: { labels?: object; annotations?: object };
    spec?: unknown;
    data?: unknown;
  }
  const { items } = JSON.parse(text) as { items: Made[] };
  return JSON.stringify(
    items.map(({ metadata: { labels, annotations }, spec, data }) => ({ labels, annotations, spec, data })),
  );
}

function siteDnsPods({ cluster }: Stage): Promise<string> {
  const selector = 'app.kubernetes.io/name=holdfast-site-dns';
  return cluster.kubectl('-n', 'kube-system', 'get', 'pods', '-l', selector, '-o', 'name');
}

const since = (started: number): string => `${((Date.now() - started) / 1000).toFixed(1)} s`;
