// What a conversion changes, as data: steps in order, each with the way there and the way back. Pure: the same facts give the
// same plan, which is what --dry-run prints and what a second run after a crash goes by.
import path from 'node:path';
import {
  convertedAnnotation,
  convertedLabel,
  currentLink,
  kubeadm,
  ours,
  prefix,
  reportAnnotation,
  tunnelLabel,
  unpackFolder,
  versionFolder,
} from './places.ts';

/** Each may be carried out again, whatever part of it was done before. */
export type Action =
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  | { readonly kind: 'file'; readonly path: string; readonly content: string; readonly mode: number }
  | { readonly kind: 'link'; readonly path: string; readonly target: string }
  /** The folder `from` with all that is in it. */
  | { readonly kind: 'tree'; readonly path: string; readonly from: string }
  /** What was at `path` before: bytes, mode, owner; or nothing. A folder that was made goes when it is empty, or `whole`. */
  | { readonly kind: 'restore'; readonly path: string; readonly whole?: true }
  /** Gone with all that is in it; it was made here. */
  | { readonly kind: 'remove'; readonly path: string }
  | { readonly kind: 'reload-units' }
  | { readonly kind: 'enable-unit' | 'start-unit' | 'stop-unit' | 'disable-unit'; readonly unit: string }
  /** Unless the kubelet runs with this kubeconfig already. Waits until it is well, and uses it. */
  | { readonly kind: 'restart-kubelet'; readonly kubeconfig: string }
  /** And waits until it is ready. */
  | { readonly kind: 'restart-hub' }
  /** On the Node, in the cloud; without a version it is taken away. `back`: only if the cloud can be asked. */
  | { readonly kind: 'announce'; readonly version: string | undefined; readonly back?: true }
  /** On the Node, those of them that it has not yet; what is added is noted. */
  | { readonly kind: 'label'; readonly labels: Readonly<Record<string, string>> }
  /** Takes away what was added, if the cloud can be asked. */
  | { readonly kind: 'unlabel' }
  /** New kube-proxy pods on this node, which read their configuration anew. `only`: if that step had begun. */
  | { readonly kind: 'renew-kube-proxy'; readonly note: string; readonly only?: string }
  /** What the hub added to the kubelet's renewals of this node's Lease. */
  | { readonly kind: 'forget-report' }
  | { readonly kind: 'await-hub' }
  /** What the kubelet is going to ask for is in the hub, and the same as in the cloud. */
  | { readonly kind: 'await-sync' }
  /** The hub is of this version, its clients have come back, and the kubelet has renewed the Lease through it. */
  | { readonly kind: 'verify-hub'; readonly version: string }
  /** The node is Ready, its kubelet uses the hub, and no container of another pod was started anew. */
  | { readonly kind: 'verify' };

export interface Step {
  readonly id: string;
  /** What a person reads while it goes on. */
  readonly title: string;
  readonly apply: readonly Action[];
  /** Carried out in this order if the step had begun. Steps are undone last to first. */
  readonly undo: readonly Action[];
}

/** Where this node finds the tunnel servers, as the cloud side says. */
export interface Tunnel {
  /** HOST:PORT */
  readonly servers: readonly string[];
  /** PEM. */
  readonly certificateAuthority: string;
}

export interface PlanFacts {
  readonly version: string;
  /** The folder of the archive that is to be installed, as it was unpacked. */
  readonly archive: string;
  /** systemd/holdfast-node.service of the archive. */
  readonly unit: string;
  /** /etc/kubernetes/kubelet.conf with the hub in place of the API server. */
  readonly kubeconfig: string;
  /** kube-proxy runs on this node as kubeadm deploys it. */
  readonly kubeProxy: boolean;
  /** Undefined where the cloud side has none, or is not installed. */
  readonly tunnel: Tunnel | undefined;
}

/** Of the kubelet's unit: systemd gives the last assignment, and ours comes after kubeadm's 10-kubeadm.conf. */
const dropIn = `# Holdfast: the kubelet finds the API server at the hub of this node. \`holdfast revert\` takes this away.
[Service]
Environment="KUBELET_KUBECONFIG_ARGS=--kubeconfig=${ours.kubeconfig}"
`;

