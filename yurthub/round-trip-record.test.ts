import { RoundTripRecord } from './round-trip-record.ts';
import type { StoreOp } from './types.ts';

class MapStore {
  readonly records = new Map<string, Buffer>();

  get(key: string): Promise<Buffer | undefined> {
    return Promise.resolve(this.records.get(key));
  }

  write(ops: readonly StoreOp[]): Promise<void> {
    for (const op of ops) if (op.type === 'put') this.records.set(op.key, Buffer.from(op.value));
    return Promise.resolve();
  }
}

test('a measure is there after a restart; one that differs little is not written again', async () => {
  const store = new MapStore();
  const record = new RoundTripRecord(store);
  expect(await record.load()).toBeUndefined();
  await record.keep(40);
  expect(await new RoundTripRecord(store).load()).toBe(40);
  await record.keep(55);
  expect(await new RoundTripRecord(store).load()).toBe(40);
  await record.keep(61);
  expect(await new RoundTripRecord(store).load()).toBe(61);
});

test('no measure, and a record that makes no sense, are no memory', async () => {
  const store = new MapStore();
  await new RoundTripRecord(store).keep(0);
  expect(store.records.size).toBe(0);
  for (const text of ['x', '-1', '1e9']) {
    store.records.set('uplink/round-trip-ms', Buffer.from(text));
    expect(await new RoundTripRecord(store).load()).toBeUndefined();
  }
});
