// What is known of Kubernetes' Go types: table.json, written by generate/ from client-go's scheme. It says for each field how
// it travels in protobuf, how encoding/json writes it, and how a strategic merge patch treats it.
//
// A type is one line of text in the file and is taken apart when it is first used: of about a thousand types a node needs
// some eighty. Fields are separated by ';', each '<number><letter> <JSON name> <flags> <type> <patchStrategy> <patchMergeKey>':
//   letter  s string, B bool, i int32, l int64, d float64, b bytes, M message, L message around a list of strings,
//           T Time, U MicroTime, D Duration, V FieldsV1, Q Quantity, I IntOrString, R RawExtension
//   flags   o omitempty, z omitzero, p pointer, r repeated, m map with string keys
// The JSON name is empty where the fields of `type` are inlined. The order is that of the Go struct, which JSON follows.
import { UnknownKindError } from '../errors.ts';
import type { TypeMeta } from '../wire.ts';
import table from './table.json' with { type: 'json' };

export type Letter = 's' | 'B' | 'i' | 'l' | 'd' | 'b' | 'M' | 'L' | 'T' | 'U' | 'D' | 'V' | 'Q' | 'I' | 'R';

export interface FieldSchema {
  readonly number: number;
  readonly letter: Letter;
  /** '' for an inlined message. */
  readonly name: string;
  readonly omitEmpty: boolean;
  readonly omitZero: boolean;
  readonly pointer: boolean;
  readonly repeated: boolean;
  readonly map: boolean;
  /** Of letter M: the message's type. */
  readonly typeName: string;
  /** From the struct tag: 'merge', 'replace', 'retainKeys'. */
  readonly patchStrategies: readonly string[];
  readonly patchMergeKey: string;
  /** Place in `TypeSchema.fields`. */
  readonly index: number;
}

export interface TypeSchema {
  readonly name: string;
  /** In the order of the Go struct. */
  readonly fields: readonly FieldSchema[];
  /** By descending number: the encoder writes from the back. */
  readonly descending: readonly FieldSchema[];
  readonly byNumber: ReadonlyMap<number, FieldSchema>;
  /** By JSON name, inlined messages looked through. */
  readonly byName: ReadonlyMap<string, FieldSchema>;
}

const typeTexts: Readonly<Record<string, string>> = table.types;
const kindTexts: Readonly<Record<string, string>> = table.kinds;
// Caches of pure functions: filled on use, bounded by the table.
const types = new Map<string, TypeSchema>();
const kinds = new Map<string, TypeSchema>();

/** The type of a kind. Throws UnknownKindError for one that client-go's scheme does not have. */
export function schemaOfKind({ apiVersion, kind }: TypeMeta): TypeSchema {
  const key = `${apiVersion}/${kind}`;
  let found = kinds.get(key);
  if (found === undefined) {
    const text = Object.hasOwn(kindTexts, apiVersion) ? kindTexts[apiVersion] : undefined;
    const entry = text?.split(' ').find((candidate) => candidate.startsWith(`${kind}=`));
    if (entry === undefined) throw new UnknownKindError(apiVersion, kind);
    found = schemaOfType(entry.slice(kind.length + 1));
    kinds.set(key, found);
  }
  return found;
}

/** Whether objects of this kind can be decoded and encoded as protobuf. */
export function knowsKind({ apiVersion, kind }: TypeMeta): boolean {
  const text = Object.hasOwn(kindTexts, apiVersion) ? kindTexts[apiVersion] : undefined;
  return text?.split(' ').some((candidate) => candidate.startsWith(`${kind}=`)) === true;
}

/** A type of the table by name, as in 'core/v1.PodSpec'. Throws TypeError for a name that the table does not have. */
export function schemaOfType(name: string): TypeSchema {
  let found = types.get(name);
  if (found === undefined) {
    const text = typeTexts[name];
    if (text === undefined) throw new TypeError(`table.json has no type ${name}`);
    found = parseType(name, text);
    types.set(name, found);
  }
  return found;
}

function parseType(name: string, text: string): TypeSchema {
  const fields = text === '' ? [] : text.split(';').map(parseField);
  const byName = new Map<string, FieldSchema>();
  for (const field of fields) {
    if (field.name !== '') byName.set(field.name, field);
    // An inlined field yields to one of the struct itself, as in encoding/json.
    else
      for (const [inner, inlined] of schemaOfType(field.typeName).byName)
        if (!byName.has(inner)) byName.set(inner, inlined);
  }
  return {
    name,
    fields,
    descending: fields.toSorted((a, b) => b.number - a.number),
    byNumber: new Map(fields.map((field) => [field.number, field])),
    byName,
  };
}

function parseField(text: string, index: number): FieldSchema {
  const [head = '', name = '', flags = '', typeName = '', strategies = '', patchMergeKey = ''] = text.split(' ');
  return {
    number: Number.parseInt(head, 10),
    letter: head.at(-1) as Letter,
    name,
    omitEmpty: flags.includes('o'),
    omitZero: flags.includes('z'),
    pointer: flags.includes('p'),
    repeated: flags.includes('r'),
    map: flags.includes('m'),
    typeName,
    patchStrategies: strategies === '' ? [] : strategies.split(','),
    patchMergeKey,
    index,
  };
}
