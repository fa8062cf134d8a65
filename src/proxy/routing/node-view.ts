// What one node may know of why requests went elsewhere: its own figures, and those of all nodes of its model as medians, so
// that no other node can be told from it. With few others there is no median: it would be somebody's figure.
import { countsInWords } from './explanations.ts';
import type { Candidate, NodeFigures, NodeView, Reputation } from './chooser.ts';
import type { Seat } from './seat.ts';
import type { Seats } from './seats.ts';

/** Fewest other nodes that a median is told of. */
const FEWEST_OTHERS = 3;
/** A typical request, for comparison only. */
const TYPICAL_KILOBYTES = 2;

const NO_REPUTATION_DOUBT = 0.9;

const isMeasured = (seat: Seat): boolean => seat.known.speed.evidence > 0.5;

function figuresOf({ known: { speed }, candidate }: Seat): NodeFigures {
  return {
    firstTokenMs: speed.readMs(TYPICAL_KILOBYTES),
    tokensPerSecond: 1_000 / Math.max(speed.tokenMs(0), 0.001),
    coefficient: candidate.coefficient,
    parallel: Math.min(candidate.capacity, speed.parallel),
  };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;

function medianOf(figures: readonly NodeFigures[]): NodeFigures {
  const of = (field: keyof NodeFigures): number => median(figures.map((one) => one[field]));
  return { firstTokenMs: of('firstTokenMs'), tokensPerSecond: of('tokensPerSecond'), coefficient: of('coefficient'), parallel: of('parallel') };
}

function advice(view: Omit<NodeView, 'advice'>): string[] {
  const { own, median: others, reputation } = view;
  const list: string[] = [];
  const say = (when: boolean, text: string): void => {
    if (when) list.push(text);
  };
  const percent = (part: number): string => `${Math.round(part * 100)} %`;
  say(view.restingMs > 0, `the last requests failed; it is tried again in ${Math.ceil(view.restingMs / 1_000)} s`);
  say(reputation.verification < NO_REPUTATION_DOUBT, `answers to test questions differed from other nodes' (${percent(reputation.verification)} trusted): check the model file and the engine`);
  say(reputation.metering < NO_REPUTATION_DOUBT, `token counts were refused or differed from other nodes' (${percent(reputation.metering)} trusted): check the engine's usage reports`);
  say(reputation.success < NO_REPUTATION_DOUBT, `only ${percent(reputation.success)} of recent requests ended well`);
  say(own !== null && reputation.promise < NO_REPUTATION_DOUBT, `announced more than was measured: ${own?.parallel.toFixed(1)} requests at once work without waiting, at ${own?.tokensPerSecond.toFixed(0)} tokens/s`);
  if (own !== null && others !== null) {
    say(own.firstTokenMs > others.firstTokenMs * 1.2, `the first token takes ${Math.round(own.firstTokenMs)} ms; half of the nodes need at most ${Math.round(others.firstTokenMs)} ms`);
    say(own.tokensPerSecond * 1.2 < others.tokensPerSecond, `${own.tokensPerSecond.toFixed(0)} tokens/s; half of the nodes make at least ${others.tokensPerSecond.toFixed(0)}`);
    say(own.coefficient > others.coefficient, `price ${own.coefficient}; half of the nodes ask at most ${others.coefficient}`);
  }
  const counts = countsInWords(view.passedOver);
  say(counts !== '', `of ${view.considered} choices it won ${view.chosen}; otherwise: ${counts}`);
  return list;
}

/** `peers`: the connected nodes of the model, the node itself among them or not. */
export function viewOf(seats: Seats, node: Candidate, peers: Iterable<Candidate>, nowMs: number): NodeView {
  const seat = seats.find(node);
  const reputation: Reputation = seats.reputation(node, nowMs);
  const others: NodeFigures[] = [];
  for (const peer of peers) {
    const known = peer === node ? undefined : seats.find(peer);
    if (known !== undefined && isMeasured(known)) others.push(figuresOf(known));
  }
  const view = {
    considered: seat?.considered ?? 0,
    chosen: seat?.chosen ?? 0,
    passedOver: seat?.passedOver() ?? {},
    own: seat !== undefined && isMeasured(seat) ? figuresOf(seat) : null,
    median: others.length < FEWEST_OTHERS ? null : medianOf(others),
    reputation,
    bondNano: node.bondNano(),
    restingMs: seat?.known.attempts.restingMs(nowMs) ?? 0,
    meanBehindMs: seat === undefined || seat.compared === 0 ? null : seat.behindMs / seat.compared,
  };
  return { ...view, advice: advice(view) };
}
