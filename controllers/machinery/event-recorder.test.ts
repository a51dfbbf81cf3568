import { setImmediate } from 'node:timers/promises';
import { nullLog } from '../../runtime/log.ts';
import { ManualClock } from '../../runtime/manual-clock.ts';
import { Metrics } from '../../runtime/metrics.ts';
import { EventRecorder, type EventRecorderParts } from './event-recorder.ts';
import { MachineryMetrics } from './metrics.ts';
import type { ApiObject, Resource } from './resource.ts';

const pods: Resource = { group: '', version: 'v1', resource: 'pods', kind: 'Pod', namespaced: true };
const pod = { metadata: { namespace: 'shop', name: 'till', uid: 'u1' } } as ApiObject;

function recorderOver(create: EventRecorderParts['api']['create']): { recorder: EventRecorder; clock: ManualClock } {
  const clock = new ManualClock();
  const api = { create, patch: () => Promise.reject(new Error('nothing repeats here')) };
  const metrics = new MachineryMetrics(new Metrics());
  return { clock, recorder: new EventRecorder({ api, log: nullLog, clock, metrics, instance: 'test' }) };
}

test('what was recorded before the stop is told, though nobody was told before it', async () => {
  const told: string[] = [];
  const { recorder } = recorderOver(async <T>(_: unknown, body: unknown, signal: AbortSignal) => {
    signal.throwIfAborted();
    told.push((body as { reason: string }).reason);
    return { metadata: { name: 'e' } } as T;
  });
  const stop = new AbortController();
  const ended = recorder.run(stop.signal);
  recorder.record(pods, pod, 'Normal', 'First', 'one');
  recorder.record(pods, pod, 'Normal', 'Second', 'two');
  stop.abort();
  await ended;
  expect(told).toEqual(['First', 'Second']);
});

test('an API server that does not answer holds a stop up for three seconds', async () => {
  const asked = Promise.withResolvers<AbortSignal>();
  const { recorder, clock } = recorderOver((_, __, signal) => {
    asked.resolve(signal);
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
  });
  const stop = new AbortController();
  const ended = recorder.run(stop.signal);
  recorder.record(pods, pod, 'Normal', 'First', 'one');
  // The queue is looked at in a turn of its own, and its turn at the API server comes by the clock.
  await setImmediate();
  clock.advance(0);
  const signal = await asked.promise;
  stop.abort();
  clock.advance(2_999);
  expect(signal.aborted).toBe(false);
  clock.advance(1);
  await ended;
  expect(signal.aborted).toBe(true);
});
