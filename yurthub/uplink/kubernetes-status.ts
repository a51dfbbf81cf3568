// Tells a 503 of an API server from a 503 of a load balancer in front of it: only the first carries a Status.
import { gunzipSync } from 'node:zlib';

/** A Status is small; what is longer is a page for people. */
export const maxStatusBytes = 64 << 10;

/** Codes that a gateway gives when what is behind it does not answer. */
export function isGatewayCode(statusCode: number): boolean {
  return statusCode === 502 || statusCode === 503 || statusCode === 504;
}

/** Whether a whole body is a Kubernetes Status, in JSON or protobuf, compressed or not. */
export function isStatusBody(body: Buffer, contentEncoding: string | undefined): boolean {
  try {
    const plain = contentEncoding === 'gzip' ? gunzipSync(body, { maxOutputLength: maxStatusBytes }) : body;
    if (plain.length > 4 && plain.toString('latin1', 0, 4) === 'k8s\0') return isProtobufStatus(plain);
    const value: unknown = JSON.parse(plain.toString('utf8'));
    return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'Status';
  } catch {
    return false; // Neither gzip nor JSON: whatever it is, it is no Status.
  }
}

const statusTypeMeta = '\x0a\x0c\x0a\x02v1\x12\x06Status';

/** runtime.Unknown begins with TypeMeta: field 1, of which field 1 is apiVersion 'v1' and field 2 kind 'Status'. */
function isProtobufStatus(body: Buffer): boolean {
  return body.toString('latin1', 4, 4 + statusTypeMeta.length) === statusTypeMeta;
}
