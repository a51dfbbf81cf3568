// A store of a version that does not exist yet: this one must neither read its records wrongly nor stay down for them.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { nullLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { openStore, type OpenedStore } from './level-store.ts';
import { formatOf, storeFormat, storeFormatName } from './store-format.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'holdfast-format-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const directory = (): string => path.join(folder, 'store');
const open = (): Promise<OpenedStore> =>
  openStore(
    { log: nullLog, metrics: new Metrics(), clock: new ManualClock() },
    { directory: directory(), maxBytes: 1 << 30 },
  );

test('a store says which format it has, and one from before that was said is taken as it is', async () => {
  const first = await open();
  await first.write([{ type: 'put', key: 'a/1', value: Buffer.from('one') }], 'synced');
  await first.close();
  expect(await formatOf(directory(), 0)).toBe(storeFormat);
  rmSync(path.join(directory(), storeFormatName));
  const second = await open();
  expect(await second.get('a/1')).toEqual(Buffer.from('one'));
  expect(second.recovery).toBe('none');
  await second.close();
  expect(readFileSync(path.join(directory(), storeFormatName), 'utf8')).toBe(`${storeFormat}\n`);
});

test('a store of a later format is set aside whole, and the hub starts with an empty one', async () => {
  const first = await open();
  await first.write([{ type: 'put', key: 'a/1', value: Buffer.from('one') }], 'synced');
  await first.close();
  writeFileSync(path.join(directory(), storeFormatName), `${storeFormat + 1}\n`);
  const second = await open();
  expect(await second.get('a/1')).toBeUndefined();
  expect(second.recovery).toBe('set_aside');
  await second.close();
  expect(await formatOf(directory(), 0)).toBe(storeFormat);
  expect(await formatOf(`${directory()}.set-aside`, 0)).toBe(storeFormat + 1);
});
