// Flags as data: what a command accepts, its help text, and the reading of argv.
import { nearest } from '../runtime/nearest.ts';
import { flagName, isRepeatable, valueHelp, type Setting, type SettingsSchema } from '../runtime/settings.ts';
import { UsageError } from './errors.ts';

export interface Flag {
  /** Key in the result. */
  readonly key: string;
  /** Without the dashes. */
  readonly name: string;
  /** What the value looks like in the help; undefined for a flag without value, or with an optional true/false. */
  readonly value: string | undefined;
  readonly repeatable: boolean;
  readonly doc: string;
}

/** One that is given at most once. `value` undefined: a switch. */
export const flag = (name: string, key: string, value: string | undefined, doc: string): Flag => ({
  name,
  key,
  value,
  doc,
  repeatable: false,
});

/** What may stand in a command without dashes. */
export interface Argument {
  /** Key in the result. */
  readonly key: string;
  /** As the help names it, in capitals. */
  readonly name: string;
  readonly doc: string;
}

/**
 * `--name value`, `--name=value`, `--switch`, `--no-switch`, and at most one argument without dashes where the command takes one.
 * Throws UsageError, with the nearest flag for an unknown one.
 */
export function parseFlags(
  argv: readonly string[],
  flags: readonly Flag[],
  positional?: Argument,
): Record<string, string | string[]> {
  const byName = new Map(flags.map((flag) => [flag.name, flag]));
  const values: Record<string, string | string[]> = {};
  for (let i = 0; i < argv.length; i += 1) {
    const argument = argv[i]!;
    if (!argument.startsWith('--')) {
      if (positional === undefined || values[positional.key] !== undefined)
        throw new UsageError(`unexpected argument ${JSON.stringify(argument)}`);
      values[positional.key] = argument;
      continue;
    }
    const equals = argument.indexOf('=');
    const name = equals === -1 ? argument.slice(2) : argument.slice(2, equals);
    const negated = name.startsWith('no-') && byName.get(name.slice(3))?.value === undefined;
    const flag = byName.get(name) ?? (negated ? byName.get(name.slice(3)) : undefined);
    if (flag === undefined) {
      const guess = nearest(name, byName.keys());
      throw new UsageError(`unknown flag --${name}${guess === undefined ? '' : `; did you mean --${guess}?`}`);
    }
    let value: string;
    if (equals !== -1) value = argument.slice(equals + 1);
    else if (flag.value === undefined) value = flag.name === name ? 'true' : 'false';
    else {
      const next = argv[(i += 1)];
      if (next === undefined || next.startsWith('--')) throw new UsageError(`--${name} needs a value (${flag.value})`);
      value = next;
    }
    const before = values[flag.key];
    if (before === undefined) values[flag.key] = flag.repeatable ? [value] : value;
    else if (Array.isArray(before)) before.push(value);
    else throw new UsageError(`--${name} is given twice`);
  }
  return values;
}

/** One flag per entry: the name and its value, then the doc line, wrapped at 100 columns. */
export function flagHelp(flags: readonly Flag[]): string {
  return flags
    .map((flag) => {
      const head = `  --${flag.name}${flag.value === undefined ? '' : ` ${flag.value}`}`;
      return `${head}\n${wrap(flag.doc, 90)
        .map((line) => `      ${line}`)
        .join('\n')}`;
    })
    .join('\n');
}

function wrap(text: string, columns: number): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line !== '' && line.length + 1 + word.length > columns) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}

/** The flags of a daemon: --config, with `example` for what its file holds, and one for each setting. */
export function settingsFlags(schema: SettingsSchema, example: string): readonly Flag[] {
  return [
    {
      key: 'config',
      name: 'config',
      value: 'FILE',
      repeatable: false,
      doc: `YAML file with settings, named as below without dashes (${example}). Flags win.`,
    },
    ...Object.entries<Setting>(schema).map(([key, setting]): Flag => ({
      key,
      name: flagName(key),
      value: valueHelp(setting),
      repeatable: isRepeatable(setting),
      doc: `${setting.doc}${bounds(setting)}${fallback(setting)}`,
    })),
  ];
}

function bounds({ min, max }: Setting): string {
  return max === undefined ? '' : ` From ${min ?? 0} to ${max}.`;
}

function fallback({ default: value }: Setting): string {
  return value === undefined || (Array.isArray(value) && value.length === 0) ? '' : ` Default: ${value.toString()}.`;
}
