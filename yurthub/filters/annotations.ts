// Annotations that ask for a filter.
import { child, metadataOf } from '../../kube/plain-object.ts';
import type { KubeObject } from '../../kube/wire.ts';

/** A cheap look before a full decode: also true for objects that have the text elsewhere. */
export function mayHave(bytes: Buffer, annotation: string): boolean {
  return bytes.includes(annotation);
}

export function annotationsOf(object: KubeObject): Readonly<Record<string, unknown>> {
  return child(metadataOf(object), 'annotations');
}

/** The entries of a list with commas, in order and without blanks; empty ones are left out. */
export function entriesOf(annotation: unknown): string[] {
  if (typeof annotation !== 'string') return [];
  return annotation
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
