// Compares two answers field by field, and tells which of the differences are allowed.

/** A difference that is allowed, with its reason. Every word of the path may be `*`. */
export interface Allowance {
  /** As in `body.metadata.resourceVersion`; everything below it is allowed as well. */
  readonly path: string;
  readonly reason: string;
}

export interface Difference {
  readonly path: string;
  readonly direct: unknown;
  readonly hub: unknown;
}

/** The fields in which two values differ; where one of them has no such field it counts as undefined. */
export function differences(direct: unknown, hub: unknown, path = ''): Difference[] {
  if (isTree(direct) && isTree(hub) && Array.isArray(direct) === Array.isArray(hub)) {
    const keys = new Set([...Object.keys(direct), ...Object.keys(hub)]);
    return [...keys].flatMap((key) => differences(direct[key], hub[key], path === '' ? key : `${path}.${key}`));
  }
  return Object.is(direct, hub) ? [] : [{ path, direct, hub }];
}

export function isAllowed(difference: Difference, allowance: Allowance): boolean {
  const words = difference.path.split('.');
  return allowance.path.split('.').every((word, at) => word === '*' || word === words[at]);
}

function isTree(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
