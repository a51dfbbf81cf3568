// The controllers in a cluster that was OpenYurt's: its CRDs are there, with the webhook of a manager that is gone.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Controllers } from '../../../controllers/controllers.ts';
import { customResourceDefinition } from '../../../controllers/crds/custom-resource.ts';
import { customResources } from '../../../controllers/crds/definitions.ts';
import { deploymentSpec } from '../../../controllers/app-set/sample-specs.testing.ts';
import { controllerFactories } from '../../../controllers/registry.ts';
import { systemClock } from '../../../runtime/clock.ts';
import { nullLog } from '../../../runtime/log.ts';
import { Metrics } from '../../../runtime/metrics.ts';
import { applyConfig } from '../../cluster/apply-config.ts';
import { waitFor } from '../../cluster/commands.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { describeWithApiserver } from '../../cluster/integration.ts';
import { ServiceAccountAccess } from './cluster.ts';
import { openYurtsDefinitions } from './openyurt-crds.ts';

interface Pool {
  readonly status?: { readonly readyNodeNum?: number; readonly nodes?: readonly string[] };
}
interface AppSet {
  readonly status?: { readonly totalWorkloads?: number; readonly conditions?: readonly { readonly type: string }[] };
}

const group = '/apis/apps.openyurt.io';
const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const soon = { deadlineMs: 120_000 };

describeWithApiserver("a cluster with OpenYurt's CRDs", () => {
  let plane: ControlPlane;
  let controllers: Controllers;
  let metrics: Metrics;
  let ended: Promise<void>;
  let ops: Promise<AddressInfo>;
  let stop: AbortController;

  beforeEach(async () => {
    plane = await ControlPlane.start({ controllers: false });
    await applyConfig(plane, 'rbac', 'controllers');
  });
  afterEach(async () => {
    stop?.abort();
    await ended;
    await plane?.stop();
  });

  async function define(made: readonly { readonly metadata: { readonly name: string } }[]): Promise<void> {
    for (const definition of made) {
      const path = `${definitions}/${definition.metadata.name}`;
      const known = await plane.rawRequest('GET', path);
      if (known.status === 404) await plane.request('POST', definitions, definition);
      else {
        // As kubectl replace: with the version that was read.
        const { metadata } = JSON.parse(known.body.toString()) as { metadata: { resourceVersion: string } };
        const { resourceVersion } = metadata;
        await plane.request('PUT', path, { ...definition, metadata: { ...definition.metadata, resourceVersion } });
      }
    }
  }

  async function start(): Promise<void> {
    stop = new AbortController();
    metrics = new Metrics();
    const access = await ServiceAccountAccess.of(plane);
    const parts = { access, log: nullLog, clock: systemClock, metrics, random: Math.random };
    const options = {
      version: 'test',
      identity: 'test',
      leaseNamespace: 'kube-system',
      requestsPerSecond: 200,
      opsListen: { host: '127.0.0.1', port: 0 },
    };
    controllers = new Controllers(parts, options, controllerFactories);
    const { promise, resolve } = Promise.withResolvers<AddressInfo>();
    ops = promise;
    ended = controllers.run(stop.signal, resolve);
  }

  const served = (what: string): Promise<unknown> =>
    waitFor(`${what} is served`, async () => (await plane.rawRequest('GET', `${group}/${what}`)).status === 200, soon);
  const settled = (): Promise<unknown> => waitFor('all is done', () => controllers.settled, soon);

  async function makePool(version: string, name: string): Promise<void> {
    const kind = { apiVersion: `apps.openyurt.io/${version}`, kind: 'NodePool' };
    await plane.request('POST', `${group}/${version}/nodepools`, {
      ...kind,
      metadata: { name },
      spec: { type: 'Edge' },
    });
  }

  async function makeNode(name: string, pool: string): Promise<void> {
    const metadata = { name, labels: { 'apps.openyurt.io/nodepool': pool } };
    await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata });
    const conditions = [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' }];
    await plane.request('PATCH', `/api/v1/nodes/${name}/status`, { status: { conditions } });
  }

  /** Without what is made: Events come at their own pace. */
  async function writes(): Promise<number> {
    const counted = [
      ...(await metrics.text()).matchAll(/api_requests_total\{verb="(?:patch|delete)",outcome="\w+"\} (\d+)/g),
    ];
    return counted.reduce((sum, [, count]) => sum + Number(count), 0);
  }

  async function readiness(): Promise<string> {
    const { port } = await ops;
    return await new Promise((resolve, reject) => {
      const request = http.get({ host: '127.0.0.1', port, path: '/readyz', agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
        response.on('error', reject).on('end', () => resolve(text));
      });
      request.on('error', reject);
    });
  }

  it('they are used as they are: pools and app sets are served, and what they drop is not written again and again', async () => {
    await define(openYurtsDefinitions());
    await served('v1beta2/nodepools');
    await served('v1beta1/yurtappsets');
    await makePool('v1beta2', 'berlin');
    await makeNode('a', 'berlin');
    const kind = { apiVersion: 'apps.openyurt.io/v1beta1', kind: 'YurtAppSet', metadata: { name: 'web' } };
    const appSets = `${group}/v1beta1/namespaces/default/yurtappsets`;
    await plane.request('POST', appSets, { ...kind, spec: { pools: ['berlin'], workload: deploymentSpec() } });
    await start();
    await waitFor(
      'the pool counts its node',
      async () => (await plane.request<Pool>('GET', `${group}/v1beta2/nodepools/berlin`)).status?.readyNodeNum === 1,
      soon,
    );
    const { status } = await waitFor(
      'the app set counts its workload',
      async () => {
        const appSet = await plane.request<AppSet>('GET', `${appSets}/web`);
        return appSet.status?.totalWorkloads === 1 && appSet;
      },
      soon,
    );
    expect(status?.conditions?.map(({ type }) => type)).toContain('AppUpdated');
    const { items } = await plane.request<{ items: unknown[] }>('GET', '/apis/apps/v1/namespaces/default/deployments');
    expect(items).toHaveLength(1);
    await settled();
    const before = await writes();
    // Another pool, so that each controller has looked again.
    await makePool('v1beta2', 'paris');
    await waitFor(
      'the other pool counts none',
      async () => (await plane.request<Pool>('GET', `${group}/v1beta2/nodepools/paris`)).status?.readyNodeNum === 0,
      soon,
    );
    await settled();
    // The other pool's own: finalizer and label, status, and its members for nodes.
    expect((await writes()) - before).toBe(3);
  });

  it('with objects of an earlier version, which nobody converts any more, /readyz says what to do, and that is enough', async () => {
    await define(openYurtsDefinitions({ storedAs: 'v1beta1' }));
    await served('v1beta1/nodepools');
    await makePool('v1beta1', 'berlin');
    await makeNode('a', 'berlin');
    // OpenYurt was upgraded then.
    await define(openYurtsDefinitions());
    await start();
    await waitFor(
      '/readyz names the way out',
      async () => (await readiness()).includes('kubectl replace -f config/crds/apps.openyurt.io_nodepools.yaml'),
      soon,
    );
    await define(Object.values(customResources).map((custom) => customResourceDefinition(custom) as never));
    await waitFor(
      'the pool counts its node',
      async () => {
        const { status, body } = await plane.rawRequest('GET', `${group}/v1beta2/nodepools/berlin`);
        return status === 200 && (JSON.parse(body.toString()) as Pool).status?.readyNodeNum === 1;
      },
      soon,
    );
    await settled();
  });
});
