// What the demo shows and writes, as pure functions.
import type { Fault } from '../runtime/tcp-relay.ts';
import type { HubStatus } from '../yurthub/hub.ts';
import type { DemoCluster } from './demo-cluster.ts';
import type { PlainTarget } from './plain-client.ts';

/** The live line: the link, what the hub knows of it, what it holds, and how old that is. */
export function statusLine(
  { cloud, views, objects, watchers }: Pick<HubStatus, 'cloud' | 'views' | 'objects' | 'watchers'>,
  fault: Fault | undefined,
  nowMs: number,
): string {
  const link = { none: 'link up', blackhole: 'link CUT (black hole)', refuse: 'link CUT (refused)' }[fault ?? 'none'];
  const seconds = Math.max(0, Math.floor((nowMs - cloud.sinceMs) / 1000));
  const since = new Date(cloud.sinceMs).toISOString().slice(11, 19);
  const reach = cloud.reachable ? `cloud reachable since ${since}` : `cloud OUT OF REACH since ${since}`;
  const age = cloud.reachable ? 'live' : `${seconds} s old`;
  return `${link} | ${reach} | ${views} views, ${objects} objects, ${watchers} watches | answers: ${age}`;
}

/** A kubeconfig (JSON is YAML) for kubectl through the hub, with the credential that the hub itself has. */
export function demoKubeconfig(
  { url, caPem }: PlainTarget,
  { credential, namespace, watched }: Pick<DemoCluster, 'credential' | 'namespace' | 'watched'>,
): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const user = {
    'client-certificate-data': base64(credential.certificatePem),
    'client-key-data': base64(credential.privateKeyPem),
  };
  // In a cluster of a person's own the script's namespace is not there, so the default one is the better start.
  const context = { cluster: 'hub', user: 'hub', ...(watched === 'pods' ? { namespace } : {}) };
  return `${JSON.stringify(
    {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'hub', cluster: { server: url, 'certificate-authority-data': base64(caPem) } }],
      users: [{ name: 'hub', user }],
      contexts: [{ name: 'hub', context }],
      'current-context': 'hub',
    },
    undefined,
    2,
  )}\n`;
}
