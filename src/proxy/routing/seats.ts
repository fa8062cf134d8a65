// All connected nodes as the chooser knows them, and what it remembers of nodes, owners and models beyond a connection. Bounded:
// what was not met for longest is forgotten first.
import { BoundedMap, MAX_KEY_CHARS } from './bounded-map.ts';
import { DecayedMean } from './estimate.ts';
import { Attempts, Honesty, reputationOf } from './reputation.ts';
import { Seat } from './seat.ts';
import { ModelSpeed, NodeSpeed } from './speed.ts';
import type { Candidate, Reputation } from './chooser.ts';
import type { Known } from './seat.ts';

const MAX_NODES = 50_000;
const MAX_OWNERS = 50_000;
const MAX_MODELS = 10_000;
/** Of what a node should have cached of a conversation, what it is assumed to have until it has said. */
const ASSUMED_CACHE_HITS = 0.7;
const CACHE_MEMORY = { halfLifeMs: 30 * 60_000, keep: 0.95 };

export class Seats {
  // By the registry's own object: a connection that is gone takes its seat with it.
  readonly #seats = new WeakMap<Candidate, Seat>();
  readonly #known = new BoundedMap<Known>(MAX_NODES);
  readonly #owners = new BoundedMap<Honesty>(MAX_OWNERS);
  readonly #models = new BoundedMap<ModelSpeed>(MAX_MODELS);

  model(name: string): ModelSpeed {
    let model = this.#models.get(name);
    if (model === undefined) {
      model = new ModelSpeed();
      this.#models.set(name, model);
    }
    return model;
  }

  honesty(owner: string): Honesty {
    let honesty = this.#owners.get(owner);
    if (honesty === undefined) {
      honesty = new Honesty();
      this.#owners.set(owner, honesty);
    }
    return honesty;
  }

  reputation(candidate: Candidate, nowMs: number): Reputation {
    const seat = this.find(candidate);
    if (seat !== undefined) return seat.reputation(nowMs);
    const honesty = this.honesty(candidate.owner);
    return reputationOf({
      success: this.#known.get(candidate.key.slice(0, MAX_KEY_CHARS))?.attempts.success(nowMs) ?? new Attempts().success(nowMs),
      promise: 1, metering: honesty.metering(nowMs), verification: honesty.verification(nowMs),
    });
  }

  find(candidate: Candidate): Seat | undefined {
    return this.#seats.get(candidate);
  }

  of(candidate: Candidate, model: ModelSpeed): Seat {
    return this.#seats.get(candidate) ?? this.#add(candidate, model);
  }

  #add(candidate: Candidate, model: ModelSpeed): Seat {
    const key = candidate.key.slice(0, MAX_KEY_CHARS);
    let known = this.#known.get(key);
    if (known === undefined) {
      known = { speed: new NodeSpeed(model), attempts: new Attempts(), cacheHits: new DecayedMean(ASSUMED_CACHE_HITS, 2, CACHE_MEMORY) };
      this.#known.set(key, known);
    }
    const seat = new Seat(candidate, known, this.honesty(candidate.owner));
    this.#seats.set(candidate, seat);
    return seat;
  }
}
