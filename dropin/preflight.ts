// May this node be converted? Pure: from what was found on it to checks, each with its cause and its fix. Nothing is changed
// before all of them have been made.
import type { MachineFacts } from './host.ts';
import { hubPorts, kubeadm, ours } from './places.ts';

export interface Check {
  readonly name: string;
  readonly verdict: 'ok' | 'warning' | 'refused';
  /** What was found. */
  readonly cause: string;
  /** What to do; '' when there is nothing to do. */
  readonly fix: string;
}

/** Undefined stands for: not there, or not to be had. */
export interface NodeFacts extends MachineFacts {
  /** Of the archive that this command runs from. */
  readonly archive:
    { readonly version: string; readonly architecture: string; readonly damaged: readonly string[] } | undefined;
  /** Other distributions of Kubernetes, by the file that shows them. */
  readonly otherDistributions: readonly { readonly name: string; readonly file: string }[];
  readonly hasSystemd: boolean;
  readonly isControlPlane: boolean;
  /** What kubelet.conf says, or why it cannot be used. */
  readonly kubelet:
    | { readonly server: string; readonly nodeName: string; readonly certificateFile: string | undefined }
    | { readonly problem: string };
  readonly kubeletUnit: { readonly loaded: boolean; readonly active: boolean };
  /** `--kubeconfig` of the running kubelet. */
  readonly usedKubeconfig: string | undefined;
  /** The node, as the API server gives it to the node itself; or why it does not. */
  readonly node: { readonly ready: boolean; readonly kubeletVersion: string } | { readonly problem: string };
  /** config/rbac/node.yaml is applied. */
  readonly mayReadKeys: boolean;
  readonly kubeProxyPods: number;
  /** Ours, without a journal that says where they come from. */
  readonly strayFiles: readonly string[];
}

export const neededBytes = 500 * 1024 * 1024;
/** Drilled with 1.34; the two before differ in nothing that the hub looks at, by Kubernetes' own tests of the wire. */
export const supportedMinors = { tested: 34, from: 32, to: 35 } as const;

