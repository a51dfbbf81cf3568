// A host that misbehaves: disks that are full, read-only, garbled or taken, clocks that jump, settings that are wrong.
// Real file systems (needs root, as CI has), the real command.
import { execFile, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { TcpRelay } from '../../runtime/tcp-relay.ts';
import { systemClock, type Clock } from '../../runtime/clock.ts';
import { caPem, issue } from '../../yurthub/uplink/far-end.ts';
import { configMaps, HostileCloud } from './hostile-cloud.ts';
import { HubUnderTest, until } from './hub-under-test.ts';
import type { LocalWatch } from './local-client.ts';

const node = issue('system:node:edge1', 'client');
const anyVersion = `${configMaps}?resourceVersion=0`;

let cloud: HostileCloud;
let relay: TcpRelay;
let hub: HubUnderTest;
let mounts: string[];

beforeEach(async () => {
  mounts = [];
  cloud = await HostileCloud.start();
  for (const name of ['a', 'b', 'c']) cloud.put(name);
  relay = new TcpRelay({ host: '127.0.0.1', port: cloud.farEnd.port }, { port: 0 });
  await relay.listen();
  hub = await HubUnderTest.prepare({ apiServer: `https://127.0.0.1:${relay.port}`, ca: caPem, node });
});
afterEach(async () => {
  await hub.stop().catch(() => undefined);
  for (const mount of mounts.toReversed()) execFileSync('umount', [mount]);
  await hub.remove();
  await relay.close();
  await cloud.close();
});

function mount(where: string, options: string): void {
  mkdirSync(where, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'holdfast-test', where]);
  mounts.push(where);
}

interface List {
  readonly metadata: { readonly resourceVersion: string };
  readonly items: { readonly metadata: { readonly name: string } }[];
}
async function names(): Promise<string[]> {
  const list = await hub.client.get<List>(anyVersion);
  return list.items.map((item) => item.metadata.name);
}
async function watched(): Promise<LocalWatch> {
  const { metadata } = await hub.client.get<List>(anyVersion);
  const watch = await hub.client.watch(`${configMaps}?watch=true&resourceVersion=${metadata.resourceVersion}`);
  await until(() => cloud.openWatches === 1, 'the upstream watch');
  return watch;
}
async function untilCloud(reachable: boolean): Promise<void> {
  await until(() => hub.hub.status().cloud.reachable === reachable, `cloud reachable: ${reachable}`);
}
const degraded = async (): Promise<boolean> => (await hub.metric('holdfast_yurthub_store_degraded')) === 1;

function fill(folder: string): string {
  const file = path.join(folder, 'ballast');
  for (const chunk of [1 << 20, 4 << 10, 1])
    try {
      for (;;) writeFileSync(file, randomBytes(chunk), { flag: 'a' });
    } catch {
      // ENOSPC: as full as it gets with this size.
    }
  return file;
}

describe.each(['configmaps', 'pods'])('the disk gets full while events arrive: %s', (resource) => {
  test('watches go on, requests are answered, nothing is lost when there is room again', async () => {
    cloud.collection = configMaps.replace('configmaps', resource);
    const target = cloud.collection;
    mount(hub.dataDir, 'size=24m');
    await hub.start();
    const list = await hub.client.get<List>(`${target}?resourceVersion=0`);
    const watch = await hub.client.watch(`${target}?watch=true&resourceVersion=${list.metadata.resourceVersion}`);
    await until(() => cloud.openWatches === 1, 'the upstream watch');
    const ballast = fill(hub.dataDir);
    for (let i = 0; i < 40; i += 1) cloud.put(`during-${i}`, 'x'.repeat(50_000));
    await watch.until((event) => event.object.metadata.name === 'during-39');
    await until(degraded, 'the store says so');
    expect(hub.said.join('\n')).toMatch(/error the store cannot be written.*No space left/);
    const during = await hub.client.get<List>(`${target}?resourceVersion=0`);
    expect(during.items).toHaveLength(43);
    expect((await hub.client.request('GET', target)).status).toBe(200);

    rmSync(ballast);
    await until(async () => !(await degraded()), 'the store recovers');
    cloud.put('after');
    await watch.until((event) => event.object.metadata.name === 'after');
    expect(watch.ended).toBe(false);
    await relay.cut('refuse');
    await untilCloud(false);
    await hub.stop();
    await hub.start();
    const again = await hub.client.get<List>(`${target}?resourceVersion=0`);
    expect(again.items).toHaveLength(44);
  });
});

