// A machine that is no node yet joins, on a node that is made of files and a model: whole, refused, failed, and killed at each call.
import { convert, revert } from './convert.ts';
import { FakeNode, nodeName } from './fake-node.testing.ts';
import { attempt, callsOf, changes, faultAt, patienceMs } from './faults.testing.ts';
import { join, type JoinParts } from './join.ts';
import { joinTarget } from './join-target.ts';
import type { Outcome } from './outcome.ts';
import { kubeadm, ours } from './places.ts';

const settings = { dryRun: false, timeoutMs: 3_000 };
const joining = { nodeName: undefined, ignorePreflightErrors: [] };
const target = joinTarget('abcdef.0123456789abcdef', { server: 'a:6443', caHashes: [`sha256:${'0'.repeat(64)}`] });

function machine(): FakeNode {
  const made = new FakeNode();
  made.unjoin();
  return made;
}

function run(node: FakeNode, fault?: (call: string) => void, change: Partial<JoinParts> = {}): Promise<Outcome> {
  const parts = { ...node.parts(fault), kubeadm: node.kubeadm(fault), ...change };
  return join(parts, target, joining, settings);
}

/** What must not be left: the file that says a join is underway, and the kubeconfig with the token. */
const leftovers = (node: FakeNode): string[] =>
  [ours.joining, kubeadm.bootstrapKubeconfig].filter((file) => node.state().includes(`${file} `));

/** A model's node has no application here, and counts the uid of its first pod as one that was touched. */
const problems = (node: FakeNode): string[] => node.problems().filter((text) => text !== 'the application was touched');

let node: FakeNode;
beforeEach(() => {
  node = machine();
});
afterEach(() => node.remove());

test('a machine becomes a node with the hub on it, and a reversion leaves the node', async () => {
  expect(await run(node)).toMatchObject({ command: 'join', outcome: 'done', node: nodeName });
  expect(problems(node)).toEqual([]);
  expect(leftovers(node)).toEqual([]);
  await revert(node.parts(), { ...settings, force: false });
  expect(node.state()).toContain(kubeadm.kubeconfig);
  expect(node.state()).not.toContain('/opt/holdfast/');
});

test('what kubeadm refuses leaves the machine as it was', async () => {
  const before = node.state();
  node.joinFails = true;
  expect(await run(node)).toMatchObject({ outcome: 'rolled-back', error: 'could not find a JWS signature' });
  expect(node.state()).toBe(before);
});

test('a machine without kubeadm, without containerd or that is a node is refused, and nothing is changed', async () => {
  const refusedBy = async (change: Partial<JoinParts> = {}): Promise<string[]> => {
    const before = node.state();
    const { outcome, checks } = await run(node, undefined, change);
    expect([outcome, node.state()]).toEqual(['refused', before]);
    return checks.filter(({ verdict }) => verdict === 'refused').map(({ name }) => name);
  };
  const old = { ...node.kubeadm(), version: async () => 'v1.30.1' };
  const none = { ...node.kubeadm(), version: async () => undefined };
  expect(await refusedBy({ kubeadm: none })).toEqual(['kubeadm']);
  expect(await refusedBy({ kubeadm: old })).toEqual(['kubeadm']);
  await node.parts().files.remove('/run/containerd');
  expect(await refusedBy()).toEqual(['containers']);
  node.remove();
  node = new FakeNode();
  expect(await refusedBy()).toContain('joined');
  await convert(node.parts(), settings);
  expect(await refusedBy()).toContain('joined');
});

test('a dry run changes nothing', async () => {
  const before = node.state();
  const parts = { ...node.parts(), kubeadm: node.kubeadm() };
  const outcome = await join(parts, target, joining, { ...settings, dryRun: true });
  expect(outcome).toMatchObject({ outcome: 'done', dryRun: true });
  expect(JSON.stringify(outcome)).not.toContain(target.token);
  expect(node.state()).toBe(before);
});

test(
  'killed at any call, a join that is run again arrives, and leaves no token',
  async () => {
    const calls = await callsOf((fault) => run(node, fault));
    expect(calls).toContain('kubeadm.bootstrapped');
    const found: string[] = [];
    for (const [index, call] of calls.entries()) {
      if (!changes(call)) continue;
      const where = `call ${index + 1}, ${call}`;
      const fresh = machine();
      await attempt(run(fresh, faultAt(index + 1, 'kill')));
      const again = await run(fresh);
      // Killed when all was done but to say so: then there is a node that is converted.
      const isThere =
        again.outcome === 'done' ||
        again.checks.some(({ name, verdict }) => name === 'joined' && verdict === 'refused');
      if (!isThere) found.push(`${where}: ${again.outcome} ${again.error}`);
      found.push(...[...problems(fresh), ...leftovers(fresh)].map((problem) => `${where}: ${problem}`));
      fresh.remove();
    }
    expect(found).toEqual([]);
  },
  patienceMs,
);
