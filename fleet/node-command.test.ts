// A command of a node from the cloud, with an API server that is a few lines, and a kubelet that is a script of what it reports.
import { ApiError, ApiUnreachableError } from '../controllers/machinery/errors.ts';
import type { Draft, ObjectName, Resource } from '../controllers/machinery/resource.ts';
import type { Outcome } from '../dropin/outcome.ts';
import { packOutcome } from '../dropin/pod-outcome.ts';
import { runNodeCommand, type NodeCommandParts, type NodeCommandSettings } from './node-command.ts';
import type { NodePod } from './node-pod.ts';

const settings: NodeCommandSettings = {
  command: 'convert',
  node: 'a1',
  dryRun: false,
  force: false,
  timeoutMs: 30_000,
  image: undefined,
  defaultImage: 'localhost/holdfast:1.2.3',
};
const converted: Outcome = {
  command: 'convert',
  outcome: 'done',
  node: 'a1',
  dryRun: false,
  checks: [],
  steps: [],
  seconds: 4,
  kubeletDownSeconds: 0.5,
  hubDownSeconds: undefined,
  resumed: undefined,
  restartAdvised: [],
  error: undefined,
  message: 'This node is converted.',
};
type Status = NonNullable<NodePod['status']>;
const of = (state: NonNullable<NonNullable<Status['containerStatuses']>[number]['state']>): Status => ({
  phase: 'Running',
  containerStatuses: [{ state }],
});
const waiting = (reason: string): Status => of({ waiting: { reason, message: 'says the kubelet' } });
const running = of({ running: {} });
const ended = (exitCode: number, message: string): Status => of({ terminated: { exitCode, message } });
const done = ended(0, packOutcome(converted));

/** One node and at most one pod. What the kubelet reports is one step further each time that the pod is looked at. */
class Cloud {
  ready = 'True';
  deployedImage: string | undefined;
  reports: Status[] = [waiting('ContainerCreating'), running, done];
  log: string[] | undefined;
  pod: NodePod | undefined;
  created: Draft[] = [];
  /** Called before each call with its name and how often it was called; may throw, or change things first. */
  before: (call: string, number: number) => void = () => undefined;
  readonly #calls = new Map<string, number>();
  #nowMs = 0;
  readonly said: string[] = [];

  parts(): NodeCommandParts {
    return {
      api: {
        get: async (resource: Resource, name: ObjectName) => this.#get(resource, name) as never,
        create: async (_resource: Resource, draft: Draft) => {
          this.#begin('create');
          this.created.push(draft);
          this.#put(draft.metadata.annotations ?? {});
          return this.pod as never;
        },
        remove: async () => {
          this.#begin('remove');
          this.pod = undefined;
          return true;
        },
        text: async function* (this: Cloud) {
          if (this.log === undefined) throw new ApiUnreachableError('dial tcp: i/o timeout');
          yield* this.log;
        }.bind(this),
      },
      now: () => this.#nowMs,
      sleep: async (milliseconds) => {
        this.#nowMs += milliseconds;
      },
      progress: { begin: () => undefined, end: () => undefined, waiting: () => undefined },
      say: (line) => this.said.push(line),
    };
  }

  /** Of an earlier run. */
  leave(run: string, status: Status): void {
    this.#put({ 'holdfast.dev/run': run }, status);
  }

  #put(annotations: Record<string, string>, status?: Status): void {
    const metadata = {
      name: 'holdfast-on-a1',
      namespace: 'kube-system',
      uid: `u${this.created.length}`,
      resourceVersion: '1',
    };
    this.pod = { metadata: { ...metadata, annotations }, ...(status === undefined ? {} : { status }) };
  }

  #get({ resource }: Resource, { name }: ObjectName): unknown {
    this.#begin(`get ${resource}`);
    if (resource === 'nodes')
      return name === 'a1'
        ? { metadata: { name }, status: { conditions: [{ type: 'Ready', status: this.ready }] } }
        : undefined;
    if (resource === 'deployments')
      return this.deployedImage === undefined
        ? undefined
        : { metadata: { name }, spec: { template: { spec: { containers: [{ image: this.deployedImage }] } } } };
    if (this.pod === undefined) return undefined;
    const [next, ...rest] = this.reports;
    if (rest.length > 0) this.reports = rest;
    return this.pod.status === undefined || this.created.length > 0 ? { ...this.pod, status: next } : this.pod;
  }

  #begin(call: string): void {
    const number = (this.#calls.get(call) ?? 0) + 1;
    this.#calls.set(call, number);
    this.before(call, number);
  }
}

let cloud: Cloud;
beforeEach(() => {
  cloud = new Cloud();
});

