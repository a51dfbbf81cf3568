// Kubernetes' strategic merge patch: merge lists have keys, which the schema table knows from the struct tags.
// Follows k8s.io/apimachinery/pkg/util/strategicpatch (StrategicMergePatch); the test asks that code for its answers.
import { PatchError } from '../errors.ts';
import { type FieldSchema, schemaOfKind, schemaOfType, type TypeSchema } from '../schema/table.ts';
import type { KubeObject, TypeMeta } from '../wire.ts';
import { cloneJson, isJsonObject } from './json-value.ts';

type JsonMap = Record<string, unknown>;

const directiveKey = '$patch';
const retainKeysKey = '$retainKeys';
const deletePrefix = '$deleteFromPrimitiveList/';
const orderPrefix = '$setElementOrder/';

/**
 * The patched object; neither argument is changed. Throws PatchError for a patch that Kubernetes refuses, and
 * UnknownKindError for a kind without schema (custom resources have no strategic merge patch).
 */
export function applyStrategicMergePatch(typeMeta: TypeMeta, original: KubeObject, patch: KubeObject): KubeObject {
  return mergeMap(cloneJson(original), cloneJson(patch), schemaOfKind(typeMeta));
}

/** Merges into `original` and uses `patch` up. `schema` is undefined for maps and for types with JSON of their own. */
function mergeMap(original: JsonMap, patch: JsonMap, schema: TypeSchema | undefined): JsonMap {
  if (directiveKey in patch) return mapDirective(patch);
  applyRetainKeys(original, patch);
  applyElementOrders(original, patch, schema);
  for (const [patchKey, value] of Object.entries(patch)) {
    const deletesItems = patchKey.startsWith(deletePrefix);
    const key = deletesItems ? patchKey.slice(deletePrefix.length) : patchKey;
    if (value === null) {
      delete original[key];
      continue;
    }
    const present = original[key];
    if (jsonType(present) !== jsonType(value)) {
      if (!deletesItems) setWithoutDirectives(original, key, value);
    } else if (isJsonObject(value)) {
      const field = fieldOf(schema, key);
      original[key] =
        strategyOf(field) === 'replace' ? value : mergeMap(present as JsonMap, value, elementSchema(field));
    } else if (Array.isArray(value)) {
      const field = fieldOf(schema, key);
      original[key] = mergeList(present as unknown[], value, field, deletesItems);
    } else setWithoutDirectives(original, key, value);
  }
  return original;
}

function mapDirective(patch: JsonMap): JsonMap {
  const { [directiveKey]: directive, ...rest } = patch;
  if (directive === 'replace') return rest;
  if (directive === 'delete') return {};
  throw new PatchError(`$patch: ${String(directive)} is no directive of a map`);
}

/** A value that had nothing to be merged with: nulls and directives inside it are dropped. */
function setWithoutDirectives(target: JsonMap, key: string, value: unknown): void {
  const kept = withoutDirectives(value);
  if (kept === undefined) delete target[key];
  else target[key] = kept;
}

/** Undefined for a map that carries a directive itself. Nulls go from maps, not from lists. */
function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutDirectives).filter((item) => item !== undefined);
  if (!isJsonObject(value)) return value;
  if (directiveKey in value) return undefined;
  const out: JsonMap = {};
  for (const [key, inner] of Object.entries(value)) if (inner !== null) setWithoutDirectives(out, key, inner);
  return out;
}

function applyRetainKeys(original: JsonMap, patch: JsonMap): void {
  if (!(retainKeysKey in patch)) return;
  const keys = patch[retainKeysKey];
  delete patch[retainKeysKey];
  if (!Array.isArray(keys)) throw new PatchError('$retainKeys is not a list');
  const retained = new Set<unknown>(keys);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null || key.startsWith(deletePrefix) || key.startsWith(orderPrefix)) continue;
    if (!retained.has(key)) throw new PatchError(`$retainKeys does not name ${key}, which the patch sets`);
  }
  for (const key of Object.keys(original)) if (!retained.has(key)) delete original[key];
}

/** Carries out every $setElementOrder of this map together with the list it orders, and takes both from the patch. */
function applyElementOrders(original: JsonMap, patch: JsonMap, schema: TypeSchema | undefined): void {
  for (const orderKey of Object.keys(patch).filter((key) => key.startsWith(orderPrefix))) {
    const order = asList(patch[orderKey], orderKey);
    delete patch[orderKey];
    const key = orderKey.slice(orderPrefix.length);
    const present = key in original ? asList(original[key], key) : undefined;
    const wanted = key in patch ? asList(patch[key], key) : undefined;
    const field = fieldOf(schema, key);
    checkOrder(wanted ?? [], order, field.patchMergeKey);
    let merged: unknown[];
    if (present === undefined && wanted === undefined) continue;
    else if (wanted === undefined) merged = present ?? [];
    else if (present === undefined) merged = withoutDirectives(wanted) as unknown[];
    else merged = mergeList(present, wanted, field, false);
    // As the Go code, which orders what the live object has by its own list as it was before the merge.
    original[key] = inOrder(merged, order, present ?? [], field.patchMergeKey);
    delete patch[key];
  }
}

