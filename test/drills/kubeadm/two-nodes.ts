// Two nodes at two sites, with equal addresses, are converted at the same moment while their pods serve.
import { mkdirSync } from 'node:fs';
import { waitFor } from '../../cluster/commands.ts';
import { create } from '../../cluster/manifest.ts';
import { expectThat } from '../report.ts';
import { applicationManifests } from './application.ts';
import { applicationImage, clientFolder, unpackedIn, type Stage } from './stage.ts';

const otherName = 'b1';
const otherNamespace = 'other-site';

export async function twoNodes(stage: Stage): Promise<void> {
  const { report, cluster, node } = stage;
  const other = cluster.machine(otherName);
  await other.enter(['mkdir', '-p', unpackedIn]);
  await other.enter(['tar', '-xzf', stage.archive, '-C', unpackedIn]);
  mkdirSync(other.file(clientFolder), { recursive: true });
  const namespaces = '/api/v1/namespaces';
  await cluster.api.request('POST', namespaces, { kind: 'Namespace', metadata: { name: otherNamespace } });
  await waitFor(
    'the namespace has its service account, without which no pod is let in',
    () => cluster.kubectl('-n', otherNamespace, 'get', 'serviceaccount', 'default').then(Boolean, () => false),
    { deadlineMs: 60_000, everyMs: 200 },
  );
  await create(
    cluster.api,
    applicationManifests({ namespace: otherNamespace, node: otherName, clientFolder, image: applicationImage }),
  );
  const sides = [
    { machine: node, namespace: 'default' },
    { machine: other, namespace: otherNamespace },
  ];
  const all = <T>(task: (side: (typeof sides)[number]) => Promise<T>): Promise<T[]> => Promise.all(sides.map(task));
  await all(({ namespace: name }) => stage.podsAreReady(name));
  await waitFor('both clients are served', () => sides.every(({ machine }) => stage.counted(machine).served > 0), {
    deadlineMs: 180_000,
    everyMs: 100,
  });
  const before = await all(({ machine }) => stage.snapshot(machine));
  const containers = await all(({ namespace: name }) => stage.containers(name));
  const counted = sides.map(({ machine }) => stage.counted(machine));
  await report.check('both are converted at once', async () => {
    const outcomes = await all(({ machine }) => stage.succeed(['convert'], stage.command, machine));
    return sides
      .map(({ machine }, index) => {
        const { seconds, kubeletDownSeconds } = outcomes[index] ?? {};
        return `${machine.name}: ${seconds} s, kubelet down for ${kubeletDownSeconds} s`;
      })
      .join('; ');
  });
  await report.check('both hubs have their own node, and no other', async () => {
    const names = await all(async ({ machine }) => {
      const { stdout } = await stage.holdfast(['status', '--output', 'json'], undefined, [], machine);
      const { node: name, converted, watches } = JSON.parse(stdout) as Record<string, unknown>;
      expectThat(converted === true && Number(watches) > 0, stdout);
      return String(name);
    });
    expectThat(names.join() === sides.map(({ machine }) => machine.name).join(), names.join());
  });
  await report.check('both are given back at once, byte for byte', async () => {
    await all(({ machine }) => stage.succeed(['revert'], '/usr/local/bin/holdfast', machine));
    const same = await Promise.all(sides.map(({ machine }, index) => stage.expectSame(before[index] ?? '', machine)));
    return same.join('; ');
  });
  await report.check('no request of a client on either node failed, and no container was started anew', async () => {
    const now = sides.map(({ machine }) => stage.counted(machine));
    const failed = now.map((count, index) => count.failed - (counted[index]?.failed ?? 0));
    expectThat(
      failed.every((count) => count === 0),
      `failed: ${failed.join(', ')}`,
    );
    const after = await all(({ namespace: name }) => stage.containers(name));
    expectThat(after.join() === containers.join(), `before:\n${containers.join('\n')}\nnow:\n${after.join('\n')}`);
    return `${now.map((count, index) => count.served - (counted[index]?.served ?? 0)).join(' and ')} requests`;
  });
  await cluster.api.request('DELETE', `${namespaces}/${otherNamespace}`);
}
