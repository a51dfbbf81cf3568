// How the API server refuses an Accept header: its router looks at the media types alone, before its negotiation looks at
// the rest (github.com/emicklei/go-restful, k8s.io/apiserver/pkg/endpoints/handlers/negotiation).
import { failure, type StatusError } from './status.ts';

const mediaTypes = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
const watchTypes = ['application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch'];

/** 406 to a client that takes nothing of what there is. */
export function notAcceptable(accept: string | undefined, verb: 'get' | 'list' | 'watch'): StatusError {
  if (!isRouted(accept)) {
    const available = (verb === 'get' ? mediaTypes : [...mediaTypes, ...watchTypes]).join(', ');
    const refusal = failure('NotAcceptable', `406: Not Acceptable\n\nAvailable representations: ${available}`);
    const { code, ...status } = refusal.status;
    return { ...refusal, status: { ...status, details: {}, code } };
  }
  return failure('NotAcceptable', `only the following media types are accepted: ${mediaTypes.join(', ')}`);
}

/** False for a header that the API server's router does not let through, whatever its negotiation would make of it. */
export function isRouted(accept: string | undefined): boolean {
  if (accept === undefined || accept === '') return true;
  const types = accept.split(',').map((range) => range.split(';')[0]?.trim() ?? '');
  return types.some((type) => type === '*/*' || mediaTypes.includes(type));
}
