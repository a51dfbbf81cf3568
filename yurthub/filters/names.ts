// The filters by the names that settings, metrics and logs use.

export const filterNames = [
  'host-network',
  'hub-ca',
  'hub-endpoint',
  'hub-service',
  'image-pull-policy',
  'kube-proxy-config',
  'load-balancers',
  'local-endpoints',
  'node-ports',
  'peer-endpoints',
  'service-topology',
  'stand-ins',
] as const;
export type FilterName = (typeof filterNames)[number];

/** Whoever is led to the hub has to trust it. */
export const filtersThatNeedTrust: readonly FilterName[] = ['hub-endpoint', 'hub-service', 'kube-proxy-config'];
