// JSON patch, RFC 6902: the three operations that change a document from a value of their own.
import { PatchError } from '../errors.ts';
import { cloneJson, isJsonObject } from './json-value.ts';

export interface JsonPatchOperation {
  readonly op: 'add' | 'remove' | 'replace';
  /** A JSON pointer, RFC 6901. */
  readonly path: string;
  readonly value?: unknown;
}

export interface JsonPatchOptions {
  /** `add` makes the objects that are missing on the way to its place; lists are never made. */
  readonly createParents: boolean;
}

/** The patched copy. Throws PatchError, which names the operation's path, where the document has no such place. */
export function applyJsonPatch(
  document: unknown,
  operations: readonly JsonPatchOperation[],
  options: JsonPatchOptions = { createParents: false },
): unknown {
  let result = cloneJson(document);
  for (const operation of operations) result = applyOne(result, operation, options);
  return result;
}

function applyOne(document: unknown, operation: JsonPatchOperation, options: JsonPatchOptions): unknown {
  const { op, path } = operation;
  const tokens = pointerTokens(path);
  const last = tokens.pop();
  if (last === undefined) {
    if (op === 'remove') throw new PatchError(`${op} '': the whole document cannot be removed`);
    return cloneJson(operation.value);
  }
  const parent = parentOf(document, tokens, operation, options);
  const value = op === 'remove' ? undefined : cloneJson(operation.value ?? null);
  if (Array.isArray(parent)) changeList(parent, last, operation, value);
  else if (isJsonObject(parent)) {
    if (op !== 'add' && !Object.hasOwn(parent, last)) throw new PatchError(`${op} ${path}: there is no such field`);
    if (op === 'remove') delete parent[last];
    else setOwn(parent, last, value);
  } else throw new PatchError(`${op} ${path}: its parent is neither an object nor a list`);
  return document;
}

function parentOf(
  document: unknown,
  tokens: readonly string[],
  operation: JsonPatchOperation,
  options: JsonPatchOptions,
): unknown {
  let current = document;
  const names = pointerTokens(operation.path);
  for (const [depth, token] of tokens.entries()) {
    let next: unknown;
    if (Array.isArray(current)) next = current[listIndex(token, current.length - 1, operation)];
    else if (isJsonObject(current)) {
      next = Object.hasOwn(current, token) ? current[token] : undefined;
      if (
        (next === undefined || next === null) &&
        operation.op === 'add' &&
        options.createParents &&
        names[depth + 1] !== '-'
      ) {
        next = {};
        setOwn(current, token, next);
      }
    }
    if (next === undefined || next === null) {
      const missing = `/${names.slice(0, depth + 1).join('/')}`;
      throw new PatchError(`${operation.op} ${operation.path}: there is no ${missing}`);
    }
    current = next;
  }
  return current;
}

function changeList(items: unknown[], token: string, operation: JsonPatchOperation, value: unknown): void {
  if (operation.op === 'add') {
    if (token === '-') items.push(value);
    else items.splice(listIndex(token, items.length, operation), 0, value);
    return;
  }
  const index = listIndex(token, items.length - 1, operation);
  if (operation.op === 'remove') items.splice(index, 1);
  else items[index] = value;
}

function listIndex(token: string, max: number, operation: JsonPatchOperation): number {
  if (!/^(0|[1-9]\d*)$/.test(token))
    throw new PatchError(`${operation.op} ${operation.path}: '${token}' is no index of a list`);
  const index = Number(token);
  if (index > max) throw new PatchError(`${operation.op} ${operation.path}: the list ends before index ${token}`);
  return index;
}

function pointerTokens(path: string): string[] {
  if (path === '') return [];
  if (!path.startsWith('/')) throw new PatchError(`path '${path}' has to begin with '/'`);
  return path
    .slice(1)
    .split('/')
    .map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/** A field named __proto__ is a field, and changes nothing else. */
function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}
