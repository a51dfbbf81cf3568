// The drill that carries the project: an unmodified kubelet behind the hub lives through an outage, a reboot in it, and the
// return; and the hub itself through kills, power failures and a hang.
import { crashes } from './autonomy/crashes.ts';
import { cutByBlackHole, finishJobOffline } from './autonomy/cut.ts';
import type { Outage } from './autonomy/cut.ts';
import { powerFailures } from './autonomy/power-failure.ts';
import { rebootOffline, rebootWithExpiredCredentials, rebootWithOldClock, yardstick } from './autonomy/reboot.ts';
import { heal } from './autonomy/return.ts';
import { Stage } from './autonomy/stage.ts';
import { hungHub } from './autonomy/watchdog.ts';
import type { Drill } from './drill.ts';

export const autonomy: Drill = {
  name: 'autonomy',
  summary: 'a kubelet behind the hub through outage, offline reboot, return, kills, power failure and hang',
  async run(context) {
    const { report } = context;
    report.say('cluster, two nodes, workload …');
    const stage = await Stage.build(context);

    let connectedMs: number[] = [];
    let outage: Outage | undefined;
    let lateCheck: (() => Promise<void>) | undefined;
    await report.part('(a) the cloud is cut by a black hole', async () => {
      outage = await cutByBlackHole(stage, async () => {
        await finishJobOffline(stage);
      });
    });
    await report.part('(b) reboot with the cloud gone', async () => {
      connectedMs = await yardstick(stage);
      await rebootOffline(stage, connectedMs);
    });
    await report.part('(c) reboot with expired credentials and a wrong clock', async () => {
      await rebootWithExpiredCredentials(stage);
      await rebootWithOldClock(stage);
    });
    await report.part('(d) the cloud is back', async () => {
      if (outage === undefined) throw new Error('the node was never cut off');
      lateCheck = await heal(stage, outage);
    });
    await Promise.all([report.part('(e) kill -9 of the hub under load', () => crashes(stage)), lateCheck?.()]);
    await report.part('(f) power failure after a deletion', () => powerFailures(stage));
    await report.part('(g) the hub hangs', () => hungHub(stage));
    report.say(`resident memory of the hub: ${stage.hub.residentMebibytes().toFixed(0)} MiB`);
  },
};
