import { ManualClock } from '../runtime/manual-clock.ts';
import { nullLog } from '../runtime/log.ts';
import { CloudUnreachableError } from './errors.ts';
import { ReturnGate, type ReturnSteps } from './return-gate.ts';
import type { CloudState, UpstreamReply } from './types.ts';

const reply: UpstreamReply = { statusCode: 200, headers: {}, body: Buffer.alloc(0) };

class FakeUplink {
  cloud: CloudState = { reachable: true, sinceMs: 0 };
  /** What becomes of the next question whether the cloud is really there. */
  answer: () => Promise<UpstreamReply> = () => Promise.resolve(reply);
  #listener: (state: CloudState) => void = () => undefined;

  onCloudChange(listener: (state: CloudState) => void): () => void {
    this.#listener = listener;
    return () => undefined;
  }

  async fetch({ signal }: { signal: AbortSignal }): Promise<UpstreamReply> {
    const left = new Promise<never>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    });
    return await Promise.race([this.answer(), left]);
  }

  change(reachable: boolean): void {
    this.cloud = { reachable, sinceMs: 0 };
    this.#listener(this.cloud);
  }
}

let uplink: FakeUplink;
let clock: ManualClock;
let gate: ReturnGate;
let stop: AbortController;
let running: Promise<void>;
let said: string[];

function start(steps: Partial<ReturnSteps> = {}): void {
  const say = (text: string) => () => Promise.resolve(void said.push(`${text}, cut off: ${gate.cutOff}`));
  running = gate.run(
    { lost: say('lost'), returning: say('returning'), returned: say('returned'), ...steps },
    stop.signal,
  );
}

/** Lets promises settle. */
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function isOpen(): Promise<boolean> {
  const waiting = new AbortController();
  let open = false;
  void gate.ready(waiting.signal).then(() => {
    open = !waiting.signal.aborted;
  });
  await settle();
  waiting.abort();
  return open;
}

beforeEach(() => {
  uplink = new FakeUplink();
  clock = new ManualClock();
  gate = new ReturnGate({ uplink, log: nullLog, clock });
  stop = new AbortController();
  said = [];
});
afterEach(async () => {
  stop.abort();
  await running;
});

test('a start is a return: what was written before goes first, then the gate opens', async () => {
  start();
  await settle();
  expect(said).toEqual(['returning, cut off: false', 'returned, cut off: false']);
  expect(await isOpen()).toBe(true);
});

test('nothing is given up before the cloud has answered: the hope of a fresh uplink is not enough', async () => {
  uplink.answer = () => new Promise(() => undefined);
  start();
  await settle();
  expect(said).toEqual([]);
  expect(await isOpen()).toBe(false);
});

test('who waited since before the loss is let through when the cloud is back', async () => {
  uplink.answer = () => Promise.reject(new CloudUnreachableError('cut', { sent: false }));
  const waited = gate.ready(new AbortController().signal);
  start();
  await settle();
  uplink.change(false);
  await settle();
  expect(said).toEqual([]);
  clock.advance(1_000);
  await settle();
  expect(said).toEqual(['lost, cut off: true']);
  uplink.answer = () => Promise.resolve(reply);
  uplink.change(true);
  await waited;
  expect(said).toEqual(['lost, cut off: true', 'returning, cut off: true', 'returned, cut off: false']);
});

test('a loss closes the gate, and a loss on the way back starts the return again', async () => {
  start();
  await settle();
  uplink.change(false);
  await settle();
  expect(await isOpen()).toBe(false);
  uplink.answer = () => {
    uplink.change(false);
    return Promise.reject(new CloudUnreachableError('cut', { sent: false }));
  };
  uplink.change(true);
  await settle();
  expect(gate.cutOff).toBe(true);
  uplink.answer = () => Promise.resolve(reply);
  uplink.change(true);
  clock.advance(1_000);
  await settle();
  await settle();
  expect(gate.cutOff).toBe(false);
  expect(await isOpen()).toBe(true);
});

test('a fault in what goes first does not keep the node from its cloud', async () => {
  start({ returning: () => Promise.reject(new Error('broken')) });
  await settle();
  expect(await isOpen()).toBe(true);
});
