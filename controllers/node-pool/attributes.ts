// What a pool gives to each of its nodes, and how it is taken back: pure. What was given stands in an annotation of the node, with
// what had been there before, and is written in the same request: a crash leaves both or neither. Only what is recorded
// is ever taken away, and only while it is still as it was given.
import { nodePoolLabel } from '../../peers/membership.ts';
import { same } from '../machinery/same.ts';
import type { Node, NodeTaint } from '../nodes.ts';
import type { NodePoolSpec } from './node-pool-crd.ts';

/** The annotation of a node that says what its pool gave to it. */
export const recordAnnotation = 'holdfast.dev/pool-attributes';
/** OpenYurt's own record, without what was there before. Taken over, and removed then. */
export const openYurtRecordAnnotation = 'nodepool.openyurt.io/previous-attributes';
/** OpenYurt's label of nodes without a pod network. */
export const hostNetworkLabel = 'nodepool.openyurt.io/hostnetwork';

export type Texts = Readonly<Record<string, string>>;

/** Labels, annotations, and taints by `KEY:EFFECT` with their values. */
export interface Attributes {
  readonly labels: Texts;
  readonly annotations: Texts;
  readonly taints: Texts;
}

export interface AttributeRecord {
  readonly given: Attributes;
  /** What was there under the same keys; a key that is missing here was free. */
  readonly before: Attributes;
  /** The pool whose selector brought the node in, by its label; undefined when somebody else set that. */
  readonly selectedBy: string | undefined;
}

/** A merge patch for the node. */
export interface NodePatch {
  readonly metadata: {
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string | null>>;
    readonly annotations?: Readonly<Record<string, string | null>>;
  };
  readonly spec?: { readonly taints: readonly NodeTaint[] };
}

const none: Attributes = { labels: {}, annotations: {}, taints: {} };

export function attributesOf(spec: NodePoolSpec | undefined): Attributes {
  if (spec === undefined) return none;
  return {
    labels: { ...spec.labels, ...(spec.hostNetwork === true ? { [hostNetworkLabel]: 'true' } : {}) },
    annotations: spec.annotations ?? {},
    taints: Object.fromEntries((spec.taints ?? []).map((taint) => [taintId(taint), taint.value ?? ''])),
  };
}

/**
 * The one write that gives the node what it should have, and takes back what it should not; undefined when nothing is to be
 * done. `wanted` is of the pool that the node is in, or nothing; `selectedBy` the pool whose selector brings it in, if any.
 */
export function planNode(node: Node, wanted: Attributes, selectedBy: string | undefined): NodePatch | undefined {
  const { labels: presentLabels = {}, annotations: presentAnnotations = {}, uid, resourceVersion } = node.metadata;
  const record = readRecord(node);
  const labels = planTexts(presentLabels, wanted.labels, record.given.labels, record.before.labels);
  const annotations = planTexts(
    presentAnnotations,
    wanted.annotations,
    record.given.annotations,
    record.before.annotations,
  );
  const presentTaints = node.spec.taints ?? [];
  const taints = planTexts(
    Object.fromEntries(presentTaints.map((taint) => [taintId(taint), taint.value ?? ''])),
    wanted.taints,
    record.given.taints,
    record.before.taints,
  );
  const labelChanges = {
    ...labels.changes,
    ...poolLabelChange(presentLabels[nodePoolLabel], record.selectedBy, selectedBy),
  };
  const recordText = writeRecord({
    given: { labels: labels.given, annotations: annotations.given, taints: taints.given },
    before: { labels: labels.before, annotations: annotations.before, taints: taints.before },
    selectedBy,
  });
  const annotationChanges: Record<string, string | null> = { ...annotations.changes };
  if (
    recordText !== presentAnnotations[recordAnnotation] &&
    !sameRecord(recordText, presentAnnotations[recordAnnotation])
  )
    annotationChanges[recordAnnotation] = recordText ?? null;
  if (presentAnnotations[openYurtRecordAnnotation] !== undefined) annotationChanges[openYurtRecordAnnotation] = null;
  const changes = [labelChanges, annotationChanges, taints.changes];
  if (changes.every((each) => Object.keys(each).length === 0)) return undefined;
  return {
    metadata: {
      uid,
      // What is taken back depends on what is there now.
      resourceVersion,
      ...(Object.keys(labelChanges).length === 0 ? {} : { labels: labelChanges }),
      ...(Object.keys(annotationChanges).length === 0 ? {} : { annotations: annotationChanges }),
    },
    ...(Object.keys(taints.changes).length === 0
      ? {}
      : { spec: { taints: withTaints(presentTaints, taints.changes) } }),
  };
}

