// The CRD of NodePool on a real API server: what it takes, what it refuses, and what it says then.
import { applyConfig } from '../../cluster/apply-config.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { describeWithApiserver } from '../../cluster/integration.ts';

const collection = '/apis/apps.openyurt.io/v1beta2/nodepools';

describeWithApiserver('the CRD of NodePool', () => {
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    await applyConfig(plane, 'crds/apps.openyurt.io_nodepools.yaml');
  });
  afterAll(async () => {
    await plane?.stop();
  });

  const pool = (name: string, spec: unknown, version = 'v1beta2') => ({
    apiVersion: `apps.openyurt.io/${version}`,
    kind: 'NodePool',
    metadata: { name },
    spec,
  });
  async function answer(
    method: string,
    path: string,
    body: unknown,
  ): Promise<{ code: number; message: string; body: string }> {
    const { status, body: bytes } = await plane.rawRequest(method, path, body);
    const text = bytes.toString();
    const { message = '' } = JSON.parse(text) as { message?: string };
    return { code: status, message, body: text };
  }

  it("takes what OpenYurt's documentation writes, in both versions", async () => {
    const full = {
      type: 'Edge',
      labels: { 'example.com/site': 'berlin', plain: '' },
      annotations: { 'example.com/contact': 'site@example.com, 9 to 5' },
      taints: [{ key: 'example.com/site', value: 'berlin', effect: 'NoSchedule' }],
      interConnectivity: true,
      enableLeaderElection: true,
      leaderElectionStrategy: 'mark',
      leaderReplicas: 2,
      leaderNodeLabelSelector: { 'example.com/leader': 'yes' },
      poolScopeMetadata: [{ group: '', version: 'v1', resource: 'services' }],
    };
    expect(await answer('POST', collection, pool('full', full))).toMatchObject({ code: 201 });
    expect(await answer('POST', collection, pool('host', { type: 'Edge', hostNetwork: true }))).toMatchObject({
      code: 201,
    });
    expect(await answer('POST', collection, { ...pool('bare', {}), spec: undefined })).toMatchObject({ code: 201 });
    const older = collection.replace('v1beta2', 'v1beta1');
    expect(await answer('POST', older, pool('older', { type: 'Cloud' }, 'v1beta1'))).toMatchObject({ code: 201 });
    const read = await plane.request<{ spec: unknown }>('GET', `${collection}/full`);
    expect(read.spec).toEqual(full);
    expect(await plane.request('GET', `${collection}/older`)).toMatchObject({ spec: { type: 'Cloud' } });
  });

  const refused: [string, unknown, string][] = [
    ['a type that there is not', { type: 'Fog' }, 'supported values: "Edge", "Cloud"'],
    [
      'a Cloud pool without pod network',
      { type: 'Cloud', hostNetwork: true },
      'set type to Edge, or leave hostNetwork out',
    ],
    [
      'the label of pools',
      { labels: { 'apps.openyurt.io/nodepool': 'x' } },
      'are not for pools to set: leave them out',
    ],
    [
      'the label of the host name',
      { labels: { 'kubernetes.io/hostname': 'x' } },
      'are not for pools to set: leave them out',
    ],
    ['a label key with a space', { labels: { 'my site': 'x' } }, 'a key must be a qualified name such as'],
    ['a label value with a space', { labels: { site: 'new york' } }, 'a value must be at most 63 letters'],
    ['a label value that is too long', { labels: { site: 'x'.repeat(64) } }, 'may not be more than 63 bytes'],
    [
      'an annotation of ours',
      { annotations: { 'holdfast.dev/pool': 'x' } },
      'are not for pools to set: leave them out',
    ],
    [
      'a taint of Kubernetes',
      { taints: [{ key: 'node.kubernetes.io/x', effect: 'NoExecute' }] },
      'take a key of your own',
    ],
    [
      'a taint with an effect that there is not',
      { taints: [{ key: 'x', effect: 'Never' }] },
      'supported values: "NoSchedule"',
    ],
    ['a taint without effect', { taints: [{ key: 'x' }] }, 'effect: Required value'],
    [
      'the same taint twice',
      { taints: ['a', 'b'].map((value) => ({ key: 'x', value, effect: 'NoSchedule' })) },
      'a node has one of them only, leave the other out',
    ],
  ];
  it.each(refused)('refuses %s and says what to do', async (_name, spec, message) => {
    const { code, message: said } = await answer('POST', collection, pool('refused', spec));
    expect([code, said]).toEqual([422, expect.stringContaining(message)]);
  });

  it('refuses a name that can be no label value', async () => {
    const { code, message } = await answer('POST', collection, pool('x'.repeat(64), {}));
    expect([code, message]).toEqual([422, expect.stringContaining('at most 63 characters, choose a shorter one')]);
  });

  const kept: [string, unknown, string][] = [
    ['type', { type: 'Cloud' }, 'a pool keeps its type: make another pool'],
    ['hostNetwork', { hostNetwork: false }, 'a pool keeps its hostNetwork: make another pool'],
    ['hostNetwork, by leaving it out', { hostNetwork: null }, 'a pool keeps its hostNetwork: make another pool'],
    ['interConnectivity', { interConnectivity: true }, 'a pool keeps its interConnectivity'],
  ];
  it.each(kept)('refuses to change %s', async (_name, spec, wanted) => {
    await plane.rawRequest('POST', collection, pool('kept', { type: 'Edge', hostNetwork: true }));
    const { code, message } = await answer('PATCH', `${collection}/kept`, { spec });
    expect([code, message]).toEqual([422, expect.stringContaining(wanted)]);
  });
});
