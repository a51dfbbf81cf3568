import { CloudVersions } from './cloud-versions.ts';

const secrets = { group: '', resource: 'secrets' };
const pods = { group: '', resource: 'pods' };

function asker(...answers: (string | Error | undefined)[]): (() => Promise<string | undefined>) & { calls: number } {
  const ask = (): Promise<string | undefined> => {
    const answer = answers[ask.calls++];
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  };
  ask.calls = 0;
  return ask;
}

test('many views of one resource that come back together ask once', async () => {
  const versions = new CloudVersions();
  const ask = asker('70');
  const told = await Promise.all([1, 2, 3].map(() => versions.current(secrets, ask)));
  expect([told, ask.calls]).toEqual([['70', '70', '70'], 1]);
  await versions.current(pods, asker('71'));
  expect(await versions.current(pods, ask)).toBe('71');
});

test('after another loss the cloud is asked again', async () => {
  const versions = new CloudVersions();
  const ask = asker('70', '12');
  await versions.current(secrets, ask);
  versions.lost();
  expect(await versions.current(secrets, ask)).toBe('12');
});

test('whoever shares a question that got no answer asks it again', async () => {
  const versions = new CloudVersions();
  const ask = asker(new Error('left'), '70');
  const told = await Promise.all([1, 2].map(() => versions.current(secrets, ask)));
  expect(told).toEqual([undefined, '70']);
  expect(await versions.current(secrets, ask)).toBe('70');
});
