// npm run cluster -- kubeadm …: a cluster that kubeadm made, by hand.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { binary, cacheFolder } from '../binaries.ts';
import type { LinkFault } from '../faults.ts';
import { remove } from '../register.ts';
import { KubeadmCluster } from './kubeadm-cluster.ts';

export const kubeadmUsage = `  kubeadm up [NODE…]      kubeadm init, and kubeadm join of nodes behind NAT (default: a1 b1, at two sites with equal
                          addresses); systemd is stood in for, everything else is as packaged
  kubeadm add NODE
  kubeadm off|on NODE     power cut; boot with what the units of the machine start
  kubeadm cut NODE [refuse | drop | delay MS | loss PERCENT]
  kubeadm heal NODE
  kubeadm shell NODE [COMMAND…]
  kubeadm kubectl …
  kubeadm down`;

/** Sites share their addresses on purpose. */
const lan = 7;
const say = (line: string): void => console.log(line);

/** `args` follow the word kubeadm. Throws TypeError for what it does not understand. */
export async function runKubeadmCommand(
  args: readonly string[],
  dir = path.join(cacheFolder(), 'kubeadm-cluster'),
  faultFrom: (args: readonly string[]) => LinkFault,
): Promise<number> {
  const [action = '', name = '', ...rest] = args;
  if (action === 'up') {
    const names = args.length > 1 ? args.slice(1) : ['a1', 'b1'];
    const nodes = Object.fromEntries(names.map((node) => [node, { lan }]));
    const cluster = await KubeadmCluster.up({ dir, outlivesProcess: true, nodes, say });
    say(`export KUBECONFIG=${cluster.adminKubeconfig}`);
    cluster.close();
    return 0;
  }
  if (action === 'down') {
    say((await remove(dir)) ? `removed ${dir}` : `no cluster in ${dir}`);
    return 0;
  }
  const cluster = KubeadmCluster.attach(dir);
  try {
    switch (action) {
      case 'add':
        await cluster.addNode(name, { lan });
        return 0;
      case 'off':
        await cluster.machine(name).powerOff();
        return 0;
      case 'on':
        await cluster.machine(name).powerOn();
        return 0;
      case 'cut':
        await cluster.machine(name).link.apply(faultFrom(rest));
        return 0;
      case 'heal':
        await cluster.machine(name).link.heal();
        return 0;
      case 'shell': {
        const [file = '', ...argv] = cluster.machine(name).enterArgv(rest.length > 0 ? rest : ['bash']);
        return spawnSync(file, argv, { stdio: 'inherit' }).status ?? 1;
      }
      case 'kubectl': {
        const argv = ['--kubeconfig', cluster.adminKubeconfig, ...args.slice(1)];
        return spawnSync(binary('kubectl'), argv, { stdio: 'inherit' }).status ?? 1;
      }
      default:
        throw new TypeError(`kubeadm up, add, off, on, cut, heal, shell, kubectl or down, not ${action || 'nothing'}`);
    }
  } finally {
    cluster.close();
  }
}
