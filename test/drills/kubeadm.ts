// A node of a cluster that kubeadm made is taken over by the release archive while its pods serve, lives through a reboot without
// the cloud, and is given back as it was; also where the command is killed, and where a step fails.
import type { Drill } from './drill.ts';
import { bareRoot } from './kubeadm/bare-root.ts';
import { fleet } from './kubeadm/fleet.ts';
import { fromCloud } from './kubeadm/from-cloud.ts';
import { installed } from './kubeadm/install.ts';
import { interrupted } from './kubeadm/interrupted.ts';
import { joined } from './kubeadm/join.ts';
import { minorUpgraded } from './kubeadm/minor-upgrade.ts';
import { namesAtSites } from './kubeadm/names.ts';
import { offline } from './kubeadm/offline.ts';
import { refused } from './kubeadm/refused.ts';
import { Stage } from './kubeadm/stage.ts';
import { thereAndBack } from './kubeadm/there-and-back.ts';
import { twoNodes } from './kubeadm/two-nodes.ts';
import { upgraded } from './kubeadm/upgrade.ts';

const minors = '(k) kubeadm upgrade, from 1.33 to 1.34';

export const kubeadm: Drill = {
  name: 'kubeadm',
  summary: 'holdfast convert on a node of a kubeadm cluster, a reboot without the cloud, and holdfast revert',
  async run(context) {
    const { report, only } = context;
    const wanted = (letter: string): boolean => only.size === 0 || only.has(letter);
    // What takes long: in the full form, or when asked for by letter.
    const long = (letter: string): boolean => only.has(letter) || (wanted(letter) && !context.quick);
    report.say('release archive, kubeadm init, kubeadm join, an application and a client of it …');
    const alone = (letter: string): boolean => only.size === 1 && only.has(letter);
    if (alone('k')) return report.part(minors, async () => minorUpgraded(await Stage.build(context, '1.33')));
    const stage = await Stage.build(context);
    if (wanted('a')) await report.part('(a) what must not be, is not', () => refused(stage));
    if (long('n')) await report.part('(n) a Debian with nothing but its essential packages', () => bareRoot(stage));
    if (wanted('b')) await report.part('(b) there, and a reboot without the cloud', () => offline(stage));
    if (wanted('c')) await report.part('(c) there and back while pods serve', () => thereAndBack(stage));
    if (wanted('d')) await report.part('(d) killed on the way', () => interrupted(stage));
    if (wanted('e')) await report.part('(e) another version', () => upgraded(stage));
    if (long('f')) await report.part('(f) a machine that comes later', () => joined(stage));
    if (long('g')) await report.part('(g) the fleet, as the cloud sees it', () => fleet(stage));
    if (long('h')) await report.part('(h) by a pod, from the cloud', () => fromCloud(stage));
    if (long('j')) await report.part('(j) names at a site', () => namesAtSites(stage));
    // The second node is in the full form alone.
    if (wanted('t') && !context.quick) await report.part('(t) two nodes at once', () => twoNodes(stage));
    // Last: it takes the rights of nodes, which the stage gave them, along.
    if (long('i')) await report.part('(i) the cloud side, there and back', () => installed(stage));
    if (long('k')) {
      // A cluster of its own, when the other one is gone.
      await stage.cluster.down();
      await report.part(minors, async () => minorUpgraded(await Stage.build(context, '1.33')));
    }
  },
};
