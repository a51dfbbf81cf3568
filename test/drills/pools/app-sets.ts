// App sets over many pools, with the real controllers of Deployments, and pods that are only pretended: a change goes pool by pool, a
// failing image stops it, it is taken back, a pool vanishes and returns, all of it with replicas of the controllers killed.
import { applyConfig } from '../../cluster/apply-config.ts';
import { ControlPlane } from '../../cluster/control-plane.ts';
import { HollowPods } from '../../cluster/hollow-pods.ts';
import type { DrillContext } from '../drill.ts';
import { expectThat } from '../report.ts';
import { AppSetInDrill, makeNamespace } from './app-set.ts';
import { poolLabel, pools } from './fleet.ts';
import { replicaNames, Replicas } from '../controller-replicas.ts';

/** On a control plane of its own: Kubernetes' controllers would judge the nodes of the fleet. */
export async function appSets(context: DrillContext): Promise<void> {
  const { report, quick } = context;
  const plane = await ControlPlane.start({
    controllers: true,
    // Nobody renews the Leases of nodes that are only objects.
    controllerManagerArgs: ['--controllers=*,-node-lifecycle-controller'],
  });
  context.defer(() => plane.stop());
  await applyConfig(plane, 'crds', 'rbac', 'controllers');
  const replicas = await Replicas.startBoth(context, plane);
  const names = Array.from({ length: quick ? 8 : 20 }, (_, index) => `shop-${String(index).padStart(2, '0')}`);
  const pods = new HollowPods(plane.api);
  pods.start();
  context.defer(() => pods.stop());
  await makeShops(plane, names);
  const app = new AppSetInDrill(plane, names);
  const rollout = { maxPools: 3, poolDeadlineSeconds: 15 };

  await makeNamespace(plane);
  await app.make('till:1', { matchLabels: { shop: 'yes' } }, { maxPools: 3 });
  await report.check(`a Deployment in each of ${names.length} pools`, () => app.becomes('AllPoolsUpdated', 120_000));
  const original = await app.uids();

  await report.check('a change goes through the pools, at most three in motion, with the leader killed', async () => {
    await app.change('till:2', rollout);
    const most = app.watchMotion();
    await killLeader(replicas);
    await app.becomes('AllPoolsUpdated', 240_000);
    const inMotion = await most();
    expectThat(inMotion <= 3, `${inMotion} pools were in motion at a time`);
    await app.expectImages('till:2');
    return `at most ${inMotion} at a time`;
  });

  await report.check('a failing image stops at the first pools, and says so', async () => {
    pods.brokenImages.add('till:bad');
    await app.change('till:bad', rollout);
    await app.becomes('Stopped', 120_000);
    const bad = (await app.images()).filter((image) => image === 'till:bad').length;
    expectThat(bad <= 3, `${bad} pools have the failing image`);
    return `${bad} of ${names.length} pools have it`;
  });

  await report.check('it is taken back by the revision before, with the leader killed', async () => {
    await app.rollBack('till:2', rollout);
    await killLeader(replicas);
    await app.becomes('AllPoolsUpdated', 240_000);
    await app.expectImages('till:2');
  });

  await report.check('a pool vanishes and returns within a minute: its workload stays', async () => {
    const [gone = ''] = names;
    await plane.request('PATCH', `${pools}/${gone}`, { metadata: { labels: { shop: null } } });
    await app.poolIs(gone, 'Lost');
    await plane.request('PATCH', `${pools}/${gone}`, { metadata: { labels: { shop: 'yes' } } });
    await app.poolIs(gone, 'Complete');
  });

  await report.check('the end is exact: no workload doubled, lost or made again', async () => {
    const uids = await app.uids();
    expectThat(JSON.stringify(uids) === JSON.stringify(original), `${uids.join()} instead of ${original.join()}`);
  });
}

/** The leader is killed and started again: in the middle of what it does, since it has just been given something to do. */
async function killLeader(replicas: Replicas): Promise<void> {
  const leader = (await replicas.leader()) ?? replicaNames[0];
  await replicas.kill(leader);
  await replicas.start(leader);
}

/** Pools with one node each. The node controller is off here, so a node that was ready once stays so. */
async function makeShops(plane: ControlPlane, names: readonly string[]): Promise<void> {
  const kind = { apiVersion: 'apps.openyurt.io/v1beta2', kind: 'NodePool' };
  const conditions = [{ type: 'Ready', status: 'True', reason: 'Drill', message: '' }];
  for (const name of names) {
    await plane.request('POST', pools, {
      ...kind,
      metadata: { name, labels: { shop: 'yes' } },
      spec: { type: 'Edge' },
    });
    const metadata = { name: `node-of-${name}`, labels: { [poolLabel]: name } };
    await plane.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata });
    await plane.request('PATCH', `/api/v1/nodes/node-of-${name}/status`, { status: { conditions } });
  }
}
