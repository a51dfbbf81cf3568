// What a collection can hold, by what its list asks for.
import type { Collection } from '../views/presenter.ts';

/** All built-in resources that filters know are v1 of their group. */
export function isOf(collection: Collection, group: string, resource: string): boolean {
  return collection.group === group && collection.version === 'v1' && collection.resource === resource;
}

/** The one name that the collection is restricted to; undefined when there is no such restriction. */
export function onlyName({ fieldSelector }: Collection): string | undefined {
  return /(?:^|,)metadata\.name==?([^,]+)/.exec(fieldSelector)?.[1];
}

/** True when objects of this namespace may be in it. */
export function reachesNamespace(collection: Collection, namespace: string): boolean {
  return collection.namespace === '' || collection.namespace === namespace;
}
