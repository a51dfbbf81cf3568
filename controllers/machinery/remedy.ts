// What a person has to do when the API server refuses the controllers something: in the log and in /readyz.
import { ApiError, isNotFound } from './errors.ts';
import { apiVersionOf, type Resource } from './resource.ts';

/** The refusal and the way out of it, as one line; undefined for what passes by itself, or has no remedy that is known. */
export function remedyOf(error: unknown, resource: Resource): string | undefined {
  if (!(error instanceof ApiError)) return undefined;
  const { group, resource: plural } = resource;
  if (isNotFound(error))
    return group.includes('.') && !group.endsWith('.k8s.io')
      ? `the API server does not serve ${plural} in ${apiVersionOf(resource)}: kubectl apply -f config/crds/${group}_${plural}.yaml`
      : `the API server does not serve ${plural} in ${apiVersionOf(resource)}: it has to be Kubernetes 1.30 or later`;
  // Its message names the identity, the verb and the resource.
  if (error.status === 403)
    return `${error.message}: kubectl apply -k config/controllers, and see that the kubeconfig is of the service account that it names`;
  if (error.status === 401)
    return `${error.message}: the credential is not valid, or not any more: make the kubeconfig anew (config/controllers/README.md)`;
  // OpenYurt's CRDs name a webhook of its manager, which stops with it; ours needs none.
  if (error.status === 500 && group.includes('.') && error.message.includes('conversion webhook'))
    return `${error.message}: objects are stored in an earlier version, and nobody converts them any more: kubectl replace -f config/crds/${group}_${plural}.yaml`;
  return undefined;
}
