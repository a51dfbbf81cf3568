// resourceVersions are opaque, but Kubernetes promises that those of one resource can be compared as decimal numbers
// (KEP-5504, as written down for 1.35 and true of every etcd-backed release before it).

/** Negative when `a` is older than `b`, 0 when equal, positive when newer. '' and '0' are older than all others. */
export function compareResourceVersions(a: string, b: string): number {
  const left = a === '' ? '0' : a;
  const right = b === '' ? '0' : b;
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}
