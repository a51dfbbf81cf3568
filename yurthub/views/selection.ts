// What remains to be selected when a collection is read from a view that holds more than was asked for, and when a view
// does hold all of it. Pure.
import type { FieldRequirement } from '../../kube/selectors/field-selector.ts';
import { parseFieldSelector } from '../../kube/selectors/field-selector.ts';
import { matchesLabels, parseLabelSelector, type LabelRequirement } from '../../kube/selectors/label-selector.ts';
import { canonicalField, selectedField } from '../../kube/selectors/selectable-fields.ts';
import type { TypeMeta, Wire } from '../../kube/wire.ts';
import type { ViewKey } from '../types.ts';

/** Which objects of a resource: a namespace ('' for all) and what labels and fields have to be. */
export interface Selected {
  readonly namespace: string;
  readonly labels: readonly LabelRequirement[];
  readonly fields: readonly FieldRequirement[];
}

/** Throws SelectorError: keys of views that the API server answered never do. */
export function selectedBy(key: ViewKey): Selected {
  const fields = parseFieldSelector(key.fieldSelector);
  const inOne = fields.find(({ field, isNegated }) => field === 'metadata.namespace' && !isNegated);
  return {
    namespace: key.namespace === '' ? (inOne?.value ?? '') : key.namespace,
    labels: parseLabelSelector(key.labelSelector),
    fields,
  };
}

/**
 * What has to be checked of the objects of a view that holds `held` to have those that `asked` means; undefined when it
 * may lack some of them. `kind` says what fields of old mean.
 */
export function remainder(asked: Selected, held: Selected, kind: string): Selected | undefined {
  if (held.namespace !== '' && held.namespace !== asked.namespace) return undefined;
  const canonical = (terms: readonly FieldRequirement[]): FieldRequirement[] =>
    terms.map((term) => ({ ...term, field: canonicalField(kind, term.field) }));
  const askedFields = canonical(asked.fields);
  const heldFields = canonical(held.fields);
  for (const term of held.labels) if (!asked.labels.some((other) => labelImplies(other, term))) return undefined;
  for (const term of heldFields) {
    const isOfPlace = isOfNamespace(term, held.namespace);
    if (!isOfPlace && !askedFields.some((other) => fieldImplies(other, term))) return undefined;
  }
  return {
    namespace: held.namespace === asked.namespace ? '' : asked.namespace,
    labels: asked.labels.filter((term) => !held.labels.some((other) => labelImplies(other, term))),
    fields: askedFields.filter((term) => !heldFields.some((other) => fieldImplies(other, term))),
  };
}

export function selectsEverything({ namespace, labels, fields }: Selected): boolean {
  return namespace === '' && labels.length === 0 && fields.length === 0;
}

/** Whether an object is selected. It is decoded only where a field other than name and namespace is asked for. */
export function selects(selected: Selected, wire: Wire, typeMeta: TypeMeta, bytes: Buffer): boolean {
  const { namespace, labels, fields } = selected;
  if (namespace !== '' || fields.length > 0) {
    const meta = wire.meta(bytes);
    if (namespace !== '' && meta.namespace !== namespace) return false;
    let object: ReturnType<Wire['decode']> | undefined;
    for (const { field, isNegated, value } of fields) {
      let actual: string;
      if (field === 'metadata.name') actual = meta.name;
      else if (field === 'metadata.namespace') actual = meta.namespace;
      else actual = selectedField(typeMeta.kind, (object ??= wire.decode(typeMeta, bytes)), field);
      if ((actual === value) === isNegated) return false;
    }
  }
  return labels.length === 0 || matchesLabels(labels, wire.labels(bytes));
}

function isOfNamespace(term: FieldRequirement, namespace: string): boolean {
  return term.field === 'metadata.namespace' && !term.isNegated && term.value === namespace;
}

/** Whether every object that `a` selects is selected by `b`. False where that is not plain to see. */
function fieldImplies(a: FieldRequirement, b: FieldRequirement): boolean {
  if (a.field !== b.field) return false;
  if (a.isNegated === b.isNegated) return a.value === b.value;
  return b.isNegated && a.value !== b.value;
}

function labelImplies(a: LabelRequirement, b: LabelRequirement): boolean {
  if (a.key !== b.key) return false;
  const within = (values: readonly string[]): boolean => a.values.every((value) => values.includes(value));
  switch (b.operator) {
    case 'exists':
      return a.operator === 'exists' || a.operator === 'in' || a.operator === 'gt' || a.operator === 'lt';
    case 'absent':
      return a.operator === 'absent';
    case 'in':
      return a.operator === 'in' && within(b.values);
    case 'notin':
      if (a.operator === 'absent') return true;
      if (a.operator === 'notin') return b.values.every((value) => a.values.includes(value));
      return a.operator === 'in' && !a.values.some((value) => b.values.includes(value));
    case 'gt':
    case 'lt':
      return a.operator === b.operator && a.values[0] === b.values[0];
  }
}