/**
 * Running pods know the API server by its Service's address and do not trust the hub. Until they have been started anew, which a
 * reboot does for all, the Service stays as it is; pods that are started from now on find the hub by their environment.
 */
const untilReboot = 'HOLDFAST_NODE_FLAGS=--disabled-filters=hub-endpoint\n';

/** The hub keeps to the file that kubeadm wrote, and that stays as it is. */
const settings = `# Written by holdfast convert. holdfast node --help lists every setting.\nkubeconfig: ${kubeadm.kubeconfig}\n`;

const tunnelSettings = ({
  servers,
}: Tunnel): string => `# Written by holdfast convert. holdfast tunnel-agent --help lists every setting.
servers: ${JSON.stringify(servers)}
serverCAFile: ${ours.tunnelCa}
kubeconfig: ${kubeadm.kubeconfig}
`;

export function conversionPlan(facts: PlanFacts): Step[] {
  const { version } = facts;
  const file = (place: string, content: string, mode: number): Action => ({ kind: 'file', path: place, content, mode });
  const apply: Readonly<Record<string, readonly Action[]>> = {
    program: [
      // First, so that nobody takes from the cluster what a node is about to rely on.
      { kind: 'announce', version },
      { kind: 'folder', path: prefix, mode: 0o755 },
      { kind: 'tree', path: versionFolder(version), from: facts.archive },
      { kind: 'link', path: currentLink, target: version },
      { kind: 'folder', path: path.dirname(ours.command), mode: 0o755 },
      { kind: 'link', path: ours.command, target: `${currentLink}/bin/holdfast` },
      { kind: 'link', path: ours.plugin, target: `${currentLink}/bin/kubectl-holdfast` },
    ],
    settings: [
      { kind: 'folder', path: path.dirname(ours.settings), mode: 0o755 },
      ...(facts.tunnel === undefined
        ? [file(ours.settings, settings, 0o644)]
        : [
            file(ours.tunnelCa, facts.tunnel.certificateAuthority, 0o644),
            file(ours.tunnelSettings, tunnelSettings(facts.tunnel), 0o644),
            file(ours.settings, `${settings}tunnelConfig: ${ours.tunnelSettings}\n`, 0o644),
          ]),
      file(ours.kubeconfig, facts.kubeconfig, 0o600),
    ],
    hub: [
      file(ours.unitFile, facts.unit, 0o644),
      file(ours.untilRebootFile, untilReboot, 0o644),
      { kind: 'reload-units' },
      { kind: 'enable-unit', unit: ours.unit },
      { kind: 'start-unit', unit: ours.unit },
      { kind: 'await-hub' },
    ],
    sync: [{ kind: 'await-sync' }],
    kubelet: [
      { kind: 'folder', path: path.dirname(ours.dropIn), mode: 0o755 },
      file(ours.dropIn, dropIn, 0o644),
      { kind: 'reload-units' },
      { kind: 'restart-kubelet', kubeconfig: ours.kubeconfig },
    ],
    'kube-proxy': [{ kind: 'renew-kube-proxy', note: 'proxy-there' }],
    // Labels last: what the cloud then starts here for nodes with Holdfast finds the hub.
    verify: [
      { kind: 'verify' },
      {
        kind: 'label',
        labels: { [convertedLabel]: 'true', ...(facts.tunnel === undefined ? {} : { [tunnelLabel]: 'true' }) },
      },
    ],
  };
  return reversionPlan(version)
    .filter(({ id }) => id !== 'kube-proxy' || facts.kubeProxy)
    .map((step) => ({ ...step, apply: apply[step.id] ?? [] }));
}

