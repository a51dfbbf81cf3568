// The objects that the contract's cases ask for.
import type { ControlPlane } from '../cluster/control-plane.ts';
import { waitFor } from '../cluster/commands.ts';
import type { Known } from './contract-case.ts';

const namespaces = ['a', 'a1', 'many', 'unkept'];
export const manyCount = 250;

interface Made {
  readonly metadata: { readonly resourceVersion: string };
}

export async function seed(plane: ControlPlane): Promise<void> {
  const make = async (target: string, body: object): Promise<string> => {
    const made = (await plane.request('POST', target, body)) as unknown as Made;
    return made.metadata.resourceVersion;
  };
  await make('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', widgetDefinition);
  for (const name of namespaces) await make('/api/v1/namespaces', { metadata: { name } });
  for (const name of ['edge1', 'edge2']) {
    await make('/api/v1/nodes', {
      metadata: { name, labels: { 'node-role.kubernetes.io/edge': '', zone: name } },
      spec: { unschedulable: name === 'edge2' },
    });
  }
  await makePods(plane, make);
  for (const [name, type] of [
    ['opaque', 'Opaque'],
    ['basic', 'kubernetes.io/basic-auth'],
  ] as const)
    await make('/api/v1/namespaces/a/secrets', {
      metadata: { name },
      type,
      stringData: { username: 'x', password: 'y' },
    });
  for (const [name, spec] of [
    ['web', { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 8080 }] }],
    ['headless', { clusterIP: 'None', ports: [{ port: 53, protocol: 'UDP' }] }],
    [
      'outside',
      {
        type: 'NodePort',
        ports: [{ port: 80 }, { name: 'tls', port: 443 }].map((port) => ({ name: 'plain', ...port })),
      },
    ],
    ['named', { type: 'ExternalName', externalName: 'example.com' }],
  ] as const)
    await make('/api/v1/namespaces/a/services', { metadata: { name }, spec });
  for (const reason of ['Pulled', 'Failed'])
    await make('/api/v1/namespaces/a/events', {
      metadata: { name: reason.toLowerCase() },
      involvedObject: { kind: 'Pod', namespace: 'a', name: 'first' },
      reason,
      type: reason === 'Failed' ? 'Warning' : 'Normal',
    });
  const body = 'x'.repeat(4_000);
  for (let count = 0; count < manyCount; count += 1) {
    const labels = { parity: count % 2 === 0 ? 'even' : 'odd' };
    await make('/api/v1/namespaces/many/configmaps', { metadata: { name: `m${count}`, labels }, data: { body } });
  }
  await untilServed(plane);
  for (const [name, color, size] of [
    ['w1', 'red', 1],
    ['w2', 'blue', 2],
    ['w3', 'red', 3],
  ] as const)
    await make(widgets('a'), widget(name, color, size));
  await make(widgets('a1'), widget('w1', 'red', 1));
  await make('/api/v1/namespaces/a1/configmaps', { metadata: { name: 'elsewhere', labels: { app: 'web' } } });
  for (const [name, labels] of configMaps)
    await make('/api/v1/namespaces/a/configmaps', { metadata: { name, labels }, data: { name } });
  await make('/api/v1/namespaces/unkept/configmaps', { metadata: { name: 'unseen' } });
}

/** The last changes, for the cases that name versions: after them nothing changes that a case asks for. */
export async function seedVersions(
  plane: ControlPlane,
): Promise<Pick<Known, 'earlierConfigMapVersion' | 'configMapVersion' | 'widgetVersion'>> {
  const touch = async (target: string, round: string): Promise<string> => {
    const options = { contentType: 'application/merge-patch+json' };
    const body = { metadata: { annotations: { round } } };
    const made = (await plane.request('PATCH', target, body, options)) as unknown as Made;
    return made.metadata.resourceVersion;
  };
  const last = '/api/v1/namespaces/a/configmaps/last';
  const widgetVersion = await touch(`${widgets('a')}/w3`, '1');
  return {
    widgetVersion,
    earlierConfigMapVersion: await touch(last, '1'),
    configMapVersion: await touch(last, '2'),
  };
}

const configMaps = [
  ['plain', {}],
  ['web-1', { app: 'web', tier: 'front', rank: '1' }],
  ['web-2', { app: 'web', tier: 'back', rank: '20' }],
  ['db', { app: 'db', tier: 'back', rank: '3' }],
  ['odd', { 'example.com/kind': 'odd', rank: 'none', empty: '' }],
  ['last', { app: 'cache' }],
] as const;

async function makePods(plane: ControlPlane, make: (target: string, body: object) => Promise<string>): Promise<void> {
  for (const [namespace, name, nodeName, app] of [
    ['a', 'first', 'edge1', 'web'],
    ['a', 'second', 'edge1', 'db'],
    ['a', 'third', 'edge2', 'web'],
    ['a1', 'first', 'edge1', 'web'],
  ] as const) {
    const target = `/api/v1/namespaces/${namespace}/pods`;
    const containers = [
      { name: 'main', image: 'example.com/main:1' },
      { name: 'side', image: 'example.com/side:1' },
    ];
    await make(target, {
      metadata: { name, labels: { app } },
      spec: { nodeName, containers, ...(name === 'second' ? { hostNetwork: true, restartPolicy: 'Never' } : {}) },
    });
    if (name !== 'first') continue;
    const startedAt = '2026-01-01T00:00:00Z';
    const running = {
      state: { running: { startedAt } },
      lastState: { terminated: { exitCode: 1, finishedAt: startedAt } },
    };
    const shared = { image: 'i', imageID: 'i', ready: true };
    const status = {
      phase: 'Running',
      podIP: '10.0.0.7',
      podIPs: [{ ip: '10.0.0.7' }],
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [
        { name: 'main', restartCount: 2, ...shared, ...running },
        { name: 'side', restartCount: 0, ...shared, ready: false, state: { waiting: { reason: 'CrashLoopBackOff' } } },
      ],
    };
    await plane.request(
      'PATCH',
      `${target}/${name}/status`,
      { status },
      { contentType: 'application/merge-patch+json' },
    );
  }
}

/** A custom resource is served, and its watch cache is filled, some time after its definition. */
export async function untilServed(plane: ControlPlane): Promise<void> {
  const target = `${widgets('a')}?resourceVersion=0`;
  await waitFor('the widgets are served', async () => (await plane.rawRequest('GET', target)).status === 200, {
    deadlineMs: 120_000,
    everyMs: 50,
  });
}

export function widgets(namespace: string): string {
  return `/apis/example.com/v1/namespaces/${namespace}/widgets`;
}

function widget(name: string, color: string, size: number): object {
  const metadata = { name, labels: { color } };
  return { apiVersion: 'example.com/v1', kind: 'Widget', metadata, spec: { color, size, flat: size > 1 } };
}

const widgetDefinition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        selectableFields: [{ jsonPath: '.spec.color' }, { jsonPath: '.spec.size' }, { jsonPath: '.spec.flat' }],
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: {
              spec: {
                type: 'object',
                properties: { color: { type: 'string' }, size: { type: 'integer' }, flat: { type: 'boolean' } },
              },
            },
          },
        },
      },
    ],
  },
};
