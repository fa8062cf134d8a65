// The decision among nodes that could take a request, their times already predicted: those in good standing first, of these those
// that are sure to be free, so that no request waits at a node that claimed more than it has while another is idle; of these the
// one that is done first; of nearly equal ones the node that has the conversation, then the cheaper, then the larger bond.
import type { ChoiceReason } from './chooser.ts';
import type { Seat } from './seat.ts';

/** Times this close are equal: `weighedMs`, and the time to the first token, which a person sees. */
const TIE = { factor: 1.05, ms: 10 };
const FIRST_TOKEN_TIE = { factor: 1.2, ms: 20 };
/** Fewer first tokens than this, and a node may be explored: three, the last of them not long ago. */
const KNOWN_AT = 2.5;
/** Fewer, and nothing is known at all. */
const TRIED_AT = 0.5;
/** A node with some evidence is explored again only if it would win being this many times better than thought. */
const HOPE = 4;
/** A node that fails more often than this is not explored: it has its trials when its rests end. */
const EXPLORED_SUCCESS = 0.8;

/** A node at rest is tried all the same where every other would be this much later: its queue would be longer than a failure. */
const RATHER_THAN_WAIT_MS = 5_000;

export interface Pick {
  readonly winner: Seat;
  readonly reason: ChoiceReason;
}

/** Less than zero when `a` goes before `b`, both nearly equally fast; and what decided. */
function compareTied(a: Seat, b: Seat): { readonly order: number; readonly reason: ChoiceReason } {
  const x = a.candidate;
  const y = b.candidate;
  if (x.coefficient !== y.coefficient) return { order: x.coefficient - y.coefficient, reason: 'cheaper' };
  const bonds = [x.bondNano(), y.bondNano()] as const;
  if (bonds[0] !== bonds[1]) return { order: bonds[0] > bonds[1] ? -1 : 1, reason: 'bond' };
  if (a.weighedMs !== b.weighedMs) return { order: a.weighedMs - b.weighedMs, reason: 'fastest' };
  return { order: a.lastChosen - b.lastChosen, reason: 'turn' };
}

const sooner = (a: Seat | null, b: Seat): Seat => (a === null || b.weighedMs < a.weighedMs ? b : a);

/** The choice; null when `contenders` is empty. `conversationNode`: id of the node that has its beginning, or null. */
export function pick(contenders: readonly Seat[], conversationNode: number | null): Pick | null {
  let sure: Seat | null = null;
  let unproven: Seat | null = null;
  let last: Seat | null = null;
  for (const seat of contenders) {
    if (seat.aside !== null) last = sooner(last, seat);
    else if (seat.unproven) unproven = sooner(unproven, seat);
    else sure = sooner(sure, seat);
  }
  // What a node can run at once is found out where nobody is sure to be free.
  const best = sure ?? unproven;
  if (best === null) return last === null ? null : { winner: last, reason: 'last resort' };
  if (last !== null && last.aside === 'resting' && last.inFlight === 0 && last.weighedMs + RATHER_THAN_WAIT_MS < best.weighedMs - best.waitMs / 2) {
    return { winner: last, reason: 'last resort' };
  }
  const limitMs = best.weighedMs * TIE.factor + TIE.ms;
  const firstTokenLimitMs = best.firstTokenMs * FIRST_TOKEN_TIE.factor + FIRST_TOKEN_TIE.ms;
  let winner = best;
  for (const seat of contenders) {
    if (seat.weighedMs > limitMs || seat.aside !== null || seat.unproven !== best.unproven || seat.firstTokenMs > firstTokenLimitMs) continue;
    if (seat.candidate.id === conversationNode) return { winner: seat, reason: 'conversation' };
    if (seat !== winner && compareTied(seat, winner).order < 0) winner = seat;
  }
  return { winner, reason: winner === best ? 'fastest' : compareTied(winner, best).reason };
}

/**
 * One of the nodes of which little is known, evenly, those of which nothing is known before the others: new nodes get work although
 * many are half known. Null when there is none that could be as good as `best`.
 */
export function pickUnknown(contenders: readonly Seat[], best: Seat, nowMs: number, random: () => number): Seat | null {
  let chosen: Seat | null = null;
  let untried = false;
  let count = 0;
  for (const seat of contenders) {
    const { evidence } = seat.known.speed;
    if (evidence >= KNOWN_AT || seat.aside !== null || seat.inFlight > 0 || seat.candidate.running > 0) continue;
    const tried = evidence >= TRIED_AT;
    if (tried && (untried || seat.weighedMs > HOPE * best.weighedMs)) continue;
    if (seat.known.attempts.success(nowMs) < EXPLORED_SUCCESS) continue;
    if (!tried && !untried) {
      untried = true;
      count = 0;
    }
    count += 1;
    if (random() * count < 1) chosen = seat;
  }
  return chosen;
}
