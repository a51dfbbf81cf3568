// Reading plain JSON objects whose shape the API server has to take on trust.
import type { KubeObject } from './wire.ts';

/** A field that holds an object; an empty one when it is absent or something else. */
export function child(object: KubeObject, field: string): KubeObject {
  const value = object[field];
  return isObject(value) ? value : {};
}

export function isObject(value: unknown): value is KubeObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export const metadataOf = (object: KubeObject): KubeObject => child(object, 'metadata');

/** A field that holds a string; '' when it is absent or something else. */
export function text(object: KubeObject, field: string): string {
  const value = object[field];
  return typeof value === 'string' ? value : '';
}

/** A field that holds a list; an empty one when it is absent or something else. */
export function list(object: KubeObject, field: string): KubeObject[] {
  const value = object[field];
  return Array.isArray(value) ? value.filter(isObject) : [];
}

/** The value at a dotted path as a field selector compares it; undefined when absent. */
export function fieldText(object: KubeObject, path: string): string | undefined {
  let value: unknown = object;
  for (const part of path.split('.')) value = isObject(value) ? value[part] : undefined;
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : undefined;
}
