// The share of requests that may go to nodes because little is known of them: a budget that each choice fills a little.
// Whatever the nodes do, no more than this share, and a few at once at the start, is spent on finding out.

/** Explorations that may be saved up. */
const MOST_SAVED = 3;

export class ExplorationBudget {
  readonly #share: number;
  #saved = 0;

  /** `share` of all choices, 0 to 1. */
  constructor(share: number) {
    this.#share = share;
  }

  /** One more choice is made. */
  earn(): void {
    this.#saved = Math.min(MOST_SAVED, this.#saved + this.#share);
  }

  get available(): boolean {
    return this.#saved >= 1;
  }

  spend(): void {
    this.#saved -= 1;
  }
}
