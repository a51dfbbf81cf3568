import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { SettingsError } from '../runtime/errors.ts';
import { flagName, type RawSettings } from '../runtime/settings.ts';
import { readNodeSettings } from './settings.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-settings-'));
  for (const [file, subject] of [
    ['ca', '/CN=kubernetes'],
    ['node', '/O=system:nodes/CN=system:node:edge1'],
    ['admin', '/O=system:masters/CN=admin'],
  ] as const) {
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '1',
        '-subj',
        subject,
      ].concat(['-keyout', at(`${file}.key`), '-out', at(`${file}.crt`)]),
      { stdio: 'ignore' },
    );
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

const at = (name: string): string => path.join(folder, name);
const base = (): RawSettings => ({
  apiServers: 'https://10.0.0.1:6443',
  certificateAuthorityFile: at('ca.crt'),
  clientCertificateFile: at('node.crt'),
  clientKeyFile: at('node.key'),
});
function problemsOf(flags: RawSettings): readonly string[] {
  try {
    readNodeSettings(flags);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}
function kubeconfig(cluster: object, user: object): string {
  const file = at('kubelet.conf');
  writeFileSync(
    file,
    JSON.stringify({
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster }],
      users: [{ name: 'u', user }],
    }),
  );
  return file;
}

test('flags win over the file, the file over defaults; the node name comes from the certificate; nothing can be changed', () => {
  writeFileSync(at('holdfast.yaml'), 'logLevel: debug\nstoreMaxBytes: 64Mi\nlisten: ["127.0.0.1:1", "[::1]:2"]\n');
  const settings = readNodeSettings({ ...base(), config: at('holdfast.yaml'), logLevel: 'warn' });
  expect(settings).toMatchObject({
    nodeName: 'edge1',
    apiServers: ['https://10.0.0.1:6443'],
    logLevel: 'warn',
    storeMaxBytes: 64 * 1024 * 1024,
    listen: [
      { host: '127.0.0.1', port: 1 },
      { host: '::1', port: 2 },
    ],
    opsListen: { host: '127.0.0.1', port: 10267 },
    clientCA: { file: at('ca.crt') },
    manageLinkLocal: true,
  });
  expect(Object.isFrozen(settings) && Object.isFrozen(settings.listen[0])).toBe(true);
});

test('a kubeconfig gives what is not set, from data and from files beside it', () => {
  const file = kubeconfig(
    { server: 'https://api:6443', 'certificate-authority-data': readFileSync(at('ca.crt')).toString('base64') },
    { 'client-certificate': 'node.crt', 'client-key': 'node.key' },
  );
  const settings = readNodeSettings({ kubeconfig: file });
  expect(settings.apiServers).toEqual(['https://api:6443']);
  expect(settings.certificateAuthority).toEqual({ pem: readFileSync(at('ca.crt'), 'utf8') });
  expect(settings.credential).toEqual({
    kind: 'certificate',
    certificate: { file: at('node.crt') },
    key: { file: at('node.key') },
  });
  expect(readNodeSettings({ kubeconfig: file, apiServers: 'https://b' }).apiServers).toEqual(['https://b']);
});

test('all problems are reported together, each with its field and the fix', () => {
  writeFileSync(at('bad.yaml'), 'logLevl: debug\nstoreMaxBytes: 5\n');
  const problems = problemsOf({
    ...base(),
    config: at('bad.yaml'),
    apiServers: 'http://a,https://b/path',
    listen: '127.0.0.1',
    clientKeyFile: at('none.key'),
  }).join('\n');
  expect(problems).toContain('logLevl: there is no such setting; did you mean logLevel?');
  expect(problems).toMatch(/storeMaxBytes: must be between 16777216 and/);
  expect(problems).toContain('--api-servers: must be an https URL');
  expect(problems).toContain('--listen: must be IP:PORT');
  expect(problems).toMatch(/clientKeyFile: ENOENT.*none\.key/);
});

test.each([
  [{ apiServers: 'https://b/path' }, /without path/],
  [{ clientKeyFile: 'admin.key' }, /the key in .*admin\.key does not belong to the certificate in .*node\.crt/],
  [{ clientKeyFile: 'ca.crt' }, /ca\.crt holds no private key/],
  [{ clientCertificateFile: 'node.key' }, /node\.key holds no certificate/],
  [{ clientCertificateFile: 'admin.crt', clientKeyFile: 'admin.key' }, /not a node's \(O=system:masters, CN=admin\)/],
  [{ nodeName: 'edge2' }, /is edge2, but the client certificate belongs to node edge1/],
  [{ manageLinkLocal: 'yes' }, /must be true or false/],
  [{ config: 'none.yaml' }, /none\.yaml: ENOENT/],
] as [Record<string, string>, RegExp][])('%j is refused', (change, message) => {
  const files = Object.entries(change).map(([key, value]) => [key, /File$|config/.test(key) ? at(value) : value]);
  const problems = problemsOf({ ...base(), ...(Object.fromEntries(files) as RawSettings) });
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(message);
});

test.each([
  [{}, { token: 't' }, /clusters\[k\]\.cluster\.server is not set; set it to the API server's URL/],
  [{ server: 'https://a' }, { exec: { command: 'aws' } }, /users\[u\]\.user\.exec is not supported/],
  [{ server: 'https://a', 'insecure-skip-tls-verify': true }, {}, /insecure-skip-tls-verify is not supported/],
  [{ server: 'https://a/api' }, { token: 't' }, /server must be a URL without path/],
])('a kubeconfig with cluster %j and user %j is refused', (cluster, user, message) => {
  expect(problemsOf({ kubeconfig: kubeconfig(cluster, user) }).join('\n')).toMatch(message);
});

test('a token in a kubeconfig is a credential, for a named node', () => {
  const file = kubeconfig({ server: 'https://a', 'certificate-authority': 'ca.crt' }, { token: 't' });
  expect(readNodeSettings({ kubeconfig: file, nodeName: 'demo' }).credential).toEqual({ kind: 'token', token: 't' });
  expect(problemsOf({ kubeconfig: file }).join()).toContain('give --node-name');
});

test('setting names become flags as people expect', () => {
  expect(['apiServers', 'clientCAFile', 'nodeName'].map(flagName)).toEqual([
    'api-servers',
    'client-ca-file',
    'node-name',
  ]);
});

test('filters are switched off by name, and none is left that leads clients to a hub they do not trust', () => {
  expect(readNodeSettings(base()).disabledFilters).toEqual([]);
  const some = readNodeSettings({ ...base(), disabledFilters: 'image-pull-policy,hub-endpoint' });
  expect(some.disabledFilters).toEqual(['image-pull-policy', 'hub-endpoint']);
  expect(problemsOf({ ...base(), disabledFilters: 'hub-endpont' }).join()).toContain('did you mean hub-endpoint?');
  expect(problemsOf({ ...base(), disabledFilters: 'hub-ca,hub-endpoint' }).join()).toContain(
    'nobody would trust the hub that hub-service and kube-proxy-config lead to',
  );
});

test('an API server that is the hub itself is refused: the kubelet has such a kubeconfig', () => {
  const settings = { ...base(), apiServers: 'https://127.0.0.1:10261' };
  expect(() => readNodeSettings(settings)).toThrow('apiServers: https://127.0.0.1:10261 is where this hub listens');
});
