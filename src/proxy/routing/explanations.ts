// The last choices with the numbers they rest on, kept in a ring, and put into words when somebody asks. Nothing of a prompt
// and no client is in them.
import type { ChoiceReason, Explanation, FailureKind, PassedOver, RankedNode } from './chooser.ts';

const KEPT = 256;

/** An explanation whose outcome is filled in as the request goes on. */
export interface ExplanationRecord extends Omit<Explanation, 'text' | 'outcome'> {
  readonly outcome: { firstTokenMs: number | null; totalMs: number | null; failure: FailureKind | null };
}

export class ExplanationRing {
  readonly #ring: ExplanationRecord[] = [];
  #next = 0;

  add(record: ExplanationRecord): void {
    this.#ring[this.#next] = record;
    this.#next = (this.#next + 1) % KEPT;
  }

  /** Newest first. */
  last(limit: number): Explanation[] {
    const list: Explanation[] = [];
    for (let back = 1; back <= Math.min(limit, this.#ring.length); back += 1) {
      const record = this.#ring[(this.#next - back + KEPT) % KEPT];
      if (record !== undefined) list.push({ ...record, outcome: { ...record.outcome }, text: describe(record) });
    }
    return list;
  }
}

const ms = (value: number): string => (value < 10_000 ? `${Math.round(value)} ms` : `${(value / 1_000).toFixed(1)} s`);

const REASON: Readonly<Record<ChoiceReason, string>> = {
  fastest: 'predicted to be done first',
  cheaper: 'cheaper, and as good as the fastest',
  bond: 'larger bond, and as good as the fastest',
  turn: 'as good as any, and waited longest',
  conversation: 'has the conversation cached',
  exploration: 'little is known of it yet',
  'last resort': 'no node in better standing was free',
};

function comparison(chosen: RankedNode, other: RankedNode): string {
  const later = other.weighedMs - chosen.weighedMs;
  const difference = later >= 0 ? `${ms(later)} later` : `${ms(-later)} earlier`;
  const doubts = other.reputation < 0.9 ? `, reputation ${other.reputation.toFixed(2)}` : '';
  return `node ${other.node} ${difference} (${other.passedOver ?? 'slower'}, price ${other.coefficient}, ${other.running} of ${other.capacity} running${doubts})`;
}

/** "3 full, 1 disabled"; empty when there is nothing to say. */
export const countsInWords = (counts: Readonly<Partial<Record<PassedOver, number>>>): string =>
  Object.entries(counts).map(([reason, count]) => `${count} ${reason}`).join(', ');

function describe(record: ExplanationRecord): string {
  const skipped = countsInWords(record.passedOver);
  if (record.chosen === null || record.reason === null) return `refused: ${record.refusal ?? 'no node'}${skipped === '' ? '' : `; ${skipped}`}`;
  const { chosen } = record;
  const what = `node ${chosen.node}: ${REASON[record.reason]}; first token in ${ms(chosen.firstTokenMs)}, done in ${ms(chosen.totalMs)}, price ${chosen.coefficient}, ${chosen.running} of ${chosen.capacity} running`;
  const others = record.others.slice(0, 2).map((other) => comparison(chosen, other));
  return [what, ...others, ...(skipped === '' ? [] : [skipped])].join('; ');
}
