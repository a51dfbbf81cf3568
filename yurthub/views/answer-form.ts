// In which form a client gets the objects of a view: plain, as metadata alone, or as a Table; in its own encoding,
// whatever the view's is.
import { negotiate } from '../../kube/accept.ts';
import { isRouted } from '../../kube/not-acceptable.ts';
import { metadataOf, text } from '../../kube/plain-object.ts';
import { knowsKind } from '../../kube/schema/table.ts';
import { hasColumns, tableOf } from '../../kube/tables.ts';
import { initialEventsEndAnnotation } from '../../kube/watch-event-type.ts';
import type { Encoding, KubeObject, ListHead, TypeMeta, WatchEventType, WatchFrame, Wire } from '../../kube/wire.ts';
import { wireFor } from '../../kube/wires.ts';
import type { View } from './view.ts';

export type Form = 'plain' | 'metadata' | 'table';

/** What the Accept header leaves to choose from. */
export interface AskedForm {
  readonly form: Form;
  /** Of `form`. */
  readonly encoding: Encoding;
  /** The encoding in which plain objects will do instead; undefined when they will not. */
  readonly plain: Encoding | undefined;
  /** Whether plain JSON will do, which is all that custom resources have. */
  readonly plainJson: boolean;
}

const partialMetadata: TypeMeta = { apiVersion: 'meta.k8s.io/v1', kind: 'PartialObjectMetadata' };

/** Undefined when nothing that a hub can make is acceptable. */
export function askedForm(accept: string | undefined, verb: 'get' | 'list' | 'watch'): AskedForm | undefined {
  if (!isRouted(accept)) return undefined;
  const { as, encoding, plain } = negotiate(accept);
  if (encoding === undefined) return undefined;
  const plainJson = negotiate(accept, ['json']).plain !== undefined;
  if (as === '') return { form: 'plain', encoding, plain, plainJson };
  if (as === 'Table') return { form: 'table', encoding: 'json', plain, plainJson };
  // A form that the API server would take and then refuse: it does not fall back either.
  if ((as === 'PartialObjectMetadataList') !== (verb === 'list')) return undefined;
  return { form: 'metadata', encoding, plain, plainJson };
}

export interface TableOptions {
  readonly includeObject: string;
  readonly nowMs: () => number;
}

/** The form that a client gets of one view. Undefined when its kind allows none of those that the client takes. */
export function formFor(view: ViewOfKind, asked: AskedForm, table: TableOptions): AnswerForm | undefined {
  const { wire, typeMeta } = view;
  const decodes = wire.encoding === 'json' || knowsKind(typeMeta);
  const plainIn = (encoding: Encoding): AnswerForm | undefined => {
    if (encoding === wire.encoding || (decodes && (encoding === 'json' || knowsKind(typeMeta))))
      return new AnswerForm(view, 'plain', encoding, table);
    return wire.encoding === 'json' && asked.plainJson ? new AnswerForm(view, 'plain', 'json', table) : undefined;
  };
  if (asked.form === 'plain') return plainIn(asked.encoding);
  if (decodes && (asked.form === 'metadata' || hasColumns(typeMeta.kind, typeMeta.apiVersion)))
    return new AnswerForm(view, asked.form, asked.encoding, table);
  return asked.plain === undefined ? undefined : plainIn(asked.plain);
}

type ViewOfKind = Pick<View, 'wire' | 'typeMeta'>;

export class AnswerForm {
  readonly form: Form;
  /** The client's. */
  readonly wire: Wire;
  readonly #view: ViewOfKind;
  readonly #table: TableOptions;
  /** A watch names the columns in its first event alone. */
  #withColumns = true;

  constructor(view: ViewOfKind, form: Form, encoding: Encoding, table: TableOptions) {
    this.#view = view;
    this.form = form;
    this.wire = wireFor(encoding);
    this.#table = table;
  }

  /** True when bytes and frames of the view can be passed on as they are. */
  get asStored(): boolean {
    return this.form === 'plain' && this.wire === this.#view.wire;
  }

  get watchContentType(): string {
    return this.wire.watchContentType;
  }

  /** TypeMeta of one object in this form. */
  get typeMeta(): TypeMeta {
    return this.form === 'metadata' ? partialMetadata : this.#view.typeMeta;
  }

