// Does an object in the cluster still have what was applied? It has more, since the API server fills in defaults and
// others add fields of their own, and it writes some values in another way.
import { isJsonObject } from '../../kube/patch/json-value.ts';
import type { RenderedObject } from './render.ts';
import type { Workload } from './types.ts';

/** Does the workload still have what was rendered for its pool? Lists of the API server leave out apiVersion and kind. */
export function looksLike(workload: Workload, rendered: RenderedObject): boolean {
  return includes(workload.metadata, rendered.metadata) && includes(workload.spec, rendered.spec);
}

/**
 * True if `actual` has every field of `wanted`. Additions by others are no difference; in lists of objects neither are
 * additional items. What Kubernetes writes as it likes (quantities, empty objects) is compared by its meaning.
 */
export function includes(actual: unknown, wanted: unknown): boolean {
  if (isEmpty(wanted)) return actual === undefined || isEmpty(actual) || isJsonObject(actual);
  if (isJsonObject(wanted)) {
    if (!isJsonObject(actual)) return false;
    return Object.entries(wanted).every(([key, value]) => includes(actual[key], value));
  }
  if (Array.isArray(wanted)) {
    if (!Array.isArray(actual)) return false;
    return wanted.every(isJsonObject) ? hasItems(actual, wanted) : equalItems(actual, wanted);
  }
  if (actual === wanted) return true;
  // Go leaves out what has the zero value of its type.
  if (actual === undefined) return wanted === '' || wanted === false || wanted === 0;
  const [left, right] = [quantity(actual), quantity(wanted)];
  return left !== undefined && left === right;
}

/** Each wanted object is found in an item of its own, in any order: Kubernetes merges such lists by key. */
function hasItems(actual: readonly unknown[], wanted: readonly unknown[]): boolean {
  const free = new Set(actual);
  return wanted.every((item) => {
    for (const candidate of free) {
      if (!includes(candidate, item)) continue;
      free.delete(candidate);
      return true;
    }
    return false;
  });
}

function equalItems(actual: readonly unknown[], wanted: readonly unknown[]): boolean {
  return actual.length === wanted.length && wanted.every((item, index) => includes(actual[index], item));
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (Array.isArray(value)) return value.length === 0;
  return isJsonObject(value) && Object.values(value).every(isEmpty);
}

const suffixes: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** A Kubernetes quantity as a number: `1000m` and `1` are the same. undefined for what is none. */
function quantity(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return undefined;
  const match = /^([+-]?\d*\.?\d+)([eE][+-]?\d+)?(n|u|m|k|Ki|[MGTPE]i?)?$/.exec(value);
  if (match === null) return undefined;
  const [, digits = '', exponent = '', suffix = ''] = match;
  // Twelve digits: 0.1 and 100m are not the same double.
  return Number((Number(`${digits}${exponent}`) * (suffixes[suffix] ?? 1)).toPrecision(12));
}
