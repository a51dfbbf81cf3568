import { beyondBounds } from './bounds.ts';

const view = (name: string, usedMs: number, bytes = 10, watched = false) => ({ name, usedMs, bytes, watched });
const dropped = (views: ReturnType<typeof view>[], bounds: { maxViews: number; maxBytes: number }): string[] =>
  beyondBounds(views, bounds).map(({ name }) => name);

test('within bounds nothing is dropped', () => {
  expect(dropped([view('a', 1), view('b', 2)], { maxViews: 2, maxBytes: 20 })).toEqual([]);
});

test('too many: those used longest ago go first', () => {
  expect(dropped([view('new', 9), view('oldest', 1), view('old', 2)], { maxViews: 1, maxBytes: 99 })).toEqual([
    'oldest',
    'old',
  ]);
});

test('too large: as few as it takes', () => {
  const views = [view('a', 1, 50), view('b', 2, 50), view('c', 3, 50)];
  expect(dropped(views, { maxViews: 9, maxBytes: 100 })).toEqual(['a']);
});

test('what is watched goes last, whenever it was asked for', () => {
  const views = [view('watched', 1, 10, true), view('list', 9)];
  expect(dropped(views, { maxViews: 1, maxBytes: 99 })).toEqual(['list']);
  expect(dropped(views, { maxViews: 0, maxBytes: 99 })).toEqual(['list', 'watched']);
});
