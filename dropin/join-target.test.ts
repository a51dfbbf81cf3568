import { joinConfiguration, joinTarget } from './join-target.ts';

const token = 'abcdef.0123456789abcdef';
const hash = `sha256:${'ab'.repeat(32)}`;
const nothing = { server: undefined, caHashes: [] };

test('the command that kubeadm prints says it all, also over two lines', () => {
  const target = { server: '192.0.2.1:6443', token, caHashes: [hash] };
  const printed = `kubeadm join 192.0.2.1:6443 --token ${token} --discovery-token-ca-cert-hash ${hash}`;
  expect(joinTarget(`${printed} \n`, nothing)).toEqual(target);
  expect(joinTarget(printed.replace(' --disc', ' \\\n\t--disc'), nothing)).toEqual(target);
});

test('a token alone needs the server and the digest beside it', () => {
  const options = { server: '[2001:db8::1]:6443', caHashes: [hash] };
  expect(joinTarget(`${token}\n`, options)).toEqual({ ...options, token });
});

test.each([
  ['no token', 'hello', { server: 'a:1', caHashes: [hash] }, 'no bootstrap token'],
  ['two words', `${token} ${token}`, { server: 'a:1', caHashes: [hash] }, 'no bootstrap token'],
  ['no server', token, { server: undefined, caHashes: [hash] }, 'the API server is not named'],
  ['a URL as server', token, { server: 'https://a:1', caHashes: [hash] }, 'is no HOST:PORT'],
  ['no digest', token, { server: 'a:1', caHashes: [] }, 'would trust whoever answers'],
  ['another digest', token, { server: 'a:1', caHashes: ['md5:00'] }, 'md5:00 is no digest'],
])('%s: refused, and the token is not in the message', (_, text, options, message) => {
  const said = (): unknown => joinTarget(text, options);
  expect(said).toThrow(message);
  expect(said).not.toThrow(token);
});

test('kubeadm reads names and checks that may fail only where they were given', () => {
  const target = { server: 'a:1', token, caHashes: [hash] };
  const read = (text: string): unknown => JSON.parse(text);
  expect(
    read(joinConfiguration(target, { nodeName: undefined, ignorePreflightErrors: [], timeoutMs: 90_000 })),
  ).toEqual({
    apiVersion: 'kubeadm.k8s.io/v1beta4',
    kind: 'JoinConfiguration',
    discovery: { bootstrapToken: { apiServerEndpoint: 'a:1', token, caCertHashes: [hash] } },
    timeouts: { discovery: '90s' },
    nodeRegistration: {},
  });
  expect(
    read(joinConfiguration(target, { nodeName: 'n', ignorePreflightErrors: ['Swap'], timeoutMs: 90_000 })),
  ).toMatchObject({
    nodeRegistration: { name: 'n', ignorePreflightErrors: ['Swap'] },
  });
});
