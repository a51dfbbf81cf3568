// The drill that carries the project: an unmodified kubelet behind the hub lives through an outage, a reboot in it, and the
// return; and the hub itself through kills, power failures and a hang.
import { crashes } from './autonomy/crashes.ts';
import { beginOutage, jobsHaveEnded, watchOutage } from './autonomy/cut.ts';
import { kubectlThroughHub } from './autonomy/kubectl.ts';
import { powerFailures } from './autonomy/power-failure.ts';
import { rebootOffline, rebootWithExpiredCredentials, rebootWithOldClock, yardstick } from './autonomy/reboot.ts';
import { endOutage, heal } from './autonomy/return.ts';
import { Stage } from './autonomy/stage.ts';
import { hungHub } from './autonomy/watchdog.ts';
import type { Drill } from './drill.ts';

export const autonomy: Drill = {
  name: 'autonomy',
  summary: 'a kubelet behind the hub through outage, offline reboot, return, kills, power failure and hang',
  async run(context) {
    const { report, only } = context;
    const wanted = (letter: string): boolean => only.size === 0 || only.has(letter);
    report.say('cluster, two nodes, workload …');
    const stage = await Stage.build(context);

    if (wanted('k')) await report.part('(k) kubectl on the node, through the hub', () => kubectlThroughHub(stage));
    if (['a', 'b', 'c', 'd'].some(wanted)) await oneOutage(stage, wanted);
    if (wanted('e')) await report.part('(e) kill -9 of the hub under load', () => crashes(stage));
    if (wanted('f')) await report.part('(f) power failure after a deletion', () => powerFailures(stage));
    if (wanted('g')) await report.part('(g) the hub hangs', () => hungHub(stage));
    report.say(`resident memory of the hub: ${stage.hub.residentMebibytes().toFixed(0)} MiB`);
  },
};

/** (a) to (d) are one outage, so that it lasts long enough without anybody waiting for it. */
async function oneOutage(stage: Stage, wanted: (letter: string) => boolean): Promise<void> {
  const { report } = stage;
  const connectedMs: number[] = [];
  const outage = await beginOutage(stage);
  const measurePlain = async (): Promise<void> => {
    if (wanted('b')) connectedMs.push(...(await yardstick(stage)));
  };
  if (wanted('a')) {
    await report.part('(a) the cloud is cut by a black hole', () => watchOutage(stage, outage, measurePlain));
  } else {
    await jobsHaveEnded(stage);
  }
  if (wanted('b')) {
    await report.part('(b) reboot with the cloud gone', async () => {
      if (connectedMs.length === 0) await measurePlain();
      await rebootOffline(stage, connectedMs);
    });
  }
  if (wanted('c')) {
    await report.part('(c) reboot with expired credentials and a wrong clock', async () => {
      await rebootWithExpiredCredentials(stage);
      await rebootWithOldClock(stage);
    });
  }
  if (wanted('d')) await report.part('(d) the cloud is back', () => heal(stage, outage));
  else await endOutage(stage);
}
