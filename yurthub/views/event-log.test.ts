import { EventLog } from './event-log.ts';

const frame = (text: string): Buffer => Buffer.from(text);
const limits = { maxCount: 4, maxBytes: 1_000 };

function texts(log: EventLog, from: string): string[] | string {
  const resume = log.resume(from);
  return resume.kind === 'entries' ? resume.entries.map((entry) => entry.frame.toString()) : resume.kind;
}

function logWith(...entries: [resourceVersion: string, text: string, local?: boolean][]): EventLog {
  const log = new EventLog('100', limits);
  for (const [resourceVersion, text, local = false] of entries)
    log.append({ resourceVersion, local, frame: frame(text) });
  return log;
}

test('a client gets what came after its version, and nothing that it has seen', () => {
  const log = logWith(['101', 'a'], ['105', 'b'], ['109', 'c']);
  expect(texts(log, '100')).toEqual(['a', 'b', 'c']);
  expect(texts(log, '105')).toEqual(['c']);
  expect(texts(log, '107')).toEqual(['c']);
  expect(texts(log, '109')).toEqual([]);
  expect(texts(log, '400')).toEqual([]);
});

test('versions are compared as numbers, not as text', () => {
  expect(texts(logWith(['999', 'a'], ['1000', 'b']), '999')).toEqual(['b']);
});

test('a client older than the log is told to list again', () => {
  const log = logWith(['101', 'a'], ['102', 'b'], ['103', 'c'], ['104', 'd'], ['105', 'e']);
  expect(texts(log, '100')).toBe('gone');
  expect(texts(log, '99')).toBe('gone');
  expect(texts(log, '101')).toEqual(['b', 'c', 'd', 'e']);
});

test('the log is bounded by bytes as well as by count', () => {
  const log = new EventLog('1', { maxCount: 1_000, maxBytes: 10 });
  for (let version = 2; version <= 9; version += 1)
    log.append({ resourceVersion: String(version), local: false, frame: frame('1234') });
  expect(texts(log, '7')).toEqual(['1234', '1234']);
  expect(texts(log, '6')).toBe('gone');
});

test('a local change is replayed to a client that resumes at the version it happened at', () => {
  const log = logWith(['101', 'a'], ['101', 'local', true]);
  expect(texts(log, '101')).toEqual(['local']);
  expect(texts(log, '100')).toEqual(['a', 'local']);
});

test('when a local change has fallen out of the log, its version is made good by replaying everything', () => {
  const log = logWith(['101', 'local', true], ['102', 'a'], ['103', 'b'], ['104', 'c'], ['105', 'd']);
  expect(texts(log, '101')).toBe('everything');
  expect(texts(log, '102')).toEqual(['b', 'c', 'd']);
  expect(texts(log, '100')).toBe('gone');
});

test('a view restored after local changes replays everything at its version', () => {
  expect(texts(new EventLog('100', limits, true), '100')).toBe('everything');
});

test('inside a difference nobody can resume; at both of its ends everybody can', () => {
  const log = logWith(['103', 'a'], ['107', 'b'], ['110', 'deleted']);
  log.appendGap('100', '110');
  expect(texts(log, '100')).toEqual(['a', 'b', 'deleted']);
  expect(texts(log, '103')).toBe('gone');
  expect(texts(log, '109')).toBe('gone');
  expect(texts(log, '110')).toEqual([]);
});
