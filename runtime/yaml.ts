// The one place where yaml is known.
import { isScalar, isSeq, parse, parseAllDocuments, parseDocument, YAMLParseError } from 'yaml';

/** One YAML (or JSON) document as plain values. Throws SyntaxError with line and column. */
export function parseYaml(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: 10, prettyErrors: true }) as unknown;
  } catch (error) {
    if (error instanceof YAMLParseError) throw new SyntaxError(error.message.split('\n')[0], { cause: error });
    throw error;
  }
}

/** Every document of a file as plain values; empty ones are left out. Throws SyntaxError with line and column. */
export function parseYamlDocuments(text: string): unknown[] {
  const documents = parseAllDocuments(text, { prettyErrors: true });
  if (!Array.isArray(documents)) return [];
  const error = documents.flatMap(({ errors }) => errors)[0];
  if (error !== undefined) throw new SyntaxError(error.message.split('\n')[0], { cause: error });
  return documents.map((document) => document.toJS({ maxAliasCount: 10 }) as unknown).filter((value) => value !== null);
}

/** Texts that stand in a line: a block ends with its line, and has no use here. */
const inLine = new Set(['PLAIN', 'QUOTE_DOUBLE', 'QUOTE_SINGLE']);

export type YamlPath = readonly (string | number)[];

/** A document as far as an edit has to know it. */
export interface YamlDocument {
  /** The text at this place; undefined when there is none, or something else. */
  text(path: YamlPath): string | undefined;
  /** How many items the sequence at this place has; 0 when there is none. */
  items(path: YamlPath): number;
}

export interface YamlEdit {
  readonly path: YamlPath;
  readonly text: string;
}

/**
 * Replaces texts that are there already, and leaves every other byte as it is: comments, order, quotes, line ends. Edits of
 * places without a text are left out. Throws SyntaxError with line and column.
 */
export function withYamlTexts(source: string, edits: (document: YamlDocument) => readonly YamlEdit[]): string {
  const document = parseDocument(source, { prettyErrors: true });
  const error = document.errors[0];
  if (error !== undefined) throw new SyntaxError(error.message.split('\n')[0], { cause: error });
  const scalarAt = (path: YamlPath) => {
    const node: unknown = document.getIn(path, true);
    return isScalar(node) && typeof node.value === 'string' && inLine.has(node.type ?? '') ? node : undefined;
  };
  const wanted = edits({
    text: (path) => scalarAt(path)?.value as string | undefined,
    items: (path) => {
      const node: unknown = document.getIn(path, true);
      return isSeq(node) ? node.items.length : 0;
    },
  });
  let result = source;
  const places = wanted.flatMap(({ path, text }) => {
    const range = scalarAt(path)?.range;
    return range ? [{ start: range[0], end: range[1], text }] : [];
  });
  // From the end, so that the places before stay where they are.
  for (const { start, end, text } of places.sort((a, b) => b.start - a.start))
    result = `${result.slice(0, start)}${JSON.stringify(text)}${result.slice(end)}`;
  return result;
}
