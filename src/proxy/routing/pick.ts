// The decision among nodes that could take a request, their times already predicted: those in good standing first, of these
// the one that is done first; of nearly equal ones the node that has the conversation, then the cheaper, then the larger bond.
import type { ChoiceReason } from './chooser.ts';
import type { Seat, Weighing } from './seat.ts';

/** Times this close are equal: `weighedMs`, and the time to the first token, which a person sees. */
const TIE = { factor: 1.05, ms: 10 };
const FIRST_TOKEN_TIE = { factor: 1.2, ms: 20 };
/** Fewer first tokens than this, and a node may be explored. */
const KNOWN_AT = 3;
/** A node with some evidence is explored again only if it would win being this many times better than thought. */
const HOPE = 4;
/** A node that fails more often than this is not explored: it has its trials when its rests end. */
const EXPLORED_SUCCESS = 0.8;

/** A node that may be chosen, with its numbers. */
export interface Contender extends Weighing {
  seat: Seat;
  aside: 'resting' | 'distrusted' | null;
}

export interface Pick {
  readonly winner: Contender;
  readonly reason: ChoiceReason;
}

/** Smallest weighed time among those in good standing; null when none is. */
function fastest(contenders: readonly Contender[], aside: boolean): Contender | null {
  let best: Contender | null = null;
  for (const contender of contenders) {
    if ((contender.aside !== null) === aside && (best === null || contender.weighedMs < best.weighedMs)) best = contender;
  }
  return best;
}

/** Negative when `a` goes before `b`, both nearly equally fast; and what decided. */
function compareTied(a: Contender, b: Contender): { readonly order: number; readonly reason: ChoiceReason } {
  const x = a.seat.candidate;
  const y = b.seat.candidate;
  if (x.coefficient !== y.coefficient) return { order: x.coefficient - y.coefficient, reason: 'cheaper' };
  const bonds = [x.bondNano(), y.bondNano()] as const;
  if (bonds[0] !== bonds[1]) return { order: bonds[0] > bonds[1] ? -1 : 1, reason: 'bond' };
  if (a.weighedMs !== b.weighedMs) return { order: a.weighedMs - b.weighedMs, reason: 'fastest' };
  return { order: a.seat.lastChosen - b.seat.lastChosen, reason: 'turn' };
}

/** The choice; null when `contenders` is empty. `conversationNode`: id of the node that has its beginning, or null. */
export function pick(contenders: readonly Contender[], conversationNode: number | null): Pick | null {
  const best = fastest(contenders, false);
  if (best === null) {
    const last = fastest(contenders, true);
    return last === null ? null : { winner: last, reason: 'last resort' };
  }
  const limitMs = best.weighedMs * TIE.factor + TIE.ms;
  const firstTokenLimitMs = best.firstTokenMs * FIRST_TOKEN_TIE.factor + FIRST_TOKEN_TIE.ms;
  let winner = best;
  for (const contender of contenders) {
    if (contender.weighedMs > limitMs || contender.aside !== null || contender.firstTokenMs > firstTokenLimitMs) continue;
    if (contender.seat.candidate.id === conversationNode) return { winner: contender, reason: 'conversation' };
    if (contender !== winner && compareTied(contender, winner).order < 0) winner = contender;
  }
  return { winner, reason: winner === best ? 'fastest' : compareTied(winner, best).reason };
}

/** One of the nodes of which little is known, evenly; null when there is none that could be as good as `best`. */
export function pickUnknown(contenders: readonly Contender[], best: Contender, nowMs: number, random: () => number): Contender | null {
  let chosen: Contender | null = null;
  let count = 0;
  for (const contender of contenders) {
    const { seat } = contender;
    const evidence = seat.known.speed.evidence;
    if (evidence >= KNOWN_AT || contender.aside !== null || seat.inFlight > 0 || seat.candidate.running > 0) continue;
    if (evidence >= 0.5 && contender.weighedMs > HOPE * best.weighedMs) continue;
    if (seat.known.attempts.success(nowMs) < EXPLORED_SUCCESS) continue;
    count += 1;
    if (random() * count < 1) chosen = contender;
  }
  return chosen;
}
