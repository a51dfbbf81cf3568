// The CRD of YurtAppSet on a real API server: what it takes, what it refuses, and what it says then.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { deploymentSpec, daemonSetSpec, statefulSetSpec } from '../../../controllers/app-set/sample-specs.testing.ts';
import type { WorkloadSpec, YurtAppSetSpec } from '../../../controllers/app-set/types.ts';
import { applyConfig } from '../../cluster/apply-config.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { describeWithApiserver } from '../../cluster/integration.ts';
import { projectRoot } from '../../cluster/project-root.ts';

const collection = '/apis/apps.openyurt.io/v1beta1/namespaces/default/yurtappsets';
const samples = path.join(projectRoot(), 'config', 'samples');
const sampleFiles = readdirSync(samples).filter((file) => file.startsWith('yurtappset'));

const appSet = (name: string, spec: unknown): Record<string, unknown> => ({
  apiVersion: 'apps.openyurt.io/v1beta1',
  kind: 'YurtAppSet',
  metadata: { name },
  spec,
});
const tweaked = (tweaks: unknown, workload: WorkloadSpec = deploymentSpec()): unknown => ({
  pools: ['a'],
  workload: { ...workload, workloadTweaks: [{ pools: ['a'], tweaks }] },
});
const patched = (patch: unknown): unknown => tweaked({ patches: [patch] });

describeWithApiserver('the CRD of YurtAppSet', () => {
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    await applyConfig(plane, 'crds/apps.openyurt.io_yurtappsets.yaml');
  });
  afterAll(async () => {
    await plane?.stop();
  });

  async function answer(method: string, url: string, body: unknown): Promise<{ code: number; message: string }> {
    const { status, body: bytes } = await plane.rawRequest(method, url, body);
    return { code: status, message: (JSON.parse(bytes.toString()) as { message?: string }).message ?? '' };
  }

  test.each(sampleFiles)('%s is taken as it is, with every field of it', async (file) => {
    const sample = parse(readFileSync(path.join(samples, file), 'utf8')) as { spec: unknown };
    const strict = `${collection}?fieldValidation=Strict`;
    const made = await plane.request<{ spec: unknown }>('POST', strict, sample);
    expect(made.spec).toMatchObject(JSON.parse(JSON.stringify(sample.spec)) as object);
  });

  test.each([
    ['no template', { workload: { workloadTemplate: {} } }, /needs exactly one of deploymentTemplate, statefulSet/],
    [
      'two templates',
      {
        workload: { workloadTemplate: { ...deploymentSpec().workloadTemplate, ...statefulSetSpec().workloadTemplate } },
      },
      /needs exactly one of deploymentTemplate, statefulSetTemplate and daemonSetTemplate/,
    ],
    ['no workload', {}, /spec\.workload: Required value/],
    [
      'a template without pods',
      { workload: { workloadTemplate: { deploymentTemplate: { spec: {} } } } },
      /spec\.template: Required value/,
    ],
    [
      'negative replicas',
      { workload: deploymentSpec({ replicas: -1 }) },
      /spec\.replicas: .*greater than or equal to 0/,
    ],
    ['replicas of a DaemonSet', tweaked({ replicas: 2 }, daemonSetSpec()), /leave replicas out of the tweaks/],
    [
      'no pools at a time',
      { workload: deploymentSpec(), rollout: { maxPools: 0 } },
      /maxPools: .*must be a number of at least 1, or a share/,
    ],
    [
      'half of one percent',
      { workload: deploymentSpec(), rollout: { maxPools: '0.5%' } },
      /maxPools: .*from 1% to 100%/,
    ],
    [
      'a path without a slash',
      patched({ path: 'spec/x', operation: 'remove' }),
      /patches\[0\]\.path: .*should match '\^\/'/,
    ],
    [
      'another operation',
      patched({ path: '/spec/x', operation: 'move' }),
      /operation: Unsupported value: "move": supported values: "add"/,
    ],
    [
      'an image of no container',
      tweaked({ containerImages: [{ name: '', targetImage: 'x' }] }),
      /containerImages\[0\]\.name/,
    ],
  ] as [string, unknown, RegExp][])('%s is refused with what to do', async (_, spec, message) => {
    const refused = await answer('POST', collection, appSet('refused', spec));
    expect(refused.code).toBe(422);
    expect(refused.message).toMatch(message);
  });

  it('a share, a number, and a patch of every kind are taken', async () => {
    for (const [index, maxPools] of [1, 500, '3', '1%', '100%'].entries()) {
      const body = appSet(`share-${index}`, { workload: deploymentSpec(), rollout: { maxPools } });
      expect(await answer('POST', collection, body)).toMatchObject({ code: 201 });
    }
    const { workload } = patched({
      path: '/spec/template/spec/hostNetwork',
      operation: 'add',
      value: true,
    }) as YurtAppSetSpec;
    expect(await answer('POST', collection, appSet('patched', { workload }))).toMatchObject({ code: 201 });
  });

  it('kind and selector stay as they were; the rest may change', async () => {
    const url = `${collection}/kept`;
    expect(await answer('POST', collection, appSet('kept', { workload: deploymentSpec() }))).toMatchObject({
      code: 201,
    });
    const to = async (workload: unknown): Promise<{ code: number; message: string }> => {
      const { metadata } = await plane.request<{ metadata: object }>('GET', url);
      return await answer('PUT', url, { ...appSet('kept', { workload }), metadata });
    };
    expect((await to(statefulSetSpec())).message).toMatch(/keeps the kind of its workloads: make another YurtAppSet/);
    const template = deploymentSpec().workloadTemplate.deploymentTemplate;
    const selector = { matchLabels: { app: 'other' } };
    const other = { workloadTemplate: { deploymentTemplate: { ...template, spec: { ...template?.spec, selector } } } };
    expect((await to(other)).message).toMatch(/workloads keep their selector: make another YurtAppSet/);
    expect(await to(deploymentSpec({ image: 'web:2', replicas: 4 }))).toMatchObject({ code: 200 });
  });

  it('a name that is too long for a label is refused', async () => {
    const refused = await answer('POST', collection, appSet('n'.repeat(64), { workload: deploymentSpec() }));
    expect(refused.message).toMatch(/at most 63 characters, choose a shorter one/);
  });
});
