// What a hub says of itself, with the kubelet's patch of its Node's status, at a real kube-apiserver: as the node, by its own rights.
import { hubReportAnnotation, readHubReport } from '../../kube/hub-report.ts';
import { metadataOf } from '../../kube/plain-object.ts';
import type { KubeObject } from '../../kube/wire.ts';
import { fleetRows, type NodeObject } from '../../fleet/rows.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import { HubUnderTest } from './hub-under-test.ts';

describeWithApiserver('the report of a hub', () => {
  let plane: ControlPlane;
  let hub: HubUnderTest;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    await plane.request('POST', '/api/v1/nodes', { metadata: { name: 'edge1', annotations: { other: '1' } } });
    const { certificate, key } = plane.nodeCertificate('edge1');
    hub = await HubUnderTest.start({
      apiServer: `https://${plane.address}:${plane.port}`,
      ca: plane.ca,
      node: { cert: certificate, key },
    });
  });

  afterAll(async () => {
    await hub?.remove();
    await plane?.stop();
  });

  test('stands on the Node when the kubelet has said how that is, and the table in the cloud has it', async () => {
    const condition = {
      type: 'Ready',
      status: 'True',
      reason: 'KubeletReady',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    };
    const { status } = await hub.client.request('PATCH', '/api/v1/nodes/edge1/status', {
      body: Buffer.from(JSON.stringify({ status: { conditions: [condition] } })),
      headers: { 'content-type': 'application/strategic-merge-patch+json' },
    });
    expect(status).toBe(200);
    const node = await plane.api.request<KubeObject & NodeObject>('GET', '/api/v1/nodes/edge1');
    const annotations = metadataOf(node)['annotations'] as Record<string, string>;
    expect(annotations['other']).toBe('1');
    expect(readHubReport(annotations[hubReportAnnotation])).toMatchObject({ waiting: 0, tokens: 0 });
    expect(fleetRows([node])).toMatchObject([{ node: 'edge1', cloud: 'in reach', verdict: 'well' }]);
  });
});
