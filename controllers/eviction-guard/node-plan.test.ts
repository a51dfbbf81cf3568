import { planNode, standingOf } from './node-plan.ts';
import { guardedNode } from './objects.testing.ts';
import type { GuardedNode } from './objects.ts';
import { verdictKinds, type Verdict, type VerdictKind } from './rules.ts';

const now = '2026-11-21T12:00:00Z';
const before = '2026-11-20T12:00:00Z';
const verdict = (kind: VerdictKind): Verdict => ({
  kind,
  reason: 'PeersSilent',
  message: 'silent for 45 s',
  act: false,
});
const said = (status: string, reason: string): Partial<GuardedNode> => ({
  condition: { status, reason, lastTransitionTime: before },
});
const cutOff = { key: 'holdfast.dev/cut-off', effect: 'NoSchedule' };
const ours = { key: 'node.kubernetes.io/out-of-service', value: 'holdfast', effect: 'NoExecute' };
const foreign = { key: 'dedicated', value: 'tills', effect: 'NoSchedule' };
const nothing = { taints: undefined, condition: undefined };

/** The node after the plan was carried out, as far as taints and condition go. */
function after(node: GuardedNode, kind: VerdictKind | undefined): GuardedNode {
  const plan = planNode(node, kind && verdict(kind), now);
  const condition = plan.condition?.status.conditions[0] as
    (GuardedNode['condition'] & { $patch?: string }) | undefined;
  return {
    ...node,
    taints: plan.taints?.spec.taints ?? node.taints,
    condition: condition === undefined ? node.condition : condition.$patch === 'delete' ? undefined : condition,
  };
}

test('a node that was never in doubt is not written to', () => {
  expect(planNode(guardedNode(), verdict('alive'), now)).toEqual(nothing);
});

test('a verdict is written once: condition with reason, votes and time, and a taint beside those of others', () => {
  const node = guardedNode({ taints: [foreign] });
  expect(planNode(node, verdict('cutOff'), now)).toEqual({
    taints: { metadata: { uid: 'node-uid', resourceVersion: '9' }, spec: { taints: [foreign, cutOff] } },
    condition: {
      status: {
        conditions: [
          {
            type: 'PeerHealth',
            status: 'True',
            reason: 'CutOff',
            message: 'PeersSilent: silent for 45 s',
            lastHeartbeatTime: now,
            lastTransitionTime: now,
          },
        ],
      },
    },
  });
  expect(planNode(after(node, 'cutOff'), verdict('cutOff'), now)).toEqual(nothing);
});

test.each(verdictKinds.filter((kind) => kind !== 'observing'))(
  'from any state, %s is reached in one step, and the next writes nothing',
  (kind) => {
    for (const start of verdictKinds) {
      const node = after(guardedNode({ ...said('Unknown', 'Undecided'), fenced: true }), start);
      const reached = after(node, kind);
      expect(planNode(reached, verdict(kind), now)).toEqual(nothing);
      expect(standingOf(reached)).toBe(kind);
      // In any order: a person or another controller may have moved them.
      const keys = kind === 'alive' ? [] : kind === 'dead' || start === 'dead' ? [cutOff.key, ours.key] : [cutOff.key];
      expect(reached.taints.map(({ key }) => key).sort()).toEqual(keys);
    }
  },
);

test('a guard that has just started touches nothing', () => {
  const node = guardedNode({ ...said('False', 'Dead'), taints: [cutOff, ours] });
  expect(planNode(node, verdict('observing'), now)).toEqual(nothing);
});

test('pods and volumes are given up only for a dead node that is fenced', () => {
  expect(after(guardedNode(), 'dead').taints).toEqual([cutOff]);
  expect(after(guardedNode({ fenced: true }), 'cutOff').taints).toEqual([cutOff]);
  expect(after(guardedNode({ fenced: true }), 'dead').taints).toEqual([cutOff, { ...ours, timeAdded: now }]);
});

test('an out-of-service taint that a person set is left as it is, also when the node is back', () => {
  const byPerson = { ...ours, value: 'nodeshutdown' };
  const node = guardedNode({ taints: [byPerson], fenced: true });
  expect(after(node, 'dead').taints).toEqual([byPerson, cutOff]);
  expect(after(after(node, 'dead'), 'alive').taints).toEqual([byPerson]);
});

test('the time of the transition is that of the status, not of the reason', () => {
  expect(after(guardedNode(said('True', 'CutOff')), 'alive').condition).toMatchObject({ lastTransitionTime: before });
  expect(after(guardedNode(said('False', 'Dead')), 'alive').condition).toMatchObject({ lastTransitionTime: now });
});

test('a node that left its pool is given back as it was', () => {
  const node = guardedNode({ ...said('Unknown', 'Undecided'), taints: [foreign, cutOff] });
  const left = after(node, undefined);
  expect(left).toMatchObject({ taints: [foreign], condition: undefined });
  expect(planNode(left, undefined, now)).toEqual(nothing);
});
