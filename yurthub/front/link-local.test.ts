import { nullLog } from '../../runtime/log.ts';
import { ensureLinkLocal } from './link-local.ts';

test('the address is set by arguments without a shell, in a form that may be repeated', async () => {
  const calls: string[] = [];
  const run = (file: string, args: readonly string[]): Promise<void> => {
    calls.push([file, ...args].join(' '));
    return Promise.resolve();
  };
  expect(await ensureLinkLocal({ log: nullLog, run })).toBe(true);
  expect(calls).toEqual(['ip address replace 169.254.2.1/32 dev lo scope host']);
});

test('without the right or the program, a warning names the address and nothing fails', async () => {
  const warnings: unknown[] = [];
  const log = { ...nullLog, warn: (_message: string, fields?: unknown) => void warnings.push(fields) };
  expect(await ensureLinkLocal({ log, run: () => Promise.reject(new Error('EPERM')) })).toBe(false);
  expect(warnings).toEqual([{ address: '169.254.2.1', error: 'EPERM' }]);
});
