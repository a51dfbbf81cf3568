// The one place where yaml is known.
import { parse, YAMLParseError } from 'yaml';

/** One YAML (or JSON) document as plain values. Throws SyntaxError with line and column. */
export function parseYaml(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: 10, prettyErrors: true }) as unknown;
  } catch (error) {
    if (error instanceof YAMLParseError) throw new SyntaxError(error.message.split('\n')[0], { cause: error });
    throw error;
  }
}
