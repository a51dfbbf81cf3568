// The LabelSelector of API objects (matchLabels and matchExpressions) as the requirements of a selector's text form.
import { SelectorError } from '../errors.ts';
import type { LabelRequirement } from './label-selector.ts';

/** meta/v1 LabelSelector. An empty one selects everything. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly {
    readonly key: string;
    readonly operator: string;
    readonly values?: readonly string[];
  }[];
}

/** Throws SelectorError, which names the expression and what it may be. */
export function labelRequirements(selector: LabelSelector): LabelRequirement[] {
  const requirements: LabelRequirement[] = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => ({
    key,
    operator: 'in',
    values: [value],
  }));
  for (const [index, { key, operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const refuse = (problem: string): SelectorError =>
      new SelectorError(JSON.stringify(selector), `matchExpressions[${index}]: ${problem}`);
    switch (operator) {
      case 'In':
      case 'NotIn':
        if (values.length === 0) throw refuse(`operator ${operator} needs at least one of values`);
        requirements.push({ key, operator: operator === 'In' ? 'in' : 'notin', values });
        break;
      case 'Exists':
      case 'DoesNotExist':
        if (values.length > 0) throw refuse(`operator ${operator} takes no values`);
        requirements.push({ key, operator: operator === 'Exists' ? 'exists' : 'absent', values: [] });
        break;
      default:
        throw refuse(`operator '${operator}' has to be In, NotIn, Exists or DoesNotExist`);
    }
  }
  return requirements;
}
