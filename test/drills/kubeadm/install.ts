// The cloud side of a kubeadm cluster from nothing and back to nothing: image without a registry, install, the API server turned to the
// tunnel, exec to a node behind NAT, and all of it taken out again.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { binary } from '../../cluster/binaries.ts';
import { run, waitFor } from '../../cluster/commands.ts';
import { projectRoot } from '../../cluster/project-root.ts';
import { expectThat } from '../report.ts';
import { cloudFolder, onControlPlane, unpackOnControlPlane, type Said } from './cloud-side.ts';
import type { Stage } from './stage.ts';

const brokenFolder = '/var/lib/unpacked/broken';
const manifest = '/etc/kubernetes/manifests/kube-apiserver.yaml';

export async function installed(stage: Stage): Promise<void> {
  const { report, cluster } = stage;
  const plane = cluster.controlPlane;
  for (const target of [cloudFolder, brokenFolder]) await unpackOnControlPlane(stage, target);
  const say = (args: readonly string[], code: number, from?: string): Promise<Said> =>
    onControlPlane(stage, args, code, from);
  const apiServerManifest = (): string => readFileSync(plane.file(manifest), 'utf8');
  const kubeadmConfig = (): Promise<string> =>
    cluster.kubectl(
      '-n',
      'kube-system',
      'get',
      'configmap',
      'kubeadm-config',
      '-o',
      'jsonpath={.data.ClusterConfiguration}',
    );

  const before = await objects(stage);
  const manifestBefore = apiServerManifest();
  const configBefore = await kubeadmConfig();

  await report.check('a dry run names what kubectl kustomize gives, and changes nothing', async () => {
    const { changes } = await say(['install', '--dry-run'], 0);
    const text = await run([binary('kubectl'), 'kustomize', path.join(projectRoot(), 'config')]);
    const wanted = [...text.matchAll(/^kind: (\w+)\nmetadata:\n(?: .*\n)*? {2}name: (\S+)$/gm)].map(
      ([, kind, name]) => `${kind} ${name}`,
    );
    const named = new Set(
      changes.map((line) => {
        const [, kind = '', name = ''] = line.split(' ');
        return `${kind} ${name.replace(/^.*\//, '').replace(/:$/, '')}`;
      }),
    );
    // The drill itself has given the nodes their rights already: what is there and the same is no change, but for its label.
    const missing = wanted.filter((name) => !named.has(name));
    expectThat(wanted.length > 40 && missing.length === 0, `not named: ${missing.join(', ')}\n${changes.join('\n')}`);
    expectThat((await objects(stage)).size === before.size, 'something was made');
    return `${wanted.length} objects`;
  });
  await report.check('install, killed and run again: controllers and tunnel server are ready', async () => {
    await plane.importArchive(stage.image);
    await plane.startProcess('holdfast', [
      `${cloudFolder}/bin/holdfast`,
      'install',
      '--kubeconfig',
      '/etc/kubernetes/admin.conf',
    ]);
    const afterMs = Math.round(Math.random() * 3_000);
    await new Promise((resolve) => setTimeout(resolve, afterMs));
    await plane.kill9('holdfast');
    const { readiness, seconds } = await say(['install', '--timeout', '120'], 0);
    expectThat(readiness.every(({ ready }) => ready) && readiness.length === 4, JSON.stringify(readiness));
    return `killed after ${afterMs} ms; then ${seconds} s; ${readiness.map(({ object, detail }) => `${object}: ${detail}`).join(', ')}`;
  });
  await report.check('once more: nothing is changed', async () => {
    const { changes } = await say(['install'], 0);
    expectThat(changes.length === 0, changes.join('\n'));
  });
  await report.check('a broken EgressSelector: kube-apiserver gets its former manifest back by itself', async () => {
    await plane.enter([
      'sh',
      '-c',
      `echo 'egressSelections: [{name: nonsense}]' > ${brokenFolder}/config/tunnel/egress-selector.yaml`,
    ]);
    const { outcome, seconds } = await say(['install', '--egress', '--timeout', '30'], 1, brokenFolder);
    expectThat(outcome === 'rolled-back', outcome);
    expectThat(apiServerManifest() === manifestBefore, 'the manifest is not as it was');
    expectThat((await kubeadmConfig()) === configBefore, 'kubeadm-config is not as it was');
    return `${seconds} s`;
  });
  await report.check(
    'install --egress: kube-apiserver goes through the tunnel server, and kubeadm knows of it',
    async () => {
      const { seconds } = await say(['install', '--egress'], 0);
      expectThat(apiServerManifest().includes('--egress-selector-config-file='), 'the manifest has no such flag');
      expectThat((await kubeadmConfig()).includes('egress-selector-config-file'), 'kubeadm-config has no such flag');
      return `${seconds} s`;
    },
  );
  await report.check('exec into a pod of a converted node behind NAT', async () => {
    await stage.succeed(['convert']);
    const started = Date.now();
    let said = '';
    await waitFor(
      'kubectl exec answers',
      async () => {
        said = (await cluster.kubectl('exec', 'web-1', '--', 'cat', '/etc/hostname')).trim();
        return said === 'web-1';
      },
      { deadlineMs: 60_000, everyMs: 500, context: () => said },
    );
    return `${said} answered ${((Date.now() - started) / 1000).toFixed(1)} s after the conversion`;
  });
  await report.check('uninstall refuses while kube-apiserver goes through the tunnel server', async () => {
    const { checks } = await say(['uninstall'], 3);
    const refused = checks.filter(({ verdict }) => verdict === 'refused').map(({ name }) => name);
    expectThat(refused.includes('kube-apiserver'), JSON.stringify(checks));
    return `refused: ${refused.join(', ')}`;
  });
  await report.check('uninstall --egress gives the manifest and kubeadm-config back byte for byte', async () => {
    await stage.succeed(['revert'], '/usr/local/bin/holdfast');
    const { seconds } = await say(['uninstall', '--egress'], 0);
    expectThat(apiServerManifest() === manifestBefore, 'the manifest is not as it was');
    expectThat(
      (await kubeadmConfig()) === configBefore,
      `kubeadm-config was\n${configBefore}\nand is\n${await kubeadmConfig()}`,
    );
    return `${seconds} s`;
  });
  await report.check('uninstall leaves no object', async () => {
    const { seconds } = await say(['uninstall', '--delete-data'], 0);
    let left: string[] = [];
    await waitFor(
      'nothing is left',
      async () => {
        left = [...(await objects(stage))].filter((name) => !before.has(name) || /holdfast/.test(name));
        return left.length === 0;
      },
      { deadlineMs: 30_000, everyMs: 1_000, context: () => left.join('\n') },
    );
    return `${seconds} s`;
  });
}

/** Everything in the cluster that is not made and remade all the time. */
async function objects({ cluster }: Stage): Promise<Set<string>> {
  const kinds = (await cluster.kubectl('api-resources', '--verbs=list', '-o', 'name')).trim().split('\n');
  const lasting = kinds.filter(
    (kind) =>
      !/^(events|pods|replicasets|endpointslices|endpoints|certificatesigningrequests|componentstatuses|controllerrevisions)(\.|$)/.test(
        kind,
      ),
  );
  const listed = await cluster.kubectl(
    'get',
    lasting.join(','),
    '-A',
    '-o',
    'custom-columns=K:.kind,S:.metadata.namespace,N:.metadata.name',
    '--no-headers',
    '--ignore-not-found',
  );
  return new Set(
    listed
      .trim()
      .split('\n')
      .map((line) => line.replaceAll(/\s+/g, ' '))
      // A kubelet makes its Lease a while after its Node is Ready.
      .filter((line) => !line.startsWith('Lease kube-node-lease ')),
  );
}
