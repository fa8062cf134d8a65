// Whether two nodes that were asked the same seeded question gave the same answer. Pure comparison; what is tolerated and
// why is said at TOLERANCE. Different is claimed only where it was shown: too little to compare is `inconclusive`.

/** What was found about one node by comparing its answer with others'. */
export interface CanaryFinding {
  /** The text and, where both sent them, the log probabilities. */
  readonly answer: 'agrees' | 'differs' | 'inconclusive' | 'failed';
  /** The token counts that are billed. */
  readonly usage: 'agrees' | 'differs' | 'inconclusive';
  /** For people: numbers that the finding rests on. */
  readonly detail: string;
}
