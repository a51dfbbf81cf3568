import { Members } from './members.ts';

const object = Buffer.alloc(10);

test('the checksum depends on what is there, not on how it came about', () => {
  const direct = new Members(1000);
  direct.set('a/x', 'u', '7', object);
  direct.set('a/z', 'u', '9', object);
  const roundabout = new Members(1000);
  roundabout.set('a/y', 'u', '2', object);
  roundabout.set('a/x', 'u', '1', object);
  roundabout.set('a/z', 'u', '9', object);
  const announced = roundabout.checksumAfter([
    ['a/x', '3'],
    ['a/y', undefined],
    ['a/x', '7'],
  ]);
  roundabout.set('a/x', 'u', '7', object);
  roundabout.delete('a/y');
  roundabout.delete('a/y');
  expect(roundabout.checksum).toBe(direct.checksum);
  expect(announced).toBe(direct.checksum);
  expect(roundabout.bytes).toBe(20);
});

test('objects leave memory together when they are too large for it', () => {
  const members = new Members(25);
  members.set('a/x', 'u', '1', object);
  members.set('a/y', 'u', '1', object);
  expect([members.resident, members.get('a/x')?.bytes]).toEqual([true, object]);
  members.set('a/z', 'u', '1', object);
  expect(members.resident).toBe(false);
  expect([...members].map(([, { bytes }]) => bytes)).toEqual([undefined, undefined, undefined]);
  expect(members.bytes).toBe(30);
});
