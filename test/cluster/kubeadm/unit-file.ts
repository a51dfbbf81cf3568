// Unit files as systemd reads them, as far as kubeadm's and our own go: sections are ignored, since no key has two meanings in
// them; a later file adds to a list or replaces a value, and an empty assignment begins a list anew.
// (systemd.syntax(7), systemd.service(5), systemd.exec(5))

export class Unit {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  /** `files`: the texts of the unit and then of its drop-ins, in their order. */
  constructor(files: readonly string[]) {
    const values = new Map<string, string[]>();
    for (const text of files)
      for (const line of text.replaceAll(/\\\n/g, ' ').split('\n')) {
        const [, key, value] = /^\s*([A-Za-z]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
        if (key === undefined || value === undefined) continue;
        if (value === '') values.delete(key);
        else values.set(key, [...(values.get(key) ?? []), value]);
      }
    this.#values = values;
  }

  all(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  /** The last assignment; '' if there is none. */
  last(key: string): string {
    return this.all(key).at(-1) ?? '';
  }

  /** Words of all assignments: names of units, for example. */
  names(key: string): string[] {
    return this.all(key).flatMap(words);
  }

  /** Milliseconds. */
  duration(key: string, otherwise: number): number {
    const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)\s*(ms|s|min)?$/.exec(this.last(key)) ?? [];
    if (amount === undefined) return otherwise;
    return Number(amount) * (unit === 'ms' ? 1 : unit === 'min' ? 60_000 : 1_000);
  }

  /** `Environment=`, and then the files of `EnvironmentFile=`, read by `readFile` (undefined: there is none). Throws for one that is missing without a dash. */
  environment(readFile: (file: string) => string | undefined): Record<string, string> {
    const result: Record<string, string> = {};
    const assign = (assignment: string): void => {
      const [, name, value = ''] = /^([A-Za-z_]\w*)=([\s\S]*)$/.exec(assignment) ?? [];
      if (name !== undefined) result[name] = value;
    };
    this.all('Environment').flatMap(words).forEach(assign);
    for (const entry of this.all('EnvironmentFile')) {
      const text = readFile(entry.replace(/^-/, ''));
      if (text === undefined && !entry.startsWith('-')) throw new Error(`there is no ${entry}`);
      for (const line of (text ?? '').split('\n')) {
        const [, name, value = ''] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
        if (name !== undefined) assign(`${name}=${words(value).join(' ')}`);
      }
    }
    return result;
  }
}

/** A command of a unit: `$NAME` as a word of its own becomes its words, `${NAME}` its text. */
export function commandWords(command: string, environment: Readonly<Record<string, string>>): string[] {
  return words(command.replace(/^[-@:+!]+/, '')).flatMap((word) => {
    const [, name] = /^\$(\w+)$/.exec(word) ?? [];
    if (name !== undefined) return words(environment[name] ?? '');
    return [word.replaceAll(/\$\{(\w+)\}/g, (_, inner: string) => environment[inner] ?? '')];
  });
}

/** Words between blanks; quotes, single or double, hold blanks together. */
function words(text: string): string[] {
  return Array.from(text.matchAll(/(?:"[^"]*"|'[^']*'|[^\s"'])+/g), ([word]) =>
    word.replaceAll(/"([^"]*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ''),
  );
}

/** Units in an order in which each comes after those that it names in After=, and before those in Before=. */
export function startOrder(units: ReadonlyMap<string, Unit>): string[] {
  const order: string[] = [];
  const visiting = new Set<string>();
  const visit = (name: string): void => {
    if (order.includes(name) || visiting.has(name)) return;
    visiting.add(name);
    for (const earlier of units.get(name)?.names('After') ?? []) if (units.has(earlier)) visit(earlier);
    for (const [other, unit] of units) if (unit.names('Before').includes(name)) visit(other);
    order.push(name);
  };
  [...units.keys()].sort().forEach(visit);
  return order;
}
