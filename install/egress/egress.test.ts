// The way there and back on a host whose kubelet restarts kube-apiserver after its manifest has changed; real files, a stand-in for the cluster.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ApiError, ApiUnreachableError } from '../../controllers/machinery/errors.ts';
import type { ApiObject, ObjectName, Resource } from '../../controllers/machinery/resource.ts';
import { NodeFiles } from '../../dropin/files.ts';
import type { ClusterApi } from '../cluster-facts.ts';
import { Egress, manifestFile, type EgressParts } from './egress.ts';
import { flagsOf, withEgress } from './manifest.ts';
import { selectorFile } from './wanted.ts';

const manifest = `spec:
  containers:
  - command:
    - kube-apiserver
    - --kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname
    volumeMounts:
    - mountPath: /etc/kubernetes/pki
      name: k8s-certs
  volumes:
  - hostPath:
      path: /etc/kubernetes/pki
    name: k8s-certs
`;
const config = 'apiServer: {}\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\n';
const settings = { dryRun: false, timeoutMs: 10_000 };

class Killed extends Error {}

/** A control plane. Time passes when somebody sleeps, and the kubelet acts then. */
class Host {
  readonly root = mkdtempSync(path.join(tmpdir(), 'holdfast-egress-'));
  readonly objects = new Map<string, ApiObject & Record<string, unknown>>();
  tunnelProblem: string | undefined;
  others: ApiObject[] = [];
  /** Calls that change something, until one is the last before the command is killed. */
  changesLeft = Infinity;
  #nowMs = 0;
  #running = manifest;

  constructor() {
    mkdirSync(path.dirname(this.at(manifestFile)), { recursive: true });
    mkdirSync(this.at('/var/lib'), { recursive: true });
    writeFileSync(this.at(manifestFile), manifest, { mode: 0o600 });
    this.objects.set('ConfigMap kubeadm-config', {
      metadata: { name: 'kubeadm-config', namespace: 'kube-system', uid: '1', resourceVersion: '1' },
      data: { ClusterConfiguration: config },
    });
  }

  at = (file: string): string => `${this.root}${file}`;
  read = (file: string): string => readFileSync(this.at(file), 'utf8');
  get config(): unknown {
    const map = this.objects.get('ConfigMap kubeadm-config') as { data?: Record<string, string> } | undefined;
    return map?.data?.['ClusterConfiguration'];
  }

