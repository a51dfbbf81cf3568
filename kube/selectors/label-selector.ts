// Label selectors as k8s.io/apimachinery/pkg/labels/selector.go reads them, refusals included: requirements joined by
// commas, each of `key`, `!key`, `key=value`, `key==value`, `key!=value`, `key in (a,b)`, `key notin (a,b)`, `key>5`, `key<5`.
import { SelectorError } from '../errors.ts';

export interface LabelRequirement {
  readonly key: string;
  readonly operator: 'exists' | 'absent' | 'in' | 'notin' | 'gt' | 'lt';
  /** For `in` and `notin`, sorted, each once (`=` is `in` with one value); one integer for `gt` and `lt`. */
  readonly values: readonly string[];
}

const keyPattern = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const valuePattern = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const integerPattern = /^[-+]?\d+$/;
const tokenPattern = /[ \t\r\n]*(==|!=|[=!,()<>]|[^ \t\r\n=!,()<>]+|$)/y;
const special = new Set(['==', '!=', '=', '!', ',', '(', ')', '<', '>', '']);
const binary: Readonly<Record<string, LabelRequirement['operator']>> = {
  '=': 'in',
  '==': 'in',
  '!=': 'notin',
  in: 'in',
  notin: 'notin',
  '>': 'gt',
  '<': 'lt',
};

/** The empty text selects everything and gives no requirements. Throws SelectorError on what the API server refuses. */
export function parseLabelSelector(selector: string): LabelRequirement[] {
  return new Parser(selector).requirements();
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
      case 'gt':
      case 'lt':
        if (value === undefined || !integerPattern.test(value)) return false;
        return operator === 'gt' ? BigInt(value) > BigInt(values[0] ?? '') : BigInt(value) < BigInt(values[0] ?? '');
    }
  });
}

/** The words of a selector; '' stands for its end, as Go's parser says it in refusals. */
class Parser {
  readonly #selector: string;
  readonly #tokens: string[] = [];

  constructor(selector: string) {
    this.#selector = selector;
    tokenPattern.lastIndex = 0;
    for (let token: string | undefined; token !== ''; this.#tokens.push(token))
      token = tokenPattern.exec(selector)?.[1] ?? '';
  }

  requirements(): LabelRequirement[] {
    const requirements: LabelRequirement[] = [];
    for (;;) {
      const next = this.#peek();
      if (next === '') return requirements;
      if (special.has(next) && next !== '!')
        throw this.#refusal(`found '${next}', expected: !, identifier, or 'end of string'`);
      requirements.push(this.#requirement());
      const after = this.#take();
      if (after === '') return requirements;
      if (after !== ',') throw this.#refusal(`found '${after}', expected: ',' or 'end of string'`);
      const following = this.#peek();
      if (special.has(following) && following !== '!')
        throw this.#refusal(`found '${following}', expected: identifier after ','`);
    }
  }

  #requirement(): LabelRequirement {
    const isNegated = this.#peek() === '!';
    if (isNegated) this.#take();
    const key = this.#take();
    if (special.has(key)) throw this.#badRequirement(`found '${key}', expected: identifier`);
    if (!keyPattern.test(key)) throw this.#badRequirement(`key: Invalid value: ${JSON.stringify(key)}`);
    const end = this.#peek();
    if (end === '' || end === ',') return { key, operator: isNegated ? 'absent' : 'exists', values: [] };
    if (isNegated) return { key, operator: 'absent', values: [] };
    const word = this.#take();
    const operator = Object.hasOwn(binary, word) ? binary[word] : undefined;
    if (operator === undefined) throw this.#badRequirement(`found '${word}', expected: in, notin, =, ==, !=, gt, lt`);
    const values = word === 'in' || word === 'notin' ? this.#set() : [this.#exactValue()];
    for (const value of values) this.#check(key, operator, value);
    return { key, operator, values: [...new Set(values)].toSorted() };
  }

  #exactValue(): string {
    const next = this.#peek();
    if (next === '' || next === ',') return '';
    const value = this.#take();
    if (special.has(value)) throw this.#badRequirement(`found '${value}', expected: identifier`);
    return value;
  }

  #set(): string[] {
    const open = this.#take();
    if (open !== '(') throw this.#badRequirement(`found '${open}' expected: '('`);
    const values: string[] = [];
    for (;;) {
      const next = this.#take();
      if (next === ')') return [...values, ''];
      if (next === ',') {
        values.push('');
        continue;
      }
      if (special.has(next)) throw this.#badRequirement(`found '${next}', expected: ',', ')' or identifier`);
      values.push(next);
      const after = this.#take();
      if (after === ')') return values;
      if (after !== ',') throw this.#badRequirement(`found '${after}', expected: ',' or ')'`);
    }
  }

  #check(key: string, operator: LabelRequirement['operator'], value: string): void {
    if ((operator === 'gt' || operator === 'lt') && !integerPattern.test(value))
      throw this.#badRequirement(
        `values[0]: Invalid value: ${JSON.stringify(value)}: for 'Gt', 'Lt' operators, the value must be an integer`,
      );
    if (!valuePattern.test(value))
      throw this.#badRequirement(`values[0][${key}]: Invalid value: ${JSON.stringify(value)}`);
  }

  #peek(): string {
    return this.#tokens[0] ?? '';
  }

  #take(): string {
    return this.#tokens.shift() ?? '';
  }

  #badRequirement(problem: string): SelectorError {
    return this.#refusal(`unable to parse requirement: ${problem}`);
  }

  #refusal(problem: string): SelectorError {
    return new SelectorError(this.#selector, problem);
  }
}
