// Field selectors by k8s.io/apimachinery/pkg/fields/selector.go: `field=value`, `field==value`, `field!=value`, joined by
// commas; a backslash escapes a comma, an equals sign or a backslash in a value. Which fields a kind has is the caller's to know.
import { SelectorError } from '../errors.ts';

export interface FieldRequirement {
  readonly field: string;
  readonly isNegated: boolean;
  readonly value: string;
}

/** The empty text selects everything and gives no requirements. Throws SelectorError on what the API server refuses. */
export function parseFieldSelector(selector: string): FieldRequirement[] {
  return splitTerms(selector)
    .toSorted()
    .filter((term) => term !== '')
    .map((term) => {
      const match = /^([^=!]*)(!=|==|=)(.*)$/s.exec(term);
      if (match === null)
        throw new SelectorError(selector, `invalid selector: '${selector}'; can't understand '${term}'`);
      const [, field = '', operator, value = ''] = match;
      return { field, isNegated: operator === '!=', value: unescapeValue(value, selector) };
    });
}

/** `valueOf` gives the field as text, '' when the object does not have it. */
export function matchesFields(requirements: readonly FieldRequirement[], valueOf: (field: string) => string): boolean {
  return requirements.every(({ field, isNegated, value }) => (valueOf(field) === value) !== isNegated);
}

function splitTerms(selector: string): string[] {
  const terms: string[] = [];
  let start = 0;
  for (let at = 0; at < selector.length; at += 1) {
    if (selector[at] === '\\') at += 1;
    else if (selector[at] === ',') {
      terms.push(selector.slice(start, at));
      start = at + 1;
    }
  }
  terms.push(selector.slice(start));
  return terms;
}

function unescapeValue(value: string, selector: string): string {
  let result = '';
  for (let at = 0; at < value.length; at += 1) {
    const character = value[at] ?? '';
    if (character === '\\') {
      at += 1;
      const escaped = value[at] ?? '';
      if (!/^[\\,=]$/.test(escaped))
        throw new SelectorError(selector, `invalid field selector: invalid escape sequence: \\${escaped}`);
      result += escaped;
    } else if (character === '=')
      throw new SelectorError(selector, 'invalid field selector: unescaped character in value: 61');
    else result += character;
  }
  return result;
}
