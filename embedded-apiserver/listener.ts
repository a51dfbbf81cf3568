// HTTP for the embedded API server: TLS with HTTP/2 and HTTP/1.1, who the client is, and which encoding it gets.
import http2 from 'node:http2';
import type { Http2SecureServer, Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { negotiate } from '../kube/accept.ts';
import { protobufWire } from '../kube/protobuf/protobuf-wire.ts';
import { failure } from '../kube/status.ts';
import type { StatusError } from '../kube/status.ts';
import { requestInfo } from '../kube/request-info.ts';
import type { KubeObject } from '../kube/wire.ts';
import type { Authenticator, User } from './authentication.ts';
import { ApiError } from './errors.ts';
import { isObject } from '../kube/plain-object.ts';

/** How the client wants objects: as they are, or as Tables. */
export interface Accepted {
  readonly asTable: boolean;
}

export interface ApiCall {
  readonly method: string;
  readonly target: string;
  readonly user: User;
  readonly accepted: Accepted;
  readonly contentType: string;
  /** {} without a body. */
  readonly body: KubeObject;
}

/** A stream of JSON documents; `onClose` is called once when it has ended, whoever ended it. */
export interface DocumentStream {
  send(document: KubeObject): void;
  end(): void;
  onClose(listener: () => void): void;
}

export type ApiAnswer =
  | { readonly code: number; readonly object: KubeObject }
  | { readonly code: number; readonly text: string }
  | { readonly watch: (stream: DocumentStream) => void };

const maxBodyBytes = 3 * 1024 * 1024;
/** A watcher that does not read is cut off at this many bytes, as the API server's is at 100 events or so. */
const maxQueuedBytes = 16 * 1024 * 1024;

/** Not yet listening. `handle` may throw ApiError. */
export function createListener(
  tls: { readonly key: string; readonly cert: string; readonly ca: string },
  authenticator: Authenticator,
  handle: (call: ApiCall) => ApiAnswer,
): Http2SecureServer {
  // A certificate of another CA must reach us to be answered with 401, as the API server does.
  return http2.createSecureServer(
    { ...tls, allowHTTP1: true, requestCert: true, rejectUnauthorized: false, settings: { maxConcurrentStreams: 100 } },
    (request, response) => {
      // A client that leaves in the middle is no news.
      request.on('error', () => undefined);
      response.on('error', () => undefined);
      answer(request, response, authenticator, handle).catch((error: unknown) => {
        sendStatus(
          response,
          error instanceof ApiError ? error.answer : failure('InternalError', `Internal error: ${String(error)}`),
        );
      });
    },
  );
}

async function answer(
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  authenticator: Authenticator,
  handle: (call: ApiCall) => ApiAnswer,
): Promise<void> {
  const user = authenticator.identify(verifiedCertificate(request), request.headers.authorization);
  if (user === undefined) throw new ApiError('Unauthorized', 'Unauthorized');
  const info = parseTarget(request);
  const isApi = info.isResource || info.path.startsWith('/api');
  const accepted = isApi ? accepts(request.headers.accept) : { asTable: false };
  const body = await readBody(request);
  if (request.stream?.destroyed === true) return;
  const result = handle({
    method: request.method,
    target: request.url,
    user,
    accepted,
    contentType: (request.headers['content-type'] ?? '').split(';')[0]?.trim() ?? '',
    body,
  });
  if ('watch' in result) {
    response.writeHead(200, { 'content-type': 'application/json' });
    // Clients take the headers for the proof that the watch is established.
    // It is there for both protocols; @types/node does not know.
    (response as unknown as { flushHeaders(): void }).flushHeaders();
    result.watch(documentStream(response));
  } else if ('text' in result) {
    response.writeHead(result.code, { 'content-type': 'text/plain; charset=utf-8' });
    response.end(result.text);
  } else sendJson(response, result.code, result.object);
}

function verifiedCertificate(request: Http2ServerRequest): ReturnType<TLSSocket['getPeerCertificate']> | undefined {
  const socket = (request.stream?.session?.socket ?? request.socket) as TLSSocket;
  if (!socket.authorized) return undefined;
  return socket.getPeerCertificate();
}

function parseTarget(request: Http2ServerRequest): ReturnType<typeof requestInfo> {
  try {
    return requestInfo(request.method, request.url);
  } catch {
    throw new ApiError('BadRequest', 'the path cannot be decoded');
  }
}

/** Objects go out as JSON alone. Throws 406 when the client takes none: protobuf only, above all. */
function accepts(accept: string | undefined): Accepted {
  const { encoding, as, plainAcceptable } = negotiate(accept, ['json']);
  if (encoding !== undefined && (as === 'Table' || plainAcceptable)) return { asTable: as === 'Table' };
  throw new ApiError('NotAcceptable', 'only the following media types are accepted: application/json');
}

async function readBody(request: Http2ServerRequest): Promise<KubeObject> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes) throw new ApiError('RequestEntityTooLarge', `limit is ${maxBodyBytes}`);
    chunks.push(chunk);
  }
  if (length === 0) return {};
  return decodeBody(request.headers['content-type'] ?? 'application/json', Buffer.concat(chunks));
}

/** kubectl writes built-in kinds as protobuf whatever it reads, so bodies come in both encodings. */
function decodeBody(contentType: string, body: Buffer): KubeObject {
  if (!contentType.includes('json') && !contentType.includes('protobuf'))
    throw new ApiError('UnsupportedMediaType', `the body of the request was in an unknown format: ${contentType}`);
  try {
    if (contentType.includes('protobuf')) {
      const { typeMeta, item } = protobufWire.scanObject(body);
      return { ...protobufWire.decode(typeMeta, item.bytes), ...typeMeta };
    }
    const value: unknown = JSON.parse(body.toString());
    if (isObject(value)) return value;
  } catch (error) {
    throw new ApiError('BadRequest', `the body cannot be read: ${(error as Error).message}`);
  }
  throw new ApiError('BadRequest', 'the body is not a JSON object');
}

function documentStream(response: Http2ServerResponse): DocumentStream {
  let isOpen = true;
  response.once('close', () => (isOpen = false));
  return {
    send(document) {
      if (!isOpen) return;
      response.write(`${JSON.stringify(document)}\n`);
      if (response.writableLength > maxQueuedBytes) abort(response);
    },
    end: () => void (isOpen && response.end()),
    onClose: (listener) => void response.once('close', listener),
  };
}

/** Ends an answer so that the client sees a failure. HTTP/1.1 responses come as the same type, without a stream. */
function abort(response: Http2ServerResponse): void {
  const stream = response.stream as Http2ServerResponse['stream'] | undefined;
  if (stream === undefined) response.socket.destroy();
  else stream.close(http2.constants.NGHTTP2_CANCEL);
}

function sendStatus(response: Http2ServerResponse, { code, status, retryAfterSeconds }: StatusError): void {
  if (response.headersSent) return;
  if (retryAfterSeconds !== undefined) response.setHeader('retry-after', String(retryAfterSeconds));
  sendJson(response, code, status);
}

function sendJson(response: Http2ServerResponse, code: number, object: KubeObject): void {
  const body = Buffer.from(`${JSON.stringify(object)}\n`);
  response.writeHead(code, { 'content-type': 'application/json', 'content-length': body.length });
  response.end(body);
}
