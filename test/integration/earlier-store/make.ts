// Makes a store as the hub of some version leaves it when it stops without the cloud, and what that hub answered from it. README.md says
// how it is run. It uses nothing of the tests but what all versions have.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { execFileSync } from 'node:child_process';
import { TcpRelay } from '../../../runtime/tcp-relay.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { HubUnderTest, until } from '../hub-under-test.ts';
import { configMaps, questions, type Expected } from './questions.ts';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new TypeError('usage: make.ts FOLDER');

const json = { 'content-type': 'application/json' };
const plane = await ControlPlane.start({ controllers: false });
const relay = new TcpRelay({ host: plane.address, port: plane.port }, { port: 0 });
await relay.listen();
try {
  await seed();
  const operator = plane.clientCertificate('operator', ['system:masters']);
  const node = { cert: operator.certificate, key: operator.key };
  const hub = await HubUnderTest.start({ apiServer: `https://127.0.0.1:${relay.port}`, ca: plane.ca, node });
  try {
    for (const { target, headers, method, body } of questions)
      await hub.client.request(method ?? 'GET', target, { headers: { ...json, ...headers }, ...(body && { body }) });
    // One object changes after its list has been kept, and one goes.
    await plane.request('PUT', `${configMaps}/large-7`, { ...configMap('large-7'), data: { changed: 'yes' } });
    await plane.request('DELETE', `${configMaps}/large-8`);
    await until(async () => {
      const { body } = await hub.client.request('GET', `${configMaps}?resourceVersion=0`);
      return body.includes('"changed":"yes"') && !body.includes('"large-8"');
    }, 'the view has the changes');
    await relay.cut('refuse');
    await until(() => !hub.hub.status().cloud.reachable, 'the cloud counts as lost');
    const expected: Expected[] = [];
    for (const { target, headers, method, body } of questions) {
      const sent = { headers: { ...json, ...headers }, ...(body && { body }) };
      const answer = await hub.client.request(method ?? 'GET', target, sent);
      expected.push({
        target,
        status: answer.status,
        type: answer.headers['content-type'] ?? '',
        body: answer.body.toString('base64'),
      });
    }
    const { dataDir } = hub;
    await hub.stop();
    mkdirSync(folder, { recursive: true });
    execFileSync('tar', ['-C', dataDir, '-czf', path.resolve(folder, 'data.tar.gz'), 'store', 'store.key']);
    writeFileSync(path.join(folder, 'expected.json.gz'), gzipSync(JSON.stringify(expected)));
    for (const { target, status } of expected) process.stdout.write(`${status} ${target}\n`);
  } finally {
    await hub.remove();
  }
} finally {
  await relay.close();
  await plane.stop();
}

function configMap(name: string): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { padding: 'x'.repeat(4_000) } };
}

async function seed(): Promise<void> {
  await plane.token('default', 'app');
  await plane.request('POST', '/api/v1/namespaces', { metadata: { name: 'kube-node-lease' } }).catch(() => undefined);
  await plane.request('POST', '/api/v1/nodes', { metadata: { name: 'edge1' } });
  for (let index = 0; index < 160; index += 1) await plane.request('POST', configMaps, configMap(`large-${index}`));
  await plane.request('POST', '/api/v1/namespaces/default/secrets', {
    metadata: { name: 'password' },
    stringData: { word: 'not-a-secret' },
  });
  await plane.request('POST', '/api/v1/persistentvolumes', {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name: 'disk' },
    spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/srv/disk' } },
  });
  await plane
    .request('POST', '/api/v1/namespaces/default/serviceaccounts', { metadata: { name: 'default' } })
    .catch(() => undefined);
  for (const name of ['web', 'done'])
    await plane.request('POST', '/api/v1/namespaces/default/pods', {
      metadata: { name },
      spec: { nodeName: 'edge1', serviceAccountName: 'app', containers: [{ name: 'main', image: 'main:1' }] },
    });
}
