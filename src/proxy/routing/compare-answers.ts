// Whether two nodes that were asked the same seeded question gave the same answer. Pure comparison; what is tolerated and
// why is said at TOLERANCE. `differs` is claimed only where it was shown: too little to compare is `inconclusive`.

/** An answer to a seeded question at temperature 0, as it arrived. */
export interface SeededAnswer {
  readonly text: string;
  /** Tokens in order with their log probabilities, where the node sends them (`logprobs`); null where it does not. */
  readonly tokens: readonly SeededToken[] | null;
  /** `usage` as reported, unadjusted; null where none was sent. */
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number } | null;
  /** True when the answer ended because `max_tokens` was reached. */
  readonly cutOff: boolean;
}

export interface SeededToken {
  readonly token: string;
  /** Natural logarithm of the probability, at most 0. */
  readonly logprob: number;
  /** The likeliest tokens at this place (`top_logprobs`), the chosen one among them or not; may be empty. */
  readonly top: readonly { readonly token: string; readonly logprob: number }[];
}

/** What was found about one node by comparing its answer with others'. */
export interface CanaryFinding {
  /** The text and, where both sent them, the log probabilities. */
  readonly answer: 'agrees' | 'differs' | 'inconclusive' | 'failed';
  /** The token counts that are billed. */
  readonly usage: 'agrees' | 'differs' | 'inconclusive';
  /** For people: numbers that the finding rests on. */
  readonly detail: string;
}

/**
 * The same weights on another backend (CPU or GPU, other kernels, other batch sizes) give log probabilities that differ in the
 * second decimal, and now and then another token where two are nearly equally likely; from there on the texts part for good
 * reason. Other weights (a smaller model, a coarser quantisation) differ by tenths on average and disagree about clear cases.
 */
export const TOLERANCE = {
  /** Mean difference of log probabilities over the common beginning. */
  meanLogprob: 0.15,
  /** Largest difference at one token that is not counted as clear disagreement: such tokens are improbable ones, where noise is large. */
  singleLogprob: 1,
  /** Part of the tokens that may differ by more than `singleLogprob`. */
  outliers: 0.1,
  /** Where the texts part, each one's own token may be likelier than the other's by this much at most: a near tie. */
  nearTie: 0.7,
  /** Fewest tokens in common that say something about log probabilities. */
  fewestTokens: 8,
  /** Without log probabilities: common beginning in characters that counts as agreement though the texts part after it. */
  fewestCharacters: 48,
  /** Difference in reported prompt tokens: a template may add a token for the beginning. */
  promptTokens: 2,
  /** Difference between reported completion tokens and those seen: the end token is counted by some. */
  completionTokens: 1,
} as const;

/** Compares what `subject` answered with what `reference`, taken for right, answered to the same question. */
export function compareAnswers(subject: SeededAnswer, reference: SeededAnswer): CanaryFinding {
  const answer = subject.tokens !== null && reference.tokens !== null && subject.tokens.length > 0 && reference.tokens.length > 0
    ? compareTokens(subject.tokens, reference.tokens) : compareTexts(subject.text, reference.text);
  const usage = compareUsage(subject, reference);
  return { answer: answer.verdict, usage: usage.verdict, detail: `${answer.detail}; ${usage.detail}` };
}

interface Part {
  readonly verdict: 'agrees' | 'differs' | 'inconclusive';
  readonly detail: string;
}

/** Length of the common beginning of two lists. */
export function commonLength<T>(a: ArrayLike<T>, b: ArrayLike<T>): number {
  const end = Math.min(a.length, b.length);
  let length = 0;
  while (length < end && a[length] === b[length]) length += 1;
  return length;
}

