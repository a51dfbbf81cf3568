// What the controllers find when they are started in a cluster: nothing of theirs, half of it, all of it; and that the cluster takes
// them as a Deployment, however strict it is.
import { readFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { Controllers } from '../../../controllers/controllers.ts';
import { controllerFactories } from '../../../controllers/registry.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { nullLog } from '../../../runtime/log.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import { applyConfig } from '../../cluster/apply-config.ts';
import { waitFor } from '../../cluster/commands.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { describeWithApiserver } from '../../cluster/integration.ts';
import { projectRoot } from '../../cluster/project-root.ts';
import { ServiceAccountAccess } from './cluster.ts';

interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: object };
  readonly spec: { readonly template?: { readonly metadata: object; readonly spec: object } };
}

describeWithApiserver('the controllers in a cluster', () => {
  let plane: ControlPlane;

  beforeAll(async () => {
    plane = await ControlPlane.start({ controllers: false });
  }, 120_000);
  afterAll(async () => {
    await plane?.stop();
  });

  it('while a right or a CRD is missing /readyz says which and what to do, and then they are ready by themselves', async () => {
    const parts = {
      access: await ServiceAccountAccess.of(plane),
      log: nullLog,
      clock: systemClock,
      metrics: new Metrics(),
      random: Math.random,
    };
    const options = {
      version: 'test',
      identity: 'test',
      leaseNamespace: 'kube-system',
      requestsPerSecond: 200,
      opsListen: { host: '127.0.0.1', port: 0 },
    };
    const controllers = new Controllers(parts, options, controllerFactories);
    const stop = new AbortController();
    const listening = Promise.withResolvers<AddressInfo>();
    const ended = controllers.run(stop.signal, listening.resolve);
    try {
      const { port } = await listening.promise;
      const says = async (status: number, ...words: readonly string[]): Promise<void> => {
        let last: Answer | undefined;
        await waitFor(
          `/readyz says ${words.join(', ')}`,
          async () => {
            const answer = (last = await readyz(port));
            return answer.status === status && words.every((each) => answer.text.includes(each));
          },
          { deadlineMs: 90_000, everyMs: 100, context: () => last?.text ?? '' },
        );
      };
      await says(
        503,
        'leases: ',
        'nodes: ',
        'User "system:serviceaccount:kube-system:holdfast-controllers" cannot list resource "nodepools"',
        'kubectl apply -k config/controllers',
      );
      await applyConfig(plane, 'rbac', 'controllers');
      await says(
        503,
        'nodepools: the API server does not serve nodepools in apps.openyurt.io/v1beta2: kubectl apply -f config/crds/apps.openyurt.io_nodepools.yaml',
        'app-sets: the API server does not serve yurtappsets in apps.openyurt.io/v1beta1: kubectl apply -f config/crds/apps.openyurt.io_yurtappsets.yaml',
      );
      await applyConfig(plane, 'crds');
      await says(200, 'ok');
    } finally {
      stop.abort();
      await ended;
    }
  }, 240_000);

  it('config/controllers/deployment.yaml has no field that is unknown, and PodSecurity restricted takes its pods', async () => {
    const pod = { 'pod-security.kubernetes.io/enforce': 'restricted', 'pod-security.kubernetes.io/warn': 'restricted' };
    const namespace = 'strict';
    await plane.request('POST', '/api/v1/namespaces', { metadata: { name: namespace, labels: pod } });
    const text = readFileSync(path.join(projectRoot(), 'config/controllers/deployment.yaml'), 'utf8');
    const manifests = parseAllDocuments(text).map((each) => each.toJS() as Manifest);
    expect(manifests.map(({ kind }) => kind)).toEqual(['Deployment', 'PodDisruptionBudget', 'NetworkPolicy']);
    const strict = 'fieldValidation=Strict';
    for (const manifest of manifests) {
      const plural = `${manifest.kind.toLowerCase().replace(/y$/, 'ie')}s`;
      const collection = `/apis/${manifest.apiVersion}/namespaces/${namespace}/${plural}?${strict}`;
      const body = { ...manifest, metadata: { ...manifest.metadata, namespace } };
      const answer = await plane.rawRequest('POST', collection, body);
      // PodSecurity only warns of a Deployment; it refuses its pods.
      expect([answer.status, answer.headers['warning'], answer.status === 201 || answer.body.toString()]).toEqual([
        201,
        undefined,
        true,
      ]);
    }
    const { metadata, spec } = manifests[0]!.spec.template!;
    const pods = `/api/v1/namespaces/${namespace}/pods?${strict}`;
    const made = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, generateName: 'controllers-' }, spec };
    const taken = await plane.rawRequest('POST', pods, made);
    expect([taken.status, taken.status === 201 || taken.body.toString()]).toEqual([201, true]);
    // That something is looked at here at all.
    const privileged = { ...made, spec: { ...spec, securityContext: { runAsNonRoot: false } } };
    expect((await plane.rawRequest('POST', pods, privileged)).status).toBe(403);
  }, 60_000);
});

interface Answer {
  readonly status: number;
  readonly text: string;
}

function readyz(port: number): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: '127.0.0.1', port, path: '/readyz', agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    request.on('error', reject);
  });
}
