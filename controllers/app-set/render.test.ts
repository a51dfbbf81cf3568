import { TemplateError } from './errors.ts';
import { renderWorkload } from './render.ts';
import type { Rendered } from './render.ts';
import { daemonSetSpec, deploymentSpec, statefulSetSpec } from './sample-specs.testing.ts';
import type { NodePool, TweakPatch, WorkloadSpec, WorkloadTweak, YurtAppSet } from './types.ts';

const pool: NodePool = { metadata: { name: 'hangzhou', labels: { region: 'east' } } };

function render(workload: WorkloadSpec): Rendered {
  const appSet: YurtAppSet = { metadata: { name: 'web', namespace: 'shop', uid: 'u1' }, spec: { workload } };
  return renderWorkload(appSet, workload, pool);
}
const tweaked = (...tweaks: WorkloadTweak[]): Rendered => render(deploymentSpec({ tweaks, replicas: 1 }));
const patched = (...patches: TweakPatch[]): Rendered => tweaked({ pools: ['hangzhou'], tweaks: { patches } });
const add = (path: string, value: unknown): TweakPatch => ({ operation: 'add', path, value });

test('a workload belongs to its app set and its pool, and its pods run on nodes of the pool', () => {
  const { object } = render(deploymentSpec());
  expect(object).toMatchObject({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      namespace: 'shop',
      labels: {
        app: 'web',
        'apps.openyurt.io/pool-name': 'hangzhou',
        'apps.openyurt.io/ref-yurtappset': 'web',
      },
      annotations: { 'apps.openyurt.io/ref-nodepool': 'hangzhou' },
      ownerReferences: [{ kind: 'YurtAppSet', name: 'web', uid: 'u1', controller: true }],
    },
    spec: {
      selector: { matchLabels: { app: 'web', 'apps.openyurt.io/pool-name': 'hangzhou' } },
      template: {
        metadata: { labels: { app: 'web', 'apps.openyurt.io/pool-name': 'hangzhou' } },
        spec: { nodeSelector: { 'apps.openyurt.io/nodepool': 'hangzhou' } },
      },
    },
  });
});

test('a template without a selector and without replicas is a workload all the same', () => {
  const template = { spec: { template: { spec: { containers: [] } } } };
  const { object, replicas } = render({ workloadTemplate: { deploymentTemplate: template } });
  expect(object.spec['selector']).toEqual({ matchLabels: { 'apps.openyurt.io/pool-name': 'hangzhou' } });
  expect(replicas).toBeUndefined();
});

test("pods of a StatefulSet get the labels of its template's metadata, as in OpenYurt", () => {
  const spec = statefulSetSpec();
  const template = { ...spec.workloadTemplate.statefulSetTemplate, metadata: { labels: { tier: 'db' } } };
  const { object } = render({ workloadTemplate: { statefulSetTemplate: template as never } });
  expect(object.spec).toMatchObject({ template: { metadata: { labels: { tier: 'db', app: 'web' } } } });
});

test('tweaks apply to pools by name and by label, and later ones win', () => {
  const images = (targetImage: string): WorkloadTweak['tweaks'] => ({
    containerImages: [{ name: 'web', targetImage }],
  });
  const { object, replicas } = tweaked(
    { pools: ['hangzhou'], tweaks: { ...images('web:2'), replicas: 3 } },
    { nodepoolSelector: { matchLabels: { region: 'east' } }, tweaks: images('web:3') },
    { nodepoolSelector: { matchLabels: { region: 'west' } }, tweaks: { replicas: 9 } },
    { tweaks: { replicas: 9 } },
  );
  expect(replicas).toBe(3);
  expect(object.spec).toMatchObject({ template: { spec: { containers: [{ image: 'web:3' }] } } });
});

test('an image tweak reaches init containers', () => {
  const containers = [{ name: 'web', image: 'a' }];
  const spec = { template: { spec: { containers, initContainers: [{ name: 'init', image: 'a' }] } } };
  const workloadTweaks = [{ pools: ['hangzhou'], tweaks: { containerImages: [{ name: 'init', targetImage: 'b' }] } }];
  const { object } = render({ workloadTemplate: { deploymentTemplate: { spec } }, workloadTweaks });
  expect(object.spec).toMatchObject({ template: { spec: { initContainers: [{ image: 'b' }] } } });
});

test("patches see the pool's name wherever it stands in their value, and make the objects on their way", () => {
  const { object } = patched(
    add('/spec/template/spec/volumes', [
      { name: 'v', hostPath: { path: '/data/{{nodepool-name}}/{{nodepool-name}}' } },
    ]),
    add('/spec/template/spec/containers/0/resources/limits', { cpu: '100m' }),
    add('/metadata/annotations/note', 'in {{nodepool-name}}'),
  );
  expect(object).toMatchObject({
    metadata: { annotations: { note: 'in hangzhou' } },
    spec: {
      template: {
        spec: {
          volumes: [{ hostPath: { path: '/data/hangzhou/hangzhou' } }],
          containers: [{ resources: { limits: { cpu: '100m' } } }],
        },
      },
    },
  });
});

test('patches come after all other tweaks, and may set replicas', () => {
  const { replicas } = tweaked(
    { pools: ['hangzhou'], tweaks: { patches: [{ operation: 'replace', path: '/spec/replicas', value: 5 }] } },
    { pools: ['hangzhou'], tweaks: { replicas: 2 } },
  );
  expect(replicas).toBe(5);
});

test('replicas are no part of what is compared', () => {
  expect(render(deploymentSpec({ replicas: 5 })).hash).toBe(render(deploymentSpec()).hash);
  expect(render(deploymentSpec({ image: 'web:2' })).hash).not.toBe(render(deploymentSpec()).hash);
});

test.each([
  [{ operation: 'remove', path: '/spec/paused' }, /patches\[0\]: remove \/spec\/paused: there is no such field/],
  [{ operation: 'replace', path: '/spec/replicas' }, /patches\[0\]: operation replace needs a value/],
  [add('/spec/template/spec/tolerations/-', {}), /patches\[0\]: .*add the whole list where the template has none/],
  [add('/spec/replicas', 'many'), /replicas for pool hangzhou have to be an integer/],
  [add('/metadata/name', 'other'), /patches for pool hangzhou change apiVersion, kind, name/],
  [add('/metadata/labels', {}), /or the pool's label; remove those patches/],
  [add('', {}), /remove those patches/],
] as [TweakPatch, RegExp][])('%j is refused', (patch, problem) => {
  const attempt = (): unknown => patched(patch);
  expect(attempt).toThrow(TemplateError);
  expect(attempt).toThrow(problem);
});

test('a DaemonSet has no replicas', () => {
  const workload = { ...daemonSetSpec(), workloadTweaks: [{ pools: ['hangzhou'], tweaks: { replicas: 2 } }] };
  expect(() => render(workload)).toThrow(/one pod on every node of the pool: remove replicas/);
  expect(render(daemonSetSpec()).object.kind).toBe('DaemonSet');
});
