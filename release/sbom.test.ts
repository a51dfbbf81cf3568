import { LockFile } from './lock-file.ts';
import { sbomText } from './sbom.ts';

const integrity = `sha512-${Buffer.alloc(64, 7).toString('base64')}`;
const lock = new LockFile(
  JSON.stringify({
    packages: {
      '': {},
      'node_modules/a': { version: '1.0.0', license: 'MIT', integrity, dependencies: { b: '^1', '@s/c': '*' } },
      'node_modules/b': { version: '1.1.0', license: '(MIT OR Apache-2.0)', integrity, dependencies: { a: '*' } },
      'node_modules/@s/c': { version: '2.0.0', license: 'ISC', integrity },
      'node_modules/unstated': { version: '2.0.0', integrity },
    },
  }),
);

test('a closure holds what is needed in turn, each once, without what is left out', () => {
  expect(lock.closure('a').map(({ name }) => name)).toEqual(['a', '@s/c', 'b']);
  expect(lock.closure('a', ['b']).map(({ name }) => name)).toEqual(['a', '@s/c']);
});

test('a package that the lock file lacks, or that states no licence, stops the release', () => {
  expect(() => lock.package('missing')).toThrow('no package missing');
  expect(() => lock.package('unstated')).toThrow('unstated lacks version, license or integrity');
});

test('the bill of materials states version, licence, digest and what needs what', () => {
  const subject = { name: 'holdfast', version: '0.1.0', license: 'Apache-2.0' };
  const text = sbomText(subject, lock.closure('a'));
  const { components, dependencies, metadata } = JSON.parse(text) as Record<string, never[]> & { metadata: object };
  expect(metadata).toMatchObject({ component: { name: 'holdfast', purl: 'pkg:generic/holdfast@0.1.0' } });
  expect(components).toMatchObject([
    { name: '@s/c', purl: 'pkg:npm/%40s/c@2.0.0', licenses: [{ license: { id: 'ISC' } }] },
    { name: 'a', version: '1.0.0', hashes: [{ alg: 'SHA-512', content: '07'.repeat(64) }] },
    { name: 'b', licenses: [{ expression: '(MIT OR Apache-2.0)' }] },
  ]);
  expect(dependencies).toContainEqual({
    ref: 'pkg:npm/a@1.0.0',
    dependsOn: ['pkg:npm/%40s/c@2.0.0', 'pkg:npm/b@1.1.0'],
  });
  expect(sbomText(subject, lock.closure('a').reverse())).toBe(text);
});