const run = (change: Partial<NodeCommandSettings> = {}): Promise<Outcome> =>
  runNodeCommand(cloud.parts(), { ...settings, ...change }, new AbortController().signal);
const refusedBy = async (change: Partial<NodeCommandSettings> = {}): Promise<string> => {
  const { outcome, checks } = await run(change);
  expect(outcome).toBe('refused');
  return checks.map(({ name, cause }) => `${name}: ${cause}`).join();
};

test('the outcome is what the kubelet reports, and the pod is removed', async () => {
  expect(await run()).toEqual(JSON.parse(JSON.stringify(converted)));
  expect(cloud.pod).toBeUndefined();
  expect(cloud.created[0]).toMatchObject({ spec: { containers: [{ image: 'localhost/holdfast:1.2.3' }] } });
});

test('where the API server reaches the kubelet, what the command says is shown in whole lines', async () => {
  cloud.log = ['   0.8 s  1/7 Ins', 'tall\n   2.7 s  3/7 Start\n', 'end'];
  await run();
  expect(cloud.said).toEqual(['   0.8 s  1/7 Install', '   2.7 s  3/7 Start', 'end']);
});

test('the node gets the image of the controllers, unless another one is named', async () => {
  cloud.deployedImage = 'registry.example.com/holdfast:1.2.3';
  await run();
  expect(cloud.created[0]).toMatchObject({ spec: { containers: [{ image: cloud.deployedImage }] } });
  cloud.reports = [done];
  await run({ image: 'other/holdfast:2' });
  expect(cloud.created[1]).toMatchObject({ spec: { containers: [{ image: 'other/holdfast:2' }] } });
});

test('a node that is not there or not Ready is refused before there is a pod', async () => {
  expect(await refusedBy({ node: 'a2' })).toContain('there is no node a2');
  cloud.ready = 'Unknown';
  expect(await refusedBy()).toContain('a1 is not Ready');
  expect(cloud.created).toEqual([]);
});

test('an image that cannot be had is refused, and the pod is removed', async () => {
  cloud.reports = [waiting('ErrImagePull'), waiting('ImagePullBackOff')];
  expect(await refusedBy()).toBe('image: the pod did not start on a1: ImagePullBackOff: says the kubelet');
  expect(cloud.pod).toBeUndefined();
});

test('a pod that does not start in time is removed', async () => {
  cloud.reports = [waiting('ContainerCreating')];
  expect(await refusedBy()).toContain('did not start');
  expect(cloud.pod).toBeUndefined();
});

test('what forbids the pod is told in its own words', async () => {
  cloud.before = (call) => {
    if (call === 'create') throw new ApiError('403 violates PodSecurity "restricted"', 403, 'Forbidden');
  };
  expect(await refusedBy()).toContain('violates PodSecurity');
});

test('the same command of an earlier run is gone on with; another one is not disturbed', async () => {
  cloud.leave('convert --timeout 30', running);
  expect(await refusedBy({ dryRun: true })).toContain('runs holdfast convert --timeout 30');
  expect(cloud.pod).toBeDefined();
  cloud.before = (call, number) => {
    if (call === 'get pods' && number > 2) cloud.leave('convert --timeout 30', done);
  };
  expect((await run()).message).toBe(converted.message);
  expect(cloud.created).toEqual([]);
});

test('what an earlier run left, ended or never started, gives way', async () => {
  cloud.leave('revert --timeout 30', done);
  expect((await run()).outcome).toBe('done');
  expect(cloud.created.length).toBe(1);
});

test('a way to the API server that is gone for a while does not matter once there is a pod', async () => {
  cloud.before = (call, number) => {
    if (call === 'get pods' && number > 1 && number % 2 === 0) throw new ApiUnreachableError('connection refused');
  };
  expect((await run()).outcome).toBe('done');
});

test('a command that ends without a word leaves it open how the node is', async () => {
  cloud.reports = [running, ended(137, '')];
  expect(await run()).toMatchObject({ outcome: 'stranded', error: 'it said nothing' });
});

test('a pod that somebody deletes is no outcome', async () => {
  cloud.before = (call) => {
    if (call === 'get pods' && cloud.reports.length === 1) cloud.pod = undefined;
  };
  expect(await run()).toMatchObject({ outcome: 'stranded', error: expect.stringContaining('was deleted') as string });
});

test('a pod that cannot be removed in the end does not change what came of it', async () => {
  cloud.before = (call) => {
    if (call === 'remove') throw new ApiUnreachableError('connection refused');
  };
  expect((await run()).outcome).toBe('done');
  expect(cloud.said.join()).toContain('may be deleted: connection refused');
});
