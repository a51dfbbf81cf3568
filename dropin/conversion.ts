// Carries a plan out, there or back, step by step. What has begun and what is done is in the journal, so that it may be killed
// anywhere, and the next run ends where this one would have.
import { Actions, type ActionParts, type ActionSettings } from './carry-out.ts';
import type { Step } from './plan.ts';

export class Conversion {
  readonly #parts: ActionParts;
  readonly actions: Actions;

  constructor(parts: ActionParts, settings: ActionSettings) {
    this.#parts = parts;
    this.actions = new Actions(parts, settings);
  }

  /** All steps that are not done. Rejects with ERR_DROPIN_STEP, which names the step; what was done stays for `undo`. */
  async there(steps: readonly Step[]): Promise<void> {
    const { journal, progress } = this.#parts;
    for (const [index, step] of steps.entries()) {
      if (journal.isDone(step.id)) continue;
      progress.begin(`${index + 1}/${steps.length} ${step.title}`);
      await journal.mark('begun', step.id);
      await this.actions.all(step.title, step.apply);
      await journal.mark('done', step.id);
      progress.end();
    }
  }

  /** Undoes every step that has begun, last to first. Rejects with ERR_DROPIN_STEP; run again, it goes on. */
  async undo(steps: readonly Step[]): Promise<void> {
    const { journal, progress } = this.#parts;
    for (const step of steps.toReversed()) {
      if (!journal.hasBegun(step.id) || journal.isUndone(step.id)) continue;
      if (step.undo.length > 0) progress.begin(`Undo: ${step.title}`);
      await this.actions.all(`undo: ${step.title}`, step.undo);
      await journal.mark('undone', step.id);
      if (step.undo.length > 0) progress.end();
    }
  }
}
