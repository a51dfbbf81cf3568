// One node of a pool loses its way to the cloud and nothing else: a peer lends it its own, so that for the cluster nothing happens.
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../cluster/commands.ts';
import type { Report as PeersReport } from '../../../peers/report.ts';
import { containersOf, waitForPods } from '../pods.ts';
import { expectThat } from '../report.ts';
import { serverPod, webPod, type HealthStage } from './stage.ts';

const relayed = 'holdfast_yurthub_cloud_relayed';

export async function relayTakesOver(stage: HealthStage, pool: string): Promise<void> {
  const { report, cluster } = stage;
  const all = stage.membersOf(pool);
  const [cut, ...others] = all as [string, ...string[]];
  const { node, hub } = stage.at(cut);
  const before = new Map(
    await Promise.all(all.map(async (name) => [name, containersOf(await stage.podsOn(name))] as const)),
  );
  const notReady = watchReadiness(stage, cut);
  try {
    for (const kind of ['drop', 'refuse'] as const) {
      const started = performance.now();
      await node.link.apply({ kind });
      await report.check(`${kind}: a peer lends ${cut} its way out within 5 s`, async () => {
        const deadlineMs = stage.deadline(5_000);
        await waitFor('it is used', async () => (await hub.metric(relayed)) === 1, { deadlineMs, everyMs: 50 });
        return `${((performance.now() - started) / 1000).toFixed(1)} s after the cut`;
      });
      await report.check(`${kind}: its Lease is renewed through the peer, with a report`, async () => {
        const last = await stage.renewTimeOf(cut);
        const renewed = async (): Promise<PeersReport | undefined> => {
          if ((await stage.renewTimeOf(cut)) === last) return undefined;
          const said = await stage.reportOf(cut);
          if (said?.peers.every(({ state }) => state === 'up') === true) return said;
          throw new Error(`it reports ${JSON.stringify(said)}`);
        };
        const deadlineMs = stage.deadline(15_000);
        const said = await waitFor('the Lease is renewed', renewed, { deadlineMs, everyMs: 200 });
        return `seq ${said.seq}, cut for ${said.cutSeconds} s`;
      });
      await report.check(`${kind}: kubectl exec reaches ${cut} through the tunnel within 10 s`, async () => {
        const start = performance.now();
        const answers = async (): Promise<boolean> => {
          const { code, stdout, stderr } = await stage.tunnel.exec(webPod(cut), ['cat', '/www/index.html'], 5_000);
          if (code !== 0) throw new Error(stderr);
          return stdout.trim() === webPod(cut);
        };
        await waitFor('exec', answers, { deadlineMs: stage.deadline(10_000), everyMs: 100 });
        return `${((performance.now() - start) / 1000).toFixed(1)} s after the relay was in use`;
      });
      if (kind === 'drop') {
        await report.check('a pod that is made now starts there', async () => {
          const start = performance.now();
          await stage.cloud.request('POST', '/api/v1/namespaces/default/pods', serverPod('made-meanwhile', cut));
          await waitForPods(stage.cloud, cut, 2, stage.deadline(20_000));
          return `${((performance.now() - start) / 1000).toFixed(1)} s`;
        });
        await report.check(`${cut} stays Ready for longer than the node controller waits`, async () => {
          await sleep(stage.graceMs + 10_000, undefined, { signal: stage.signal });
          expectThat(await cluster.isReady(cut), 'it is not Ready');
          expectThat(notReady.count() === 0, `it was not Ready in ${notReady.count()} looks`);
        });
        await report.check('its peers see it up', () => stage.waitForReports(others, cut, 'up', 180_000));
        await report.check('what goes through the peer is counted there', async () => {
          const open = await Promise.all(
            others.map((name) => stage.at(name).hub.metric('holdfast_health_relay_connections')),
          );
          expectThat(
            open.some((count) => count > 0),
            'no peer has a connection for it',
          );
          return `${open.join(' and ')} connections`;
        });
      }
      await node.link.heal();
      await report.check(`${kind}: healed, it goes back to its own link once that is steady`, async () => {
        const start = performance.now();
        await waitFor('the relay is left', async () => (await hub.metric(relayed)) === 0, {
          deadlineMs: 180_000,
          everyMs: 100,
        });
        return `${((performance.now() - start) / 1000).toFixed(1)} s`;
      });
      if (stage.quick) break;
    }
    await report.check('nothing moved, and nothing was restarted', async () => {
      expectThat(notReady.count() === 0, `${cut} was not Ready in ${notReady.count()} looks`);
      for (const name of all) {
        const now = containersOf((await stage.podsOn(name)).filter((pod) => pod.metadata.name !== 'made-meanwhile'));
        const were = before.get(name) ?? new Map<string, string>();
        const same = now.size === were.size && [...now].every(([container, id]) => were.get(container) === id);
        expectThat(same, `the containers of ${name} are others than before`);
      }
    });
  } finally {
    await notReady.stop();
  }
}

/** Looks at the node's condition as the cloud has it until it is stopped, twice a second. */
function watchReadiness(stage: HealthStage, name: string): { count: () => number; stop: () => Promise<void> } {
  const end = new AbortController();
  let count = 0;
  const looking = (async () => {
    while (!end.signal.aborted && !stage.signal.aborted) {
      if (!(await stage.cluster.isReady(name).catch(() => true))) count += 1;
      await sleep(500, undefined, { signal: end.signal }).catch(() => undefined);
    }
  })();
  return {
    count: () => count,
    stop: async () => {
      end.abort();
      await looking;
    },
  };
}
