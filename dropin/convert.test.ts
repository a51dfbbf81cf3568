// There and back on a node that is made of files and a model: whole, failed at each call, and killed at each call.
import { readFileSync } from 'node:fs';
import { convert, revert } from './convert.ts';
import { FakeNode, nodeName } from './fake-node.testing.ts';
import { attempt, callsOf, changes, faultAt, patienceMs } from './faults.testing.ts';
import type { Outcome } from './outcome.ts';
import { ours } from './places.ts';

const settings = { dryRun: false, timeoutMs: 3_000 };
const back = { ...settings, force: false };
let node: FakeNode;

beforeEach(() => {
  node = new FakeNode();
});

afterEach(() => node.remove());

test('a node is converted, and reverted to what it was, byte for byte', async () => {
  const before = node.state();
  const there = await convert(node.parts(), settings);
  expect(there).toMatchObject({ outcome: 'done', node: nodeName });
  expect(node.problems()).toEqual([]);
  expect(JSON.parse(readFileSync(`${node.root}${ours.kubeconfig}`, 'utf8'))).toMatchObject({
    clusters: [{ name: 'k', cluster: { server: 'https://127.0.0.1:10261', 'certificate-authority': ours.hubCa } }],
    users: [{ name: 'u' }],
  });
  expect(await revert(node.parts(), back)).toMatchObject({ outcome: 'done' });
  expect(node.state()).toBe(before);
  expect(node.announced).toBe('');
  expect(node.labels).toEqual({ 'kubernetes.io/os': 'linux' });
});

test('a label that somebody else gave the Node stays when it is given back', async () => {
  node.labels = { ...node.labels, 'holdfast.dev/converted': 'by hand' };
  await convert(node.parts(), settings);
  await revert(node.parts(), back);
  expect(node.labels).toEqual({ 'kubernetes.io/os': 'linux', 'holdfast.dev/converted': 'by hand' });
});

test('the report of the hub is off the Lease when the node is given back, and what keeps it there keeps nothing else', async () => {
  await convert(node.parts(), settings);
  expect(node.leaseHasReport).toBe(true);
  await revert(node.parts(), back);
  expect(node.leaseHasReport).toBe(false);
  const before = node.state();
  await convert(node.parts(), settings);
  const parts = node.parts((call) => {
    // The first call of the cloud after the hub has ended.
    if (call === 'host.units.disable') node.cloudReachable = false;
  });
  expect(await revert(parts, back)).toMatchObject({ outcome: 'done' });
  expect(node.leaseHasReport).toBe(true);
  expect(node.state()).toBe(before);
});

test('a dry run, there and back, names every change and makes none', async () => {
  const before = node.state();
  const outcome = await convert(node.parts(), { ...settings, dryRun: true });
  expect(node.state()).toBe(before);
  const changes = outcome.steps.flatMap((step) => step.changes).join('\n');
  for (const file of [ours.unitFile, ours.dropIn, ours.settings, ours.kubeconfig, ours.command])
    expect(changes).toContain(file);
  await convert(node.parts(), settings);
  const converted = node.state();
  expect((await revert(node.parts(), { ...back, dryRun: true })).steps.length).toBeGreaterThan(3);
  expect(node.state()).toBe(converted);
});

test('a second run of either says that there is nothing to do', async () => {
  await convert(node.parts(), settings);
  const converted = node.state();
  expect((await convert(node.parts(), settings)).message).toContain('converted already');
  expect(node.state()).toBe(converted);
  await revert(node.parts(), back);
  const reverted = node.state();
  expect((await revert(node.parts(), back)).message).toContain('nothing to take back');
  expect(node.state()).toBe(reverted);
});

test('another version does not take a converted node for its own, and can give it back', async () => {
  const before = node.state();
  await convert(node.parts(), settings);
  const converted = node.state();
  const newer = { ...node.parts(), archive: { ...node.archive, version: '1.3.0' } };
  expect(await convert(newer, settings)).toMatchObject({ outcome: 'refused', checks: [{ name: 'version' }] });
  expect(node.state()).toBe(converted);
  await revert(newer, back);
  expect(node.state()).toBe(before);
});

test('a converted node is one after a power cut as well, and can still be reverted', async () => {
  const before = node.state();
  await convert(node.parts(), settings);
  node.reboot();
  expect(node.problems()).toEqual([]);
  await revert(node.parts(), back);
  expect(node.state()).toBe(before);
});

