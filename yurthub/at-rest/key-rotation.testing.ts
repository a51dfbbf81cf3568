// A process for the tests of the rotation, to be killed: rotates the key of a store in tiny batches and says when each is written.
import { systemClock } from '../../runtime/clock.ts';
import { nullLog } from '../../runtime/log.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { KeyRotation } from './key-rotation.ts';
import { Seal } from './seal.ts';
import { openSealedStore } from './sealed-store.ts';

const [directory = '', keyFile = ''] = process.argv.slice(2);
const seal = await Seal.open({ file: keyFile, makeIfMissing: false });
const parts = { log: nullLog, metrics: new Metrics(), clock: systemClock };
const opened = await openSealedStore(parts, { directory, maxBytes: 1 << 30, writeBufferBytes: 64 << 10 }, seal);
const store = {
  rewrite: async (...args: Parameters<typeof opened.rewrite>) => {
    const outcome = await opened.rewrite(...args);
    process.stdout.write('batch\n');
    return outcome;
  },
  compact: (prefix: string) => opened.compact(prefix),
  write: (...args: Parameters<typeof opened.write>) => opened.write(...args),
};
// The clock's timers keep no process alive.
const alive = setInterval(() => undefined, 60_000);
await new KeyRotation(
  { store, seal, log: nullLog, clock: systemClock },
  { storeDirectory: directory, keyFile, batchBytes: 200, pauseMs: 0 },
).run(new AbortController().signal);
await opened.close();
clearInterval(alive);
