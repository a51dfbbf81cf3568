// A load balancer of the cloud is of no use at a site, and in the way: kube-proxy takes its address for the Service's own
// and sends what is meant for the cloud to endpoints that a site cannot reach. Services that say so are not shown on this
// node. Which do not say so stay: a site may have load balancers of its own, and nothing else tells them apart.
import { annotationsOf, mayHave } from './annotations.ts';
import type { Wire } from '../../kube/wire.ts';
import { fieldText } from '../../kube/plain-object.ts';
import type { Collection, Filter } from '../views/presenter.ts';
import { isOf } from './collection.ts';

/** OpenYurt's annotation on a Service of type LoadBalancer: 'true' hides it. */
export const discardAnnotation = 'svc.openyurt.io/discard';

const serviceType = { apiVersion: 'v1', kind: 'Service' };

export class LoadBalancerFilter implements Filter {
  readonly name = 'load-balancers';

  concerns(collection: Collection): boolean {
    return isOf(collection, '', 'services');
  }

  apply(wire: Wire, bytes: Buffer): Buffer | undefined {
    if (!mayHave(bytes, discardAnnotation)) return bytes;
    const service = wire.decode(serviceType, bytes);
    const isBalanced = fieldText(service, 'spec.type') === 'LoadBalancer';
    return isBalanced && annotationsOf(service)[discardAnnotation] === 'true' ? undefined : bytes;
  }
}
