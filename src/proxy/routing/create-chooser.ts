// The choice itself: one pass over the connected nodes of the model filters and weighs them, pick.ts decides, and what happens
// to the request afterwards is learned from. Time comes from the caller and is taken as ForwardTime: a clock that is set can
// neither starve a node nor favour one.
import { RemoteError } from '../../core/errors.ts';
import { NOT_READY, PROTOCOL_VIOLATION } from '../../wire/remote-codes.ts';
import { Conversations } from './affinity.ts';
import { ForwardTime, valueAt } from './estimate.ts';
import { ExplanationRing } from './explanations.ts';
import { ExplorationBudget } from './exploration.ts';
import { viewOf } from './node-view.ts';
import { cachedBytes, OpenChoice } from './open-choice.ts';
import { pick, pickUnknown } from './pick.ts';
import { explainRound } from './round.ts';
import { Seats } from './seats.ts';
import type { Ask, Candidate, Choice, Chooser, ChooserOptions, Explanation, NodeId, NodeView, Observation, PassedOver, Reputation } from './chooser.ts';
import type { ExplanationRecord } from './explanations.ts';
import type { Pick } from './pick.ts';
import type { Round } from './round.ts';
import type { Load, Seat } from './seat.ts';
import type { ModelSpeed } from './speed.ts';

const DEFAULT_EXPLORATION_SHARE = 0.05;
/** Choices whose end was never told are dropped beyond this many. */
const MAX_OPEN = 100_000;
/** A chooser that knows nothing yet. Keep one per proxy: what it learns is shared by all requests. */
export const createChooser = (options: ChooserOptions): Chooser => new RoutingChooser(options);

class RoutingChooser implements Chooser {
  readonly #random: () => number;
  readonly #minBondNano: bigint;
  readonly #time = new ForwardTime();
  readonly #seats = new Seats();
  readonly #conversations = new Conversations();
  readonly #exploration: ExplorationBudget;
  readonly #ring = new ExplanationRing();
  readonly #open = new Map<number, OpenChoice>();
  #choices = 0;

  constructor(options: ChooserOptions) {
    this.#random = options.random;
    this.#minBondNano = options.minBondNano ?? 0n;
    this.#exploration = new ExplorationBudget(options.explorationShare ?? DEFAULT_EXPLORATION_SHARE);
  }

  choose(ask: Ask, candidates: Iterable<Candidate> | null, nowMs: number): Choice {
    const now = this.#time.at(nowMs);
    this.#choices += 1;
    const model = this.#seats.model(ask.model);
    const round = this.#survey(ask, model, candidates ?? [], now);
    const picked = this.#pick(round, now);
    if (picked === null) {
      const refusal = refusalOf(round, candidates !== null);
      this.#ring.add(explainRound(this.#choices, nowMs, round, null, refusal.remoteMessage, now));
      throw refusal;
    }
    const record = explainRound(this.#choices, nowMs, round, picked, null, now);
    this.#ring.add(record);
    return this.#take(round, picked, record, now);
  }

  rank(ask: Ask, candidates: Iterable<Candidate>, nowMs: number): NodeId[] {
    const now = this.#time.at(nowMs);
    const model = this.#seats.model(ask.model);
    const load = loadOf(ask, model, now);
    const usable: Seat[] = [];
    const full: NodeId[] = [];
    for (const candidate of candidates) {
      const reason = this.#unusable(candidate, ask);
      if (reason === 'full') full.push(candidate.id);
      if (reason !== null || candidate.coefficient > ask.maxCoefficient) continue;
      const seat = this.#seats.of(candidate, model);
      seat.weigh(load, 0);
      usable.push(seat);
    }
    const picked = pick(usable, null);
    this.#exploration.earn();
    const unknown = picked !== null && this.#exploration.available ? pickUnknown(usable, picked.winner, now, this.#random) : null;
    if (unknown !== null && unknown !== picked?.winner) this.#exploration.spend();
    const first = unknown ?? picked?.winner;
    // Those that are set aside (at rest, distrusted) come after all others.
    const order = (seat: Seat): number => (seat === first ? -1 : seat.aside === null ? 0 : 1);
    usable.sort((a, b) => order(a) - order(b) || a.weighedMs - b.weighedMs);
    return [...usable.map(({ candidate }) => candidate.id), ...full];
  }

  observed(event: Observation): void {
    const now = this.#time.at(event.nowMs);
    switch (event.kind) {
      case 'round-trip': return this.#seats.find(event.node)?.known.speed.roundTrip(event.ms);
      case 'metering':
        this.#seats.honesty(event.node.owner).reported(event.honest, now);
        return this.#seats.find(event.node)?.changed();
      case 'canary':
        this.#seats.honesty(event.node.owner).compared(event.finding, now);
        return this.#seats.find(event.node)?.changed();
      default: {
        const open = this.#open.get(event.choice);
        if (open === undefined) return;
        if (event.kind === 'sent') return open.sent(now);
        if (event.kind === 'first-token') return open.firstToken(now);
        this.#open.delete(event.choice);
        if (event.kind === 'finished') open.finished(event.tokens, now);
        if (event.kind === 'failed') open.failed(event.failure, now);
        open.leave();
      }
    }
  }

  explain(limit: number): Explanation[] {
    return this.#ring.last(limit);
  }

  viewFor(node: Candidate, peers: Iterable<Candidate>, nowMs: number): NodeView {
    return viewOf(this.#seats, node, peers, this.#time.at(nowMs));
  }

  reputation(node: Candidate, nowMs: number): Reputation {
    return this.#seats.reputation(node, this.#time.at(nowMs));
  }

  /** Filters, and weighs what is left. */
  #survey(ask: Ask, model: ModelSpeed, candidates: Iterable<Candidate>, now: number): Round {
    const held = this.#conversations.find(ask.affinity, now);
    const load = loadOf(ask, model, now);
    const skipped: Partial<Record<PassedOver, number>> = {};
    let any = false;
    let cheapest: number | null = null;
    const contenders: Seat[] = [];
    for (const candidate of candidates) {
      any = true;
      const seat = this.#seats.of(candidate, model);
      seat.considered += 1;
      let reason = this.#unusable(candidate, ask);
      if (reason === null && candidate.coefficient > ask.maxCoefficient) {
        cheapest = cheapest === null ? candidate.coefficient : Math.min(cheapest, candidate.coefficient);
        reason = 'too dear';
      }
      if (reason !== null) {
        seat.passOver(reason);
        skipped[reason] = (skipped[reason] ?? 0) + 1;
        continue;
      }
      seat.weigh(load, held?.node === candidate.id ? cachedBytes(seat, held.bytes, ask, now) / 1_000 : 0);
      contenders.push(seat);
    }
    return { ask, held, contenders, skipped, any, cheapest, ordinary: model.isOrdinary(load.kilobytes, now) };
  }

  /** Why this node cannot take the request whatever it would pay; null when it can. */
  #unusable(candidate: Candidate, ask: Ask): PassedOver | null {
    if (!candidate.ready) return 'closing';
    if (!candidate.enabled) return 'disabled';
    if (ask.exclude.has(candidate.id)) return 'already failed';
    if (candidate.running >= candidate.capacity) return 'full';
    return this.#minBondNano > 0n && candidate.bondNano() < this.#minBondNano ? 'bond too small' : null;
  }

