// The rules that are compared, behind one interface: the C++ proxies' (WIRE.md section 17), the least loaded node, any node,
// and ours.
import { createChooser } from '../../src/proxy/routing/create-chooser.ts';
import { RemoteError } from '../../src/core/errors.ts';
import type { Ask, Candidate, Chooser, FailureKind, NodeId, TokenCounts } from '../../src/proxy/routing/chooser.ts';

export interface Rule {
  readonly name: string;
  /** Null when no node can take it. */
  choose(ask: Ask, candidates: readonly Candidate[], nowMs: number): { readonly node: NodeId; readonly choice: number } | null;
  sent(choice: number, nowMs: number): void;
  firstToken(choice: number, nowMs: number): void;
  /** `failure` null: it finished. */
  ended(choice: number, node: NodeId, startedMs: number, nowMs: number, failure: FailureKind | null, tokens: TokenCounts): void;
}

const usable = (candidate: Candidate, ask: Ask): boolean =>
  candidate.ready && candidate.enabled && candidate.running < candidate.capacity && candidate.coefficient <= ask.maxCoefficient && !ask.exclude.has(candidate.id);

const nothing = { sent: () => {}, firstToken: () => {}, ended: () => {} };
const only = (candidate: Candidate | null): { node: NodeId; choice: number } | null => (candidate === null ? null : { node: candidate.id, choice: 0 });

/** Times of a connection's queries in the last 600 s. */
class Window {
  readonly #ended: { readonly atMs: number; readonly tookMs: number }[] = [];
  #sumMs = 0;

  add(atMs: number, tookMs: number): void {
    this.#ended.push({ atMs, tookMs });
    this.#sumMs += tookMs;
  }

  /** 0 unless there were more than 0.1 per second. */
  averageMs(nowMs: number): number {
    for (let first = this.#ended[0]; first !== undefined && first.atMs < nowMs - 600_000; first = this.#ended[0]) {
      this.#ended.shift();
      this.#sumMs -= first.tookMs;
    }
    return this.#ended.length / 600 > 0.1 ? this.#sumMs / this.#ended.length : 0;
  }
}

/** Smallest `running × average_query_time`, the oldest connection of equals; the average is 0 below 0.1 queries a second. */
export function upstream(): Rule {
  const windows = new Map<NodeId, Window>();
  return {
    ...nothing,
    name: 'upstream',
    choose(ask, candidates, nowMs) {
      let best: Candidate | null = null;
      let least = Infinity;
      for (const candidate of candidates) {
        if (!usable(candidate, ask)) continue;
        const weight = candidate.running * (windows.get(candidate.id)?.averageMs(nowMs) ?? 0);
        if (weight < least || (weight === least && best !== null && candidate.id < best.id)) {
          best = candidate;
          least = weight;
        }
      }
      return only(best);
    },
    ended(_choice, node, startedMs, nowMs) {
      let window = windows.get(node);
      if (window === undefined) {
        window = new Window();
        windows.set(node, window);
      }
      window.add(nowMs, nowMs - startedMs);
    },
  };
}

/** Smallest part of its capacity in use; of equals the one chosen longest ago. */
export function leastLoaded(): Rule {
  const chosenAt = new Map<NodeId, number>();
  let choices = 0;
  return {
    ...nothing,
    name: 'least loaded',
    choose(ask, candidates) {
      let best: Candidate | null = null;
      for (const candidate of candidates) {
        if (!usable(candidate, ask)) continue;
        const difference = best === null ? -1 : candidate.running * best.capacity - best.running * candidate.capacity;
        if (best === null || difference < 0 || (difference === 0 && (chosenAt.get(candidate.id) ?? 0) < (chosenAt.get(best.id) ?? 0))) best = candidate;
      }
      choices += 1;
      if (best !== null) chosenAt.set(best.id, choices);
      return only(best);
    },
  };
}

/** Any that can take it. */
export const randomNode = (random: () => number): Rule => ({
  ...nothing,
  name: 'random',
  choose(ask, candidates) {
    const able = candidates.filter((candidate) => usable(candidate, ask));
    return only(able[Math.floor(random() * able.length)] ?? null);
  },
});

/** The chooser of src/proxy/routing; `chooser` is for reading its explanations. */
export function ours(random: () => number): Rule & { readonly chooser: Chooser } {
  const chooser = createChooser({ random });
  return {
    name: 'ours',
    chooser,
    choose(ask, candidates, nowMs) {
      try {
        const { node, id } = chooser.choose(ask, candidates, nowMs);
        return { node, choice: id };
      } catch (error) {
        if (error instanceof RemoteError) return null;
        throw error;
      }
    },
    sent: (choice, nowMs) => chooser.observed({ kind: 'sent', choice, nowMs }),
    firstToken: (choice, nowMs) => chooser.observed({ kind: 'first-token', choice, nowMs }),
    ended: (choice, _node, _startedMs, nowMs, failure, tokens) => chooser.observed(
      failure === null ? { kind: 'finished', choice, nowMs, tokens } : { kind: 'failed', choice, nowMs, failure },
    ),
  };
}
