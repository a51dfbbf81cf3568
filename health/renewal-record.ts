// Which renewals of this node's Lease arrived: how good its own way to the cloud has been lately, for guards that have not watched it.
import { fading, noRounds, withRound, type Rounds } from '../peers/rounds.ts';

export class RenewalRecord {
  #rounds: Rounds = noRounds;
  /** Since the last that arrived one did not. */
  #isLost = false;
  /** The last that was sent, until it has arrived. */
  #underWay: object | undefined;

  /** Those that arrived; bad are those before which one was lost. */
  get rounds(): Rounds {
    return this.#rounds;
  }

  /** One goes out. To call back when the API server has taken it, also after others; for one that was sent before the last that is too late. */
  sent(): () => void {
    // Nothing was heard of the one before.
    this.#isLost ||= this.#underWay !== undefined;
    const own = {};
    this.#underWay = own;
    return () => {
      if (this.#underWay !== own) return;
      this.#underWay = undefined;
      this.#rounds = withRound(this.#rounds, this.#isLost, fading.renewals);
      this.#isLost = false;
    };
  }

  /** The way to the cloud is gone. A node that has only just started has not lost it. */
  lost(): void {
    this.#isLost ||= this.#rounds.all > 0;
  }
}