  #pick({ ask, held, contenders, ordinary }: Round, now: number): Pick | null {
    const picked = pick(contenders, held?.node ?? null);
    this.#exploration.earn();
    // A second attempt has lost time already, a conversation that is kept and a long prompt have most to lose.
    if (picked === null || picked.reason === 'conversation' || ask.exclude.size > 0 || !ordinary || !this.#exploration.available) return picked;
    const unknown = pickUnknown(contenders, picked.winner, now, this.#random);
    if (unknown === null || unknown === picked.winner) return picked;
    this.#exploration.spend();
    return { winner: unknown, reason: 'exploration' };
  }

  #take({ ask, held }: Round, { winner, reason }: Pick, record: ExplanationRecord, now: number): Choice {
    const { firstTokenMs, waitMs, totalMs } = winner;
    winner.chosen += 1;
    winner.lastChosen = this.#choices;
    const heldBytes = held?.node === winner.candidate.id ? Math.min(held.bytes, ask.promptBytes) : 0;
    const prediction = { firstTokenMs, waitMs, totalMs, confidence: winner.known.speed.confidence };
    this.#open.set(this.#choices, new OpenChoice({ seat: winner, ask, heldBytes, prediction, record, conversations: this.#conversations, now }));
    this.#dropOldest();
    return { id: this.#choices, node: winner.candidate.id, reason, prediction };
  }

  #dropOldest(): void {
    if (this.#open.size <= MAX_OPEN) return;
    const oldest = this.#open.entries().next();
    if (oldest.done === true) return;
    const [id, open] = oldest.value;
    this.#open.delete(id);
    open.leave();
  }
}

function loadOf(ask: Ask, model: ModelSpeed, now: number): Load {
  const kilobytes = ask.promptBytes / 1_000;
  const answerTokens = model.answerTokens(ask.maxTokens, now);
  return { kilobytes, answerTokens, nowMs: now, typicalMs: valueAt(model.firstToken, kilobytes) + answerTokens * model.token.base };
}

/** The texts of WIRE.md section 11 step 3. */
function refusalOf({ ask, any, cheapest }: Round, modelKnown: boolean): RemoteError {
  if (!modelKnown) return new RemoteError(PROTOCOL_VIOLATION, `unknown model ${ask.model}`);
  if (!any) return new RemoteError(NOT_READY, `no workers for model ${ask.model}`);
  if (cheapest !== null) return new RemoteError(NOT_READY, `can run this query with coefficient=${cheapest}`);
  return new RemoteError(NOT_READY, `no ready workers for model ${ask.model}`);
}