function compareTokens(subject: readonly SeededToken[], reference: readonly SeededToken[]): Part {
  const common = commonLength(subject.map(({ token }) => token), reference.map(({ token }) => token));
  let sum = 0;
  let outliers = 0;
  for (let i = 0; i < common; i += 1) {
    const difference = Math.abs((subject[i]?.logprob ?? 0) - (reference[i]?.logprob ?? 0));
    if (!Number.isFinite(difference)) return { verdict: 'differs', detail: `log probability of token ${i} is not a number` };
    if (difference > TOLERANCE.singleLogprob) outliers += 1;
    sum += Math.min(difference, TOLERANCE.singleLogprob);
  }
  const mean = common === 0 ? 0 : sum / common;
  const detail = `${common} tokens in common, log probabilities ${mean.toFixed(3)} apart on average`;
  if (common >= TOLERANCE.fewestTokens && (mean > TOLERANCE.meanLogprob || outliers > common * TOLERANCE.outliers)) return { verdict: 'differs', detail };
  const parting = partingAt(subject[common], reference[common]);
  if (parting === 'clear') return { verdict: 'differs', detail: `${detail}, then clearly another token` };
  if (common < TOLERANCE.fewestTokens && parting !== 'none') return { verdict: 'inconclusive', detail };
  return parting === 'unknown' && common < 2 * TOLERANCE.fewestTokens ? { verdict: 'inconclusive', detail } : { verdict: 'agrees', detail };
}

/** How two answers part at the first token that differs; `none` when one ended or both did. */
function partingAt(subject: SeededToken | undefined, reference: SeededToken | undefined): 'none' | 'near tie' | 'clear' | 'unknown' {
  if (subject === undefined && reference === undefined) return 'none';
  if (subject === undefined || reference === undefined) return 'unknown'; // one went on: an end token has no entry
  // The reference's view decides: what the subject says of its own token is part of what is doubted.
  const chosen = reference.logprob;
  const other = reference.top.find(({ token }) => token === subject.token)?.logprob;
  if (other !== undefined) return chosen - other <= TOLERANCE.nearTie ? 'near tie' : 'clear';
  const least = Math.min(...reference.top.map(({ logprob }) => logprob));
  // Not among the likeliest: no likelier than the last of them.
  return reference.top.length > 0 && chosen - least > TOLERANCE.nearTie ? 'clear' : 'unknown';
}

function compareTexts(subject: string, reference: string): Part {
  const common = commonLength(subject, reference);
  const detail = `${common} characters in common`;
  if (subject === reference) return { verdict: subject === '' ? 'inconclusive' : 'agrees', detail };
  // Without log probabilities a near tie cannot be told from another model: texts that part early show nothing, alone.
  return { verdict: common >= TOLERANCE.fewestCharacters ? 'agrees' : 'inconclusive', detail };
}

const areCounts = (usage: NonNullable<SeededAnswer['usage']>): boolean =>
  [usage.promptTokens, usage.completionTokens].every((count) => Number.isSafeInteger(count) && count >= 0);

function compareUsage(subject: SeededAnswer, reference: SeededAnswer): Part {
  if (subject.usage === null || reference.usage === null) return { verdict: 'inconclusive', detail: 'no usage to compare' };
  if (!areCounts(subject.usage)) return { verdict: 'differs', detail: 'usage has numbers that are no counts' };
  if (!areCounts(reference.usage)) return { verdict: 'inconclusive', detail: 'no usage to compare with' };
  const prompt = subject.usage.promptTokens - reference.usage.promptTokens;
  const reported = subject.usage.completionTokens;
  const seen = subject.tokens?.length ?? (subject.text === reference.text ? reference.usage.completionTokens : null);
  const extra = seen === null ? 0 : reported - seen;
  const detail = `${subject.usage.promptTokens} prompt tokens against ${reference.usage.promptTokens}, ${reported} of the answer${seen === null ? '' : ` against ${seen}`}`;
  // Only more than there is costs anybody anything; whoever reports less is the one who loses.
  return { verdict: prompt > TOLERANCE.promptTokens || extra > TOLERANCE.completionTokens ? 'differs' : 'agrees', detail };
}
