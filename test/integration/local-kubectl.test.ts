// A person on the node, with the kubeconfig that the hub writes and the real kubectl: what they see with the cloud in reach and without,
// right after the installation, and what they cannot do.
import { statSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import path from 'node:path';
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { TcpRelay } from '../../runtime/tcp-relay.ts';
import { binary } from '../cluster/binaries.ts';
import { runFully } from '../cluster/commands.ts';
import { ControlPlane } from '../cluster/control-plane.ts';
import { describeWithApiserver } from '../cluster/integration.ts';
import { HubUnderTest, until } from './hub-under-test.ts';

const inDefault = (resource: string): string => `/api/v1/namespaces/default/${resource}`;
const protobuf = { accept: 'application/vnd.kubernetes.protobuf,application/json' };

describeWithApiserver('kubectl on the node', () => {
  let plane: ControlPlane;
  let relay: TcpRelay;
  let node: HubUnderTest;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
    const make = (path: string, kind: string, object: object): Promise<unknown> =>
      plane.request('POST', path, { apiVersion: 'v1', kind, ...object });
    await make('/api/v1/nodes', 'Node', { metadata: { name: 'edge1' } });
    await make('/api/v1/nodes', 'Node', { metadata: { name: 'elsewhere' } });
    await make(inDefault('configmaps'), 'ConfigMap', { metadata: { name: 'settings' }, data: { colour: 'green' } });
    await make(inDefault('secrets'), 'Secret', { metadata: { name: 'password' }, stringData: { word: 'hunter2' } });
    await make(inDefault('services'), 'Service', {
      metadata: { name: 'web' },
      spec: { ports: [{ port: 80 }], selector: { app: 'web' } },
    });
    const pod = (name: string, nodeName: string): Promise<unknown> =>
      make(inDefault('pods'), 'Pod', {
        metadata: { name, labels: { app: name } },
        spec: {
          nodeName,
          containers: [{ name: 'main', image: 'example.com/web:1' }],
          volumes: [
            { name: 'settings', configMap: { name: 'settings' } },
            { name: 'password', secret: { secretName: 'password' } },
          ],
        },
      });
    await pod('web', 'edge1');
    await pod('db', 'edge1');
    await pod('foreign', 'elsewhere');
    relay = new TcpRelay({ host: plane.address, port: plane.port }, { port: 0 });
    await relay.listen();
    const { certificate, key } = plane.nodeCertificate('edge1');
    node = await HubUnderTest.start({
      apiServer: `https://127.0.0.1:${relay.port}`,
      ca: plane.ca,
      node: { cert: certificate, key },
    });
    await asKubelet();
    await until(() => node.said.some((line) => line.includes('discovery')), 'discovery is kept');
  });
  afterAll(async () => {
    await node?.remove();
    await relay?.close();
    await plane?.stop();
  });
  beforeEach(async () => {
    await relay.heal();
    await until(() => node.hub.status().cloud.reachable && node.hub.status().allLive, 'the cloud is back');
  });

  /** What every kubelet asks for. */
  async function asKubelet(): Promise<void> {
    for (const target of [
      '/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1&limit=500&resourceVersion=0',
      '/api/v1/nodes?fieldSelector=metadata.name%3Dedge1&limit=500&resourceVersion=0',
      '/api/v1/services?fieldSelector=spec.clusterIP%21%3DNone&limit=500&resourceVersion=0',
      `${inDefault('configmaps')}?fieldSelector=metadata.name%3Dsettings&limit=500&resourceVersion=0`,
      `${inDefault('secrets')}?fieldSelector=metadata.name%3Dpassword&limit=500&resourceVersion=0`,
    ]) {
      const answer = await node.client.request('GET', target, { headers: protobuf });
      expect(answer.status).toBe(200);
    }
  }

  async function cutOff(): Promise<void> {
    await relay.cut('refuse');
    await until(() => !node.hub.status().cloud.reachable, 'the cloud is lost');
  }

  const kubeconfig = (): string => path.join(node.dataDir, 'kubectl.kubeconfig');
  const kubectlArgs = (...args: string[]): string[] => [
    binary('kubectl'),
    `--kubeconfig=${kubeconfig()}`,
    `--cache-dir=${path.join(node.folder, 'kubectl-cache')}`,
    ...args,
  ];

  /** Without what an earlier kubectl has kept for itself. */
  async function kubectl(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    await rm(path.join(node.folder, 'kubectl-cache'), { recursive: true, force: true });
    const { code, stdout, stderr } = await runFully(kubectlArgs(...args), { timeoutMs: 30_000, mayFail: true });
    return { code, stdout, stderr };
  }

  test("the kubeconfig is its owner's alone", () => {
    expect(statSync(kubeconfig()).mode & 0o777).toBe(0o600);
  });

  describe.each(['in reach', 'out of reach'])('with the cloud %s', (state) => {
    beforeEach(async () => {
      if (state === 'out of reach') await cutOff();
    });

    test('get shows the pods of this node, and says that it shows no others', async () => {
      const { code, stdout, stderr } = await kubectl('get', 'pods', '-A');
      expect(stdout).toMatch(/^NAMESPACE +NAME/);
      expect(stdout).toMatch(/default +web /);
      expect(stdout).toMatch(/default +db /);
      expect(stdout).not.toContain('foreign');
      expect(stderr).toContain('only pods of node edge1 are known here');
      expect(code).toBe(0);
    });

    test('get by namespace, selector and name, as a table, wide, YAML and JSON', async () => {
      expect((await kubectl('get', 'pods')).stdout).toContain('web');
      expect((await kubectl('get', 'pods', '-l', 'app=web', '-o', 'name')).stdout).toBe('pod/web\n');
      expect((await kubectl('get', 'pod', 'web', '-o', 'yaml')).stdout).toContain('image: example.com/web:1');
      expect((await kubectl('get', 'pods', '-o', 'wide')).stdout).toContain('edge1');
      const list = JSON.parse((await kubectl('get', 'pods,services', '-o', 'json')).stdout) as { items: object[] };
      expect(list.items.length).toBeGreaterThanOrEqual(3);
      expect((await kubectl('get', 'nodes')).stdout).toContain('edge1');
      expect((await kubectl('get', 'configmap', 'settings', '-o', 'jsonpath={.data.colour}')).stdout).toBe('green');
    });

    test('describe', async () => {
      const { code, stdout } = await kubectl('describe', 'pod', 'web');
      expect(code).toBe(0);
      expect(stdout).toMatch(/Node: +edge1/);
      expect((await kubectl('describe', 'node', 'edge1')).stdout).toContain('Name:               edge1');
    });

    test('explain', async () => {
      const { stdout, stderr, code } = await kubectl('explain', 'pod.spec.nodeName');
      expect(stderr.replaceAll(/^Warning:.*\n/gm, '')).toBe('');
      expect(stdout).toContain('FIELD: nodeName <string>');
      expect(code).toBe(0);
    });

    test('no Secret, whichever way it is asked for', async () => {
      for (const args of [
        ['get', 'secrets'],
        ['get', 'secret', 'password', '-o', 'yaml'],
        ['get', 'secrets', '-A', '--field-selector=metadata.name=password'],
        ['get', '--raw', '/api/v1/namespaces/default/secrets/password'],
        ['get', '--raw', '/api/v1/watch/namespaces/default/secrets'],
        ['get', '--raw', '/api/v1/namespaces/default/secrets/password/'],
        ['get', '--raw', '/api/v1/namespaces/default/./secrets/password'],
      ]) {
        const { code, stdout, stderr } = await kubectl(...args);
        expect(`${stdout}${stderr}`).not.toMatch(/hunter2|aHVudGVyMg/);
        expect(code).not.toBe(0);
      }
    });

    test('a change is refused, with a word on what it needs', async () => {
      const { code, stderr } = await kubectl('delete', 'pod', 'web', '--wait=false');
      expect(stderr).toContain('changes need the cloud');
      expect(code).toBe(1);
      expect((await kubectl('create', 'configmap', 'new')).stderr).toContain('changes need the cloud');
      expect((await kubectl('exec', 'web', '--', 'true')).stderr).toContain('this kubeconfig reads only');
      expect((await plane.rawRequest('GET', `${inDefault('pods')}/web`)).status).toBe(200);
      expect((await plane.rawRequest('GET', `${inDefault('configmaps')}/new`)).status).toBe(404);
    });
  });

  test('out of reach, a warning says since when, and how old the answer may be; in reach none does', async () => {
    expect((await kubectl('get', 'pods')).stderr).not.toContain('out of reach');
    await cutOff();
    const warning =
      /Warning: the API server is out of reach since \d{4}-\d\d-\d\dT[\d:.]+Z; this answer is \d+ seconds old or older/;
    expect((await kubectl('get', 'pods')).stderr).toMatch(warning);
    expect((await kubectl('get', 'pod', 'web')).stderr).toMatch(warning);
  });

  test('get -w stays open through an outage and shows what was missed', async () => {
    const [program = '', ...args] = kubectlArgs('get', 'pods', '-w', '--no-headers');
    const child: ChildProcess = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const lines: string[] = [];
    createInterface({ input: child.stdout! }).on('line', (line) => lines.push(line));
    try {
      await until(() => lines.length >= 2, 'the pods are shown');
      await cutOff();
      const seen = lines.length;
      const label = { metadata: { labels: { changed: 'yes' } } };
      await plane.request('PATCH', `${inDefault('pods')}/web`, label, { contentType: 'application/merge-patch+json' });
      await relay.heal();
      await until(() => lines.slice(seen).some((line) => line.startsWith('web')), 'the change is shown');
      expect(child.exitCode).toBeNull();
    } finally {
      child.kill();
    }
  });
});
