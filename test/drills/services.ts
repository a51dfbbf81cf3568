// Everything on a node that is not the kubelet: kube-proxy, CoreDNS, and pods that use the API by in-cluster
// configuration, all unmodified and as kubeadm sets them up, behind the hub through outage, offline reboot and return.
import type { Drill } from './drill.ts';
import { cut } from './services/cut.ts';
import { heal } from './services/heal.ts';
import { many } from './services/many.ts';
import { online } from './services/online.ts';
import { rebootOffline, yardstick } from './services/reboot.ts';
import type { Times } from './services/reboot.ts';
import { Stage } from './services/stage.ts';

export const services: Drill = {
  name: 'services',
  summary: 'kube-proxy, CoreDNS and in-cluster clients behind the hub: online, cut, after an offline reboot, healed',
  async run(context) {
    const { report, only } = context;
    const wanted = (letter: string): boolean => only.size === 0 || only.has(letter);
    report.say('cluster, two nodes, kube-proxy, CoreDNS, an application and a client of it and of the API …');
    const stage = await Stage.build(context);
    const memory = (when: string): void =>
      report.say(`resident memory of the hub ${when}: ${stage.hub.residentMebibytes().toFixed(0)} MiB`);

    if (wanted('a')) await report.part('(a) the cloud is in reach', () => online(stage));
    memory('with the cloud in reach');
    if (['b', 'c', 'd'].some(wanted)) await oneOutage(stage, wanted, memory);
    // Minutes of work for kube-proxy: not in the gate, unless it is asked for.
    if (only.has('e') || (wanted('e') && !context.quick))
      await report.part('(e) the services of a large cluster', () => many(stage));
  },
};

/** (b) to (d) are one outage. */
async function oneOutage(
  stage: Stage,
  wanted: (letter: string) => boolean,
  memory: (when: string) => void,
): Promise<void> {
  const { report } = stage;
  let connected: Times | undefined;
  const measurePlain = async (): Promise<void> => {
    if (wanted('c')) connected = await yardstick(stage);
  };
  if (wanted('b')) {
    await report.part('(b) the cloud is cut by a black hole', () => cut(stage, measurePlain));
  } else {
    await stage.edge.link.apply({ kind: 'drop' });
  }
  if (wanted('c')) {
    await report.part('(c) reboot with the cloud gone', async () => {
      if (connected === undefined) await measurePlain();
      await rebootOffline(stage, connected);
    });
    memory('after the reboot');
  }
  if (wanted('d')) await report.part('(d) the cloud is back', () => heal(stage));
  memory('at the end');
}
