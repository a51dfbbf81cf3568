// The object in the body of a write, and objects as answers: a client may send one encoding and ask for the other.
import { UnknownKindError, WireError } from '../../kube/errors.ts';
import { failure, type StatusError } from '../../kube/status.ts';
import type { Encoding, Item, KubeObject, TypeMeta, Wire } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import { encodingFor } from '../answers.ts';
import type { HubRequest, HubResponse } from '../types.ts';

/** One object as it came over the wire: `body` with its envelope. */
export interface WireObject {
  readonly wire: Wire;
  readonly typeMeta: TypeMeta;
  readonly item: Item;
  readonly body: Buffer;
}

/** A request that is answered with this Status. */
export class RefusedError extends Error {
  readonly code = 'ERR_WRITE_REFUSED';
  readonly answer: StatusError;

  constructor(answer: StatusError) {
    super(String(answer.status['message']));
    this.name = 'RefusedError';
    this.answer = answer;
  }
}

/** 503: only the cloud can do this, or knows it; nothing was changed. */
export function needsCloud(what: string): RefusedError {
  return new RefusedError(failure('ServiceUnavailable', `holdfast: the API server is out of reach, and ${what}`, 5));
}

export function encodingOf(contentType: string | undefined): Encoding | undefined {
  const mediaType = (contentType ?? 'application/json').split(';')[0]?.trim();
  if (mediaType === 'application/vnd.kubernetes.protobuf') return 'protobuf';
  return mediaType === 'application/json' || mediaType === '' ? 'json' : undefined;
}

/** Throws RefusedError: 400 for a body that is no object, 503 for an encoding that only the API server reads. */
export function readObject(body: Buffer, contentType: string | undefined): WireObject {
  const encoding = encodingOf(contentType);
  if (encoding === undefined) throw needsCloud('no other reads this encoding');
  const wire = wireFor(encoding);
  return { wire, body, ...asBadRequest(() => wire.scanObject(body)) };
}

/** The plain values, with apiVersion and kind. Throws RefusedError (400). */
export function valuesOf({ wire, typeMeta, item }: WireObject): KubeObject {
  return asBadRequest(() => wire.decode(typeMeta, item.bytes));
}

/** Throws RefusedError (400) for text that is no JSON object. */
export function parsePatch(body: Buffer): KubeObject {
  const patch = asBadRequest(() => JSON.parse(body.toString()) as unknown);
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch))
    throw new RefusedError(failure('BadRequest', 'holdfast: the patch is no JSON object'));
  return patch as KubeObject;
}

function asBadRequest<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof WireError || error instanceof UnknownKindError || error instanceof SyntaxError)
      throw new RefusedError(failure('BadRequest', `holdfast: the body cannot be read: ${error.message}`));
    throw error;
  }
}

/** Answers with an object as it came: its very bytes when the client takes that encoding. */
export function sendWireObject(
  request: HubRequest,
  response: HubResponse,
  statusCode: number,
  object: WireObject,
): void {
  const encoding = encodingFor(request);
  const { typeMeta, item, wire } = object;
  if (encoding === wire.encoding) sendBody(response, statusCode, wire, object.body);
  else sendObject(request, response, statusCode, wire.decode(typeMeta, item.bytes));
}

/** Answers with plain values (apiVersion and kind among them) in the encoding that the client takes. */
export function sendObject(request: HubRequest, response: HubResponse, statusCode: number, object: KubeObject): void {
  const wire = wireFor(encodingFor(request));
  sendBody(response, statusCode, wire, wire.body(object));
}

function sendBody(response: HubResponse, statusCode: number, wire: Wire, body: Buffer): void {
  response.head(statusCode, {
    'content-type': wire.contentType,
    'content-length': String(body.length),
    'cache-control': 'no-cache, private',
  });
  response.end(body);
}
