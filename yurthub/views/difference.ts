// From a list to events: what a client has to be told when a watch could not be resumed and the collection was listed
// again. ADDED and MODIFIED by version, then DELETED, stamped with the list's version.
import { compareResourceVersions } from '../../kube/resource-version.ts';
import type { Item, ItemMeta } from '../../kube/wire.ts';
import { memberKey } from './view-key.ts';

export type Change =
  | { readonly type: 'ADDED' | 'MODIFIED'; readonly item: Item; readonly resourceVersion: string }
  /** `resourceVersion` is what the deleted object has to be stamped with. */
  | { readonly type: 'DELETED'; readonly key: string; readonly resourceVersion: string };

/**
 * `changed`: the listed items that differ from the members (new, another version, or another uid). `removed`: keys of
 * members that the list did not name. An object with another uid under the same name was deleted and made anew: both
 * are told, the deletion first and at the version of its successor.
 */
export function differenceEvents(
  members: { get(key: string): Pick<ItemMeta, 'uid'> | undefined },
  changed: readonly Item[],
  removed: readonly string[],
  listResourceVersion: string,
): Change[] {
  const changes: Change[] = [];
  const ordered = changed.toSorted((a, b) => compareResourceVersions(a.resourceVersion, b.resourceVersion));
  for (const item of ordered) {
    const key = memberKey(item.namespace, item.name);
    const before = members.get(key);
    if (before !== undefined && before.uid !== item.uid)
      changes.push({ type: 'DELETED', key, resourceVersion: item.resourceVersion });
    const type = before !== undefined && before.uid === item.uid ? 'MODIFIED' : 'ADDED';
    changes.push({ type, item, resourceVersion: item.resourceVersion });
  }
  for (const key of removed) changes.push({ type: 'DELETED', key, resourceVersion: listResourceVersion });
  return changes;
}
