// `kubeadm upgrade` of a cluster that has all of Holdfast: kube-apiserver goes through the tunnel server, a node behind NAT is converted, names are
// found there. kubeadm writes manifests, kube-dns, CoreDNS and the kubelet's configuration anew, and everything works on.
import { readFileSync } from 'node:fs';
import { versionOf } from '../../cluster/binaries.ts';
import { waitFor } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import { onControlPlane, unpackOnControlPlane } from './cloud-side.ts';
import type { Stage } from './stage.ts';

const to = '1.34';
const manifest = '/etc/kubernetes/manifests/kube-apiserver.yaml';
const admin = ['--kubeconfig', '/etc/kubernetes/admin.conf'];
/** No registry, and a pause image that takes no arguments: the Job that kubeadm tries a cluster with cannot run here. */
const lab = '--ignore-preflight-errors=CreateJob,ImagePull';

export async function minorUpgraded(stage: Stage): Promise<void> {
  const { report, cluster, node } = stage;
  const plane = cluster.controlPlane;
  const asksForNames = async (): Promise<string> =>
    (await cluster.kubectl('exec', 'web-1', '--', 'nslookup', 'web.default.svc.cluster.local')).split('\n')[0] ?? '';
  const execs = async (): Promise<string> => {
    const said = await cluster.kubectl('exec', 'web-1', '--', 'cat', '/etc/hostname');
    expectThat(said.trim() === 'web-1', said);
    return said.trim();
  };
  const soon = async (what: string, probe: () => Promise<string>): Promise<string> => {
    let said = '';
    await waitFor(what, async () => (said = await probe().catch(() => '')) !== '', {
      deadlineMs: 90_000,
      everyMs: 500,
    });
    return said;
  };

  await report.check('install --site-dns, --egress and convert, on 1.33: exec and names behind NAT', async () => {
    await unpackOnControlPlane(stage);
    await plane.importArchive(stage.image);
    await node.importArchive(cluster.coreDnsArchive);
    await onControlPlane(stage, ['install', '--site-dns'], 0);
    await onControlPlane(stage, ['install', '--egress'], 0);
    await stage.succeed(['convert']);
    await soon('exec', execs);
    return `${await version(stage, 'cp1')}, ${await version(stage, node.name)}; ${await soon('names', asksForNames)}`;
  });
  const counted = stage.counted();
  await report.check('kubeadm upgrade apply: kube-apiserver keeps its way through the tunnel server', async () => {
    await cluster.offerImages(to);
    await node.importArchive(cluster.coreDnsArchive);
    await plane.replaceProgram('kubeadm', to);
    await plane.kubeadm(['upgrade', 'apply', versionOf[to], '--yes', lab, ...admin]);
    const text = readFileSync(plane.file(manifest), 'utf8');
    expectThat(text.includes(`kube-apiserver:${versionOf[to]}`), 'the image is another one');
    for (const flag of ['egress-selector-config-file', 'Hostname,InternalIP', 'enable-aggregator-routing'])
      expectThat(text.includes(flag), `${flag} is gone from the manifest`);
    await plane.replaceProgram('kubelet', to);
    await plane.systemctl('restart', 'kubelet');
    await upgradedTo(stage, 'cp1');
    return soon('exec', execs);
  });
  await report.check('kubeadm upgrade node and another kubelet on the converted node', async () => {
    await node.replaceProgram('kubeadm', to);
    await node.kubeadm(['upgrade', 'node', lab]);
    await node.replaceProgram('kubelet', to);
    await node.systemctl('restart', 'kubelet');
    await upgradedTo(stage, node.name);
    const text = (await stage.holdfast(['status', '--output', 'json'], '/usr/local/bin/holdfast')).stdout;
    const { converted, watches } = JSON.parse(text) as { converted: boolean; watches: number };
    expectThat(converted && watches > 0, text);
    return `${watches} watches at the hub`;
  });
  await report.check('exec and names behind NAT as before, and the Service was served meanwhile', async () => {
    const said = `${await soon('exec', execs)}; ${await soon('names', asksForNames)}`;
    const now = stage.counted();
    return `${said}; ${now.served - counted.served} requests served, ${now.failed - counted.failed} failed`;
  });
  await report.check('install once more: CoreDNS at the site is of the new version, nothing else changes', async () => {
    const { changes } = await onControlPlane(stage, ['install'], 0);
    const others = changes.filter((change) => !change.includes('holdfast-site-dns'));
    expectThat(others.length === 0, others.join('\n'));
    return `${changes.join()}; ${await soon('names', asksForNames)}`;
  });
  await report.check('cut off and rebooted: pods, Services and names are back', async () => {
    await node.link.apply({ kind: 'drop' });
    await node.powerOff();
    stage.forgetCount();
    await node.powerOn();
    await waitFor('the client is served', () => stage.counted().served > 5, { deadlineMs: 180_000, everyMs: 100 });
    await node.link.heal();
    await cluster.waitForNode(node.name, 180_000);
    return soon('names', asksForNames);
  });
  await report.check('and all of it out again', async () => {
    await stage.succeed(['revert'], '/usr/local/bin/holdfast');
    await onControlPlane(stage, ['uninstall', '--egress'], 0);
    expectThat(!readFileSync(plane.file(manifest), 'utf8').includes('egress-selector'), 'the flag is still there');
    const { seconds } = await onControlPlane(stage, ['uninstall', '--delete-data'], 0);
    return `${seconds} s`;
  });
}

interface Node {
  readonly status: { readonly nodeInfo: { readonly kubeletVersion: string } };
}

async function version({ cluster }: Stage, name: string): Promise<string> {
  return (await cluster.api.request<Node>('GET', `/api/v1/nodes/${name}`)).status.nodeInfo.kubeletVersion;
}

async function upgradedTo(stage: Stage, name: string): Promise<void> {
  await waitFor(
    `the kubelet of ${name} is ${versionOf[to]}`,
    async () => (await version(stage, name)) === versionOf[to],
    {
      deadlineMs: 120_000,
      everyMs: 500,
    },
  );
  await stage.cluster.waitForNode(name);
}
