import { complaints, errorLoops } from './kubelet-log.ts';

const line = (level: string, text: string): string => `${level}1121 12:04:44.123456   4711 kubelet.go:99] ${text}`;
const times = (count: number, text: string): string => `${text}\n`.repeat(count);

it('counts what is the same but for names and numbers as one complaint', () => {
  const log = [
    line('E', '"Failed to update lease" err="dial tcp 10.0.0.1:6443: refused" node="a"'),
    line('E', '"Failed to update lease" err="timeout" node="b"'),
    line('I', '"Starting kubelet"'),
    'goroutine 1 [running]:',
  ].join('\n');
  expect(complaints(log)).toMatchObject([{ signature: 'E kubelet.go:99 "Failed to update lease"', count: 2 }]);
});

it('does not count what a connected node says as often', () => {
  const cutOff = { log: times(6, line('W', '"usual"')) + times(3, line('E', '"new"')), minutes: 1 };
  const connected = { log: times(6, line('W', '"usual"')), minutes: 1 };
  expect(errorLoops(cutOff, connected, 3).map(({ signature }) => signature)).toEqual(['E kubelet.go:99 "new"']);
});

it('compares rates, because the logs cover different times', () => {
  const cutOff = { log: times(10, line('W', '"each minute"')), minutes: 10 };
  expect(errorLoops(cutOff, { log: line('W', '"each minute"'), minutes: 1 }, 3)).toEqual([]);
});

it('is silent about what happened once or twice', () => {
  expect(errorLoops({ log: times(2, line('E', '"once"')), minutes: 1 }, { log: '', minutes: 1 }, 3)).toEqual([]);
});
