// Which writes of the node the hub can stand in for while the cloud is out of reach. Everything else needs the cloud.
import type { ResourceRequest } from '../../kube/request-info.ts';
import type { WriteKind } from './metrics.ts';

export const leaseNamespace = 'kube-node-lease';

/** Undefined for a request that is not ours. `nodeName` is the node that the hub serves. */
export function routeOf(info: ResourceRequest, nodeName: string): WriteKind | undefined {
  const { group, version, resource, subresource, verb, namespace, name } = info;
  // A dry run changes nothing, so there is nothing to stand in for.
  if (info.query.has('dryRun')) return undefined;
  switch (`${group}/${resource}/${subresource}`) {
    case 'coordination.k8s.io/leases/': {
      if (version !== 'v1' || namespace !== leaseNamespace) return undefined;
      const own = name === nodeName && (verb === 'get' || verb === 'update');
      return verb === 'create' || own ? 'lease' : undefined;
    }
    case '/nodes/':
      return verb === 'create' ? 'node' : undefined;
    case '/nodes/status':
      return name === nodeName && (verb === 'patch' || verb === 'update') ? 'status' : undefined;
    case '/pods/status':
      return verb === 'patch' || verb === 'update' ? 'status' : undefined;
    case '/events/':
    case 'events.k8s.io/events/':
      return version === 'v1' && namespace !== '' && (verb === 'create' || verb === 'patch') ? 'event' : undefined;
    case '/serviceaccounts/token':
      return verb === 'create' ? 'token' : undefined;
    case 'authentication.k8s.io/tokenreviews/':
    case 'authorization.k8s.io/subjectaccessreviews/':
      return version === 'v1' && verb === 'create' ? 'review' : undefined;
    default:
      return undefined;
  }
}
