// Whether two JSON values say the same; the order of keys does not count, that of lists does.

export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, i) => same(item, b[i]));
  }
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  let fields = 0;
  for (const key in left) {
    // An absent field and one that is undefined are written alike in JSON.
    if (left[key] === undefined) continue;
    if (!same(left[key], right[key])) return false;
    fields += 1;
  }
  for (const key in right) if (right[key] !== undefined) fields -= 1;
  return fields === 0;
}