test('without the cloud a node is not reverted, unless that is asked for', async () => {
  await convert(node.parts(), settings);
  node.cloudReachable = false;
  const converted = node.state();
  expect(await revert(node.parts(), back)).toMatchObject({ outcome: 'refused', checks: [{ name: 'cloud' }] });
  expect(node.state()).toBe(converted);
});

test('a container that is started anew meanwhile takes the conversion back', async () => {
  const before = node.state();
  let calls = 0;
  const outcome = await convert(
    node.parts((call) => {
      if (call === 'host.units.restart' && (calls += 1) === 1) node.restartApplication();
    }),
    settings,
  );
  expect(outcome).toMatchObject({ outcome: 'rolled-back' });
  expect(outcome.error).toContain('default/app/c');
  expect(node.state()).toBe(before);
});

function differences(where: string, before: string, fresh: FakeNode): string[] {
  return fresh.state() === before ? [] : [`${where}: the node is not as it was:\n${fresh.state()}`];
}

function notConverted(where: string, { outcome, error }: Outcome, fresh: FakeNode): string[] {
  const problems = outcome === 'done' ? fresh.problems() : [`${outcome}: ${error}`];
  return problems.map((problem) => `${where}: ${problem}`);
}

test(
  'whichever call of a conversion fails, the node is converted or as it was',
  async () => {
    const calls = await callsOf((fault) => convert(node.parts(fault), settings));
    expect(calls.length).toBeGreaterThan(100);
    const found: string[] = [];
    for (let number = 1; number <= calls.length; number += 1) {
      const fresh = new FakeNode();
      const before = fresh.state();
      const outcome = await attempt(convert(fresh.parts(faultAt(number, 'failure')), settings));
      const where = `call ${number}, ${calls[number - 1]}`;
      if (outcome?.outcome !== 'done') found.push(...differences(where, before, fresh));
      else found.push(...fresh.problems().map((problem) => `${where}: ${problem}`));
      fresh.remove();
    }
    expect(found).toEqual([]);
  },
  patienceMs,
);

test(
  'killed at any call, a conversion that is run again arrives, and one that is reverted leaves nothing',
  async () => {
    const calls = await callsOf((fault) => convert(node.parts(fault), settings));
    const found: string[] = [];
    for (const [index, call] of calls.entries()) {
      if (!changes(call)) continue;
      const number = index + 1;
      const where = `call ${number}, ${call}`;
      const fresh = new FakeNode();
      const before = fresh.state();
      await attempt(convert(fresh.parts(faultAt(number, 'kill')), settings));
      // Every other time the power was cut.
      if (number % 2 === 0) fresh.reboot();
      if (number % 3 === 0) {
        await revert(fresh.parts(), back);
        found.push(...differences(where, before, fresh));
      }
      const again = await convert(fresh.parts(), settings);
      found.push(...notConverted(where, again, fresh));
      await revert(fresh.parts(), back);
      found.push(...differences(where, before, fresh));
      fresh.remove();
    }
    expect(found).toEqual([]);
  },
  patienceMs,
);

test(
  'killed at any call, a reversion that is run again arrives, and so does a conversion',
  async () => {
    await convert(node.parts(), settings);
    const calls = await callsOf((fault) => revert(node.parts(fault), back));
    const found: string[] = [];
    for (const [index, call] of calls.entries()) {
      if (!changes(call)) continue;
      const number = index + 1;
      const where = `call ${number}, ${call}`;
      const fresh = new FakeNode();
      const before = fresh.state();
      await convert(fresh.parts(), settings);
      await attempt(revert(fresh.parts(faultAt(number, 'kill')), back));
      if (number % 2 === 0) {
        const again = await convert(fresh.parts(), settings);
        found.push(...notConverted(where, again, fresh));
      }
      await revert(fresh.parts(), back);
      found.push(...differences(where, before, fresh));
      fresh.remove();
    }
    expect(found).toEqual([]);
  },
  patienceMs,
);

test('a way back that fails is said to be so, and goes on where it was', async () => {
  const before = node.state();
  await convert(node.parts(), settings);
  const calls = await callsOf((fault) => revert(node.parts(fault), { ...back, dryRun: true }));
  const outcome = await revert(node.parts(faultAt(calls.length + 8, 'kill')), back);
  expect(outcome).toMatchObject({ outcome: 'stranded' });
  expect(await revert(node.parts(), back)).toMatchObject({ outcome: 'done' });
  expect(node.state()).toBe(before);
});
