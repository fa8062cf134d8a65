// One workload under one rule. The proxy retries a request that failed before its first token on another node, at most twice,
// under every rule; a client that was refused asks again after a pause. What is measured is what the client sees.
import { EventQueue } from './event-queue.ts';
import { seeded } from './random.ts';
import { SimNode } from './sim-node.ts';
import type { Ask, Candidate } from '../../src/proxy/routing/chooser.ts';
import type { Rule } from './rules.ts';
import type { Job, NodeTruth } from './sim-node.ts';
import type { Arrival, Workload } from './workloads.ts';

const BYTES_PER_TOKEN = 4;
/** A client gives up when it has no first token by then, and fails. */
export const PATIENCE_MS = 60_000;
const ATTEMPTS = 3;
/** A node that fails more than this is idle because it is broken. */
const BROKEN = 0.1;
const PAUSES_MS = [250, 500, 1_000, 2_000, 4_000];

/** A connection: a new one, with a new number, each time a node comes back. */
interface SimCandidate extends Candidate {
  ready: boolean;
  running: number;
  readonly node: SimNode;
}

export interface Result {
  readonly requests: number;
  readonly failed: number;
  /** Ms from the client's first try to its first token, for each request that was answered; in order. */
  readonly firstTokenMs: readonly number[];
  readonly totalMs: readonly number[];
  /** Requests that had to wait at their node while another that could have taken them was idle. */
  readonly waitedBesideIdle: number;
  /** Those of them whose first token came later than the idle node's would have. */
  readonly harmedByWaiting: number;
  readonly attempts: number;
  /** Attempts that the node failed. */
  readonly failures: number;
  /** Part of the nodes that joined midway and had a request by the end. */
  readonly newcomersUsed: number;
  /** Requests per newcomer as a part of those per equally good older node in the same time; NaN where those had none. */
  readonly newcomersShare: number;
  /** Part of the prompt tokens of conversations that the node had cached. */
  readonly cachedShare: number;
  /** Mean ms that a choice took, really. */
  readonly choiceMs: number;
}

class Run {
  readonly #workload: Workload;
  readonly #rule: Rule;
  readonly #events = new EventQueue();
  readonly #random;
  readonly #connected: SimCandidate[] = [];
  readonly #firstTokenMs: number[] = [];
  readonly #totalMs: number[] = [];
  readonly #served = new Map<SimNode, number>();
  #connections = 0;
  #failed = 0;
  #waitedBesideIdle = 0;
  #harmed = 0;
  #attempts = 0;
  #failures = 0;
  #cached = 0;
  #cacheable = 0;
  #choices = 0;
  #choiceMs = 0;

  constructor(workload: Workload, rule: Rule, seed: number) {
    this.#workload = workload;
    this.#rule = rule;
    this.#random = seeded(seed ^ 0x5bd1e995);
  }

  run(): Result {
    const nodes = this.#workload.nodes.map((truth, index) => {
      const random = seeded(index * 7919 + 17);
      const node = new SimNode(index, truth, this.#events, random.next);
      this.#events.at(truth.joinsMs, () => this.#connect(node, random.exponential));
      return node;
    });
    for (const arrival of this.#workload.arrivals) this.#events.at(arrival.atMs, () => this.#ask(arrival, arrival.atMs, 0));
    this.#events.run(this.#workload.lengthMs + 3 * PATIENCE_MS);
    return this.#result(nodes);
  }