test('a hub that starts with a full disk passes requests through, and knows its views again when there is room', async () => {
  mount(hub.dataDir, 'size=24m');
  await hub.start();
  await names();
  await hub.stop();
  const ballast = fill(hub.dataDir);
  await hub.start();
  expect(await names()).toEqual(['a', 'b', 'c']);
  cloud.put('d');
  expect((await hub.client.get<List>(configMaps)).items).toHaveLength(4);
  await until(degraded, 'the store says so');
  rmSync(ballast);
  await until(async () => !(await degraded()), 'the store recovers');
  await until(async () => (await names()).length === 4 && hub.hub.status().objects === 4, 'the view');
  await relay.cut('refuse');
  await untilCloud(false);
  expect(await names()).toEqual(['a', 'b', 'c', 'd']);
});

test('a store folder that is read-only: the hub says so and ends', async () => {
  mkdirSync(hub.dataDir);
  mount(path.join(hub.dataDir, 'store'), 'size=1m,ro');
  await expect(hub.start()).rejects.toMatchObject({
    code: 'ERR_STORE_ACCESS',
    message: expect.stringMatching(/store.*cannot be written.*dataDir/s),
  });
});

test('a store that another hub has: the second one says so and ends, the first goes on', async () => {
  await hub.start();
  const watch = await watched();
  const { status, errors } = await holdfast('--config', configFile({}));
  expect([status, errors]).toEqual([
    1,
    expect.stringMatching(/holdfast node: the store folder .* is in use by another/),
  ]);
  cloud.put('d');
  await watch.until((event) => event.object.metadata.name === 'd');
});

describe('a store that is garbled at the start', () => {
  const stored = (): string => path.join(hub.dataDir, 'store');

  const segments = (): string[] =>
    readdirSync(path.join(stored(), 'segments')).map((file) => path.join('segments', file));
  const isFile = (file: string): boolean => file !== 'LOCK' && file !== 'segments';

  const recovered = /warn the store was recovered|error the store has damaged files/;

  // A log that ends early is what every power cut leaves behind: LevelDB says nothing, and nothing is wrong with that.
  test.each<[string, () => string[], RegExp]>([
    ['every file', (): string[] => [...readdirSync(stored()).filter(isFile), ...segments()], recovered],
    ['the log', (): string[] => readdirSync(stored()).filter((file) => file.endsWith('.log')), /the hub serves/],
    ['the tables', (): string[] => readdirSync(stored()).filter((file) => file.endsWith('.ldb')), recovered],
    ['a large collection', segments, /error a stored view could not be read and is set aside/],
  ])('%s: said in the log, never served with holes, filled again', async (_what, files, says) => {
    await hub.start();
    for (let i = 0; i < 40; i += 1) cloud.put(`big-${i}`, randomBytes(50_000).toString('hex'));
    await until(async () => (await names().catch(() => [])).length === 43, 'all objects');
    await hub.stop();
    // Opening turns the log into a table.
    for (let again = 0; again < 3 && files().length === 0; again += 1) {
      await hub.start();
      await hub.stop();
    }
    expect(files()).not.toHaveLength(0);
    for (const file of files()) writeFileSync(path.join(stored(), file), randomBytes(3_000));
    await relay.cut('refuse');
    await hub.start();
    await untilCloud(false);
    const offline = await hub.client.request('GET', anyVersion);
    // All of it or nothing: a part of it would make a kubelet stop the rest.
    const { items } = JSON.parse(offline.body.toString()) as Partial<List>;
    expect(['200 with 43', '503 with none']).toContain(`${offline.status} with ${items?.length ?? 'none'}`);
    // Damage to a table that nothing is read from any more costs nothing, and is not noticed.
    const silentLoss = offline.status !== 200 && !says.test(hub.said.join('\n'));
    expect(silentLoss).toBe(false);
    await relay.heal();
    await untilCloud(true);
    await until(async () => (await names().catch(() => [])).length === 43, 'filled again');
    await relay.cut('refuse');
    await untilCloud(false);
    expect(await names()).toHaveLength(43);
  });
});

