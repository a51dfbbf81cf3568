// From one version to another on a node that is made of files and a model: whole, failed at each call, and killed at each call.
import { readFileSync, writeFileSync } from 'node:fs';
import { convert, revert } from './convert.ts';
import { FakeNode } from './fake-node.testing.ts';
import { attempt, callsOf, changes, faultAt, patienceMs } from './faults.testing.ts';
import { ours } from './places.ts';
import { upgrade } from './upgrade.ts';

const settings = { dryRun: false, timeoutMs: 3_000 };
const back = { ...settings, force: false };
const newUnit = '[Unit]\n# of the new version\n';
let node: FakeNode;
let unconverted: string;

/** A node that has been converted with 1.2.3. */
async function converted(): Promise<FakeNode> {
  const made = new FakeNode();
  unconverted = made.state();
  await convert(made.parts(), settings);
  return made;
}

beforeEach(async () => {
  node = await converted();
});

afterEach(() => node.remove());

test('the new version runs, with its unit, and the old one stays beside it; a reversion takes both away', async () => {
  const outcome = await upgrade(node.upgradeParts(node.archiveOf('1.3.0', 1, newUnit)), settings);
  expect(outcome).toMatchObject({ outcome: 'done', resumed: { clientWatches: 7, clientLists: 0 } });
  expect(node.problems('1.3.0')).toEqual([]);
  expect(node.versions()).toEqual(['1.2.3', '1.3.0']);
  expect(readFileSync(`${node.root}${ours.unitFile}`, 'utf8')).toBe(newUnit);
  await revert(node.parts(), back);
  expect(node.state()).toBe(unconverted);
});

test('of old versions one is kept, and one can go back to it', async () => {
  for (const version of ['1.3.0', '1.4.0']) await upgrade(node.upgradeParts(node.archiveOf(version)), settings);
  expect(node.versions()).toEqual(['1.3.0', '1.4.0']);
  expect(await upgrade(node.upgradeParts(node.archiveOf('1.3.0')), settings)).toMatchObject({ outcome: 'done' });
  expect(node.problems('1.3.0')).toEqual([]);
  expect(node.versions()).toEqual(['1.3.0', '1.4.0']);
  await revert(node.parts(), back);
  expect(node.state()).toBe(unconverted);
});

test('a version that does not get ready is left again by itself', async () => {
  const before = node.state();
  node.brokenVersion = '1.3.0';
  const outcome = await upgrade(node.upgradeParts(node.archiveOf('1.3.0', 1, newUnit)), settings);
  expect(outcome).toMatchObject({ outcome: 'rolled-back' });
  expect(outcome.error).toContain('the hub is ready');
  expect(node.state()).toBe(before);
});

test('a version that reads no store of this format is refused, and nothing is changed', async () => {
  writeFileSync(`${node.root}${ours.storeFormat}`, '2\n');
  const before = node.state();
  const outcome = await upgrade(node.upgradeParts(node.archiveOf('1.1.0', 1)), settings);
  expect(outcome.outcome).toBe('refused');
  expect(outcome.checks.find(({ name }) => name === 'store')).toMatchObject({
    verdict: 'refused',
    cause: "the hub's store has format 2, and Holdfast 1.1.0 reads no later one than 1",
  });
  expect(node.state()).toBe(before);
});

test('a unit that somebody changed stays as it is, and that is said', async () => {
  const own = '[Unit]\n# mine\n';
  writeFileSync(`${node.root}${ours.unitFile}`, own);
  const outcome = await upgrade(node.upgradeParts(node.archiveOf('1.3.0', 1, newUnit)), settings);
  expect(outcome).toMatchObject({ outcome: 'done' });
  expect(outcome.checks.find(({ name }) => name === 'unit')?.verdict).toBe('warning');
  expect(readFileSync(`${node.root}${ours.unitFile}`, 'utf8')).toBe(own);
});

test.each([
  ['the same version again is no work', '1.2.3', 'done', undefined],
  ['another build of the version that is installed is refused', '1.2.3', 'refused', 'another'],
])('%s', async (_, version, outcome, unit) => {
  const before = node.state();
  const archive = node.archiveOf(version, 1, unit);
  expect(await upgrade(node.upgradeParts(archive), settings)).toMatchObject({ outcome });
  expect(node.state()).toBe(before);
});

test('without the cloud, without a conversion, and without an archive nothing is changed', async () => {
  const before = node.state();
  const archive = node.archiveOf('1.3.0');
  node.cloudReachable = false;
  expect(await upgrade(node.upgradeParts(archive), settings)).toMatchObject({ outcome: 'refused' });
  node.cloudReachable = true;
  const parts = {
    ...node.parts(),
    withArchive: (use: Parameters<ReturnType<typeof node.upgradeParts>['withArchive']>[0]) => use({ problem: 'gone' }),
  };
  expect(await upgrade(parts as ReturnType<typeof node.upgradeParts>, settings)).toMatchObject({ outcome: 'refused' });
  expect(await upgrade(node.upgradeParts(archive), { ...settings, dryRun: true })).toMatchObject({ outcome: 'done' });
  expect(node.state()).toBe(before);
  await revert(node.parts(), back);
  expect(await upgrade(node.upgradeParts(archive), settings)).toMatchObject({ outcome: 'refused' });
  expect(node.state()).toBe(unconverted);
});

