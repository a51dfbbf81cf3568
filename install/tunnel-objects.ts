// What the tunnel needs beyond config/, since it is each cluster's own: certificates, and where agents find the servers.
import { tunnelCertificates, type KeptPair } from '../controllers/tunnel-certificate/certificates.ts';
import { authorityName, namespace, pairData, pairOf, serverName } from '../controllers/tunnel-certificate/secrets.ts';
import { formatEndpoint, type ControlPlaneNode } from './cluster-facts.ts';
import type { ClusterObject } from './manifests.ts';

/** Read by nodes when they are converted. */
export const agentsName = 'holdfast-tunnel';
export const tunnelPort = 10_262;
/** On the ConfigMap: somebody said which servers there are, so control planes that come and go do not change it. */
const givenAnnotation = 'holdfast.dev/tunnel-servers-given';

/** A ConfigMap or Secret as the API server gives it. */
export interface KeptObject {
  readonly metadata: { readonly annotations?: Readonly<Record<string, string>> };
  readonly data?: Readonly<Record<string, string>>;
}

export interface TunnelFacts {
  readonly agents: KeptObject | undefined;
  readonly authority: KeptObject | undefined;
  readonly server: KeptObject | undefined;
  readonly controlPlanes: readonly ControlPlaneNode[];
  /** HOST:PORT, as somebody said them; empty when nobody did. */
  readonly given: readonly string[];
}

export interface TunnelObjects {
  readonly objects: readonly ClusterObject[];
  /** HOST:PORT; empty when nothing is known to be one. */
  readonly servers: readonly string[];
  readonly made: readonly string[];
}

export function tunnelObjects(facts: TunnelFacts, now: Date): TunnelObjects {
  const wasGiven = facts.agents?.metadata.annotations?.[givenAnnotation] === 'true';
  const isGiven = facts.given.length > 0 || wasGiven;
  const servers =
    facts.given.length > 0
      ? facts.given
      : wasGiven
        ? (facts.agents?.data?.['servers'] ?? '').split(/\s+/).filter((text) => text !== '')
        : facts.controlPlanes.flatMap(({ addresses }) =>
            addresses.slice(0, 1).map((host) => formatEndpoint(host, tunnelPort)),
          );
  const names = [
    serverName,
    ...servers.map((server) => server.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')),
    ...facts.controlPlanes.flatMap(({ name, addresses }) => [name, ...addresses]),
  ];
  const { authority, server, made } = tunnelCertificates(
    { authority: pairOf(facts.authority), server: pairOf(facts.server) },
    [...new Set(names)],
    now,
  );
  const metadata = (name: string): ClusterObject['metadata'] => ({
    name,
    namespace,
    labels: { 'app.kubernetes.io/part-of': 'holdfast' },
  });
  const secret = (name: string, pair: KeptPair): ClusterObject => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: metadata(name),
    type: 'kubernetes.io/tls',
    data: pairData(pair),
  });
  return {
    servers,
    made,
    objects: [
      secret(authorityName, authority),
      secret(serverName, server),
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: {
          ...metadata(agentsName),
          ...(isGiven ? { annotations: { [givenAnnotation]: 'true' } } : {}),
        },
        data: { servers: servers.join(' '), 'ca.crt': authority.certificate },
      },
    ],
  };
}
