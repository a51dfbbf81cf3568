// Pods on this node that talk to the API server by its Service are led to the hub, so they have to trust its certificate:
// the hub's CA is appended to `kube-root-ca.crt`, which every service account volume carries. On this node only, since
// the CA is this node's own.
//
// Where the ConfigMap is asked for by name, as the kubelet does (it may do nothing else). Whoever lists ConfigMaps of many
// names may mean to write them back, and gets them as they are.
import { child } from '../../kube/plain-object.ts';
import type { Wire } from '../../kube/wire.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { isOf, onlyName } from './collection.ts';

const configMapType = { apiVersion: 'v1', kind: 'ConfigMap' };
const rootCaName = 'kube-root-ca.crt';
const key = 'ca.crt';

export class HubCaFilter implements Filter {
  readonly name = 'hub-ca';
  readonly #caPem: string;

  constructor(caPem: string) {
    this.#caPem = caPem.trim();
  }

  concerns(collection: Collection): boolean {
    return isOf(collection, '', 'configmaps') && onlyName(collection) === rootCaName;
  }

  apply(wire: Wire, bytes: Buffer): Buffer {
    const configMap = wire.decode(configMapType, bytes);
    const data = child(configMap, 'data');
    const pem = data[key];
    if (typeof pem !== 'string' || pem.includes(this.#caPem)) return bytes;
    const separator = pem === '' || pem.endsWith('\n') ? '' : '\n';
    return wire.encode(configMapType, { ...configMap, data: { ...data, [key]: `${pem}${separator}${this.#caPem}\n` } });
  }
}