export function preflight(facts: NodeFacts): Check[] {
  const checks: Check[] = [];
  const check = (name: string, problem: string | undefined, fix: string, found: string, weak = false): void => {
    if (problem === undefined) checks.push({ name, verdict: 'ok', cause: found, fix: '' });
    else checks.push({ name, verdict: weak ? 'warning' : 'refused', cause: problem, fix });
  };
  const { archive, kubelet, node } = facts;
  const [other] = facts.otherDistributions;
  check('root', facts.isRoot ? undefined : 'this is not root', 'Run it as root: sudo holdfast …', 'runs as root');
  check(
    'archive',
    archive === undefined
      ? 'this holdfast does not run from a release archive, so there is nothing to install'
      : archive.architecture === facts.architecture
        ? archive.damaged.length === 0
          ? undefined
          : `files of the archive are damaged or missing: ${archive.damaged.join(', ')}`
        : `the archive is for ${archive.architecture}, and this machine is ${facts.architecture}`,
    'Unpack the archive for this machine anew (holdfast-VERSION-linux-ARCHITECTURE.tar.gz), and run bin/holdfast from it.',
    `Holdfast ${archive?.version} for ${archive?.architecture}`,
  );
  check(
    'distribution',
    other === undefined
      ? undefined
      : `this is a node of ${other.name} (${other.file} is there), which runs the kubelet in its own way`,
    'Only nodes of kubeadm can be converted for now.',
    'no other distribution of Kubernetes',
  );
  check(
    'systemd',
    facts.hasSystemd ? undefined : 'there is no systemd (/run/systemd/system)',
    'Set the hub up by hand: config/node/README.md.',
    'systemd runs the services',
  );
  check(
    'role',
    facts.isControlPlane ? `this is a control-plane node (${kubeadm.apiServerManifest} is there)` : undefined,
    'Convert worker nodes; control-plane nodes have their API server beside them.',
    'a worker node',
  );
  check(
    'kubelet.conf',
    'problem' in kubelet
      ? kubelet.problem
      : kubelet.certificateFile === undefined
        ? 'it holds the client certificate itself, which the kubelet cannot renew there'
        : undefined,
    'Make it anew: kubeadm join, or see "kubelet client certificate rotation fails" in the documentation of kubeadm.',
    'problem' in kubelet ? '' : `${kubelet.nodeName} at ${kubelet.server}`,
  );
  check(
    'kubelet',
    !facts.kubeletUnit.loaded
      ? `systemd has no ${kubeadm.kubeletUnit}`
      : !facts.kubeletUnit.active
        ? `${kubeadm.kubeletUnit} does not run`
        : facts.usedKubeconfig === kubeadm.kubeconfig
          ? undefined
          : `the kubelet runs with --kubeconfig=${facts.usedKubeconfig ?? '(none)'}, not ${kubeadm.kubeconfig}`,
    "Start it by kubeadm's drop-in 10-kubeadm.conf (systemctl cat kubelet), and have it run well, before it is turned elsewhere.",
    `runs with ${kubeadm.kubeconfig}`,
  );
  check(
    'cloud',
    'problem' in node ? node.problem : node.ready ? undefined : 'the API server says that this node is not Ready',
    'Convert when the API server can be reached and calls the node Ready: kubectl describe node, journalctl -u kubelet.',
    'the node is Ready',
  );
  if (!('problem' in node)) {
    const minor = Number(/^v1\.(\d+)\./.exec(node.kubeletVersion)?.[1] ?? 0);
    check(
      'version',
      minor === supportedMinors.tested
        ? undefined
        : `kubelet ${node.kubeletVersion}; Holdfast is drilled with 1.${supportedMinors.tested}`,
      `Versions from 1.${supportedMinors.from} to 1.${supportedMinors.to} are expected to work; try on a node that matters less first.`,
      `kubelet ${node.kubeletVersion}`,
      minor >= supportedMinors.from && minor <= supportedMinors.to,
    );
  }
  check(
    'rights',
    facts.mayReadKeys
      ? undefined
      : 'nodes may not read the keys of service accounts, so tokens that come first after a start without the cloud are refused',
    'Once per cluster, as administrator: kubectl apply -f config/rbac/node.yaml (in the archive), or holdfast install.',
    'nodes may read what the hub needs',
    true,
  );
  check(
    'ports',
    facts.busyPorts.length === 0
      ? undefined
      : facts.busyPorts
          .map((port) => `port ${port} (${hubPorts.find(([known]) => known === port)?.[1]}) is taken`)
          .join('; '),
    'See who has it: ss -lntp.',
    `${hubPorts.map(([port]) => port).join(', ')} are free`,
  );
  check(
    'disk',
    facts.freeBytes < neededBytes ? `${Math.round(facts.freeBytes / 1024 / 1024)} MiB are free` : undefined,
    `Make room: ${neededBytes / 1024 / 1024} MiB in /opt and /var/lib.`,
    `${Math.round(facts.freeBytes / 1024 / 1024)} MiB are free`,
  );
  check(
    'ip',
    facts.hasIp ? undefined : 'the program ip is missing',
    'apt-get install iproute2',
    'the program ip is there',
  );
  check(
    'kube-proxy',
    facts.kubeProxyPods === 0 ? 'no pod of the DaemonSet kube-system/kube-proxy is on this node' : undefined,
    'What takes its place has to be pointed at https://127.0.0.1:10261 by hand, to know Services after a reboot without the cloud.',
    'runs as kubeadm deploys it',
    true,
  );
  check(
    'leftovers',
    facts.strayFiles.length === 0
      ? undefined
      : `there is something of Holdfast already: ${facts.strayFiles.join(', ')}`,
    `It was not made by holdfast convert. Take it away as it came (config/node/README.md), also ${ours.data}.`,
    'nothing of Holdfast is here',
  );
  return checks;
}
