// Names and hashes: the same input gives the same name in every process, so that a controller that was killed and
// starts again finds what it made, and two different inputs never give the same one.
import { createHash } from 'node:crypto';

/** Pods of a StatefulSet carry its name and an 11 character hash in a label of at most 63 characters. */
const maxNameLength = 52;
const hashLength = 10;

/** The name of the workload of an app set in a pool: readable, and unique by the hash of both names. */
export function workloadName(appSet: string, pool: string): string {
  return readableName([appSet, pool], hashOf([appSet, pool]));
}

/** The name of a ControllerRevision; `probe` tells apart two workloads whose hash is the same. */
export function revisionName(appSet: string, workload: unknown, probe: number): string {
  return readableName([appSet], hashOf(probe === 0 ? workload : [workload, probe]));
}

/** A hash of JSON values that does not depend on the order of fields; letters and digits. */
export function hashOf(value: unknown): string {
  const digest = createHash('sha256').update(canonicalJson(value)).digest();
  return BigInt(`0x${digest.toString('hex')}`)
    .toString(36)
    .padStart(50, '0')
    .slice(0, hashLength);
}

/** JSON with the fields of objects sorted, those without a value left out. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  });
}

function readableName(parts: readonly string[], hash: string): string {
  // Dots are fine in a Deployment's name but not in the host names of a StatefulSet's pods.
  const readable = parts
    .join('-')
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-');
  return `${readable.slice(0, maxNameLength - hashLength - 1).replace(/^-+|-+$/g, '')}-${hash}`;
}
