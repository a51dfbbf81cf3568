// The figures of issue 8: no failed request, no restart, the kubelet down for at most 5 s, 30 s there, 15 s back.
import { expectThat } from '../report.ts';
import { hubProcess } from './hub-process.ts';
import { bareEnvironment, type Stage } from './stage.ts';

export async function thereAndBack(stage: Stage): Promise<void> {
  const { report } = stage;
  await stage.podsAreReady();
  const before = await stage.snapshot();
  const containers = await stage.containers();
  const asBefore = async (): Promise<void> => {
    const now = await stage.containers();
    expectThat(now === containers, `before:\n${containers}\nnow:\n${now}`);
  };
  const counted = stage.counted();
  /** While the command runs the client goes on; what it counts meanwhile. */
  const unharmed = (): string => {
    const now = stage.counted();
    expectThat(now.failed === counted.failed, `${now.failed - counted.failed} requests failed`);
    expectThat(now.served > counted.served, 'the client was not served at all');
    return `${now.served - counted.served} requests, none failed`;
  };
  await report.check('convert', async () => {
    const { seconds, kubeletDownSeconds = 0 } = await stage.succeed(['convert']);
    expectThat(seconds <= stage.figure(30), `${seconds} s`);
    expectThat(
      kubeletDownSeconds > 0 && kubeletDownSeconds <= stage.figure(5),
      `the kubelet was down for ${kubeletDownSeconds} s`,
    );
    return `${seconds} s, kubelet down for ${kubeletDownSeconds} s`;
  });
  await report.check('no request of a client on the node failed', unharmed);
  await report.check('no container of the application was started anew', asBefore);
  await report.check(
    'the node has no Node.js but the archive’s own, and the hub no rights but those of its unit',
    async () => {
      const found = await stage.node.enter([...bareEnvironment, 'sh', '-c', 'command -v node nodejs || true']);
      expectThat(found === '', `found ${found}`);
      const { program, capabilities, noNewRights, mayWriteEtc } = await hubProcess(stage.node);
      expectThat(/^\/opt\/holdfast\/[^/]+\/lib\/node$/.test(program), `the hub runs ${program}`);
      // CAP_DAC_READ_SEARCH and CAP_NET_ADMIN (capability.h).
      expectThat(capabilities === (1n << 2n) + (1n << 12n), `capabilities ${capabilities.toString(16)}`);
      expectThat(noNewRights && !mayWriteEtc, 'the hub may get new rights, or write in /etc');
      return program;
    },
  );
  await report.check('revert', async () => {
    const { seconds } = await stage.succeed(['revert'], '/usr/local/bin/holdfast');
    expectThat(seconds <= stage.figure(15), `${seconds} s`);
    return `${seconds} s`;
  });
  await report.check('files and units are byte for byte as before', () => stage.expectSame(before));
  await report.check('no request of a client on the node failed on the way back', unharmed);
  await report.check('no container of the application was started anew on the way back', asBefore);
}
