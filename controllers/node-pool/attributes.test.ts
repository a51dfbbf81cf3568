import fc from 'fast-check';
import { applyJsonMergePatch } from '../../kube/patch/json-merge-patch.ts';
import type { Node } from '../nodes.ts';
import { attributesOf, openYurtRecordAnnotation, planNode, recordAnnotation, type Attributes } from './attributes.ts';
import type { NodePoolSpec } from './node-pool-crd.ts';
import { node } from './objects.testing.ts';

const nothing = attributesOf(undefined);

/** The node after the one write that it needs, and no more. */
function given(target: Node, wanted: Attributes): Node {
  const patch = planNode(target, wanted, undefined);
  if (patch === undefined) return target;
  const after = applyJsonMergePatch(target, patch) as Node;
  expect(planNode(after, wanted, undefined)).toBeUndefined();
  return after;
}

/** Labels, annotations without the record, and taints in an order of their own. */
function shown({ metadata, spec }: Node): unknown {
  const { [recordAnnotation]: _record, ...annotations } = metadata.annotations ?? {};
  const taints = (spec.taints ?? []).map(({ key, value = '', effect }) => `${key}=${value}:${effect}`).sort();
  return { labels: metadata.labels, annotations, taints };
}

const berlin: NodePoolSpec = {
  labels: { site: 'berlin', tier: 'gold' },
  annotations: { contact: 'site@example.com' },
  taints: [
    { key: 'site', value: 'berlin', effect: 'NoSchedule' },
    { key: 'bare', effect: 'NoExecute' },
  ],
  hostNetwork: true,
};

test('a node gets what its pool gives, in one write that says whose it is', () => {
  const before = node('a', { labels: { zone: '1' }, taints: [{ key: 'other', effect: 'NoSchedule' }] });
  const after = given(before, attributesOf(berlin));
  expect(shown(after)).toEqual({
    labels: { zone: '1', site: 'berlin', tier: 'gold', 'nodepool.openyurt.io/hostnetwork': 'true' },
    annotations: { contact: 'site@example.com' },
    taints: ['bare=:NoExecute', 'other=:NoSchedule', 'site=berlin:NoSchedule'],
  });
});

test('what was there before the pool comes back when the node leaves, and what it had by itself stays', () => {
  const before = node('a', {
    labels: { site: 'unknown', tier: 'gold' },
    annotations: { contact: 'me' },
    taints: [{ key: 'site', value: 'x', effect: 'NoSchedule' }],
  });
  const inside = given(before, attributesOf(berlin));
  expect(shown(given(inside, nothing))).toEqual(shown(before));
  expect(given(inside, nothing).metadata.annotations).not.toHaveProperty(recordAnnotation);
});

test('what somebody else changed meanwhile is theirs when the node leaves', () => {
  const inside = given(node('a'), attributesOf({ labels: { site: 'berlin' } }));
  const changed = applyJsonMergePatch(inside, { metadata: { labels: { site: 'mine' } } }) as Node;
  expect(given(changed, nothing).metadata.labels).toEqual({ site: 'mine' });
});

test('what somebody else changed while the node is in the pool is set again', () => {
  const wanted = attributesOf({ labels: { site: 'berlin' } });
  const changed = applyJsonMergePatch(given(node('a'), wanted), { metadata: { labels: { site: null } } }) as Node;
  expect(given(changed, wanted).metadata.labels).toEqual({ site: 'berlin' });
});

test("what OpenYurt's manager gave is taken over, with its record, and taken back when the node leaves", () => {
  const record = JSON.stringify({
    labels: { site: 'berlin', gone: 'x' },
    taints: [{ key: 'site', value: 'berlin', effect: 'NoSchedule' }],
  });
  const before = node('a', {
    labels: { site: 'berlin', gone: 'x', own: '1' },
    annotations: { [openYurtRecordAnnotation]: record },
    taints: [{ key: 'site', value: 'berlin', effect: 'NoSchedule' }],
  });
  const taken = given(before, attributesOf({ labels: { site: 'berlin' } }));
  expect(shown(taken)).toEqual({ labels: { site: 'berlin', own: '1' }, annotations: {}, taints: [] });
  expect(shown(given(taken, nothing))).toEqual({ labels: { own: '1' }, annotations: {}, taints: [] });
});

test.each(['', '[]', 'null', '{"labels":7}', '{"taints":{"a":1}}', '{"before":[]}'])(
  'a record that was written by hand (%s) takes nothing away and is put right',
  (text) => {
    const before = node('a', { labels: { site: 'mine' }, annotations: { [recordAnnotation]: text } });
    const after = given(before, attributesOf({ labels: { tier: 'gold' } }));
    expect(after.metadata.labels).toEqual({ site: 'mine', tier: 'gold' });
    expect(given(after, nothing).metadata.labels).toEqual({ site: 'mine' });
  },
);

const keys = fc.constantFrom('a', 'b', 'c');
const values = fc.constantFrom('', '1', '2');
const texts = fc.dictionary(keys, values, { maxKeys: 3 });
const taints = fc.uniqueArray(
  fc.record({ key: keys, value: values, effect: fc.constantFrom('NoSchedule' as const, 'NoExecute' as const) }),
  { selector: ({ key, effect }) => `${key}:${effect}`, maxLength: 4 },
);
const attributes = fc.record({ labels: texts, annotations: texts, taints, hostNetwork: fc.boolean() });
const anyNode = fc
  .record({ labels: texts, annotations: texts, taints })
  .map((content) => node('a', { labels: content.labels, annotations: content.annotations, taints: content.taints }));

test('through any pools, and whatever they change, a node comes out as it went in, with one write for each step', () => {
  fc.assert(
    fc.property(anyNode, fc.array(attributes, { maxLength: 5 }), (before, pools) => {
      let now = before;
      for (const spec of pools) {
        now = given(now, attributesOf(spec));
        const wanted = attributesOf(spec);
        expect(now.metadata.labels).toMatchObject(wanted.labels);
        expect(now.metadata.annotations).toMatchObject(wanted.annotations);
      }
      expect(shown(given(now, nothing))).toEqual(shown(before));
      expect(given(now, nothing).metadata.annotations).not.toHaveProperty(recordAnnotation);
    }),
  );
});

test('from any state, made by anybody, one write is enough and no second follows', () => {
  const records = fc.oneof(
    fc.string(),
    fc.json(),
    fc.record({ labels: texts, before: fc.record({ labels: texts }) }).map((r) => JSON.stringify(r)),
  );
  fc.assert(
    fc.property(anyNode, fc.option(records), attributes, (target, record, spec) => {
      const annotations = {
        ...target.metadata.annotations,
        ...(record === null ? {} : { [recordAnnotation]: record }),
      };
      given({ ...target, metadata: { ...target.metadata, annotations } }, attributesOf(spec));
    }),
  );
});
