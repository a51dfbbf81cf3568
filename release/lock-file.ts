// package-lock.json as far as a release needs it: which packages there are, and what each needs in turn.

export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression, as the package states it. */
  readonly license: string;
  /** Subresource integrity of the package's archive: sha512-BASE64. */
  readonly integrity: string;
  readonly dependencies: readonly string[];
}

interface LockEntry {
  version?: string;
  license?: string;
  integrity?: string;
  dependencies?: Record<string, string>;
}

export class LockFile {
  readonly #entries: Readonly<Record<string, LockEntry>>;

  /** `text`: package-lock.json, lockfileVersion 2 or 3. Throws TypeError if it is not one. */
  constructor(text: string) {
    const { packages } = JSON.parse(text) as { packages?: Record<string, LockEntry> };
    if (packages === undefined)
      throw new TypeError('package-lock.json has no packages: lockfileVersion 2 or 3 is needed');
    this.#entries = packages;
  }

  /** The package at node_modules/NAME. Throws TypeError if the lock file has none, or leaves out what a release has to state. */
  package(name: string): LockedPackage {
    const entry = this.#entries[`node_modules/${name}`];
    if (entry === undefined) throw new TypeError(`package-lock.json has no package ${name}`);
    const { version, license, integrity, dependencies = {} } = entry;
    if (version === undefined || license === undefined || integrity === undefined)
      throw new TypeError(`package-lock.json: ${name} lacks version, license or integrity`);
    return { name, version, license, integrity, dependencies: Object.keys(dependencies).sort() };
  }

  /** The package and what it needs to run, itself first, each once; `without` and what only that needs is left out. */
  closure(name: string, without: readonly string[] = []): LockedPackage[] {
    const found = new Map<string, LockedPackage>();
    const visit = (wanted: string): void => {
      if (found.has(wanted) || without.includes(wanted)) return;
      const locked = this.package(wanted);
      found.set(wanted, locked);
      locked.dependencies.forEach(visit);
    };
    visit(name);
    return [...found.values()];
  }
}