  /** What a command of a later run, or of this one, works with. */
  egress(selector = 'good', dryRun = false): Egress {
    const sleep = async (milliseconds: number): Promise<void> => {
      this.#nowMs += milliseconds;
      this.#running = this.read(manifestFile);
    };
    const files = new NodeFiles(this.root, false);
    const change = <A extends unknown[], T>(call: (...args: A) => Promise<T>): ((...args: A) => Promise<T>) => {
      return async (...args) => {
        if (this.changesLeft === 0) throw new Killed();
        this.changesLeft -= 1;
        return call(...args);
      };
    };
    const counted = Object.assign(Object.create(files) as NodeFiles, {
      stat: (file: string) => files.stat(file),
      read: (file: string) => files.read(file),
      write: change((...args: Parameters<NodeFiles['write']>) => files.write(...args)),
      makeFolder: change((...args: Parameters<NodeFiles['makeFolder']>) => files.makeFolder(...args)),
      remove: change((file: string) => files.remove(file)),
      removeEmptyFolder: change((file: string) => files.removeEmptyFolder(file)),
    });
    const parts: EgressParts = {
      api: this.#api(change),
      host: {
        isRoot: true,
        name: 'cp1',
        running: async () => [flagsOf(this.#running)],
        tunnelProblem: async () => this.tunnelProblem,
      },
      files: counted,
      progress: { begin: () => undefined, end: () => undefined, waiting: () => undefined },
      clock: { monotonicMs: () => this.#nowMs },
      sleep,
      steadySleep: sleep,
      now: () => new Date('2026-01-01T00:00:00Z'),
      selector,
    };
    return new Egress(parts, { ...settings, dryRun });
  }

  #api(change: <A extends unknown[], T>(call: (...args: A) => Promise<T>) => (...args: A) => Promise<T>): ClusterApi {
    const key = ({ kind }: Resource, { name }: ObjectName): string => `${kind} ${name}`;
    const answer = <T>(value: T): Promise<T> => {
      const flags = flagsOf(this.#running);
      const broken = flags['egress-selector-config-file'] !== undefined && this.read(selectorFile) !== 'good';
      return broken ? Promise.reject(new ApiUnreachableError('connection refused')) : Promise.resolve(value);
    };
    const api = {
      read: (_path: string) => answer({}),
      get: (resource: Resource, name: ObjectName) => answer(this.objects.get(key(resource, name))),
      list: () => answer(this.others),
      create: change((resource: Resource, object: ApiObject) => {
        const name = key(resource, object.metadata);
        if (this.objects.has(name)) return Promise.reject(new ApiError('409', 409, 'AlreadyExists'));
        this.objects.set(name, { ...object });
        return answer(object);
      }),
      replace: change((resource: Resource, object: ApiObject) => {
        this.objects.set(key(resource, object.metadata), { ...object });
        return answer(object);
      }),
      remove: change((resource: Resource, name: ObjectName) => answer(this.objects.delete(key(resource, name)))),
    };
    return api as unknown as ClusterApi;
  }
}

let host: Host;
beforeEach(() => {
  host = new Host();
});
afterEach(() => rmSync(host.root, { recursive: true }));

const asBefore = (): void => {
  expect(host.read(manifestFile)).toBe(manifest);
  expect(host.config).toBe(config);
  expect(statSync(host.at(manifestFile)).mode & 0o777).toBe(0o600);
  expect(readdirSync(host.at('/etc/kubernetes'))).toEqual(['manifests']);
  expect(readdirSync(host.at('/etc/kubernetes/manifests'))).toEqual(['kube-apiserver.yaml']);
  expect(readdirSync(host.at('/var/lib'))).toEqual([]);
  expect([...host.objects.keys()]).toEqual(['ConfigMap kubeadm-config']);
};

test('there, once more without a change, and back byte for byte', async () => {
  expect(await host.egress('good', true).add()).toMatchObject({
    outcome: 'done',
    message: 'Nothing was changed (--dry-run).',
  });
  asBefore();
  expect(await host.egress().add()).toMatchObject({ outcome: 'done', error: undefined });
  expect(host.read(manifestFile)).toBe(withEgress(manifest));
  expect(host.config).toContain('egress-selector-config-file');
  expect(await host.egress().add()).toMatchObject({ outcome: 'done', changes: [] });
  expect(await host.egress().remove()).toMatchObject({ outcome: 'done', error: undefined });
  asBefore();
  expect(await host.egress().remove()).toMatchObject({ outcome: 'done', changes: [] });
});

test('a kube-apiserver that does not become well has its former manifest again', async () => {
  const outcome = await host.egress('broken').add();
  expect(outcome).toMatchObject({
    outcome: 'rolled-back',
    error: expect.stringContaining('connection refused') as string,
  });
  asBefore();
});

test('killed before any change and run again it ends as it would have; so does the way back', async () => {
  for (let changes = 0; ; changes += 1) {
    host.changesLeft = changes;
    const killed = await host.egress().add();
    host.changesLeft = Infinity;
    expect(await host.egress().add()).toMatchObject({ outcome: 'done', error: undefined });
    expect(host.read(manifestFile)).toBe(withEgress(manifest));
    expect(host.config).toContain('egress-selector-config-file');
    host.changesLeft = changes;
    await host.egress().remove();
    host.changesLeft = Infinity;
    expect(await host.egress().remove()).toMatchObject({ outcome: 'done', error: undefined });
    asBefore();
    if (killed.outcome === 'done') break;
  }
});

test('killed while kube-apiserver does not come up: the next run, of either command, takes it back', async () => {
  for (const command of ['add', 'remove'] as const) {
    // Lease, two folders, state, selector, manifest.
    host.changesLeft = 6;
    expect((await host.egress('broken').add()).outcome).toBe('stranded');
    expect(host.read(manifestFile)).toBe(withEgress(manifest));
    host.changesLeft = Infinity;
    expect(await host.egress('broken')[command]()).toMatchObject({ outcome: 'rolled-back' });
    asBefore();
  }
});

test('after kubeadm upgrade has written the manifest anew, the way back takes out what is ours', async () => {
  await host.egress().add();
  const upgraded = host.read(manifestFile).replace('- kube-apiserver', '- kube-apiserver\n    - --new=flag');
  writeFileSync(host.at(manifestFile), upgraded);
  expect(await host.egress().remove()).toMatchObject({ outcome: 'done', error: undefined });
  expect(host.read(manifestFile)).toBe(manifest.replace('- kube-apiserver', '- kube-apiserver\n    - --new=flag'));
});

test('refused: without a tunnel server, beside another selector, while another control plane is ill or being changed', async () => {
  const refusal = async (name: string): Promise<void> => {
    const { outcome, checks } = await host.egress().add();
    expect(outcome).toBe('refused');
    expect(checks.filter(({ verdict }) => verdict === 'refused').map((check) => check.name)).toEqual([name]);
    expect(host.read(manifestFile)).toBe(before);
  };
  let before = manifest;
  host.tunnelProblem = 'it is not there';
  await refusal('tunnel server');
  host.tunnelProblem = undefined;
  const metadata = { name: 'kube-apiserver-cp2', uid: '2', resourceVersion: '1' };
  host.others = [{ metadata, spec: { nodeName: 'cp2' } } as ApiObject];
  await refusal('other control planes');
  host.others = [];
  before = manifest.replace(
    '- kube-apiserver',
    '- kube-apiserver\n    - --egress-selector-config-file=/etc/konnectivity.yaml',
  );
  writeFileSync(host.at(manifestFile), before);
  await refusal('EgressSelector');
  writeFileSync(host.at(manifestFile), manifest);
  host.objects.set('Lease holdfast-egress', {
    metadata: { name: 'holdfast-egress', uid: '3', resourceVersion: '1' },
    spec: { holderIdentity: 'cp2', renewTime: '2025-12-31T23:55:00.000000Z' },
  });
  expect(await host.egress().add()).toMatchObject({
    outcome: 'refused',
    error: 'the control plane cp2 is being changed; wait until that has ended',
  });
  expect(host.read(manifestFile)).toBe(manifest);
});