  /** One object; for Tables the object as it is put into a row. */
  object(bytes: Buffer): Buffer {
    const { wire, typeMeta } = this.#view;
    if (this.form === 'metadata') {
      const metadata = metadataOf(wire.decode(typeMeta, bytes));
      const { kind, apiVersion } = partialMetadata;
      if (this.wire.encoding === 'json') return Buffer.from(JSON.stringify({ kind, apiVersion, metadata }));
      return this.wire.encode(partialMetadata, { metadata });
    }
    return this.asStored ? bytes : this.wire.encode(typeMeta, wire.decode(typeMeta, bytes));
  }

  /** A whole body of one object. */
  body(bytes: Buffer): Buffer {
    if (this.form !== 'table') return this.wire.object(this.typeMeta, this.object(bytes));
    const object = this.#view.wire.decode(this.#view.typeMeta, bytes);
    return this.#tableBody([object], { resourceVersion: text(metadataOf(object), 'resourceVersion') });
  }

  /** A whole body of a list; the parts are to be written one after the other. */
  list(
    head: Omit<ListHead, 'apiVersion' | 'kind'>,
    listKind: string,
    items: readonly Buffer[],
  ): { contentLength: number; parts: Iterable<Buffer> } {
    const { wire, typeMeta } = this.#view;
    if (this.form === 'table') {
      const metadata = {
        resourceVersion: head.resourceVersion,
        ...(head.continue === '' ? {} : { continue: head.continue }),
        ...(head.remainingItemCount === undefined ? {} : { remainingItemCount: head.remainingItemCount }),
      };
      const body = this.#tableBody(
        items.map((bytes) => wire.decode(typeMeta, bytes)),
        metadata,
      );
      return { contentLength: body.length, parts: [body] };
    }
    const { apiVersion } = this.typeMeta;
    const kind = this.form === 'metadata' ? 'PartialObjectMetadataList' : listKind;
    const shown = this.asStored ? items : items.map((bytes) => this.object(bytes));
    return this.wire.list({ ...head, apiVersion, kind }, shown);
  }

  /** A watch frame of the view in this form, as an event of this type. */
  event(type: WatchEventType, { type: was, typeMeta, item, frame }: WatchFrame): Buffer {
    if (this.asStored && type === was) return frame;
    if (type === 'ERROR') return this.wire.errorFrame(this.#view.wire.decode(typeMeta, item.bytes));
    if (type === 'BOOKMARK') {
      const annotations = metadataOf(this.#view.wire.decode(typeMeta, item.bytes))['annotations'] ?? {};
      return this.bookmark(item.resourceVersion, Object.keys(annotations).length > 0);
    }
    if (this.form === 'table') return this.#tableEvent(type, this.#view.wire.decode(typeMeta, item.bytes));
    return this.wire.frame(type, this.typeMeta, this.object(item.bytes));
  }

  /** `initialEventsEnd` as of a watch-list. */
  bookmark(resourceVersion: string, initialEventsEnd: boolean): Buffer {
    if (this.form !== 'table') return this.wire.bookmark(this.typeMeta, resourceVersion, initialEventsEnd);
    const annotations = initialEventsEnd ? { annotations: { [initialEventsEndAnnotation]: 'true' } } : {};
    return this.#tableEvent('BOOKMARK', { metadata: { resourceVersion, ...annotations } });
  }

  #tableEvent(type: string, object: KubeObject): Buffer {
    const metadata = { resourceVersion: text(metadataOf(object), 'resourceVersion') };
    const table = this.#tableOf([object], metadata);
    this.#withColumns = false;
    return Buffer.from(`${JSON.stringify({ type, object: table })}\n`);
  }

  #tableBody(objects: readonly KubeObject[], metadata: KubeObject): Buffer {
    return Buffer.from(`${JSON.stringify(this.#tableOf(objects, metadata))}\n`);
  }

  #tableOf(objects: readonly KubeObject[], metadata: KubeObject): KubeObject {
    const { includeObject, nowMs } = this.#table;
    return tableOf(this.#view.typeMeta.kind, objects, metadata, {
      nowMs: nowMs(),
      includeObject,
      withColumns: this.#withColumns,
    });
  }
}
