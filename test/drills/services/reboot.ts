// (c) The power fails while the cloud is gone, and the pods come back with other addresses: the API server's
// EndpointSlices still have the old ones.
import { waitFor } from '../../cluster/commands.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import { expectThat } from '../report.ts';
import { apiAnswers, applicationAddresses, headlessIsRight, serviceAnswers, staysOnTheNode } from './checks.ts';
import { clientState } from './client-state.ts';
import type { Stage } from './stage.ts';

/** A service works again long before that; a connected node without the hub is the yardstick, and is printed. */
const worksMs = 180_000;

export interface Times {
  podsMs: number;
  serviceMs: number;
  /** The API, by in-cluster configuration and by the name of its Service. */
  getMs: number;
  listMs: number;
}

export async function yardstick(stage: Stage): Promise<Times | undefined> {
  let times: Times | undefined;
  await stage.report.check('yardstick: reboot of a connected node without the hub', async () => {
    await stage.podsAreReady(stage.plain);
    times = await timed(stage.plain, () => stage.rebootPlain());
    return text(times);
  });
  return times;
}

export async function rebootOffline(stage: Stage, connected: Times | undefined): Promise<void> {
  const { report, edge } = stage;
  const before = await applicationAddresses(stage);
  let times: Times | undefined;
  await report.check('after a reboot with the cloud gone the service works by its name', async () => {
    times = await timed(edge, () => stage.rebootEdge());
    return `${text(times)}${connected === undefined ? '' : ` (connected: ${text(connected)})`}`;
  });
  await report.check('no later than on a connected node without the hub', () => {
    expectThat(times !== undefined && connected !== undefined, 'not measured');
    const ratio = times.serviceMs / connected.serviceMs;
    expectThat(stage.quick || ratio <= 1, `${ratio.toFixed(2)} times`);
    return `${ratio.toFixed(2)} times${stage.quick ? ', judged in the full form' : ''}`;
  });
  await report.check('no pod of the application has the address that it had', async () => {
    const after = await applicationAddresses(stage);
    const same = [...after].filter(([name, address]) => before.get(name) === address).map(([name]) => name);
    expectThat(after.size === before.size, `${after.size} pods, ${before.size} before`);
    expectThat(same.length === 0, `still the same: ${same.join(', ')}`);
    return `${[...before.values()].join(' ')} → ${[...after.values()].join(' ')}`;
  });
  await report.check('each pod answers for the service', () => serviceAnswers(stage, edge, 180_000));
  await report.check('the headless service gives the new addresses', () =>
    headlessIsRight(stage, stage.deadline(2_000)),
  );
  await report.check('a Service that asks for it is kept to the node', () => staysOnTheNode(stage));
  await report.check('the client gets, lists and watches', async () => {
    await apiAnswers(stage, edge, stage.deadline(5_000));
    const { configMaps } = clientState(edge);
    expectThat('settings' in configMaps, `the watch has shown ${Object.keys(configMaps).join(', ') || 'nothing'}`);
  });
}

/** Milliseconds from the start of `reboot`'s power-on to the first success of each kind in the new client. */
async function timed(node: EdgeNode, reboot: () => Promise<{ ms: number }>): Promise<Times> {
  const offAt = Date.now();
  const { ms: podsMs } = await reboot();
  const onAt = Date.now() - podsMs;
  const state = await waitFor(
    'the service works and the API answers',
    () => {
      const now = clientState(node);
      if (now.startedAt < offAt) return undefined;
      if (now.service.firstOk > 0 && now.get.firstOk > 0 && now.list.firstOk > 0) return now;
      throw new Error(`service: ${now.service.lastError}; get: ${now.get.lastError}; list: ${now.list.lastError}`);
    },
    { deadlineMs: worksMs, everyMs: 50 },
  );
  const since = (time: number): number => time - onAt;
  const { service, get, list } = state;
  return { podsMs, serviceMs: since(service.firstOk), getMs: since(get.firstOk), listMs: since(list.firstOk) };
}

function text({ podsMs, serviceMs, getMs, listMs }: Times): string {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const api = `API ${seconds(getMs)}, by its name ${seconds(listMs)}`;
  return `service ${seconds(serviceMs)}, ${api}, pods Ready ${seconds(podsMs)}`;
}
