// A process for the store's tests, to be killed: `write N` writes batches of ten keys and says when each was
// acknowledged; `hold` keeps the store open.
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { openStore } from './level-store.ts';

const [directory = '', mode = '', round = ''] = process.argv.slice(2);
const store = await openStore(
  { log: nullLog, metrics: new Metrics(), clock: systemClock },
  { directory, maxBytes: 1 << 30, writeBufferBytes: 64 << 10 },
);
if (mode === 'hold') {
  await store.write([{ type: 'put', key: 'held', value: Buffer.from('yes') }], 'synced');
  process.stdout.write('open\n');
  setInterval(() => undefined, 60_000);
} else {
  for (let batch = 0; ; batch += 1) {
    await store.write(
      Array.from({ length: 10 }, (_, i) => ({
        type: 'put' as const,
        key: `b/${round}/${batch}/${i}`,
        value: Buffer.alloc(500, batch),
      })),
      'written',
    );
    process.stdout.write(`${batch}\n`);
  }
}
