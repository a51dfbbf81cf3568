// npm start -- --once as a test: the whole hub between a plain client and the embedded API server.
import { existsSync } from 'node:fs';
import { runDemo } from '../../cli/demo.ts';

test('the script of the demo holds from end to end, and leaves nothing behind', async () => {
  const lines: string[] = [];
  const out = (line: string): void => void lines.push(line);
  const status = await runDemo(
    { version: 'test', out, signal: new AbortController().signal, terminal: undefined },
    { kubeconfigFile: undefined, once: true },
  );
  expect(lines.filter((line) => line.includes('FAIL'))).toEqual([]);
  expect(lines.at(-1)).toBe('11 passed, 0 failed');
  expect(status).toBe(0);
  const folder = lines.map((line) => /(\/\S*holdfast-demo-\w+)\/hub\.log/.exec(line)?.[1]).find(Boolean) ?? '';
  expect(folder).not.toBe('');
  expect(existsSync(folder)).toBe(false);
});