/** What is recorded is nobody's order: a text that cannot be read counts as none. */
export function readRecord(node: Node): AttributeRecord {
  const { [recordAnnotation]: own, [openYurtRecordAnnotation]: theirs } = node.metadata.annotations ?? {};
  const fields = fieldsOf(parse(own));
  const before = fieldsOf(fields['before']);
  const record: AttributeRecord = {
    given: {
      labels: texts(fields['labels']),
      annotations: texts(fields['annotations']),
      taints: texts(fields['taints']),
    },
    before: {
      labels: texts(before['labels']),
      annotations: texts(before['annotations']),
      taints: texts(before['taints']),
    },
    selectedBy: typeof fields['selectedBy'] === 'string' ? fields['selectedBy'] : undefined,
  };
  if (own !== undefined || theirs === undefined) return record;
  const old = fieldsOf(parse(theirs));
  const taints = Array.isArray(old['taints']) ? old['taints'].filter(isTaint) : [];
  return {
    ...record,
    given: {
      labels: texts(old['labels']),
      annotations: texts(old['annotations']),
      taints: Object.fromEntries(taints.map((taint) => [taintId(taint), taint.value ?? ''])),
    },
  };
}

interface TextPlan {
  readonly changes: Readonly<Record<string, string | null>>;
  readonly given: Texts;
  readonly before: Texts;
}

/** The same for labels, annotations and taints: `present` is what the node has, `given` what is recorded as ours. */
function planTexts(present: Texts, wanted: Texts, given: Texts, before: Texts): TextPlan {
  const changes: Record<string, string | null> = {};
  const nextGiven: Record<string, string> = {};
  const nextBefore: Record<string, string> = {};
  for (const [key, value] of Object.entries(given)) {
    // Changed by somebody else since: theirs now.
    if (Object.hasOwn(wanted, key) || present[key] !== value) continue;
    changes[key] = before[key] ?? null;
  }
  for (const [key, value] of Object.entries(wanted)) {
    const isOurs = Object.hasOwn(given, key);
    const found = present[key];
    // It has that by itself: nothing to give, and nothing to take back later.
    if (!isOurs && found === value) continue;
    nextGiven[key] = value;
    const kept = isOurs ? before[key] : found;
    if (kept !== undefined) nextBefore[key] = kept;
    if (found !== value) changes[key] = value;
  }
  return { changes, given: nextGiven, before: nextBefore };
}

/** A selector sets the label of nodes that have none, and takes it back only where it set it. */
function poolLabelChange(
  present: string | undefined,
  before: string | undefined,
  selectedBy: string | undefined,
): Readonly<Record<string, string | null>> {
  if (selectedBy !== undefined) return present === selectedBy ? {} : { [nodePoolLabel]: selectedBy };
  return before !== undefined && present === before ? { [nodePoolLabel]: null } : {};
}

/** All others stay as they are and where they are. */
function withTaints(
  present: readonly NodeTaint[],
  changes: Readonly<Record<string, string | null>>,
): readonly NodeTaint[] {
  const kept = present.filter((taint) => !Object.hasOwn(changes, taintId(taint)));
  const made = Object.entries(changes).flatMap(([id, value]) => {
    const colon = id.lastIndexOf(':');
    const taint = { key: id.slice(0, colon), effect: id.slice(colon + 1) };
    return value === null ? [] : [value === '' ? taint : { ...taint, value }];
  });
  return [...kept, ...made];
}

/** Undefined when there is nothing to remember. Empty parts are left out: 5,000 nodes carry this text. */
function writeRecord({ given, before, selectedBy }: AttributeRecord): string | undefined {
  const part = ({ labels, annotations, taints }: Attributes): Record<string, Texts> =>
    Object.fromEntries(
      Object.entries({ labels, annotations, taints }).filter(([, value]) => Object.keys(value).length > 0),
    );
  const beforePart = part(before);
  const fields = {
    ...(selectedBy === undefined ? {} : { selectedBy }),
    ...part(given),
    ...(Object.keys(beforePart).length === 0 ? {} : { before: beforePart }),
  };
  return Object.keys(fields).length === 0 ? undefined : JSON.stringify(fields);
}

function sameRecord(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && same(parse(a), parse(b));
}

function parse(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    // Written by hand: what is ours there is then not known, and stays.
    return undefined;
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function texts(value: unknown): Texts {
  return Object.fromEntries(
    Object.entries(fieldsOf(value)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

function isTaint(value: unknown): value is NodeTaint {
  const { key, effect } = fieldsOf(value);
  return typeof key === 'string' && typeof effect === 'string';
}

function taintId({ key, effect }: { readonly key: string; readonly effect: string }): string {
  return `${key}:${effect}`;
}
