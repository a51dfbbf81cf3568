// May the cloud side be installed in this cluster? Pure: from what was found to checks, each with its cause and its fix.
import { supportedMinors, type Check } from '../dropin/preflight.ts';
import type { ClusterFacts } from './cluster-facts.ts';

/** Versions of our kinds that the controllers ask for, by CRD. */
export const neededVersions: Readonly<Record<string, string>> = {
  'nodepools.apps.openyurt.io': 'v1beta2',
  'yurtappsets.apps.openyurt.io': 'v1beta1',
};

export interface InstallWishes {
  /** HOST:PORT of tunnel servers, as far as they are known. */
  readonly tunnelServers: readonly string[];
  /** That was asked for, and that the cluster runs now; undefined for none. */
  readonly image: { readonly asked: string | undefined; readonly present: string | undefined };
}

export function preflight(facts: ClusterFacts, { tunnelServers, image }: InstallWishes): Check[] {
  const checks: Check[] = [];
  const check = (name: string, problem: string | undefined, fix: string, found: string, weak = false): void => {
    if (problem === undefined) checks.push({ name, verdict: 'ok', cause: found, fix: '' });
    else checks.push({ name, verdict: weak ? 'warning' : 'refused', cause: problem, fix });
  };
  checks.push(versionCheck(facts.version));
  checks.push(rightsCheck(facts));
  check(
    'kubeadm',
    facts.kubeadm === undefined
      ? 'there is no ConfigMap kube-system/kubeadm-config: kubeadm did not make this cluster'
      : undefined,
    'The controllers work all the same. The tunnel server runs on hosts with the label node-role.kubernetes.io/control-plane, beside a kube-apiserver at port 6443.',
    `made by kubeadm (${facts.kubeadm?.apiVersion})`,
    true,
  );
  const planes = facts.controlPlanes.map(({ name }) => name);
  check(
    'control plane',
    planes.length === 0
      ? 'no node has the label node-role.kubernetes.io/control-plane, so there is nowhere to run'
      : undefined,
    'Label the nodes of the cloud that are to run controllers and tunnel server: kubectl label node NAME node-role.kubernetes.io/control-plane=',
    `${planes.join(', ')} of ${facts.nodes} nodes`,
  );
  check(
    'tunnel',
    tunnelServers.length === 0 ? 'it is not known where edge nodes find the tunnel servers' : undefined,
    'Say it: --tunnel-server HOST:10262, once for each control plane, by names or addresses that edge nodes reach.',
    `edge nodes find the tunnel servers at ${tunnelServers.join(', ')}; let them in there, or name others by --tunnel-server`,
  );
  check(
    'image',
    image.asked === undefined && image.present !== undefined && !image.present.startsWith('localhost/')
      ? `the cluster runs ${image.present}, and --image does not say what is to take its place`
      : undefined,
    'Give --image, with the tag of this version.',
    image.asked ?? 'as it is imported on the control-plane hosts',
  );
  checks.push(apiServerCheck(facts));
  check(
    'network',
    facts.networks.length === 0 ? 'no network add-on that is known here was found' : undefined,
    'A hub keeps what flannel, Calico and Cilium ask for. Name the service account of another one in the ConfigMap kube-system/holdfast-node (serviceAccounts), or its pods do not start without the cloud.',
    facts.networks.join(', '),
    true,
  );
  check(
    'OpenYurt',
    facts.openYurt.holder !== undefined
      ? `the Lease kube-system/yurt-manager is held by ${facts.openYurt.holder}: two managers of the same pools would undo each other's work`
      : facts.openYurt.webhooks.length > 0
        ? `its webhooks are left behind and refuse pools: ${facts.openYurt.webhooks.join(', ')}`
        : undefined,
    facts.openYurt.holder !== undefined
      ? 'Stop it, and then take the Lease away: kubectl -n kube-system delete lease yurt-manager'
      : 'kubectl delete validatingwebhookconfigurations,mutatingwebhookconfigurations -l app.kubernetes.io/name=yurt-manager, or by these names.',
    'no manager of OpenYurt',
  );
  for (const { name, isOurs, servedVersions } of facts.crds) {
    const needed = neededVersions[name] ?? '';
    if (isOurs) continue;
    check(
      'CRD',
      servedVersions.includes(needed)
        ? undefined
        : `${name} is there and serves ${servedVersions.join(', ')}, not ${needed}`,
      `Bring it to a version of OpenYurt that serves ${needed}, or, if it is not needed, delete it with its objects.`,
      `${name} was there before: it is used as it is, and stays when Holdfast is uninstalled`,
    );
  }
  check(
    'webhooks',
    facts.strictWebhooks.length > 0
      ? `pods of kube-system cannot be made while these cannot be asked: ${facts.strictWebhooks.map(({ configuration, webhook }) => `${configuration}/${webhook}`).join(', ')}`
      : undefined,
    'Once kube-apiserver reaches webhooks through the tunnel server (--egress), the pod of that server must not need one: leave kube-system out by their namespaceSelector.',
    'no webhook stands in the way of a new tunnel server',
    true,
  );
  return checks;
}

function versionCheck(version: string): Check {
  const minor = Number(/^v1\.(\d+)\./.exec(version)?.[1] ?? 0);
  const { from, to, tested } = supportedMinors;
  const name = 'version';
  if (minor < from)
    return {
      name,
      verdict: 'refused',
      cause: `the API server is ${version}`,
      fix: `Holdfast supports 1.${from} to 1.${to}: upgrade the cluster first.`,
    };
  if (minor > to)
    return {
      name,
      verdict: 'warning',
      cause: `the API server is ${version}, later than 1.${to}`,
      fix: `Holdfast is tried with 1.${from} to 1.${to}: see whether there is a later Holdfast.`,
    };
  const note = minor === tested ? '' : ` (drilled with 1.${tested})`;
  return { name, verdict: 'ok', cause: `${version}${note}`, fix: '' };
}

export function rightsCheck({ missingRights }: Pick<ClusterFacts, 'missingRights'>): Check {
  const shown = missingRights.slice(0, 8).join(', ');
  const more = missingRights.length > 8 ? ` and ${missingRights.length - 8} more` : '';
  return missingRights.length === 0
    ? { name: 'rights', verdict: 'ok', cause: 'all that are needed', fix: '' }
    : {
        name: 'rights',
        verdict: 'refused',
        cause: `you may not: ${shown}${more}`,
        fix: 'Run it as an administrator of the cluster, for example on a control plane with --kubeconfig /etc/kubernetes/admin.conf',
      };
}

function apiServerCheck({ apiServers }: ClusterFacts): Check {
  const name = 'kube-apiserver';
  if (apiServers.length === 0)
    return {
      name,
      verdict: 'warning',
      cause: 'its pods are not seen in kube-system, so nothing is known of its flags',
      fix: 'kubectl exec and logs reach nodes behind NAT when it has an EgressSelector: config/tunnel/README.md.',
    };
  const without = apiServers.filter(({ flags }) => flags['egress-selector-config-file'] === undefined);
  if (without.length === 0)
    return { name, verdict: 'ok', cause: 'has its EgressSelector on every control plane', fix: '' };
  return {
    name,
    verdict: 'warning',
    cause: `does not use the tunnel yet on ${without.map(({ node }) => node).join(', ')}: kubectl exec and logs do not reach nodes behind NAT`,
    fix: 'Then run, on each of these hosts, one after the other: sudo holdfast install --egress. Where its flags may not change: DNAT mode in config/tunnel/README.md.',
  };
}
