// One choice with everything that was compared for it, and the record of it that explanations are made of. Also counts, for
// each node, why it was not the one.
import type { Held } from './affinity.ts';
import type { Ask, PassedOver, RankedNode } from './chooser.ts';
import type { ExplanationRecord } from './explanations.ts';
import type { Contender, Pick } from './pick.ts';

const OTHERS_EXPLAINED = 4;

export interface Round {
  readonly ask: Ask;
  readonly held: Held | null;
  /** All that could take the request; valid until the next choice. */
  readonly contenders: readonly Contender[];
  /** How many could not, by reason. */
  readonly skipped: Partial<Record<PassedOver, number>>;
  /** There was a node at all. */
  readonly any: boolean;
  /** Price of the cheapest that was only too dear; null when there was none. */
  readonly cheapest: number | null;
}

/** Why `contender` was not chosen while `winner` was. */
function passedOver(contender: Contender, winner: Contender): PassedOver {
  if (contender.aside !== null && winner.aside === null) return contender.aside;
  return contender.weighedMs <= winner.weighedMs && contender.seat.candidate.coefficient > winner.seat.candidate.coefficient ? 'dearer' : 'slower';
}

function ranked({ seat, firstTokenMs, totalMs, weighedMs }: Contender, reason: PassedOver | null, now: number): RankedNode {
  const { id, coefficient, running, capacity } = seat.candidate;
  return {
    node: id, firstTokenMs, totalMs, weighedMs, coefficient, running, capacity,
    reputation: seat.reputation(now).overall, confidence: seat.known.speed.confidence, passedOver: reason,
  };
}

/** Puts `contender` into `best`, which is in order of weighed time and at most OTHERS_EXPLAINED long. */
function insert(best: Contender[], contender: Contender): void {
  const last = best.at(-1);
  if (best.length >= OTHERS_EXPLAINED && last !== undefined && contender.weighedMs >= last.weighedMs) return;
  let at = best.length;
  for (; at > 0; at -= 1) {
    const before = best[at - 1];
    if (before === undefined || before.weighedMs <= contender.weighedMs) break;
  }
  best.splice(at, 0, contender);
  if (best.length > OTHERS_EXPLAINED) best.pop();
}

/** `atMs` is the clock's, for people; `now` the chooser's. Call once for each choice. */
export function explainRound(choice: number, atMs: number, round: Round, picked: Pick | null, refusal: string | null, now: number): ExplanationRecord {
  const { ask, held, skipped } = round;
  const best: Contender[] = [];
  if (picked !== null) {
    for (const contender of round.contenders) {
      if (contender === picked.winner) continue;
      const { seat } = contender;
      const reason = passedOver(contender, picked.winner);
      seat.passOver(reason);
      seat.compared += 1;
      seat.behindMs += contender.weighedMs - picked.winner.weighedMs;
      if (contender.aside !== null) skipped[contender.aside] = (skipped[contender.aside] ?? 0) + 1;
      insert(best, contender);
    }
  }
  const keptOrMoved = held?.node === picked?.winner.seat.candidate.id ? 'kept' : 'moved';
  return {
    choice, atMs, model: ask.model, promptBytes: ask.promptBytes, maxTokens: ask.maxTokens, maxCoefficient: ask.maxCoefficient,
    conversation: ask.affinity === null ? 'none' : held === null ? 'new' : keptOrMoved,
    chosen: picked === null ? null : ranked(picked.winner, null, now),
    reason: picked?.reason ?? null,
    refusal,
    others: picked === null ? [] : best.map((contender) => ranked(contender, passedOver(contender, picked.winner), now)),
    passedOver: skipped,
    outcome: { firstTokenMs: null, totalMs: null, failure: null },
  };
}
