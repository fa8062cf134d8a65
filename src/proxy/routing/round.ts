// One choice with everything that was compared for it, and the record of it that explanations are made of. Also counts, for
// each node, why it was not the one.
import type { Held } from './affinity.ts';
import type { Ask, PassedOver, RankedNode } from './chooser.ts';
import type { ExplanationRecord } from './explanations.ts';
import type { Pick } from './pick.ts';
import type { Seat } from './seat.ts';

const OTHERS_EXPLAINED = 4;
/** How far nodes were behind is noted at one choice in this many. */
const SAMPLED = 16;

export interface Round {
  readonly ask: Ask;
  readonly held: Held | null;
  /** All that could take the request; their numbers are valid until the next choice. */
  readonly contenders: readonly Seat[];
  /** How many could not, by reason. */
  readonly skipped: Partial<Record<PassedOver, number>>;
  /** There was a node at all. */
  readonly any: boolean;
  /** Price of the cheapest that was only too dear; null when there was none. */
  readonly cheapest: number | null;
  /** No longer to read than the average: what is asked of nodes of which little is known. */
  readonly ordinary: boolean;
}

/** Why `seat` was not chosen while the winner was. */
function passedOver(seat: Seat, { winner, reason }: Pick): PassedOver {
  if (seat.aside !== null) return seat.aside;
  if (seat.weighedMs > winner.weighedMs) return 'slower';
  if (seat.unproven && !winner.unproven) return 'unproven';
  if (reason === 'exploration') return 'another explored';
  return reason === 'cheaper' && seat.candidate.coefficient > winner.candidate.coefficient ? 'dearer' : 'slower';
}

function ranked(seat: Seat, reason: PassedOver | null, now: number): RankedNode {
  const { firstTokenMs, totalMs, weighedMs, candidate: { id, coefficient, running, capacity } } = seat;
  return {
    node: id, firstTokenMs, totalMs, weighedMs, coefficient, running, capacity,
    reputation: seat.reputation(now).overall, confidence: seat.known.speed.confidence, passedOver: reason,
  };
}

/** Puts `seat` into `best`, which is in order of weighed time and at most OTHERS_EXPLAINED long. */
function insert(best: Seat[], seat: Seat): void {
  let at = best.length;
  for (; at > 0; at -= 1) {
    const before = best[at - 1];
    if (before === undefined || before.weighedMs <= seat.weighedMs) break;
  }
  best.splice(at, 0, seat);
  if (best.length > OTHERS_EXPLAINED) best.pop();
}

/** Looks at all that were not chosen, once: the best of them come back. */
function count(round: Round, picked: Pick, sampled: boolean): Seat[] {
  const { winner } = picked;
  const best: Seat[] = [];
  let limitMs = Infinity;
  for (const seat of round.contenders) {
    if (seat === winner) continue;
    if (sampled) {
      seat.compared += 1;
      seat.behindMs += seat.weighedMs - winner.weighedMs;
    }
    if (seat.aside !== null || seat.weighedMs <= winner.weighedMs) {
      const reason = passedOver(seat, picked);
      if (reason !== 'slower') seat.passOver(reason);
      if (seat.aside !== null) round.skipped[seat.aside] = (round.skipped[seat.aside] ?? 0) + 1;
    }
    if (seat.weighedMs >= limitMs) continue;
    insert(best, seat);
    if (best.length === OTHERS_EXPLAINED) limitMs = best.at(-1)?.weighedMs ?? Infinity;
  }
  return best;
}

/** `atMs` is the clock's, for people; `now` the chooser's. Call once for each choice. */
export function explainRound(choice: number, atMs: number, round: Round, picked: Pick | null, refusal: string | null, now: number): ExplanationRecord {
  const { ask, held, skipped } = round;
  const best = picked === null ? [] : count(round, picked, choice % SAMPLED === 0);
  const keptOrMoved = held?.node === picked?.winner.candidate.id ? 'kept' : 'moved';
  return {
    choice, atMs, model: ask.model, promptBytes: ask.promptBytes, maxTokens: ask.maxTokens, maxCoefficient: ask.maxCoefficient,
    conversation: ask.affinity === null ? 'none' : held === null ? 'new' : keptOrMoved,
    chosen: picked === null ? null : ranked(picked.winner, null, now),
    reason: picked?.reason ?? null,
    refusal,
    others: picked === null ? [] : best.map((seat) => ranked(seat, passedOver(seat, picked), now)),
    passedOver: skipped,
    outcome: { firstTokenMs: null, totalMs: null, failure: null },
  };
}