  #connect(node: SimNode, exponential: (mean: number) => number): void {
    this.#connections += 1;
    node.up = true;
    const { owner, capacity, coefficient, flapping } = node.truth;
    const candidate: SimCandidate = {
      id: this.#connections, key: `node ${node.id}`, owner, capacity, coefficient, enabled: true, ready: true, running: 0, bondNano: () => 0n, node,
    };
    this.#connected.push(candidate);
    if (flapping === null) return;
    this.#events.after(exponential(flapping.upMs), () => {
      candidate.ready = false;
      this.#connected.splice(this.#connected.indexOf(candidate), 1);
      node.goDown();
      this.#events.after(exponential(flapping.downMs), () => this.#connect(node, exponential));
    });
  }

  /** The client asks the proxy. */
  #ask(arrival: Arrival, firstAskedMs: number, refusals: number): void {
    const attempt = (exclude: ReadonlySet<number>, tries: number): void => {
      const now = this.#events.nowMs;
      const ask: Ask = {
        model: 'm', maxCoefficient: arrival.maxCoefficient, promptBytes: arrival.promptTokens * BYTES_PER_TOKEN, maxTokens: arrival.maxTokens,
        streamed: true, affinity: arrival.conversation, exclude,
      };
      const startedMs = performance.now();
      const chosen = this.#rule.choose(ask, this.#connected, now);
      this.#choiceMs += performance.now() - startedMs;
      this.#choices += 1;
      const candidate = chosen === null ? undefined : this.#connected.find(({ id }) => id === chosen.node);
      if (chosen === null || candidate === undefined) return this.#refused(arrival, firstAskedMs, refusals);
      this.#send(arrival, ask, candidate, chosen.choice, firstAskedMs, (failedId) => {
        if (tries + 1 < ATTEMPTS) attempt(new Set([...exclude, failedId]), tries + 1);
        else this.#failed += 1;
      });
    };
    attempt(new Set(), 0);
  }

  #refused(arrival: Arrival, firstAskedMs: number, refusals: number): void {
    const pause = (PAUSES_MS[Math.min(refusals, PAUSES_MS.length - 1)] ?? 0) * this.#random.between(0.5, 1.5);
    if (this.#events.nowMs + pause - firstAskedMs > PATIENCE_MS) this.#failed += 1;
    else this.#events.after(pause, () => this.#ask(arrival, firstAskedMs, refusals + 1));
  }

  #send(arrival: Arrival, ask: Ask, candidate: SimCandidate, choice: number, firstAskedMs: number, onFailedEarly: (id: number) => void): void {
    const events = this.#events;
    const { node } = candidate;
    const sentMs = events.nowMs;
    const idleMs = node.present >= node.truth.sequences ? this.#bestIdle(ask, arrival) : null;
    if (idleMs !== null) this.#waitedBesideIdle += 1;
    this.#attempts += 1;
    this.#served.set(node, (this.#served.get(node) ?? 0) + 1);
    if (arrival.conversation !== null) this.#cacheable += arrival.promptTokens;
    candidate.running += 1;
    let first = false;
    this.#rule.sent(choice, sentMs);
    const end = (failure: 'lost' | 'error' | 'timeout' | null, cached: number): void => {
      candidate.running -= 1;
      this.#rule.ended(choice, candidate.id, sentMs, events.nowMs, failure, { prompt: arrival.promptTokens, cached, completion: arrival.answerTokens });
    };
    const job: Job = node.take(arrival, {
      onFirst: (cached) => {
        first = true;
        this.#cached += cached;
        this.#firstTokenMs.push(events.nowMs - firstAskedMs);
        if (idleMs !== null && events.nowMs - sentMs > idleMs) this.#harmed += 1;
        this.#rule.firstToken(choice, events.nowMs);
      },
      onEnd: (outcome, cached) => {
        end(outcome === 'finished' ? null : outcome, cached);
        if (outcome === 'finished') return void this.#totalMs.push(events.nowMs - firstAskedMs);
        this.#failures += 1;
        if (first) this.#failed += 1;
        else onFailedEarly(candidate.id);
      },
    });
    events.at(firstAskedMs + PATIENCE_MS, () => {
      if (first || job.state === 'gone') return;
      node.cancel(job);
      this.#failed += 1;
      end('timeout', 0);
    });
  }

  /** Soonest first token of an idle node that could take it; null when none is idle. */
  #bestIdle(ask: Ask, arrival: Arrival): number | null {
    let best: number | null = null;
    for (const { ready, coefficient, id, node } of this.#connected) {
      if (!ready || node.present > 0 || coefficient > ask.maxCoefficient || ask.exclude.has(id) || node.truth.failing.share > BROKEN) continue;
      const ms = node.idleFirstTokenMs(arrival);
      if (best === null || ms < best) best = ms;
    }
    return best;
  }

  #result(nodes: readonly SimNode[]): Result {
    const perNode = (some: readonly SimNode[]): number => some.reduce((sum, node) => sum + (this.#served.get(node) ?? 0), 0) / some.length;
    const newcomers = nodes.filter(({ truth }) => truth.joinsMs > 0);
    const peers = nodes.filter(({ truth }) => truth.joinsMs === 0 && asGoodAsNewcomers(truth));
    return {
      requests: this.#workload.arrivals.length,
      failed: this.#failed,
      firstTokenMs: this.#firstTokenMs.toSorted((a, b) => a - b),
      totalMs: this.#totalMs.toSorted((a, b) => a - b),
      waitedBesideIdle: this.#waitedBesideIdle,
      harmedByWaiting: this.#harmed,
      attempts: this.#attempts,
      failures: this.#failures,
      newcomersUsed: newcomers.filter((node) => this.#served.has(node)).length / newcomers.length,
      // They were there for half of the time.
      newcomersShare: (2 * perNode(newcomers)) / perNode(peers),
      cachedShare: this.#cacheable === 0 ? 0 : this.#cached / this.#cacheable,
      choiceMs: this.#choiceMs / this.#choices,
    };
  }
}

const asGoodAsNewcomers = ({ readTokensPerMs, tokensPerMs, capacity, sequences, failing }: NodeTruth): boolean =>
  readTokensPerMs >= 4 && tokensPerMs >= 0.06 && capacity === sequences && failing.share < 0.01;

export const simulate = (workload: Workload, rule: Rule, seed: number): Result => new Run(workload, rule, seed).run();

/** `sorted` ascending and not empty. */
export const percentile = (sorted: readonly number[], part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
