// Label selectors by the grammar of k8s.io/apimachinery/pkg/labels/selector.go: requirements joined by commas, each of
// `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`.
import { SelectorError } from '../errors.ts';

export interface LabelRequirement {
  readonly key: string;
  readonly operator: 'exists' | 'absent' | 'in' | 'notin';
  /** For `in` and `notin`; `=` is `in` with one value. */
  readonly values: readonly string[];
}

const keyPattern = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const valuePattern = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const tokenPattern = /\s*(==|!=|=|!|,|\(|\)|[^\s=!,()]+)\s*/y;

/** The empty text selects everything and gives no requirements. Throws SelectorError on what the API server refuses. */
export function parseLabelSelector(selector: string): LabelRequirement[] {
  const tokens = tokenize(selector);
  const requirements: LabelRequirement[] = [];
  if (tokens.length === 0) return requirements;
  for (;;) {
    requirements.push(requirement(tokens, selector));
    const next = tokens.shift();
    if (next === undefined) return requirements;
    if (next !== ',') throw new SelectorError(selector, `found '${next}', expected: ',' or the end`);
  }
}

export function matchesLabels(
  requirements: readonly LabelRequirement[],
  labels: Readonly<Record<string, string>>,
): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'exists':
        return value !== undefined;
      case 'absent':
        return value === undefined;
      case 'in':
        return value !== undefined && values.includes(value);
      case 'notin':
        // An object without the label is selected: `!=` and `notin` only exclude.
        return value === undefined || !values.includes(value);
    }
  });
}

function tokenize(selector: string): string[] {
  const tokens: string[] = [];
  tokenPattern.lastIndex = 0;
  const end = selector.trimEnd().length;
  while (tokenPattern.lastIndex < end) {
    const token = tokenPattern.exec(selector)?.[1];
    if (token === undefined) throw new SelectorError(selector, 'unexpected text');
    tokens.push(token);
  }
  return tokens;
}

function requirement(tokens: string[], selector: string): LabelRequirement {
  const isNegated = tokens[0] === '!';
  if (isNegated) tokens.shift();
  const key = tokens.shift() ?? '';
  if (!keyPattern.test(key)) throw new SelectorError(selector, `'${key}' is no label key`);
  if (isNegated) return { key, operator: 'absent', values: [] };
  const next: string = tokens[0] ?? '';
  switch (next) {
    case '=':
    case '==':
    case '!=': {
      const operator = tokens.shift() === '!=' ? 'notin' : 'in';
      const value = tokens.at(0);
      const hasValue = value !== undefined && value !== ',';
      return { key, operator, values: [checkedValue(hasValue ? (tokens.shift() ?? '') : '', selector)] };
    }
    case 'in':
    case 'notin': {
      const operator = tokens.shift() === 'in' ? 'in' : 'notin';
      return { key, operator, values: valueSet(tokens, selector) };
    }
    default:
      return { key, operator: 'exists', values: [] };
  }
}

function valueSet(tokens: string[], selector: string): string[] {
  if (tokens.shift() !== '(') throw new SelectorError(selector, "expected: '(' after in or notin");
  const values: string[] = [];
  for (;;) {
    const isEmpty = tokens[0] === ',' || tokens[0] === ')';
    values.push(checkedValue(isEmpty ? '' : (tokens.shift() ?? '('), selector));
    const next = tokens.shift();
    if (next === ')') return values;
    if (next !== ',') throw new SelectorError(selector, "expected: ',' or ')' in a set of values");
  }
}

function checkedValue(value: string, selector: string): string {
  if (!valuePattern.test(value)) throw new SelectorError(selector, `'${value}' is no label value`);
  return value;
}
