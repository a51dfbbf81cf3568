// What is asked of a hub before its store is taken away, and of the hub of today that opens it.

export interface Question {
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
  readonly body?: string;
}

export interface Expected {
  readonly target: string;
  readonly status: number;
  readonly type: string;
  /** In base64. */
  readonly body: string;
}

export const configMaps = '/api/v1/namespaces/default/configmaps';
const protobuf = { accept: 'application/vnd.kubernetes.protobuf,application/json' };
const strategic = 'application/strategic-merge-patch+json';

export const questions: readonly Question[] = [
  // A list in a segment, one of records, sealed ones; in both encodings.
  { target: `${configMaps}?resourceVersion=0` },
  { target: `${configMaps}?labelSelector=no%3Dsuch&resourceVersion=0` },
  { target: '/api/v1/pods?fieldSelector=spec.nodeName%3Dedge1&resourceVersion=0', headers: protobuf },
  { target: '/api/v1/nodes?fieldSelector=metadata.name%3Dedge1&resourceVersion=0', headers: protobuf },
  { target: '/api/v1/namespaces/default/secrets?resourceVersion=0', headers: protobuf },
  { target: '/api/v1/namespaces/default/secrets/password' },
  // By name, and documents.
  { target: '/api/v1/persistentvolumes/disk', headers: protobuf },
  { target: '/api/v1' },
  { target: '/version' },
  // A token that is given out again, and writes that have to survive: the status of a pod, an event.
  {
    method: 'POST',
    target: '/api/v1/namespaces/default/serviceaccounts/app/token',
    body: JSON.stringify({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: [], expirationSeconds: 3600 },
    }),
  },
  {
    method: 'PATCH',
    target: '/api/v1/namespaces/default/pods/web/status',
    headers: { 'content-type': strategic },
    body: JSON.stringify({ status: { phase: 'Running', podIP: '10.1.0.9', podIPs: [{ ip: '10.1.0.9' }] } }),
  },
  { target: '/api/v1/namespaces/default/pods/web' },
];
