// Addresses and links of a cluster. The cloud is a bridge in the machine's own namespace, 10.200.N.0/24 with the API
// server on .1. Each node is alone at its site: a namespace for the node and one for its router, which masquerades, so
// that the cloud cannot reach the node. Whatever is done to a link is done in the router, and goes away with it.
import { run, runFully } from './commands.ts';
import { HarnessError } from './errors.ts';

/** One node's names and addresses; all follow from the cluster's number and the node's index. */
export interface Site {
  nodeNamespace: string;
  routerNamespace: string;
  /** The router's port on the cloud bridge. */
  cloudPort: string;
  routerAddress: string;
  nodeAddress: string;
  gatewayAddress: string;
  podCidr: string;
}

export const bridgeName = (clusterNumber: number): string => `hf${clusterNumber}`;
/** On the cloud address, plain HTTP. */
export const registryPort = 5000;
export const cloudAddress = (clusterNumber: number): string => `10.200.${clusterNumber}.1`;

/**
 * `index` counts from 1 and is never used again in the same cluster. `lan` numbers the addresses behind the router: sites
 * may share one, as they do in the world; pods have their own, as the controllers of a cluster hand them out.
 */
export function siteOf(clusterNumber: number, nodeName: string, index: number, lan = index): Site {
  const id = bridgeName(clusterNumber);
  return {
    nodeNamespace: `${id}-${nodeName}`,
    routerNamespace: `${id}-${nodeName}-router`,
    cloudPort: `${id}-r${index}`,
    routerAddress: `10.200.${clusterNumber}.${10 + index}`,
    nodeAddress: `192.168.${lan}.10`,
    gatewayAddress: `192.168.${lan}.1`,
    podCidr: `10.244.${index}.0/24`,
  };
}

/** Takes the first free number from 1 on by making its bridge: the kernel sees to it that only one caller gets it. */
export async function claimBridge(): Promise<number> {
  const routes = await run(['ip', '-4', 'route', 'show']);
  for (let number = 1; number < 255; number += 1) {
    if (routes.includes(`10.200.${number}.`)) continue;
    const made = await runFully(['ip', 'link', 'add', bridgeName(number), 'type', 'bridge'], { mayFail: true });
    if (made.code !== 0) {
      if (/exists/i.test(made.stderr)) continue;
      throw new HarnessError('NEEDS_ROOT', `a bridge cannot be made: ${made.stderr.trim()}`);
    }
    await run(['ip', 'address', 'add', `${cloudAddress(number)}/24`, 'dev', bridgeName(number)]);
    await run(['ip', 'link', 'set', bridgeName(number), 'up']);
    return number;
  }
  throw new HarnessError('NEEDS_ROOT', 'no number from 1 to 254 is free for 10.200.N.0/24');
}

export async function removeBridge(clusterNumber: number): Promise<void> {
  await runFully(['ip', 'link', 'del', bridgeName(clusterNumber)], { mayFail: true }); // gone already is as good
}

/** The router with its NAT; what a crash left behind of it is removed first. */
export async function createRouter(clusterNumber: number, site: Site): Promise<void> {
  await removeSite(site);
  const router = site.routerNamespace;
  // `ip -batch` stops at the first command that fails and names its line.
  await batch(
    [],
    [
      `netns add ${router}`,
      `link add ${site.cloudPort} type veth peer name wan netns ${router}`,
      `link set ${site.cloudPort} master ${bridgeName(clusterNumber)} up`,
    ],
  );
  await batch(
    ['-n', router],
    [
      'link set lo up',
      `address add ${site.routerAddress}/24 dev wan`,
      'link set wan up',
      `route add default via ${cloudAddress(clusterNumber)}`,
    ],
  );
  await inNamespace(router, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await iptables(router, [
    '-t nat -A POSTROUTING -o wan -j MASQUERADE',
    '-A FORWARD -i wan -m conntrack --ctstate NEW -j DROP',
  ]);
}

const kubeletPort = 10250;

/** Lets the cloud reach the node's kubelet past the NAT, as a tunnel would; gives the way to end that. */
export async function openKubelet(site: Site): Promise<() => Promise<void>> {
  const rule = `FORWARD -i wan -p tcp --dport ${kubeletPort} -m conntrack --ctstate NEW -j ACCEPT`;
  const route = `${site.nodeAddress}/32 via ${site.routerAddress}`;
  await iptables(site.routerNamespace, [`-I ${rule}`]);
  await run(['ip', 'route', 'replace', ...route.split(' ')]);
  return async () => {
    await run(['ip', 'route', 'del', ...route.split(' ')]);
    await iptables(site.routerNamespace, [`-D ${rule}`]);
  };
}

/** A fresh namespace for the node, as after a boot; the router and the fault in it stay. */
export async function createNodeNamespace(site: Site): Promise<void> {
  const { nodeNamespace: node, routerNamespace: router } = site;
  await removeNodeNamespace(site);
  await batch([], [`netns add ${node}`, `link add lan netns ${router} type veth peer name eth0 netns ${node}`]);
  await batch(['-n', router], [`address add ${site.gatewayAddress}/24 dev lan`, 'link set lan up']);
  await batch(
    ['-n', node],
    [
      'link set lo up',
      `address add ${site.nodeAddress}/24 dev eth0`,
      'link set eth0 up',
      `route add default via ${site.gatewayAddress}`,
    ],
  );
  await inNamespace(node, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await iptables(node, [`-t nat -A POSTROUTING -s ${site.podCidr} -o eth0 -j MASQUERADE`]);
}

/** As createNodeNamespace, for a machine in the cloud: on the bridge itself, at the address that a router would have. */
export async function createCloudNamespace(clusterNumber: number, site: Site): Promise<void> {
  const { nodeNamespace: node, cloudPort, routerAddress } = site;
  await removeSite(site);
  await batch(
    [],
    [
      `netns add ${node}`,
      `link add ${cloudPort} type veth peer name eth0 netns ${node}`,
      `link set ${cloudPort} master ${bridgeName(clusterNumber)} up`,
    ],
  );
  await batch(
    ['-n', node],
    [
      'link set lo up',
      `address add ${routerAddress}/24 dev eth0`,
      'link set eth0 up',
      `route add default via ${cloudAddress(clusterNumber)}`,
    ],
  );
  await inNamespace(node, ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
  await iptables(node, [`-t nat -A POSTROUTING -s ${site.podCidr} -o eth0 -j MASQUERADE`]);
}

/** The end of the link goes first: the kernel removes it only some time after the namespace. */
export async function removeNodeNamespace(site: Site): Promise<void> {
  await runFully(['ip', '-n', site.routerNamespace, 'link', 'del', 'lan'], { mayFail: true });
  await runFully(['ip', 'netns', 'del', site.nodeNamespace], { mayFail: true });
}

export async function removeSite(site: Site): Promise<void> {
  await removeNodeNamespace(site);
  await runFully(['ip', 'link', 'del', site.cloudPort], { mayFail: true });
  await runFully(['ip', 'netns', 'del', site.routerNamespace], { mayFail: true });
}

async function batch(options: readonly string[], lines: readonly string[]): Promise<void> {
  await run(['ip', ...options, '-batch', '-'], { input: lines.join('\n') });
}

export function inNamespace(namespace: string, argv: readonly string[]): Promise<string> {
  return run(['nsenter', `--net=/run/netns/${namespace}`, ...argv]);
}

/** Each rule as it is typed, without the word iptables. */
export async function iptables(namespace: string, rules: readonly string[]): Promise<void> {
  for (const rule of rules) await inNamespace(namespace, ['iptables', '-w', '5', ...rule.split(' ')]);
}
