// What a conversion is for: the node loses the cloud and then its power, and its pods run and reach each other again.
import { waitFor } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import { hubProcess } from './hub-process.ts';
import { isReady, type Stage } from './stage.ts';

export async function offline(stage: Stage): Promise<void> {
  const { report, node, cluster } = stage;
  const before = await stage.snapshot();
  await stage.succeed(['convert']);
  await report.check('the cloud is cut off and the node rebooted: all pods run again', async () => {
    // What the kubelet asks for a moment after it has come over: tokens and configuration of its pods.
    await stage.podsAreReady();
    await node.link.apply({ kind: 'drop' });
    const started = Date.now();
    await node.powerOff();
    stage.forgetCount();
    await node.powerOn();
    await waitFor(
      'every pod has been started since the boot and is Ready',
      async () => {
        const pods = await stage.localPods();
        return (
          pods.length === 3 &&
          pods.every(
            (pod) =>
              isReady(pod) &&
              pod.status?.containerStatuses?.every(
                ({ state }) => Date.parse(state?.running?.startedAt ?? '') >= started - 1_000,
              ),
          )
        );
      },
      { deadlineMs: 120_000, everyMs: 500 },
    );
    const { startMs } = await hubProcess(node);
    return `${((Date.now() - started) / 1000).toFixed(1)} s after the power was cut; the hub served ${startMs.toFixed(0)} ms after its start, amid the boot`;
  });
  await report.check('the Service is reached without the cloud', async () => {
    await waitFor('the client is served', () => stage.counted().served > 5, { deadlineMs: 180_000, everyMs: 100 });
    const { served, failed } = stage.counted();
    return `${served} requests since the client was started, ${failed} failed before the rules were there`;
  });
  await report.check('without the cloud, revert refuses', async () => {
    const { code, stdout } = await stage.holdfast(['revert'], '/usr/local/bin/holdfast');
    expectThat(code === 3 && stdout.includes('the API server cannot be asked'), `exit ${code}: ${stdout}`);
  });
  await report.check('the cloud is back: the node is Ready there', async () => {
    await node.link.heal();
    await cluster.waitForNode(node.name, 180_000);
    await stage.podsAreReady();
  });
  await report.check('revert after a reboot', async () => {
    await stage.succeed(['revert'], '/usr/local/bin/holdfast');
    return stage.expectSame(before);
  });
}
