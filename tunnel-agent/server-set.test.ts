import { ServerSet } from './server-set.ts';

const settings = { serverName: undefined, keepsNames: () => false };
const keys = async (set: ServerSet, told: readonly string[] = []): Promise<string[]> =>
  (await set.addresses(told)).map(({ host, port, serverName }) => `${serverName} at ${host}:${port}`);

test('a name with several addresses is as many servers, judged by the name', async () => {
  const set = new ServerSet(
    { resolve: async () => ['192.0.2.1', '192.0.2.2'] },
    {
      ...settings,
      servers: [
        { host: 'tunnel', port: 1 },
        { host: '192.0.2.2', port: 1 },
      ],
    },
  );
  expect(await keys(set)).toEqual(['tunnel at 192.0.2.1:1', 'tunnel at 192.0.2.2:1']);
});

test('a name that does not resolve any more keeps its addresses; one that never did is named', async () => {
  let answer: readonly string[] | undefined = ['192.0.2.1'];
  const resolve = async (host: string): Promise<readonly string[]> => {
    if (answer === undefined || host === 'never') throw new Error('ENOTFOUND');
    return answer;
  };
  const set = new ServerSet({ resolve }, { ...settings, servers: [{ host: 'tunnel', port: 1 }] });
  await keys(set);
  answer = undefined;
  expect(await keys(set)).toEqual(['tunnel at 192.0.2.1:1']);
  expect(set.unresolved).toBeUndefined();
  const other = new ServerSet({ resolve }, { ...settings, servers: [{ host: 'never', port: 1 }] });
  expect(await keys(other)).toEqual([]);
  expect(other.unresolved).toBe('never');
});

test('what servers tell is added, what cannot be read is left out, and there is an end to it', async () => {
  const set = new ServerSet({ resolve: async (host) => [host] }, { ...settings, servers: [] });
  expect(await keys(set, ['192.0.2.1:1, 192.0.2.2:2,nonsense,:9', '192.0.2.1:1'])).toEqual([
    '192.0.2.1 at 192.0.2.1:1',
    '192.0.2.2 at 192.0.2.2:2',
  ]);
  const many = Array.from({ length: 200 }, (_, i) => `192.0.2.${i}:1`).join(',');
  expect(await keys(set, [many])).toHaveLength(16);
});

test('behind a proxy names stay names, since the proxy resolves them', async () => {
  const resolve = (): Promise<never> => Promise.reject(new Error('no DNS here'));
  const set = new ServerSet(
    { resolve },
    { ...settings, keepsNames: () => true, servers: [{ host: 'tunnel', port: 1 }] },
  );
  expect(await keys(set)).toEqual(['tunnel at tunnel:1']);
});
