// What has to hold on a node with services whatever its link is like, seen from the client in a pod.
import { waitFor } from '../../cluster/commands.ts';
import type { EdgeNode } from '../../cluster/node.ts';
import type { Pod } from '../pods.ts';
import { expectThat } from '../report.ts';
import { headlessName, namespace, replicas, serviceName, sharedService } from './application.ts';
import { clientState } from './client-state.ts';
import type { Attempts, ClientState } from './client-state.ts';
import type { Stage } from './stage.ts';

/** A program of the node itself: one line for each answer, on a connection of its own. */
const askEightTimes = `
for (let count = 0; count < 8; count += 1) {
  const options = { headers: { connection: 'close' }, signal: AbortSignal.timeout(20000) };
  const text = await fetch(process.argv[1], options).then((answer) => answer.text(), String);
  console.log(text.trim());
}`;
const kinds = ['service', 'get', 'list'] as const;

/** Each of the application's pods answers for the service from now on. */
export async function serviceAnswers(stage: Stage, node: EdgeNode, deadlineMs: number): Promise<string> {
  const before = clientState(node).answers;
  return waitFor(
    'each pod has answered for the service',
    () => {
      const { answers, service } = clientState(node);
      const names = Object.keys(answers).filter((name) => (answers[name] ?? 0) > (before[name] ?? 0));
      if (names.length >= replicas) return names.join(', ');
      throw new Error(`answered: ${names.join(', ') || 'none'}; ${service.lastError}`);
    },
    { deadlineMs, everyMs: 100, signal: stage.signal },
  );
}

/** The client gets, lists and has a complete watch from now on. */
export async function apiAnswers(stage: Stage, node: EdgeNode, deadlineMs: number): Promise<void> {
  const before = clientState(node);
  await waitFor(
    'the client gets, lists and watches',
    () => {
      const { get, list, synced, startedAt } = clientState(node);
      const same = startedAt === before.startedAt;
      const more = (now: Attempts, then: Attempts): boolean => now.ok > (same ? then.ok : 0);
      if (more(get, before.get) && more(list, before.list) && synced) return true;
      throw new Error(`synced: ${String(synced)}; get: ${get.lastError}; list: ${list.lastError}`);
    },
    { deadlineMs, everyMs: 100, signal: stage.signal },
  );
}

/** The watch has shown this value of the ConfigMap. */
export async function watchShows(stage: Stage, value: string, deadlineMs: number): Promise<void> {
  const shown = (): boolean => clientState(stage.edge).configMaps['settings'] === value;
  await waitFor(`the watch shows ${value}`, shown, { deadlineMs, everyMs: 20, signal: stage.signal });
}

/** No attempt has failed since `before`, and none is under way for longer than an attempt may take. */
export function noneFailed(before: ClientState, now: ClientState): string {
  expectThat(now.startedAt === before.startedAt, 'the client was restarted');
  for (const kind of kinds) {
    const failed = now[kind].failed - before[kind].failed;
    expectThat(failed === 0, `${failed} of kind ${kind} failed, the last: ${now[kind].lastError}`);
    expectThat(now[kind].ok > before[kind].ok, `none of kind ${kind} succeeded`);
  }
  return kinds.map((kind) => `${kind} ${now[kind].ok - before[kind].ok}, longest ${now[kind].longestMs} ms`).join('; ');
}

/** The pods of the application as the hub shows them, with their addresses as they themselves see them. */
export async function applicationAddresses(stage: Stage): Promise<Map<string, string>> {
  const pods = (await stage.edgePods()).filter(isApplication);
  const addresses = new Map<string, string>();
  for (const { metadata } of pods) {
    const address = (await stage.edge.execInPod(metadata.uid, 'main', ['hostname', '-i'])).trim();
    addresses.set(metadata.name, address);
  }
  return addresses;
}

/** Connections to the Service of all nodes' pods that asks to be kept to the node: each other would time out here. */
export async function staysOnTheNode(stage: Stage): Promise<string> {
  const url = `/api/v1/namespaces/${namespace}/services/${sharedService}`;
  const { spec } = await stage.cloud.request<{ spec: { clusterIP: string } }>('GET', url);
  const argv = [process.execPath, '--input-type=module', '--eval', askEightTimes, `http://${spec.clusterIP}/`];
  const answers = (await stage.edge.enter(argv)).trim().split('\n');
  const strangers = answers.filter((name) => !name.startsWith(serviceName('edge')));
  expectThat(answers.length === 8 && strangers.length === 0, answers.join(', '));
  return `${answers.length} of ${answers.length}`;
}

/** What CoreDNS gives for the headless service, to a pod that asks by way of the cluster's DNS service. */
export async function headlessAddresses(stage: Stage): Promise<string[]> {
  const name = `${headlessName(stage.edge.name)}.${namespace}.svc.cluster.local`;
  const client = (await stage.edgePods()).find(({ metadata }) => metadata.labels?.['app'] === 'client-edge');
  if (client === undefined) throw new Error('the client has no pod');
  const answer = await stage.edge.execInPod(client.metadata.uid, 'main', ['nslookup', '-type=a', name]);
  return [...answer.matchAll(/^Name:.*\nAddress: (\S+)/gm)].map(([, address = '']) => address).sort();
}

/** The name leads to the pods where they are. */
export async function headlessIsRight(stage: Stage, deadlineMs: number): Promise<string> {
  const actual = [...(await applicationAddresses(stage)).values()].sort().join(' ');
  await waitFor(
    `the headless service's name gives ${actual}`,
    async () => {
      const given = (await headlessAddresses(stage)).join(' ');
      if (given === actual) return true;
      throw new Error(`it gives ${given || 'none'}`);
    },
    { deadlineMs, everyMs: 200, signal: stage.signal },
  );
  return actual;
}

function isApplication({ metadata }: Pod): boolean {
  return metadata.labels?.['app'] === serviceName('edge');
}
