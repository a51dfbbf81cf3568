// The one place where yaml is known.
import { isNode, isScalar, isSeq, parse, parseAllDocuments, parseDocument, YAMLParseError } from 'yaml';

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

/** One item of a block sequence as lines of the text. */
export interface YamlItem {
  /** Offsets of its first line, and of what follows its last. */
  readonly start: number;
  readonly end: number;
  /** What stands before its dash. */
  readonly indent: string;
  readonly value: unknown;
}

/**
 * The items of the block sequence at this place, each with the lines that it stands in, so that lines can be added and taken out and
 * every other byte stays. Undefined when there is no such sequence. Throws SyntaxError with line and column.
 */
export function yamlItems(source: string, path: YamlPath): YamlItem[] | undefined {
  const document = parseDocument(source, { prettyErrors: true });
  const error = document.errors[0];
  if (error !== undefined) throw new SyntaxError(error.message.split('\n')[0], { cause: error });
  const sequence: unknown = document.getIn(path, true);
  if (!isSeq(sequence) || sequence.flow === true) return undefined;
  return sequence.items.map((item) => {
    if (!isNode(item) || !item.range) throw new SyntaxError(`${path.join('.')}: an item without a place`);
    const [valueStart, valueEnd] = item.range;
    const start = source.lastIndexOf('\n', valueStart - 1) + 1;
    const newline = source.indexOf('\n', Math.max(start, valueEnd - 1));
    const indent = /^ */.exec(source.slice(start))?.[0] ?? '';
    return { start, end: newline === -1 ? source.length : newline + 1, indent, value: item.toJS(document) as unknown };
  });
}

/** Changes values of a document through `edit`, which gets and sets by path; comments and order stay. */
export function editYaml(
  source: string,
  edit: (document: {
    readonly get: (path: YamlPath) => unknown;
    readonly set: (path: YamlPath, value: unknown) => void;
    readonly remove: (path: YamlPath) => void;
  }) => void,
): string {
  const document = parseDocument(source, { prettyErrors: true });
  const error = document.errors[0];
  if (error !== undefined) throw new SyntaxError(error.message.split('\n')[0], { cause: error });
  edit({
    get: (path) => {
      const node: unknown = document.getIn(path, true);
      return isNode(node) ? (node.toJS(document) as unknown) : node;
    },
    set: (path, value) => document.setIn(path, document.createNode(value)),
    remove: (path) => void document.deleteIn(path),
  });
  return document.toString({ lineWidth: 0, indentSeq: false });
}
