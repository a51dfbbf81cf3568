// What the manifests of config/tunnel give to Node.js is what drills and benchmarks measure.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { tunnelServerEnvironment } from '../test/cluster/tunnel-server-runtime.ts';

const read = (file: string): string => readFileSync(path.join('config', 'tunnel', file), 'utf8');

test('the unit starts the server as it is measured', () => {
  const [, line = ''] = /^Environment=(.*)$/m.exec(read('holdfast-tunnel-server.service')) ?? [];
  expect(line.split(' ')).toEqual(Object.entries(tunnelServerEnvironment).map(([name, value]) => `${name}=${value}`));
});

test.each(['static-pod.yaml', 'server.yaml'])('so does the pod of %s', (file) => {
  const entries = read(file).matchAll(/^ +- \{ name: ([A-Z_]+), value: '([^']*)' \}$/gm);
  expect(Object.fromEntries([...entries].map(([, name, value]) => [name, value]))).toEqual(tunnelServerEnvironment);
});