/** The steps with the way back alone, which needs nothing but the versions that were installed: the present one, and earlier ones. */
export function reversionPlan(version: string, earlier: readonly string[] = []): Step[] {
  const step = (id: string, title: string, undo: readonly Action[] = []): Step => ({ id, title, apply: [], undo });
  return [
    step('program', `Install Holdfast ${version} in ${prefix}`, [
      restore(ours.plugin),
      restore(ours.command),
      restore(path.dirname(ours.command)),
      restore(currentLink),
      ...[version, ...earlier].map((each): Action => ({ kind: 'restore', path: versionFolder(each), whole: true })),
      { kind: 'remove', path: unpackFolder },
      restore(prefix),
      { kind: 'announce', version: undefined, back: true },
    ]),
    step('settings', 'Write the settings of the hub, and the kubeconfig that names it', [
      restore(ours.kubeconfig),
      restore(ours.settings),
      restore(ours.tunnelSettings),
      restore(ours.tunnelCa),
      restore(path.dirname(ours.settings)),
    ]),
    step('hub', 'Start the hub, which from now on starts before the kubelet', [
      { kind: 'stop-unit', unit: ours.unit },
      { kind: 'disable-unit', unit: ours.unit },
      // By now the kubelet renews the Lease directly, and would carry on for ever what it was shown there.
      { kind: 'forget-report' },
      restore(ours.untilRebootFile),
      restore(ours.unitFile),
      { kind: 'reload-units' },
      { kind: 'remove', path: '/run/holdfast' },
      // Everything that the hub kept; the journal beside it is needed to the end.
      { kind: 'remove', path: ours.data },
    ]),
    step('sync', 'Wait until the hub has what the kubelet is going to ask for'),
    step('kubelet', 'Turn the kubelet to the hub', [
      restore(ours.dropIn),
      restore(path.dirname(ours.dropIn)),
      { kind: 'reload-units' },
      { kind: 'restart-kubelet', kubeconfig: kubeadm.kubeconfig },
      // By now the kubelet has the configuration from the cloud again, and the hub, which serves the old pod, still runs.
      { kind: 'renew-kube-proxy', note: 'proxy-back', only: 'kube-proxy' },
    ]),
    step('kube-proxy', "Renew this node's kube-proxy, which then asks the hub"),
    step('verify', 'See that the node is Ready and its pods are untouched', [{ kind: 'unlabel' }]),
  ];
}

function restore(place: string): Action {
  return { kind: 'restore', path: place };
}

/** One line per change, for --dry-run and for the journal's reader. */
export function describe(action: Action): string {
  switch (action.kind) {
    case 'folder':
      return `make the folder ${action.path} unless it is there`;
    case 'file':
      return `write ${action.path} (mode ${action.mode.toString(8).padStart(4, '0')})`;
    case 'link':
      return `link ${action.path} -> ${action.target}`;
    case 'tree':
      return `copy ${action.from} to ${action.path}`;
    case 'restore':
      return `put back ${action.path} as it was`;
    case 'remove':
      return `remove ${action.path}`;
    case 'reload-units':
      return 'systemctl daemon-reload';
    case 'enable-unit':
      return `systemctl enable ${action.unit}`;
    case 'start-unit':
      return `systemctl start ${action.unit}`;
    case 'stop-unit':
      return `systemctl stop ${action.unit}`;
    case 'disable-unit':
      return `systemctl disable ${action.unit}`;
    case 'restart-kubelet':
      return `systemctl restart ${kubeadm.kubeletUnit}, which then uses ${action.kubeconfig}`;
    case 'restart-hub':
      return `systemctl restart ${ours.unit}, and wait until the hub is ready`;
    case 'announce':
      return action.version === undefined
        ? `take the annotation ${convertedAnnotation} off the Node`
        : `annotate the Node: ${convertedAnnotation}=${action.version}`;
    case 'label':
      return `label the Node: ${Object.entries(action.labels)
        .map(([name, value]) => `${name}=${value}`)
        .join(', ')}`;
    case 'unlabel':
      return 'take the labels off the Node that the conversion gave it';
    case 'renew-kube-proxy':
      return "delete this node's kube-proxy pod; its DaemonSet makes a new one";
    case 'forget-report':
      return `take the annotation ${reportAnnotation} off this node's Lease`;
    case 'await-hub':
      return 'wait until the hub is ready';
    case 'await-sync':
      return 'wait until the hub shows the same pods as the API server';
    case 'verify-hub':
      return `check: the hub is ${action.version}, its clients are back, and the kubelet renews the node's Lease through it`;
    case 'verify':
      return 'check: node Ready, kubelet at the hub, no container of another pod restarted';
    default:
      return action satisfies never;
  }
}
