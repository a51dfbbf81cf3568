// Single objects: 404 for what is known to be absent, 503 for what is not known.
import { json, protobuf } from '../asker.ts';
import { asks, type ContractCase } from '../contract-case.ts';
import { widgets } from '../seed.ts';

const configMaps = '/api/v1/namespaces/a/configmaps';
const either = { headers: { accept: `${protobuf},${json}` } };
const future = '999999999';
const unknown = (reason: string): { offlineInstead: { statuses: number[]; reason: string } } => ({
  offlineInstead: { statuses: [503], reason },
});

export const objectCases: readonly ContractCase[] = [
  asks('an object of a kept collection', 200, `${configMaps}/db`),
  asks('an object of a kept collection, in the other encoding', 200, `${configMaps}/db`, either),
  asks('an object at any version', 200, `${configMaps}/db?resourceVersion=0`),
  asks(
    'an object not older than a version',
    200,
    (known) => `${configMaps}/last?resourceVersion=${known.configMapVersion}`,
  ),
  asks('an object of the future', 504, `${configMaps}/db?resourceVersion=${future}`),
  asks('an object at no version', 500, `${configMaps}/db?resourceVersion=abc`),
  asks('an object that a complete collection does not have', 404, `${configMaps}/nosuch`),
  asks('the same as protobuf', 404, `${configMaps}/nosuch`, either),
  asks('a node that there is not', 404, '/api/v1/nodes/nosuch', either),
  asks('a widget that there is not', 404, `${widgets('a')}/nosuch`),
  asks('a name that cannot be', 404, `${configMaps}/Bad_Name`),
  asks(
    'an object of a collection that is not kept',
    404,
    '/api/v1/namespaces/a1/configmaps/nosuch',
    unknown('the collection is not kept'),
  ),
  asks('a pod of another node', 200, '/api/v1/namespaces/a/pods/third', unknown('only the pods of edge1 are kept')),
  asks(
    'a pod that there is not',
    404,
    '/api/v1/namespaces/a/pods/nosuch',
    unknown('it might be a pod of another node'),
  ),
  asks('a pod of this node', 200, '/api/v1/namespaces/a/pods/first', either),
  asks('a configmap of a selected view', 200, '/api/v1/namespaces/a1/configmaps/elsewhere'),
  asks('what was read by name', 200, '/api/v1/namespaces/unkept/configmaps/unseen'),
  asks('what was read by name, in the other encoding', 200, '/api/v1/namespaces/unkept/configmaps/unseen', either),
  asks('a namespace', 200, '/api/v1/namespaces/a'),
  asks('what was read by name as protobuf, as JSON', 200, '/api/v1/namespaces/kube-system'),
  asks('a custom resource', 200, `${widgets('a')}/w2`),
  asks('a custom resource, protobuf or JSON', 200, `${widgets('a')}/w2`, either),
];
