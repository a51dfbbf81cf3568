import { flagName } from '../runtime/settings.ts';
import { nodeSettingsSchema } from '../yurthub/settings-schema.ts';
import { runCommandLine } from './command-line.ts';

async function run(...argv: string[]): Promise<{ status: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const status = await runCommandLine(
    {
      version: '9.9.9',
      out: (text) => void (out += text),
      err: (text) => void (err += text),
      signal: new AbortController().signal,
      script: '',
      kubeconfig: undefined,
      proxy: { httpsProxy: '', noProxy: '' },
      terminal: undefined,
    },
    argv,
  );
  return { status, out, err };
}

test('--version and version print the name and the version', async () => {
  expect(await run('--version')).toEqual({ status: 0, out: 'holdfast 9.9.9', err: '' });
  expect((await run('version')).out).toBe('holdfast 9.9.9');
});

test('the help of node lists every setting as a flag, by --help and by help node', async () => {
  const { status, out } = await run('node', '--help');
  expect(status).toBe(0);
  for (const name of Object.keys(nodeSettingsSchema)) expect(out).toContain(`--${flagName(name)}`);
  expect((await run('help', 'node')).out).toBe(out);
  expect((await run('--help')).out).toContain('node');
});

test.each([
  [['nodd'], 'unknown command "nodd"; did you mean node?'],
  [['help', 'nodd'], 'did you mean node?'],
  [['constructor'], 'unknown command "constructor"'],
  [['node', '--api-server', 'x'], 'unknown flag --api-server; did you mean --api-servers?'],
  [['node', '--data-dir'], '--data-dir needs a value (FOLDER)'],
  [['node', '--data-dir=a', '--data-dir=b'], '--data-dir is given twice'],
  [['node', 'extra'], 'unexpected argument "extra"'],
  [['node', '--no-data-dir'], 'unknown flag --no-data-dir'],
  [[], 'Usage: holdfast COMMAND'],
])('%j is not understood: exit status 2', async (argv, message) => {
  const { status, err } = await run(...argv);
  expect(status).toBe(2);
  expect(err).toContain(message);
});

test('settings that cannot be used are one line each, exit status 1', async () => {
  const { status, err } = await run(
    'node',
    '--api-servers=https://a',
    '--api-servers',
    'http://b',
    '--no-manage-link-local',
  );
  expect(status).toBe(1);
  expect(err).toContain('holdfast node: --api-servers: must be an https URL');
  expect(err).not.toContain('manage-link-local');
  expect(err).not.toContain('    at ');
});
