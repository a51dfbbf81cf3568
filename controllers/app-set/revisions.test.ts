import { planRevisions, recordedWorkload } from './revisions.ts';
import { deploymentSpec } from './sample-specs.testing.ts';
import type { ControllerRevision, WorkloadSpec, YurtAppSet, YurtAppSetSpec } from './types.ts';

const first = deploymentSpec();
const second = deploymentSpec({ image: 'web:2' });
const none: ReadonlySet<string> = new Set();

function appSet(workload: WorkloadSpec, spec: Partial<YurtAppSetSpec> = {}): YurtAppSet {
  return { metadata: { name: 'web', namespace: 'shop', uid: 'u1' }, spec: { workload, ...spec } };
}
function recorded(workload: WorkloadSpec, revision: number, name?: string): ControllerRevision {
  const { create } = planRevisions(appSet(workload), [], none);
  const made = create as unknown as ControllerRevision;
  return { ...made, metadata: { ...made.metadata, ...(name === undefined ? {} : { name }) }, revision };
}

test('what is recorded is read again, and is not recorded twice', () => {
  const made = recorded(first, 1);
  expect(recordedWorkload(made)).toEqual(first);
  expect(made.metadata.name).toMatch(/^web-[a-z0-9]{10}$/);
  expect(planRevisions(appSet(first), [made], none)).toMatchObject({
    current: made.metadata.name,
    create: undefined,
    renumber: undefined,
  });
});

test('what OpenYurt recorded is recognized', () => {
  const openYurts = {
    ...recorded(first, 1, 'web-6d4f9c7b'),
    data: { spec: { workload: { ...first, $patch: 'replace' } } },
  };
  expect(planRevisions(appSet(first), [openYurts], none)).toMatchObject({ current: 'web-6d4f9c7b', create: undefined });
});

test('a template that comes back gets the highest number', () => {
  const revisions = [recorded(first, 1), recorded(second, 2)];
  expect(planRevisions(appSet(first), revisions, none).renumber).toEqual({ revision: revisions[0], to: 3 });
});

test('the name of another revision is not taken', () => {
  const squatter = { ...recorded(second, 1), metadata: recorded(first, 1).metadata };
  const plan = planRevisions(appSet(first), [squatter], none);
  expect(plan.current).not.toBe(squatter.metadata.name);
  expect(plan.create).toMatchObject({ revision: 2 });
});

test('the oldest go, but none that is current, chosen, or still on a workload', () => {
  const workloads = Array.from({ length: 8 }, (_, index) => deploymentSpec({ image: `web:${index}` }));
  const revisions = workloads.map((workload, index) => recorded(workload, index + 1));
  const names = revisions.map((revision) => revision.metadata.name);
  const rollout = { revision: names[0] ?? '' };
  const plan = planRevisions(
    appSet(workloads[7] as WorkloadSpec, { revisionHistoryLimit: 3, rollout }),
    revisions,
    new Set([names[2] ?? '']),
  );
  expect(plan.expired.map((revision) => revision.metadata.name)).toEqual([1, 3, 4, 5, 6].map((index) => names[index]));
  expect(plan.target).toBe(names[0]);
  expect(plan.workload).toEqual(workloads[0]);
});

test('data that is no revision of an app set is none', () => {
  for (const data of [undefined, null, {}, { spec: { workload: 'x' } }, { spec: { workload: {} } }])
    expect(recordedWorkload({ metadata: { name: 'x' }, revision: 1, data })).toBeUndefined();
});
