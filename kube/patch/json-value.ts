// Telling JSON values apart.

/** True for what JSON writes in braces; false for arrays, null, and 64-bit integers carried as raw JSON. */
export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawJson(value);
}

/** A number that JavaScript cannot hold, kept as its digits (see kube/schema/scalars.ts). */
export function isRawJson(value: unknown): boolean {
  return (JSON as typeof JSON & { isRawJSON(value: unknown): boolean }).isRawJSON(value);
}

/** A deep copy that may be changed. */
export function cloneJson<T>(value: T): T {
  if (Array.isArray(value)) return value.map((item: unknown) => cloneJson(item)) as T;
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, cloneJson(inner)])) as T;
}
