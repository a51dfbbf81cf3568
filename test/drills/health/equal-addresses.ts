// Two sites whose nodes have the same addresses: one loses its power, and nobody takes the other for it. It is the last but one of its
// pool, too: one peer is left to say that it is dead.
import { expectThat } from '../report.ts';
import type { HealthStage } from './stage.ts';

/** `node` loses its power; `namesake` of another pool has the same address. It is off when this returns. */
export async function equalAddresses(
  stage: HealthStage,
  { node, namesake }: { readonly node: string; readonly namesake: string },
): Promise<void> {
  const { report } = stage;
  const [lost, other] = [stage.at(node), stage.at(namesake)];
  const peersOf = (name: string): string[] => stage.membersOf(stage.at(name).pool).filter((each) => each !== name);
  await report.check(`${node} and ${namesake} have one address, and each is its own peers' matter`, async () => {
    const address = lost.node.site.nodeAddress;
    expectThat(other.node.site.nodeAddress === address, `${other.node.site.nodeAddress} is not ${address}`);
    for (const { node: each, pool } of stage.nodes) {
      const reported = (await stage.reportOf(each.name))?.peers.map(({ name }) => name) ?? [];
      const members = stage.membersOf(pool);
      expectThat(
        reported.every((name) => members.includes(name)),
        `${each.name} reports ${reported.join(', ')}`,
      );
    }
    return address;
  });
  const started = performance.now();
  const since = (): string => `${((performance.now() - started) / 1000).toFixed(1)} s after its power went`;
  await stage.powerOff(lost);
  await report.check(`${node} without power is silent for its peers, and ${namesake} up for its own`, async () => {
    await stage.waitForReports(peersOf(node), node, 'silent', stage.deadline(30_000));
    await stage.waitForReports(peersOf(namesake), namesake, 'up', 1_000);
    expectThat(await stage.isAlive(namesake), `${namesake} is not called alive`);
    return since();
  });
  if (stage.quick) return;
  await report.check(`the one peer that is left has ${node} called dead, after a minute and not before`, async () => {
    const { message } = await stage.waitForReason(node, 'Dead', 100_000);
    expectThat(performance.now() - started > 60_000, since());
    expectThat(await stage.isAlive(namesake), `${namesake} is not called alive`);
    return `${since()}: ${message}`;
  });
}
