// What a conversion has done so far, on disk before it is done: whoever comes after a SIGKILL or a power cut goes on from here,
// or back. Lies with the backups in a folder that is root's alone.
import path from 'node:path';
import { DropInError } from './errors.ts';
import type { Entry, Files } from './files.ts';
import { currentLink, ours, prefix } from './places.ts';

/** converting: on the way there. converted: arrived. reverting: on the way back, from wherever it was. */
export type Phase = 'converting' | 'converted' | 'reverting';

/** What was at a path before the first change of it. */
export interface Before {
  readonly path: string;
  /** Undefined: nothing. */
  readonly entry?: Entry;
  /** Name of the file with the bytes, beside the journal. */
  readonly bytes?: string;
}

/** A change of the version that is not over. */
export interface Upgrade {
  readonly from: string;
  readonly to: string;
  /** The new version was on the node before. */
  readonly toWasThere: boolean;
  /** The unit's file is replaced by that of the new version, and on the way back by that of the old one. */
  readonly replacesUnit: boolean;
  /** It failed, or was given up: on the way back. */
  readonly back: boolean;
}

interface Document {
  format: 1;
  /** Version of Holdfast that is installed. */
  version: string;
  phase: Phase;
  /** ISO 8601, by the node's clock. */
  begunAt: string;
  /** Steps that have begun; undone ones stay. */
  begun: string[];
  done: string[];
  undone: string[];
  before: Before[];
  /** What a step has to remember, by a key of its own. */
  notes: Record<string, readonly string[]>;
  upgrade?: Upgrade;
}

/** Steps of an upgrade have names of their own, and are forgotten when it is over. */
export const upgradeStepPrefix = 'upgrade-';

const journalFile = path.join(ours.journal, 'journal.json');

export class Journal {
  readonly #files: Files;
  #document: Document;

  private constructor(files: Files, document: Document) {
    this.#files = files;
    this.#document = document;
  }

  /** Undefined when no conversion was begun, or one was undone to the end. Rejects with ERR_DROPIN_JOURNAL for one that cannot be read. */
  static async open(files: Files): Promise<Journal | undefined> {
    const bytes = await files.read(journalFile);
    if (bytes === undefined) return undefined;
    let document: Partial<Document>;
    try {
      document = JSON.parse(bytes.toString('utf8')) as Partial<Document>;
    } catch (cause) {
      throw new DropInError('ERR_DROPIN_JOURNAL', `${journalFile} is no JSON`, { cause });
    }
    if (document.format !== 1)
      throw new DropInError(
        'ERR_DROPIN_JOURNAL',
        `${journalFile} is of another version of Holdfast; use the command of that version`,
      );
    return new Journal(files, document as Document);
  }

  /** On disk when it resolves. */
  static async begin(files: Files, version: string, begunAt: string): Promise<Journal> {
    for (const folder of [ours.data, ours.journal]) await files.makeFolder(folder, 0o700);
    const journal = new Journal(files, {
      format: 1,
      version,
      phase: 'converting',
      begunAt,
      begun: [],
      done: [],
      undone: [],
      before: [],
      notes: {},
    });
    await journal.#save();
    return journal;
  }

  get version(): string {
    return this.#document.version;
  }

  get begunAt(): string {
    return this.#document.begunAt;
  }

  get phase(): Phase {
    return this.#document.phase;
  }