/** What the patch sets has to stand in the order list, in the same relative order. */
function checkOrder(wanted: readonly unknown[], order: readonly unknown[], mergeKey: string): void {
  if (wanted.length === 0 || order.length === 0) return;
  let at = 0;
  for (const item of wanted) {
    if (isJsonObject(item) && directiveKey in item) continue;
    const key = keyOf(item, mergeKey);
    while (at < order.length && keyOf(order[at], mergeKey) !== key) at += 1;
    if (at === order.length) throw new PatchError('the order in the patch does not match its $setElementOrder');
    at += 1;
  }
}

function mergeList(original: unknown[], patch: unknown[], field: FieldSchema, deletesItems: boolean): unknown[] {
  if (strategyOf(field) !== 'merge' && !deletesItems) return patch;
  if (original.length === 0 && patch.length === 0) return original;
  const elementType = jsonType([...original, ...patch][0]);
  if ([...original, ...patch].some((item) => jsonType(item) !== elementType))
    throw new PatchError(`the elements of ${field.name} are not of one type`);
  if (elementType === 'array') throw new PatchError('lists of lists cannot be merged');
  if (elementType !== 'object') {
    if (deletesItems) return original.filter((item) => !patch.includes(item));
    return inOrder([...new Set([...original, ...patch])], patch, original, '');
  }
  if (field.patchMergeKey === '') throw new PatchError(`${field.name} has no merge key`);
  const { kept, items } = listDirectives(original as JsonMap[], patch as JsonMap[], field.patchMergeKey);
  const order = [...kept];
  for (const item of items) {
    const key = keyOf(item, field.patchMergeKey);
    const at = kept.findIndex((other) => other[field.patchMergeKey] === key);
    const known = kept[at];
    if (known === undefined) kept.push(item);
    else kept[at] = mergeMap(known, item, elementSchema(field));
  }
  return inOrder(kept, items, order, field.patchMergeKey);
}

/** Carries out the items that are directives; `items` are the others. */
function listDirectives(
  original: readonly JsonMap[],
  patch: readonly JsonMap[],
  mergeKey: string,
): { kept: JsonMap[]; items: JsonMap[] } {
  let kept = [...original];
  const items: JsonMap[] = [];
  let replace = false;
  for (const item of patch) {
    const directive = item[directiveKey];
    if (!(directiveKey in item)) items.push(item);
    else if (directive === 'replace') replace = true;
    else if (directive === 'delete') {
      const key = keyOf(item, mergeKey);
      kept = kept.filter((other) => other[mergeKey] !== key);
    } else throw new PatchError(`$patch: ${String(directive)} is no directive of a list`);
  }
  return replace ? { kept: items, items: [] } : { kept, items };
}

/**
 * Items named by `order` in that order; the others in the order of `live`; both woven by their places in `live`, where an
 * item of the live object goes before the first ordered item that stood behind it.
 */
function inOrder(
  list: readonly unknown[],
  order: readonly unknown[],
  live: readonly unknown[],
  mergeKey: string,
): unknown[] {
  const place = (items: readonly unknown[], item: unknown): number => {
    const key = keyOf(item, mergeKey);
    return items.findIndex((other) => keyOf(other, mergeKey) === key);
  };
  const ordered = list.filter((item) => place(order, item) >= 0);
  const others = list.filter((item) => place(order, item) < 0);
  ordered.sort((a, b) => place(order, a) - place(order, b));
  others.sort((a, b) => place(live, a) - place(live, b));
  const result: unknown[] = [];
  let next = 0;
  for (const item of ordered) {
    const at = place(live, item);
    for (; next < others.length && at >= 0; next += 1) {
      const before = place(live, others[next]);
      if (before < 0 || before >= at) break;
      result.push(others[next]);
    }
    result.push(item);
  }
  return [...result, ...others.slice(next)];
}

/** The merge key's value; the item itself in lists of scalars. Throws PatchError for an item that lacks the key. */
function keyOf(item: unknown, mergeKey: string): unknown {
  if (mergeKey === '') return item;
  if (!isJsonObject(item) || !(mergeKey in item)) throw new PatchError(`an item has no merge key ${mergeKey}`);
  return item[mergeKey];
}

function asList(value: unknown, key: string): unknown[] {
  if (!Array.isArray(value)) throw new PatchError(`${key} is not a list`);
  return value;
}

function fieldOf(schema: TypeSchema | undefined, key: string): FieldSchema {
  const field = schema?.byName.get(key);
  if (field === undefined) throw new PatchError(`${schema?.name ?? 'a map'} has no field ${key}`);
  return field;
}

/** The schema of a struct field's value, or of a list field's elements. */
function elementSchema(field: FieldSchema): TypeSchema | undefined {
  return field.letter === 'M' && !field.map ? schemaOfType(field.typeName) : undefined;
}

function strategyOf(field: FieldSchema): string {
  return field.patchStrategies.find((strategy) => strategy !== 'retainKeys') ?? '';
}

function jsonType(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return isJsonObject(value) ? 'object' : typeof value === 'object' ? 'number' : typeof value;
}
