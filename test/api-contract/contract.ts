// What clients rely on in an API server, as one suite: the real kube-apiserver passes it, and so must the embedded one.
import { PlainClient } from '../../cli/plain-client.ts';
import type { PlainReply, PlainTarget, PlainWatch } from '../../cli/plain-client.ts';
import type { KubeObject } from '../../kube/wire.ts';

export interface ApiUnderTest {
  readonly target: PlainTarget;
  stop(): Promise<void>;
}

/** Declares the suite; `start` gives a server with no objects of the test's own. */
export function describeApiContract(start: () => Promise<ApiUnderTest>): void {
  let api: ApiUnderTest;
  let client: PlainClient;
  let namespace: string;
  let number = 0;
  const watches: PlainWatch[] = [];

  beforeAll(async () => {
    api = await start();
    client = new PlainClient(api.target);
  });
  afterAll(async () => {
    client?.close();
    await api?.stop();
  });
  beforeEach(async () => {
    namespace = `contract-${(number += 1)}`;
    const reply = await post('/api/v1/namespaces', {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: namespace },
    });
    expect(reply.statusCode).toBe(201);
  });
  afterEach(async () => {
    for (const watch of watches.splice(0)) await watch.close();
  });

  const maps = (): string => `/api/v1/namespaces/${namespace}/configmaps`;
  const post = (path: string, body: KubeObject): Promise<PlainReply> => client.request(path, { method: 'POST', body });
  const put = (path: string, body: KubeObject): Promise<PlainReply> => client.request(path, { method: 'PUT', body });
  const remove = (path: string, body?: KubeObject): Promise<PlainReply> =>
    client.request(path, { method: 'DELETE', ...(body === undefined ? {} : { body }) });
  const patch = (path: string, type: string, body: KubeObject): Promise<PlainReply> =>
    client.request(path, { method: 'PATCH', body, headers: { 'content-type': `application/${type}+json` } });
  const map = (name: string, extra: { labels?: KubeObject; data?: KubeObject } = {}): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, ...(extra.labels === undefined ? {} : { labels: extra.labels }) },
    ...(extra.data === undefined ? {} : { data: extra.data }),
  });
  const watch = async (query: string): Promise<PlainWatch> => {
    const opened = await client.watch(`${maps()}?watch=true&${query}`);
    watches.push(opened);
    return opened;
  };
  const seen = async (opened: PlainWatch, count: number): Promise<string[]> => {
    await opened.until((events) => events.length >= count, AbortSignal.timeout(5_000));
    return opened.events.map(({ type, object }) => `${type} ${metadata(object)['name'] as string}`);
  };

  describe('writes', () => {
    test('a created object comes back with uid, version and time, and is readable', async () => {
      const created = await post(maps(), map('a', { data: { k: 'v' } }));
      expect(created.statusCode).toBe(201);
      expect(created.object).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1', data: { k: 'v' } });
      expect(metadata(created.object)).toMatchObject({
        name: 'a',
        namespace,
        uid: expect.stringMatching(/^[0-9a-f-]{36}$/),
      });
      expect(metadata(created.object)['creationTimestamp']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      const read = await client.request(`${maps()}/a`);
      expect(read.object).toEqual(created.object);
    });

    test('generateName gives a name of its own to each', async () => {
      const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { generateName: 'x-' } };
      const names = [await post(maps(), body), await post(maps(), body)].map(({ object }) => metadata(object)['name']);
      expect(names[0]).toMatch(/^x-[a-z0-9]{5}$/);
      expect(names[0]).not.toBe(names[1]);
    });

    test('creating twice is 409 AlreadyExists', async () => {
      await post(maps(), map('a'));
      expect(await post(maps(), map('a'))).toMatchObject({
        statusCode: 409,
        object: { kind: 'Status', reason: 'AlreadyExists', message: 'configmaps "a" already exists' },
      });
    });

    test('creating in a namespace that is not there is 404', async () => {
      const reply = await post('/api/v1/namespaces/nowhere/configmaps', map('a'));
      expect(reply).toMatchObject({ statusCode: 404, object: { message: 'namespaces "nowhere" not found' } });
    });

    test('what is not there is 404 with a Status that names it', async () => {
      for (const reply of [await client.request(`${maps()}/a`), await remove(`${maps()}/a`)])
        expect(reply).toMatchObject({
          statusCode: 404,
          object: {
            kind: 'Status',
            status: 'Failure',
            reason: 'NotFound',
            message: 'configmaps "a" not found',
            code: 404,
          },
        });
      const lease = await client.request('/apis/coordination.k8s.io/v1/namespaces/default/leases/a');
      expect(lease.object['message']).toBe('leases.coordination.k8s.io "a" not found');
    });

    test('an update with an old version is 409 Conflict, one with the current or no version is taken', async () => {
      const first = await post(maps(), map('a', { data: { k: '1' } }));
      const second = await put(`${maps()}/a`, { ...first.object, data: { k: '2' } });
      expect(second.statusCode).toBe(200);
      expect(Number(version(second.object))).toBeGreaterThan(Number(version(first.object)));
      expect(await put(`${maps()}/a`, { ...first.object, data: { k: '3' } })).toMatchObject({
        statusCode: 409,
        object: { reason: 'Conflict', message: expect.stringContaining('the object has been modified') },
      });
      expect((await put(`${maps()}/a`, map('a', { data: { k: '4' } }))).object['data']).toEqual({ k: '4' });
    });

    test('an update that changes nothing makes no new version', async () => {
      const first = await post(maps(), map('a', { data: { k: '1' } }));
      expect(version((await put(`${maps()}/a`, first.object)).object)).toBe(version(first.object));
    });

    test('merge patch and strategic merge patch set and remove fields; an unknown patch type is 415', async () => {
      await post(maps(), map('a', { data: { keep: '1', drop: '2' } }));
      const merged = await patch(`${maps()}/a`, 'merge-patch', { data: { drop: null, add: '3' } });
      expect(merged).toMatchObject({ statusCode: 200, object: { data: { keep: '1', add: '3' } } });
      expect(merged.object['data']).not.toHaveProperty('drop');
      const strategic = await patch(`${maps()}/a`, 'strategic-merge-patch', { metadata: { labels: { x: 'y' } } });
      expect(metadata(strategic.object)['labels']).toEqual({ x: 'y' });
      expect((await patch(`${maps()}/a`, 'odd-patch', {})).statusCode).toBe(415);
    });

    test('a patch that carries an old version is 409', async () => {
      const first = await post(maps(), map('a'));
      await patch(`${maps()}/a`, 'merge-patch', { data: { k: '1' } });
      const metadataOfPatch = { resourceVersion: version(first.object) };
      expect(
        (await patch(`${maps()}/a`, 'merge-patch', { metadata: metadataOfPatch, data: { k: '2' } })).statusCode,
      ).toBe(409);
    });

    test('status is written by its subresource alone, and conditions merge by type', async () => {
      const body = {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: `node-${namespace}` },
        spec: { podCIDR: '10.9.0.0/24' },
      };
      const path = `/api/v1/nodes/node-${namespace}`;
      expect((await post('/api/v1/nodes', body)).statusCode).toBe(201);
      const condition = (type: string, status: string): KubeObject => ({ type, status, reason: 'test', message: '' });
      const put1 = { status: { conditions: [condition('Ready', 'True'), condition('DiskPressure', 'False')] } };
      await patch(`${path}/status`, 'strategic-merge-patch', put1);
      const changed = await patch(`${path}/status`, 'strategic-merge-patch', {
        spec: { unschedulable: true },
        status: { conditions: [condition('Ready', 'False')] },
      });
      expect(changed.statusCode).toBe(200);
      const { spec, status } = changed.object as {
        spec: KubeObject;
        status: { conditions: { type: string; status: string }[] };
      };
      expect(spec['unschedulable']).toBeUndefined();
      expect(status.conditions.map(({ type, status: value }) => `${type}=${value}`).toSorted()).toEqual([
        'DiskPressure=False',
        'Ready=False',
      ]);
      const other = await patch(path, 'merge-patch', { status: { conditions: [] }, metadata: { labels: { a: 'b' } } });
      expect((other.object['status'] as { conditions: unknown[] }).conditions).toHaveLength(2);
      await remove(path);
    });

    test('delete obeys the uid precondition; deletecollection obeys selectors', async () => {
      const { object } = await post(maps(), map('a', { labels: { x: '1' } }));
      await post(maps(), map('b', { labels: { x: '2' } }));
      expect((await remove(`${maps()}/a`, { preconditions: { uid: 'other' } })).statusCode).toBe(409);
      expect((await remove(`${maps()}/a`, { preconditions: { uid: metadata(object)['uid'] } })).statusCode).toBe(200);
      await post(maps(), map('a', { labels: { x: '1' } }));
      expect((await remove(`${maps()}?labelSelector=x%3D1`)).statusCode).toBe(200);
      expect(names(await client.request(maps()))).toEqual(['b']);
    });

    test('an object with a finalizer stays, marked, until the finalizer is taken off', async () => {
      await post(maps(), { ...map('a'), metadata: { name: 'a', finalizers: ['example.com/hold'] } });
      await remove(`${maps()}/a`);
      expect(metadata((await client.request(`${maps()}/a`)).object)['deletionTimestamp']).toEqual(expect.any(String));
      await patch(`${maps()}/a`, 'merge-patch', { metadata: { finalizers: null } });
      expect((await client.request(`${maps()}/a`)).statusCode).toBe(404);
    });
  });

  describe('lists', () => {
    beforeEach(async () => {
      for (const [name, x] of [
        ['c', '1'],
        ['a', '1'],
        ['b', '2'],
      ] as const)
        await post(maps(), map(name, { labels: { x } }));
    });

    test('are sorted by name, with a version of their own and items without kind', async () => {
      const list = await client.request(maps());
      expect(list.object).toMatchObject({ kind: 'ConfigMapList', apiVersion: 'v1' });
      expect(names(list)).toEqual(['a', 'b', 'c']);
      expect((list.object['items'] as KubeObject[])[0]).not.toHaveProperty('kind');
      for (const item of list.object['items'] as KubeObject[])
        expect(Number(version(list.object))).toBeGreaterThanOrEqual(Number(version(item)));
    });

    test.each([
      ['labelSelector=x%3D1', ['a', 'c']],
      ['labelSelector=x%21%3D1', ['b']],
      ['labelSelector=x%20in%20(2,3)', ['b']],
      ['labelSelector=%21x', []],
      ['fieldSelector=metadata.name%3Db', ['b']],
      ['fieldSelector=metadata.name%21%3Db', ['a', 'c']],
      ['fieldSelector=metadata.name%3Da&labelSelector=x%3D2', []],
      ['resourceVersion=0', ['a', 'b', 'c']],
    ])('%s selects %j', async (query, expected) => {
      await expect(client.request(`${maps()}?${query}`).then(names)).resolves.toEqual(expected);
    });

    test.each([
      ['labelSelector=x%3D%3D%3D1', 400, 'BadRequest'],
      ['fieldSelector=data.k%3D1', 400, 'BadRequest'],
      ['resourceVersionMatch=Exact', 422, 'Invalid'],
      ['resourceVersionMatch=Odd&resourceVersion=1', 422, 'Invalid'],
      ['resourceVersionMatch=Exact&resourceVersion=0', 422, 'Invalid'],
      ['sendInitialEvents=true', 422, 'Invalid'],
      ['continue=x', 400, 'BadRequest'],
    ])('%s is refused with %d %s', async (query, statusCode, reason) => {
      expect(await client.request(`${maps()}?${query}`)).toMatchObject({ statusCode, object: { reason } });
    });

    test('pages are of one version, whatever is written in between', async () => {
      const first = await client.request(`${maps()}?limit=2`);
      expect(names(first)).toEqual(['a', 'b']);
      expect(metadata(first.object)['remainingItemCount']).toBe(1);
      await remove(`${maps()}/c`);
      await post(maps(), map('d'));
      const token = encodeURIComponent(metadata(first.object)['continue'] as string);
      const second = await client.request(`${maps()}?limit=2&continue=${token}`);
      expect(names(second)).toEqual(['c']);
      expect(version(second.object)).toBe(version(first.object));
      expect(metadata(second.object)['continue']).toBeUndefined();
    });

    test('an exact version shows the past; one from the future is 504 with advice to retry', async () => {
      const before = version((await client.request(maps())).object);
      await remove(`${maps()}/a`);
      const past = await client.request(`${maps()}?resourceVersion=${before}&resourceVersionMatch=Exact`);
      expect([names(past), version(past.object)]).toEqual([['a', 'b', 'c'], before]);
      const future = `${Number(before) + 100_000}`;
      expect(
        await client.request(`${maps()}?resourceVersion=${future}&resourceVersionMatch=NotOlderThan`),
      ).toMatchObject({
        statusCode: 504,
        object: { reason: 'Timeout', message: expect.stringContaining(`Too large resource version: ${future}`) },
      });
    });
  });

  describe('watches', () => {
    test('from a version show what came after it, in order, with growing versions', async () => {
      const from = version((await post(maps(), map('a'))).object);
      await post(maps(), map('b'));
      const opened = await watch(`resourceVersion=${from}`);
      await patch(`${maps()}/b`, 'merge-patch', { data: { k: '1' } });
      const deleted = await remove(`${maps()}/b`);
      expect(deleted.statusCode).toBe(200);
      expect(await seen(opened, 3)).toEqual(['ADDED b', 'MODIFIED b', 'DELETED b']);
      const versions = opened.events.map(({ object }) => Number(version(object)));
      expect(versions).toEqual(versions.toSorted((a, b) => a - b));
      expect(new Set(versions).size).toBe(3);
      expect(opened.events[2]?.object).toMatchObject({ kind: 'ConfigMap', data: { k: '1' } });
    });

    test('without a version begin with what is there', async () => {
      await post(maps(), map('a'));
      await post(maps(), map('b'));
      const opened = await watch('');
      expect(await seen(opened, 2)).toEqual(['ADDED a', 'ADDED b']);
      await remove(`${maps()}/a`);
      expect((await seen(opened, 3))[2]).toBe('DELETED a');
    });

    test('with a selector show an object that comes to match as ADDED, and one that ceases as DELETED', async () => {
      const from = version((await post(maps(), map('a'))).object);
      const opened = await watch(`labelSelector=x&resourceVersion=${from}`);
      for (const x of ['1', '2', null]) await patch(`${maps()}/a`, 'merge-patch', { metadata: { labels: { x } } });
      expect(await seen(opened, 3)).toEqual(['ADDED a', 'MODIFIED a', 'DELETED a']);
      const last = opened.events[2]?.object ?? {};
      expect(metadata(last)['labels']).toEqual({ x: '2' });
      expect(version(last)).toBe(version((await client.request(`${maps()}/a`)).object));
    });

    test('with sendInitialEvents end what is there with a bookmark that says so', async () => {
      await post(maps(), map('a'));
      const opened = await watch('sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true');
      await seen(opened, 2);
      expect(opened.events.map(({ type }) => type)).toEqual(['ADDED', 'BOOKMARK']);
      const mark = metadata(opened.events[1]?.object ?? {});
      expect(mark['annotations']).toEqual({ 'k8s.io/initial-events-end': 'true' });
      expect(Number(mark['resourceVersion'])).toBeGreaterThan(0);
      await post(maps(), map('b'));
      expect((await seen(opened, 3))[2]).toBe('ADDED b');
    });

    test('from a version that is forgotten send one ERROR event of 410 and end', async () => {
      const opened = await client.watch(`/api/v1/configmaps?watch=true&resourceVersion=1`);
      expect(opened.statusCode).toBe(200);
      await opened.until(() => false, AbortSignal.timeout(5_000));
      expect(opened.isOpen).toBe(false);
      expect(opened.events).toMatchObject([
        { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } },
      ]);
    });

    test('end cleanly at timeoutSeconds', async () => {
      const opened = await watch('timeoutSeconds=1&allowWatchBookmarks=true');
      await opened.until(() => false, AbortSignal.timeout(5_000));
      expect([opened.statusCode, opened.isOpen]).toEqual([200, false]);
    });

    test.each([
      ['resourceVersionMatch=NotOlderThan&resourceVersion=1', 422],
      ['sendInitialEvents=true', 422],
      ['sendInitialEvents=true&resourceVersionMatch=Exact&allowWatchBookmarks=true', 422],
    ])('%s is refused with %d', async (query, statusCode) => {
      expect((await client.request(`${maps()}?watch=true&${query}`)).statusCode).toBe(statusCode);
    });
  });

  describe('the edges', () => {
    test('no credential that is known is 401', async () => {
      const stranger = new PlainClient({ ...api.target, credential: { token: 'stranger' } });
      try {
        expect(await stranger.request(maps())).toMatchObject({ statusCode: 401, object: { reason: 'Unauthorized' } });
      } finally {
        stranger.close();
      }
    });

    test('an Accept that cannot be served is 406', async () => {
      const reply = await client.request(maps(), { headers: { accept: 'application/odd' } });
      expect(reply.statusCode).toBe(406);
    });

    test('a Table has the columns and rows that kubectl prints', async () => {
      await post(maps(), map('a', { data: { k: 'v' } }));
      const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
      const { object } = await client.request(maps(), { headers: { accept } });
      expect(object).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' });
      const table = object as {
        columnDefinitions: { name: string }[];
        rows: { cells: unknown[]; object: KubeObject }[];
      };
      expect(table.columnDefinitions.map(({ name }) => name)).toEqual(['Name', 'Data', 'Age']);
      expect(table.rows[0]?.cells).toEqual(['a', 1, expect.stringMatching(/^\d+s$/)]);
      expect(table.rows[0]?.object).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: 'a' } });
    });

    test('a path that is no resource, and a body that is no object, are told apart', async () => {
      expect((await client.request('/api/v1/namespaces/default/odd')).statusCode).toBe(404);
      expect((await client.request('/apis/odd.example/v1')).statusCode).toBe(404);
      expect((await post(maps(), { ...map('a'), kind: 'Secret' })).statusCode).toBe(400);
      expect((await put(`${maps()}/a`, map('b'))).statusCode).toBe(400);
    });

    test('discovery names the resources with their verbs', async () => {
      const { object } = await client.request('/api/v1');
      const pods = (object['resources'] as { name: string }[]).find(({ name }) => name === 'pods');
      expect(pods).toMatchObject({ kind: 'Pod', namespaced: true, shortNames: ['po'], singularName: 'pod' });
      expect((pods as unknown as { verbs: string[] }).verbs).toEqual(
        expect.arrayContaining(['get', 'list', 'watch', 'patch', 'deletecollection']),
      );
      expect((await client.request('/version')).object['major']).toBe('1');
    });
  });
}

function metadata(object: KubeObject): KubeObject {
  return (object['metadata'] ?? {}) as KubeObject;
}

function version(object: KubeObject): string {
  return metadata(object)['resourceVersion'] as string;
}

function names({ object }: PlainReply): string[] {
  const items = (object['items'] ?? []) as { metadata: { name: string } }[];
  // The controllers of a whole cluster put their own map into every namespace.
  return items.map((item) => item.metadata.name).filter((name) => name !== 'kube-root-ca.crt');
}