test('an interrupted upgrade to another version is gone back on first', async () => {
  const first = node.archiveOf('1.3.0', 1, newUnit);
  const calls = await callsOf((fault) => upgrade(node.upgradeParts(first, fault), { ...settings, dryRun: true }));
  await attempt(upgrade(node.upgradeParts(first, faultAt(calls.length + 12, 'kill')), settings));
  expect(await convert({ ...node.parts(), archive: first }, settings)).toMatchObject({ outcome: 'refused' });
  expect(await upgrade(node.upgradeParts(node.archiveOf('1.4.0')), settings)).toMatchObject({ outcome: 'done' });
  expect(node.problems('1.4.0')).toEqual([]);
  expect(node.versions()).toEqual(['1.2.3', '1.4.0']);
});

test(
  'whichever call of an upgrade fails, the node has the new version or is as it was',
  async () => {
    const before = node.state();
    const calls = await callsOf((fault) =>
      upgrade(node.upgradeParts(node.archiveOf('1.3.0', 1, newUnit), fault), settings),
    );
    expect(calls.length).toBeGreaterThan(40);
    const found: string[] = [];
    for (const [index, call] of calls.entries()) {
      const fresh = await converted();
      const archive = fresh.archiveOf('1.3.0', 1, newUnit);
      const outcome = await attempt(upgrade(fresh.upgradeParts(archive, faultAt(index + 1, 'failure')), settings));
      const where = `call ${index + 1}, ${call}`;
      if (outcome?.outcome === 'done') found.push(...fresh.problems('1.3.0').map((problem) => `${where}: ${problem}`));
      else if (outcome?.outcome !== 'stranded' && fresh.state() !== before) found.push(`${where}:\n${fresh.state()}`);
      // Where the journal itself cannot be written there is no way back either, and a second run goes on.
      if (outcome?.outcome !== 'done') await upgrade(fresh.upgradeParts(archive), settings);
      found.push(...fresh.problems('1.3.0').map((problem) => `${where}, again: ${problem}`));
      fresh.remove();
    }
    expect(found).toEqual([]);
  },
  patienceMs,
);

test(
  'killed at any call, an upgrade that is run again arrives, and a reversion leaves nothing',
  async () => {
    const calls = await callsOf((fault) =>
      upgrade(node.upgradeParts(node.archiveOf('1.3.0', 1, newUnit), fault), settings),
    );
    const arrived = node.state();
    const found: string[] = [];
    for (const [index, call] of calls.entries()) {
      if (!changes(call)) continue;
      const where = `call ${index + 1}, ${call}`;
      const fresh = await converted();
      const archive = fresh.archiveOf('1.3.0', 1, newUnit);
      await attempt(upgrade(fresh.upgradeParts(archive, faultAt(index + 1, 'kill')), settings));
      // Every other time the power was cut.
      if (index % 2 === 0) fresh.reboot();
      if (index % 3 !== 0) {
        await upgrade(fresh.upgradeParts(archive), settings);
        found.push(...fresh.problems('1.3.0').map((problem) => `${where}: ${problem}`));
        if (index % 2 === 1 && fresh.state() !== arrived) found.push(`${where}: not the same state:\n${fresh.state()}`);
      }
      await revert(fresh.parts(), back);
      if (fresh.state() !== unconverted) found.push(`${where}: not as before the conversion:\n${fresh.state()}`);
      fresh.remove();
    }
    expect(found).toEqual([]);
  },
  patienceMs,
);

test(
  'a version that does not work, and the command killed on the way back: the next run ends with the old one',
  async () => {
    const before = node.state();
    node.brokenVersion = '1.3.0';
    const calls = await callsOf((fault) =>
      upgrade(node.upgradeParts(node.archiveOf('1.3.0', 1, newUnit), fault), settings),
    );
    const found: string[] = [];
    for (const [index, call] of calls.entries()) {
      if (!changes(call)) continue;
      const fresh = await converted();
      fresh.brokenVersion = '1.3.0';
      const archive = fresh.archiveOf('1.3.0', 1, newUnit);
      await attempt(upgrade(fresh.upgradeParts(archive, faultAt(index + 1, 'kill')), settings));
      await upgrade(fresh.upgradeParts(archive), settings);
      if (fresh.state() !== before) found.push(`call ${index + 1}, ${call}:\n${fresh.state()}`);
      fresh.remove();
    }
    expect(found).toEqual([]);
  },
  patienceMs,
);
