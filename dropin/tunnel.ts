// Where the tunnel servers are, as `holdfast install` published it for nodes: the ConfigMap kube-system/holdfast-tunnel, by the rights of
// config/rbac/node.yaml.
import type { NodeApi } from './host.ts';
import type { Tunnel } from './plan.ts';

const place = '/api/v1/namespaces/kube-system/configmaps/holdfast-tunnel';

/** Undefined where there is none or the node may not read it: then it is converted without. Never rejects. */
export async function tunnelOf(cloud: NodeApi): Promise<Tunnel | undefined> {
  const answer = await cloud.request({ method: 'GET', path: place }).catch(() => undefined);
  if (answer?.status !== 200) return undefined;
  const { data = {} } = JSON.parse(answer.body.toString('utf8')) as { data?: Readonly<Record<string, string>> };
  const servers = (data['servers'] ?? '').split(/\s+/).filter((text) => text !== '');
  const certificateAuthority = data['ca.crt'] ?? '';
  return servers.length === 0 || certificateAuthority === '' ? undefined : { servers, certificateAuthority };
}
