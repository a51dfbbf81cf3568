// The node's disk in somebody else's hands: the store read as files gives away no Secret and no token, at no time of a key's life.
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { rotateKey } from '../../yurthub/at-rest/seal.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import { HubUnderTest, until } from './hub-under-test.ts';

const secrets = '/api/v1/namespaces/default/secrets';
const configMaps = '/api/v1/namespaces/default/configmaps';
const protobuf = { accept: 'application/vnd.kubernetes.protobuf,application/json' };
const json = { 'content-type': 'application/json' };

describeWithApiserver('the store as files', () => {
  let plane: ControlPlane;
  let node: HubUnderTest;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    const operator = plane.clientCertificate('operator', ['system:masters']);
    node = await HubUnderTest.start({
      apiServer: plane.url,
      ca: plane.ca,
      node: { cert: operator.certificate, key: operator.key },
    });
  });
  afterAll(async () => {
    await node?.remove();
    await plane?.stop();
  });

  /** Whether any file below the data folder holds the text, as it is or in base64. */
  function isOnDisk(text: string): boolean {
    // Base64 of the middle is the same wherever it begins, up to the three ways to cut it.
    const forms = [
      Buffer.from(text),
      ...[0, 1, 2].map((cut) => Buffer.from(Buffer.from(text.slice(cut, cut + 12)).toString('base64'))),
    ];
    return readdirSync(node.dataDir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .some((entry) => {
        const bytes = readFileSync(path.join(entry.parentPath, entry.name));
        return forms.some((form) => bytes.includes(form));
      });
  }

  /** One of which every way to be kept is used. */
  async function keptSecret(name: string): Promise<string> {
    const value = `s-${randomBytes(10).toString('hex')}`;
    const stringData = { password: value };
    await plane.request('POST', secrets, { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData });
    for (const headers of [{}, protobuf]) {
      await node.client.request('GET', `${secrets}/${name}`, { headers });
      await node.client.request('GET', `${secrets}?resourceVersion=0&fieldSelector=metadata.name%3D${name}`, {
        headers,
      });
    }
    return value;
  }

  async function keptToken(): Promise<string> {
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [], expirationSeconds: 3600 },
    };
    const answer = await node.client.request('POST', '/api/v1/namespaces/default/serviceaccounts/app/token', {
      body: JSON.stringify(body),
      headers: json,
    });
    expect(answer.status).toBe(201);
    return (JSON.parse(answer.body.toString()) as { status: { token: string } }).status.token;
  }

  test('no Secret and no token is in clear, after writes, restarts, a rotation of the key and compaction', async () => {
    await plane.token('default', 'app');
    const open = `c-${randomBytes(10).toString('hex')}`;
    await plane.request('POST', configMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'open' },
      data: { open },
    });
    await node.client.request('GET', `${configMaps}?resourceVersion=0`);
    const hidden = [await keptSecret('first'), (await keptToken()).slice(-24)];
    // Whoever looks finds what is not hidden.
    await until(() => isOnDisk(open), 'the ConfigMap is on disk');
    const expectHidden = (): void => {
      for (const text of hidden) expect(isOnDisk(text)).toBe(false);
    };
    expectHidden();
    await node.stop();
    await node.start();
    hidden.push(await keptSecret('second'));
    expectHidden();

    const { file } = node.settings().storeKey;
    await rotateKey(file);
    await node.stop();
    await node.start();
    await until(() => !existsSync(`${file}.old`), 'the rotation is over');
    hidden.push(await keptSecret('third'));
    await node.stop();
    expectHidden();
    expect(isOnDisk(open)).toBe(true);

    // And it is all still there, for who has the key and no cloud.
    await node.start({ apiServer: 'https://127.0.0.1:1' });
    for (const name of ['first', 'second', 'third'])
      expect((await node.client.request('GET', `${secrets}/${name}`, { headers: protobuf })).status).toBe(200);
    expect((await keptToken()).slice(-24)).toBe(hidden[1]);
  });
});