test('a clock that jumps an hour, either way, changes nothing for those who watch', async () => {
  let offMs = 0;
  const clock: Clock = { ...systemClock, wallMs: () => systemClock.wallMs() + offMs };
  await hub.start({ clock });
  const watch = await watched();
  for (const jumpMs of [3_600_000, -3_600_000]) {
    offMs = jumpMs;
    cloud.put(`at${jumpMs}`);
    await watch.until((event) => event.object.metadata.name === `at${jumpMs}`);
    expect((await hub.client.request('GET', anyVersion)).status).toBe(200);
    await relay.cut('refuse');
    await untilCloud(false);
    offMs = -jumpMs;
    expect(await names()).toContain(`at${jumpMs}`);
    await relay.heal();
    await untilCloud(true);
    await until(() => cloud.openWatches === 1, 'the upstream watch');
  }
  expect(watch.ended).toBe(false);
});

// ---------------------------------------------------------------------------------------------------------------
// The command

function holdfast(...args: string[]): Promise<{ status: number; errors: string }> {
  const main = path.join(__dirname, '../../cli/main.ts');
  return new Promise((resolve) => {
    execFile(process.execPath, [main, 'node', ...args], { timeout: 15_000 }, (error, _out, errors) =>
      resolve({ status: typeof error?.code === 'number' ? error.code : 0, errors }),
    );
  });
}

function configFile(changes: object): string {
  const file = path.join(hub.folder, 'hub.yaml');
  const settings = {
    nodeName: 'edge1',
    apiServers: ['https://127.0.0.1:1'],
    certificateAuthorityFile: path.join(hub.folder, 'ca.crt'),
    clientCertificateFile: path.join(hub.folder, 'client.crt'),
    clientKeyFile: path.join(hub.folder, 'client.key'),
    listen: ['127.0.0.1:0'],
    opsListen: '127.0.0.1:0',
    manageLinkLocal: false,
    dataDir: hub.dataDir,
    runDir: path.join(hub.folder, 'run'),
    ...changes,
  };
  writeFileSync(file, JSON.stringify(settings)); // JSON is YAML
  return file;
}

const kubeconfig = {
  apiVersion: 'v1',
  kind: 'Config',
  'current-context': 'here',
  contexts: [{ name: 'here', context: { cluster: 'here', user: 'me' } }],
  clusters: [{ name: 'here', cluster: {} }],
  users: [{ name: 'me', user: {} }],
};

test.each<[string, number, () => string[], RegExp]>([
  ['an unknown flag', 2, () => ['--node-nam', 'edge1'], /unknown flag --node-nam; did you mean --node-name\?/],
  [
    'an unknown key',
    1,
    () => ['--config', configFile({ nodename: 'x' })],
    /nodename: there is no such setting; did you mean nodeName\?/,
  ],
  [
    'a key that belongs to another certificate',
    1,
    () => {
      writeFileSync(path.join(hub.folder, 'client.key'), issue('system:node:edge1', 'client').key);
      return ['--config', configFile({})];
    },
    /clientKeyFile: the key in .*client\.key does not belong to the certificate in .*client\.crt; give the pair/,
  ],
  [
    'a certificate that is none',
    1,
    () => {
      writeFileSync(path.join(hub.folder, 'client.crt'), 'hello');
      return ['--config', configFile({})];
    },
    /clientCertificateFile: .*client\.crt holds no certificate \(PEM\)/,
  ],
  [
    'a certificate file that is not there',
    1,
    () => ['--config', configFile({ certificateAuthorityFile: '/nowhere/ca.crt' })],
    /certificateAuthorityFile: .*\/nowhere\/ca\.crt/,
  ],
  [
    'a kubeconfig without a server',
    1,
    () => {
      const file = path.join(hub.folder, 'kubeconfig');
      writeFileSync(file, JSON.stringify(kubeconfig));
      return ['--kubeconfig', file];
    },
    /kubeconfig .*server/,
  ],
])('%s: exit %i and a line that names the field and the fix', async (_what, status, args, line) => {
  const result = await holdfast(...args());
  expect(result).toEqual({ status, errors: expect.stringMatching(line) });
  expect(result.errors).not.toMatch(/^\s+at /m);
});
