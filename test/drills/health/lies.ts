// What somebody with the certificate of one node can write into its Lease, and what the guard makes of it: nothing, and it says so.
import { metadataOf } from '../../../kube/plain-object.ts';
import type { KubeObject } from '../../../kube/wire.ts';
import { reportAnnotation } from '../../../peers/report.ts';
import { ApiClient } from '../../cluster/api-client.ts';
import { waitFor } from '../../cluster/commands.ts';
import { containersOf } from '../pods.ts';
import { expectThat } from '../report.ts';
import type { HealthStage } from './stage.ts';

const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases';

/** `liar` and `other`: of one pool. */
export async function liesMoveNobody(
  stage: HealthStage,
  { liar, other }: { readonly liar: string; readonly other: string },
): Promise<void> {
  const { report, cloud, controllers } = stage;
  const { plane } = stage.cluster;
  const before = await containersOfAll(stage);
  const asLiar = new ApiClient({ url: plane.url, ca: plane.ca }, plane.nodeCertificate(liar));
  const textOf = async (name: string): Promise<string> => {
    const lease = await cloud.request<KubeObject>('GET', `${leases}/${name}`);
    return (metadataOf(lease)['annotations'] as Record<string, string> | undefined)?.[reportAnnotation] ?? '';
  };
  const write = async (name: string, text: string): Promise<number> => {
    const metadata = { annotations: { [reportAnnotation]: text } };
    return (await asLiar.rawRequest('PATCH', `${leases}/${name}`, { metadata })).status;
  };
  try {
    await report.check(`as ${liar} nobody writes the Lease of ${other}`, async () => {
      const status = await write(other, '{}');
      expectThat(status === 403, `the API server answered ${status}`);
    });
    const old = await textOf(liar);
    await waitFor('a newer report', async () => (await textOf(liar)) !== old, { deadlineMs: 120_000, everyMs: 250 });
    const lies = [
      ['forged', await textOf(other)],
      ['replayed', old],
      ['oversized', 'x'.repeat(20_000)],
      ['garbage', '{"v":1'],
    ] as const;
    for (const [problem, text] of lies)
      await report.check(`a report that is ${problem} is refused, counted, and named in an event`, async () => {
        const isTold = async (): Promise<boolean> => {
          expectThat((await write(liar, text)) === 200, 'it cannot be written');
          return (await eventsOf(stage, liar)).some((each) => each.startsWith(`PeerReportRefused ${problem}: `));
        };
        await waitFor('it is told', isTold, { deadlineMs: 120_000, everyMs: 1_000 });
        const leader = await waitFor('one leads', () => controllers.leader(), { deadlineMs: 30_000 });
        const counter = new RegExp(
          `^holdfast_controllers_guard_reports_refused_total{problem="${problem}"} (\\d+)`,
          'm',
        );
        expectThat(((await controllers.metric(leader, counter)) ?? 0) > 0, 'it is not counted');
      });
  } finally {
    asLiar.close();
  }
  await report.check('it moved nobody', async () => {
    for (const { node } of stage.nodes) expectThat(await stage.isAlive(node.name), `${node.name} is not called alive`);
    expectThat((await containersOfAll(stage)) === before, 'containers are others than before');
  });
}

async function containersOfAll(stage: HealthStage): Promise<string> {
  const all = await Promise.all(stage.nodes.map(({ node }) => stage.podsOn(node.name)));
  return JSON.stringify(all.map((pods) => [...containersOf(pods)].map((each) => each.join(' ')).sort()));
}

async function eventsOf({ cloud }: HealthStage, name: string): Promise<string[]> {
  const path = `/api/v1/namespaces/default/events?fieldSelector=involvedObject.name%3D${name}`;
  const { items } = await cloud.request<{ items: { reason: string; message: string }[] }>('GET', path);
  return items.map(({ reason, message }) => `${reason} ${message}`);
}
