import http2 from 'node:http2';
import net from 'node:net';
import { EventEmitter } from 'node:events';
import { ManualClock } from '../runtime/manual-clock.ts';
import { Backoff } from '../runtime/backoff.ts';
import { Liveness } from './liveness.ts';
import { headerText, RefusedError, refusalOf } from './refusal.ts';
import { formatTarget, isLocalAddress, parseTarget } from './target.ts';

test.each([
  ['edge1:10250', { host: 'edge1', port: 10250 }],
  ['EDGE1.Example.com:1', { host: 'edge1.example.com', port: 1 }],
  ['[2001:DB8::1]:443', { host: '2001:db8::1', port: 443 }],
])('CONNECT %s is understood', (authority, target) => {
  expect(parseTarget(authority)).toEqual(target);
  expect(formatTarget(target)).toBe(authority.toLowerCase());
});

test.each([
  '',
  'edge1',
  ':1',
  'edge1:',
  'edge1:0',
  'edge1:65536',
  '2001:db8::1:443',
  '[::1',
  '[1.2.3.4]:1',
  'a b:1',
  'user@edge1:1',
  `${'a'.repeat(300)}:1`,
  'edge1:1\r\nX: y',
])('CONNECT %j is refused', (authority) => {
  expect(() => parseTarget(authority)).toThrow(RefusedError);
});

test('local addresses are local in every spelling', () => {
  for (const host of [
    '127.0.0.1',
    '127.255.0.1',
    '0.0.0.0',
    '169.254.2.1',
    '::1',
    '::',
    'fe80::1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
  ])
    expect([host, isLocalAddress(host)]).toEqual([host, true]);
  for (const host of ['10.0.0.1', '2001:db8::1', 'localhost', '']) expect(isLocalAddress(host)).toBe(false);
});

test('errors of a dial become reasons, and texts what a header can carry', () => {
  const of = (code: string): string => refusalOf(Object.assign(new Error(code), { code }), 'x:1').reason;
  expect(['ECONNREFUSED', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENOTFOUND', 'EMFILE', 'EWHATEVER'].map(of)).toEqual([
    'refused',
    'timeout',
    'unreachable',
    'unknown-host',
    'limit',
    'failed',
  ]);
  expect(headerText(`a\r\nb: ü\0${'x'.repeat(500)}`)).toMatch(/^a b: {2}x{294}$/);
});

test('backoff doubles to its longest, is spread out, and begins anew after a success', () => {
  const backoff = new Backoff({ firstMs: 100, longestMs: 400 }, () => 0.5);
  expect([1, 2, 3, 4].map(() => backoff.nextMs())).toEqual([75, 150, 300, 300]);
  backoff.reset();
  expect(backoff.nextMs()).toBe(75);
});

describe('liveness', () => {
  class FakeSession extends EventEmitter {
    destroyed = false;
    socket = { bytesRead: 0 };
    pings: ((error: Error | null) => void)[] = [];
    ping(answer: (error: Error | null) => void): boolean {
      this.pings.push(answer);
      return true;
    }
    destroy(): void {
      this.destroyed = true;
      this.emit('close');
    }
  }
  let clock: ManualClock;
  let session: FakeSession;
  let seen: string[];
  beforeEach(() => {
    clock = new ManualClock();
    session = new FakeSession();
    seen = [];
    new Liveness(
      { clock, session: session as unknown as http2.Http2Session },
      { pingIntervalMs: 1_000, suspectAfterMs: 3_000, deadAfterMs: 10_000 },
      {
        suspect: (isSuspect) => seen.push(isSuspect ? 'suspect' : 'trusted'),
        dead: () => seen.push('dead'),
        roundTrip: (ms) => seen.push(`${ms} ms`),
      },
    ).start();
  });

  test('silence makes a path suspect and then dead', () => {
    clock.advance(2_999);
    expect(seen).toEqual([]);
    clock.advance(1);
    expect(seen).toEqual(['suspect']);
    clock.advance(7_000);
    expect([seen, session.destroyed]).toEqual([['suspect', 'dead'], true]);
  });

  test('a late answer makes it trusted again', () => {
    clock.advance(3_000);
    session.pings[0]?.(null);
    expect(seen).toEqual(['suspect', '3000 ms', 'trusted']);
  });

  test('any byte that arrives counts, also while pings wait behind bulk data', () => {
    for (let i = 0; i < 20; i += 1) {
      session.socket.bytesRead += 1;
      clock.advance(1_000);
    }
    expect(seen).toEqual([]);
  });

  test('answers that need two seconds raise no suspicion', () => {
    for (let i = 0; i < 20; i += 1) {
      clock.advance(1_000);
      if (i >= 1) session.pings[i - 1]?.(null);
    }
    expect(seen.filter((each) => !each.endsWith(' ms'))).toEqual([]);
  });
});

test('a process that was suspended does not take its own silence for that of the path', () => {
  const clock = new ManualClock();
  // The clock jumps over the tick: what is due fires late, once.
  let nowMs = 0;
  const late: (() => void)[] = [];
  const stalled = {
    wallMs: () => clock.wallMs(),
    monotonicMs: () => nowMs,
    after: (_ms: number, callback: () => void) => (late.push(callback), { cancel: () => undefined }),
  };
  const session = Object.assign(new EventEmitter(), {
    destroyed: false,
    socket: { bytesRead: 0 } as net.Socket,
    ping: () => true,
    destroy: () => undefined,
  });
  const seen: string[] = [];
  new Liveness(
    { clock: stalled, session: session as unknown as http2.Http2Session },
    { pingIntervalMs: 1_000, suspectAfterMs: 3_000, deadAfterMs: 10_000 },
    { suspect: () => seen.push('suspect'), dead: () => seen.push('dead'), roundTrip: () => undefined },
  ).start();
  nowMs = 60_000;
  late.shift()?.();
  expect(seen).toEqual([]);
});
