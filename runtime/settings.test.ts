import { SettingsError } from './errors.ts';
import { flagName, readSettings } from './settings.ts';

const schema = {
  servers: { type: 'endpoints', default: [], doc: 'x' },
  listen: { type: 'address', default: '127.0.0.1:80', doc: 'x' },
  windowBytes: { type: 'bytes', default: 1024, min: 64, max: 2 ** 20, doc: 'x' },
  ports: { type: 'ports', default: [10250], doc: 'x' },
  pods: { type: 'networks', default: [], doc: 'x' },
  serverCAFile: { type: 'file', doc: 'x' },
  level: { type: ['info', 'debug'], default: 'info', doc: 'x' },
} as const;

function problemsOf(read: () => unknown): readonly string[] {
  try {
    read();
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  return [];
}

test('flags win over the file, and the file over defaults', () => {
  const read = readSettings(
    schema,
    { config: 'f', windowBytes: '2Ki', servers: ['a:1,b:2', '[::1]:3'] },
    undefined,
    () => JSON.stringify({ windowBytes: 64, level: 'debug', pods: ['10.0.0.0/8', 'fd00::/64'] }),
  );
  expect(read).toEqual({
    servers: [
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
      { host: '::1', port: 3 },
    ],
    listen: { host: '127.0.0.1', port: 80 },
    windowBytes: 2048,
    ports: [10250],
    pods: ['10.0.0.0/8', 'fd00::/64'],
    serverCAFile: undefined,
    level: 'debug',
  });
  expect(Object.isFrozen(read)).toBe(true);
  expect(readSettings(schema, { ports: '' }).ports).toEqual([]);
});

test('every problem is reported at once, with its field and what is expected', () => {
  const problems = problemsOf(() =>
    readSettings(
      schema,
      { config: 'f', servers: 'a', listen: 'a:1', ports: '70000', windowBytes: '1', level: 'x' },
      undefined,
      () => JSON.stringify({ pods: ['10.0.0.0/33'], windowByte: 1 }),
    ),
  );
  expect(problems).toEqual([
    'f: windowByte: there is no such setting; did you mean windowBytes?',
    '--servers: must be HOST:PORT such as tunnel.example.com:10262 or [2001:db8::1]:10262, is "a"',
    '--listen: must be IP:PORT such as 127.0.0.1:8080, is "a:1"',
    '--window-bytes: must be between 64 and 1048576, is "1"',
    '--ports: must be between 1 and 65535, is "70000"',
    'f: pods: must be ADDRESS/BITS such as 10.244.3.0/24, is "10.0.0.0/33"',
    '--level: must be one of info, debug, is "x"',
  ]);
});

test('settings that do not go together are judged once each is well, and a file that is no mapping is refused', () => {
  expect(problemsOf(() => readSettings(schema, {}, () => ['servers: not set']))).toEqual(['servers: not set']);
  expect(problemsOf(() => readSettings(schema, { config: 'f' }, undefined, () => '[]'))).toEqual([
    '--config f: must be a mapping of setting names to values',
  ]);
  expect(flagName('serverCAFile')).toBe('server-ca-file');
});
