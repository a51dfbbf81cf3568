// DNAT mode: an API server that knows of no tunnel dials addresses. A node whose address is its own is reached; two that have the
// same are told apart from it, told of, and never mixed up.
import { runFully, waitFor } from '../../cluster/commands.ts';
import { expectThat } from '../report.ts';
import { endings } from './endings.ts';
import { podOf, type TunnelStage } from './stage.ts';
import { throughput } from './throughput.ts';
import { expectResult } from './verbs.ts';

const lone = 'site-c';
const loneLan = 78;
const conditionType = 'holdfast.dev/AddressConflict';
/** All that the unit in config/tunnel leaves to the server. */
const capabilities = ['setpriv', '--bounding-set', '-all,+net_admin,+chown'];
const inputBytes = 1 << 20;

interface Condition {
  type: string;
  status: string;
  reason: string;
  message: string;
}

export async function dnat(stage: TunnelStage): Promise<void> {
  const { report, cluster } = stage;
  const { plane } = cluster;
  await stage.applyConfig('rbac-dnat.yaml');
  const node = await stage.addNode(lone, loneLan);
  const { url: server } = await plane.startSecondApiserver([]);
  if (!stage.quick) {
    await throughput(stage, node, server);
    await endings(stage, node, server);
  }
  await stage.stopServer();
  await stage.startServer({ dnat: true }, capabilities);
  try {
    await stage.waitForAgent(lone);
    await report.check(`${lone}: logs by its address`, async () => {
      // The rules follow a moment after the server is ready.
      await waitFor('rules of nftables', async () => (await table()).includes(`192.168.${loneLan}.10`), {
        deadlineMs: 180_000,
      });
      const result = await stage.kubectl(['logs', podOf(lone)], { server });
      expectResult(result, 0, new RegExp(`^this is ${lone}\ntick 1\n`));
    });
    for (const [transport, webSockets] of [
      ['WebSocket', true],
      ['SPDY', false],
    ] as const) {
      await report.check(
        `${lone}, ${transport}: exec with input, its end and late reply, and the exit code`,
        async () => {
          const script = ['sh', '-c', 'cat | wc -c; exit 42'];
          const result = await stage.kubectl(['exec', '-i', podOf(lone), '--', ...script], {
            server,
            webSockets,
            input: 'x'.repeat(inputBytes),
          });
          expectResult(result, 42, new RegExp(`^\\s*${inputBytes}\\s*$`, 'm'));
        },
      );
    }
    await report.check('equal addresses: a condition on both nodes and an Event, none on the third', async () => {
      const said: string[] = [];
      for (const { name } of stage.nodes) {
        const { message } = await waitFor(
          `the condition of ${name}`,
          async () => {
            const condition = await conditionOf(name);
            return condition?.status === 'True' ? condition : undefined;
          },
          { deadlineMs: 180_000 },
        );
        const events = await stage.kubectl(['get', 'events', '--field-selector', `involvedObject.name=${name}`]);
        expectThat(/Warning\s+EqualAddresses/.test(events.stdout), events.stdout);
        said.push(message);
      }
      expectThat((await conditionOf(lone)) === undefined, `${lone} has the condition as well`);
      return said[0];
    });
    await report.check('equal addresses: exec is refused at once, at neither node', async () => {
      const startMs = performance.now();
      for (const { name } of stage.nodes) {
        const result = await stage.kubectl(['exec', podOf(name), '--', 'cat', '/www/index.html'], { server });
        expectThat(result.code !== 0 && /connection refused/.test(result.stderr), result.stdout + result.stderr);
      }
      const tookMs = performance.now() - startMs;
      expectThat(tookMs <= stage.deadline(5_000), `after ${Math.round(tookMs)} ms`);
    });
    await report.check(
      'one of them gets another address: the other one is reached, and its condition is taken back',
      async () => {
        const [first, second] = stage.nodes;
        const addresses = [{ type: 'InternalIP', address: `192.168.${loneLan + 1}.10` }];
        // Until the kubelet writes its own again.
        await plane.request('PATCH', `/api/v1/nodes/${second?.name}/status`, { status: { addresses } });
        await waitFor(
          'the condition is taken back',
          async () => (await conditionOf(first?.name ?? ''))?.status === 'False',
          { deadlineMs: 180_000, everyMs: 20 },
        );
      },
    );
    await report.check(
      'a server that is killed leaves its rules, and the next one puts its own in their place',
      async () => {
        await stage.killServer();
        expectThat((await table()).includes('redirect'), 'no rules are left');
        await stage.startServer({ dnat: true }, capabilities);
        await stage.waitForAgent(lone);
        const startMs = performance.now();
        await waitFor(
          'logs',
          async () =>
            (await stage.kubectl(['logs', '--tail=1', podOf(lone)], { server, timeoutMs: 10_000 })).code === 0,
          { deadlineMs: 180_000, everyMs: 50 },
        );
        return `logs ${Math.round(performance.now() - startMs)} ms after the agent is back`;
      },
    );
  } finally {
    await stage.stopServer();
    await report.check('the rules go with the server', async () => {
      expectThat((await table()) === '', await table());
    });
    await plane.stopSecondApiserver();
    await stage.startServer();
    for (const { name } of stage.nodes) await stage.waitForAgent(name);
  }

  async function conditionOf(name: string): Promise<Condition | undefined> {
    const node = await plane.request<{ status: { conditions: Condition[] } }>('GET', `/api/v1/nodes/${name}`);
    return node.status.conditions.find(({ type }) => type === conditionType);
  }
}

/** Empty if there is none. */
async function table(): Promise<string> {
  return (await runFully(['nft', 'list', 'table', 'inet', 'holdfast_tunnel'], { mayFail: true })).stdout;
}
