// How a view stands in the store: one record for the view, one for each object. They are always written in one batch,
// so that a crash leaves a state from which a watch can resume.
import type { Encoding, TypeMeta } from '../../kube/wire.ts';
import type { ViewKey } from '../types.ts';
import { viewId } from './view-key.ts';

/** The view's own record. It is written last: a view without one is no view yet. */
export interface ViewRecord {
  readonly key: ViewKey;
  /** What the API server answered in; differs from `key.encoding` for custom resources, which have no protobuf. */
  readonly encoding: Encoding;
  readonly resourceVersion: string;
  /** TypeMeta of one object and the list's kind. */
  readonly typeMeta: TypeMeta;
  readonly listKind: string;
  /** Over keys and versions of all members: a store that had to be repaired may have lost some, or brought old ones back. */
  readonly checksum: number;
  /** Objects that have no record are in the view's segment. */
  readonly segment?: true;
  /** Over how members look that are not shown as they are (see Appearances); absent for none. */
  readonly appearance?: number;
  /** Set while clients may have been shown something at this version that the version does not tell. */
  readonly localChangeAt?: string;
}

export const viewRecordPrefix = 'view/';

export function viewRecordKey(key: ViewKey): string {
  return `${viewRecordPrefix}${viewId(key)}`;
}

export function objectPrefix(key: ViewKey): string {
  return `object/${viewId(key)}/`;
}

export function encodeViewRecord(record: ViewRecord): Buffer {
  return Buffer.from(JSON.stringify(record));
}

export function decodeViewRecord(bytes: Buffer): ViewRecord {
  return JSON.parse(bytes.toString()) as ViewRecord;
}

/** The share of one member in a view's checksum, which is the sum of them modulo 2^32 (FNV-1a of key and version). */
export function memberChecksum(key: string, resourceVersion: string): number {
  let hash = 0x811c9dc5;
  for (const text of [key, '@', resourceVersion])
    for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
