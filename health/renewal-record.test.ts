import { RenewalRecord } from './renewal-record.ts';

test('a renewal that arrives after one that did not is a bad round, and one loss of several is one', () => {
  const record = new RenewalRecord();
  record.sent()();
  expect(record.rounds).toEqual({ all: 1, bad: 0 });
  record.sent();
  record.sent();
  record.sent()();
  expect(record.rounds).toEqual({ all: expect.closeTo(1.965), bad: 1 });
  record.sent()();
  expect(record.rounds.bad).toBeLessThan(1);
});

test('what is heard of a renewal after the next one was sent comes too late to say that it arrived in time', () => {
  const record = new RenewalRecord();
  const first = record.sent();
  const second = record.sent();
  first();
  expect(record.rounds.all).toBe(0);
  second();
  expect(record.rounds).toEqual({ all: 1, bad: 1 });
});

test('a way to the cloud that is gone is a loss, but not for a node that has only just started', () => {
  const record = new RenewalRecord();
  record.lost();
  record.sent()();
  record.lost();
  record.sent()();
  expect(record.rounds).toEqual({ all: expect.closeTo(1.965), bad: 1 });
});
