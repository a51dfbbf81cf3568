// Asks one server (the API server itself, or a hub) and puts each answer into a form that can be compared: JSON and
// protobuf become the same values, a watch becomes its events, gzip is undone.
import type http2 from 'node:http2';
import { gunzipSync } from 'node:zlib';
import YAML from 'yaml';
import { openEnvelope } from '../../kube/protobuf/envelope.ts';
import type { Wire } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import type { LocalClient } from '../integration/local-client.ts';

export interface Question {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  /** Whether the client is told when to ask again. */
  readonly retryAfter: boolean;
  /** An object, a list, a Table; the text of anything else; the events of a watch. */
  readonly body: unknown;
}

export const json = 'application/json';
export const protobuf = 'application/vnd.kubernetes.protobuf';
export const tableForm = 'application/json;as=Table;g=meta.k8s.io;v=v1';
const limits = { maxItemBytes: 8 << 20, maxFrameBytes: 8 << 20 };

export class Asker {
  readonly #client: LocalClient;

  constructor(client: LocalClient) {
    this.#client = client;
  }

  /** Rejects when the answer breaks off. Watches need a `timeoutSeconds`. */
  async ask(target: string, { method = 'GET', headers = {} }: Question = {}): Promise<Answer> {
    const reply = await within(this.#client.request(method, target, { headers: { accept: json, ...headers } }));
    const body = reply.headers['content-encoding'] === 'gzip' ? gunzipSync(reply.body) : reply.body;
    const contentType = reply.headers['content-type'] ?? '';
    return {
      status: reply.status,
      contentType,
      retryAfter: reply.headers['retry-after'] !== undefined,
      body: valueOf(contentType, body, reply.headers, target),
    };
  }
}

/** Longer than any answer of the table takes: whoever waits for ever holds up the others. */
const patienceMs = 60_000;

async function within<T>(answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no end after ${patienceMs} ms`)), patienceMs);
  });
  return await Promise.race([answer, late]).finally(() => clearTimeout(timer));
}

function valueOf(contentType: string, body: Buffer, headers: http2.IncomingHttpHeaders, target: string): unknown {
  if (body.length === 0)
    return /[?&]watch=(?!false|0)/.test(target) && headers['content-length'] === undefined ? [] : '';
  const wire = wireFor(contentType.includes('protobuf') ? 'protobuf' : 'json');
  if (contentType.includes('protobuf'))
    return contentType.includes('stream=watch') ? eventsOf(wire, body) : objectOf(wire, body);
  if (contentType.includes('yaml')) return YAML.parse(body.toString());
  if (!contentType.includes('json')) return parsed(body) ?? body.toString();
  const text = body.toString();
  if (text.startsWith('{"type":'))
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
  return JSON.parse(text) as unknown;
}

/** /openapi/v3 is JSON that says it is text. */
function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch {
    return undefined;
  }
}

function eventsOf(wire: Wire, body: Buffer): unknown[] {
  return wire
    .watchScanner(limits)
    .push(body)
    .map(({ type, typeMeta, item }) => ({
      type,
      object: { ...wire.decode(typeMeta, item.bytes), ...typeMeta },
    }));
}

/** A list by the same scanner that the hub uses, so that its head is seen as it was sent. */
function objectOf(wire: Wire, body: Buffer): unknown {
  const { typeMeta, rawStart, rawEnd } = openEnvelope(body, 0, body.length);
  // Discovery has lists that have no items.
  if (!typeMeta.kind.endsWith('List') || typeMeta.kind === 'APIResourceList') {
    const { apiVersion, kind } = typeMeta;
    const decoded = wire.decode({ apiVersion: apiVersion || 'v1', kind }, body.subarray(rawStart, rawEnd));
    // Discovery says no apiVersion.
    return { ...decoded, kind, apiVersion: apiVersion || undefined };
  }
  const scanner = wire.listScanner(limits);
  const items = scanner.push(body);
  const { resourceVersion, continue: token, remainingItemCount } = scanner.end();
  const itemMeta = { apiVersion: typeMeta.apiVersion, kind: typeMeta.kind.replace(/List$/, '') };
  const metadata = {
    resourceVersion,
    ...(token === '' ? {} : { continue: token }),
    ...(remainingItemCount === undefined ? {} : { remainingItemCount }),
  };
  return { ...typeMeta, metadata, items: items.map(({ bytes }) => wire.decode(itemMeta, bytes)) };
}
