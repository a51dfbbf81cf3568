// The uplink against a real kube-apiserver: what it does with lanes, watches, compression and a restart.
import { Readable } from 'node:stream';
import { ControlPlane } from '../../test/cluster/control-plane.ts';
import { describeWithApiserver } from '../../test/cluster/integration.ts';
import { defaultUplinkSettings } from './settings.ts';
import { hubRequest, RecordedResponse, TestUplink } from './far-end.ts';

describeWithApiserver('the uplink and a kube-apiserver', () => {
  let plane: ControlPlane;
  let hub: TestUplink;
  const signal = new AbortController().signal;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    const { certificate: cert, key } = plane.nodeCertificate('edge1');
    hub = new TestUplink([plane.url], defaultUplinkSettings, { ca: String(plane.ca), cert, key });
    await hub.start();
  });

  afterAll(async () => {
    await hub.stop();
    await plane.stop();
  });

  async function whoAmI(kind: 'node' | 'bearer', headers: Record<string, string>): Promise<string> {
    const response = new RecordedResponse();
    const body = JSON.stringify({ kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1' });
    await hub.uplink.forward(
      hubRequest('/apis/authentication.k8s.io/v1/selfsubjectreviews', {
        method: 'POST',
        kind,
        headers: { ...headers, 'content-type': 'application/json', 'content-length': String(body.length) },
        body: Readable.from([Buffer.from(body)]),
      }),
      response,
    );
    return String(
      (JSON.parse(response.text) as { status: { userInfo: { username: string } } }).status.userInfo.username,
    );
  }

  it('is the node in one lane and the token in the other', async () => {
    const token = await plane.token('default', 'builder');
    expect(await whoAmI('node', {})).toBe('system:node:edge1');
    expect(await whoAmI('bearer', { authorization: `Bearer ${token}` })).toBe('system:serviceaccount:default:builder');
  });

  it('streams a watch, and a 403 is an answer', async () => {
    const watch = await hub.uplink.stream({
      method: 'GET',
      target:
        '/api/v1/services?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true',
      headers: {},
      lane: 'node',
      signal,
    });
    expect(watch.statusCode).toBe(200);
    for await (const chunk of watch.body) {
      // A young API server may not have made its own service yet: then the bookmark comes first.
      expect(chunk.toString()).toMatch(/"type":"(ADDED|BOOKMARK)"/);
      break;
    }
    const missing = await hub.uplink.fetch(
      { method: 'GET', target: '/apis/nothing.example/v1/things', headers: {}, lane: 'node', signal },
      { maxBodyBytes: 10_000 },
    );
    expect(missing.statusCode).toBe(403);
  });

  it('notices that the API server is killed, ends its watches by an error, and is live again by itself', async () => {
    const { body } = await hub.uplink.stream({
      method: 'GET',
      target: '/api/v1/services?watch=1',
      headers: {},
      lane: 'node',
      signal,
    });
    const ended = (async () => {
      for await (const _ of body);
    })().catch((error: unknown) => error);
    const lost = hub.cloud(false);
    await plane.stopApiserver();
    await lost;
    expect(await ended).toMatchObject({ code: 'ERR_CLOUD_UNREACHABLE' });
    await expect(hub.uplink.forward(hubRequest('/version'), new RecordedResponse())).rejects.toMatchObject({
      sent: false,
    });
    const back = hub.cloud(true);
    await plane.startApiserver();
    await back;
    const response = new RecordedResponse();
    await hub.uplink.forward(hubRequest('/version'), response);
    expect(response.text).toContain('v1.34');
  });
});