  async setPhase(phase: Phase): Promise<void> {
    if (this.#document.phase === phase) return;
    this.#document.phase = phase;
    await this.#save();
  }

  get upgrade(): Upgrade | undefined {
    return this.#document.upgrade;
  }

  beginUpgrade(upgrade: Upgrade): Promise<void> {
    return this.#replace({ ...withoutUpgrade(this.#document), upgrade });
  }

  async turnUpgradeBack(): Promise<void> {
    const { upgrade } = this.#document;
    if (upgrade === undefined || upgrade.back) return;
    this.#document.upgrade = { ...upgrade, back: true };
    await this.#save();
  }

  /** `version` is the one that runs now. When it rejects the upgrade goes on being underway. */
  endUpgrade(version: string): Promise<void> {
    return this.#replace({ ...withoutUpgrade(this.#document), version });
  }

  /** Versions that were put on the node, the present one left out; those that were there before are not ours. */
  otherVersions(): string[] {
    return this.#document.before
      .filter(({ path: file, entry }) => path.dirname(file) === prefix && file !== currentLink && entry === undefined)
      .map(({ path: file }) => path.basename(file))
      .filter((version) => version !== this.#document.version);
  }

  hasBegun(step: string): boolean {
    return this.#document.begun.includes(step);
  }

  isDone(step: string): boolean {
    return this.#document.done.includes(step);
  }

  isUndone(step: string): boolean {
    return this.#document.undone.includes(step);
  }

  async mark(list: 'begun' | 'done' | 'undone', step: string): Promise<void> {
    if (this.#document[list].includes(step)) return;
    this.#document[list].push(step);
    await this.#save();
  }

  note(key: string): readonly string[] | undefined {
    return this.#document.notes[key];
  }

  /** Kept as it was noted the first time: a second run must not take what the first one did for what was there before. */
  async noteOnce(key: string, make: () => Promise<readonly string[]>): Promise<readonly string[]> {
    const known = this.note(key);
    if (known !== undefined) return known;
    const values = await make();
    this.#document.notes[key] = values;
    await this.#save();
    return values;
  }

  before(file: string): Before | undefined {
    return this.#document.before.find((known) => known.path === file);
  }

  /** Saves what is at this path now, unless that was done before. Call it before the path is changed. */
  async saveBefore(file: string): Promise<void> {
    if (this.before(file) !== undefined) return;
    const entry = await this.#files.stat(file);
    const taken = this.#document.before.map(({ bytes: name }) => Number(name?.slice('before-'.length) ?? 0));
    const bytes = entry?.kind === 'file' ? `before-${Math.max(0, ...taken) + 1}` : undefined;
    if (bytes !== undefined) {
      const content = await this.#files.read(file);
      await this.#files.write(path.join(ours.journal, bytes), content ?? '', { mode: 0o600 });
    }
    this.#document.before.push({
      path: file,
      ...(entry === undefined ? {} : { entry }),
      ...(bytes === undefined ? {} : { bytes }),
    });
    await this.#save();
  }

  /** Puts back what saveBefore found: bytes, mode and owner. */
  async restore(file: string): Promise<void> {
    const before = this.before(file);
    if (before === undefined) return; // never touched
    const { entry, bytes } = before;
    if (entry === undefined) return this.#files.remove(file);
    if (entry.kind === 'link') return this.#files.link(file, entry.target);
    if (entry.kind === 'folder' || bytes === undefined) return; // a folder that was there stays
    const content = await this.#files.read(path.join(ours.journal, bytes));
    if (content === undefined)
      throw new DropInError(
        'ERR_DROPIN_JOURNAL',
        `${path.join(ours.journal, bytes)}, the backup of ${file}, is missing`,
      );
    await this.#files.write(file, content, entry);
  }

  /** What was made at this path is gone again, and need not be taken back. Only where nothing was before. */
  async forget(file: string): Promise<void> {
    this.#document.before = this.#document.before.filter(({ path: known }) => known !== file);
    await this.#save();
  }

  /** The last thing that is left of a conversion. */
  async remove(): Promise<void> {
    // The journal itself first: without it the rest means nothing, and a later run clears it away.
    await this.#files.remove(journalFile);
    await clearLeftovers(this.#files);
  }

  async #replace(document: Document): Promise<void> {
    const before = this.#document;
    this.#document = document;
    await this.#save().catch((error: unknown) => {
      this.#document = before;
      throw error;
    });
  }

  async #save(): Promise<void> {
    await this.#files.write(journalFile, `${JSON.stringify(this.#document, null, 1)}\n`, { mode: 0o600 });
  }
}

function withoutUpgrade(document: Document): Document {
  const others = (steps: readonly string[]): string[] => steps.filter((step) => !step.startsWith(upgradeStepPrefix));
  const { begun, done, undone } = document;
  const rest = { ...document, begun: others(begun), done: others(done), undone: others(undone) };
  delete rest.upgrade;
  return rest;
}

/** What a run that was killed at its very end, or its very beginning, left of the journal's folder. Only without a journal. */
export async function clearLeftovers(files: Files): Promise<void> {
  await files.remove(ours.journal);
  await files.removeEmptyFolder(ours.data);
}
