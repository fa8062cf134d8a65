// The table of connections that are not established yet (defect 12 of WIRE.md section 20). Two classes: before the proof
// of work, which costs the peer nothing, and after it. When a class or a source in it is full, the oldest of it makes
// room: an honest peer passes quickly, and one that only holds its place loses it.

export interface HalfOpenLimits {
  readonly maxUnproven: number;
  readonly maxUnprovenPerSource: number;
  readonly maxProven: number;
  readonly maxProvenPerSource: number;
}

export interface HalfOpen {
  /** What counts as one peer: see `sourceOf`. */
  readonly source: string;
  /** Called when this one has to make room; it has left the table then. */
  evict(): void;
}

export class HalfOpenTable {
  readonly #unproven: AgeList;
  readonly #proven: AgeList;

  constructor(limits: HalfOpenLimits) {
    this.#unproven = new AgeList(limits.maxUnproven, limits.maxUnprovenPerSource);
    this.#proven = new AgeList(limits.maxProven, limits.maxProvenPerSource);
  }

  get size(): number {
    return this.#unproven.size + this.#proven.size;
  }

  enter(entry: HalfOpen): void {
    this.#unproven.add(entry);
  }

  /** The entry has shown its proof of work. */
  prove(entry: HalfOpen): void {
    if (this.#unproven.remove(entry)) this.#proven.add(entry);
  }

  /** Does nothing for an entry that was evicted. */
  leave(entry: HalfOpen): void {
    if (!this.#unproven.remove(entry)) this.#proven.remove(entry);
  }

  evictAll(): void {
    this.#unproven.evictAll();
    this.#proven.evictAll();
  }
}

/** Entries in order of age, as a whole and for each source: sets iterate in the order of insertion. */
class AgeList {
  readonly #max: number;
  readonly #maxPerSource: number;
  readonly #all = new Set<HalfOpen>();
  readonly #bySource = new Map<string, Set<HalfOpen>>();

  constructor(max: number, maxPerSource: number) {
    this.#max = max;
    this.#maxPerSource = maxPerSource;
  }

  get size(): number {
    return this.#all.size;
  }

  add(entry: HalfOpen): void {
    const sameSource = this.#bySource.get(entry.source);
    if (sameSource !== undefined && sameSource.size >= this.#maxPerSource) this.#evictOldest(sameSource);
    else if (this.#all.size >= this.#max) this.#evictOldest(this.#all);
    this.#all.add(entry);
    const peers = this.#bySource.get(entry.source) ?? new Set();
    this.#bySource.set(entry.source, peers.add(entry));
  }

  remove(entry: HalfOpen): boolean {
    if (!this.#all.delete(entry)) return false;
    const sameSource = this.#bySource.get(entry.source);
    sameSource?.delete(entry);
    if (sameSource?.size === 0) this.#bySource.delete(entry.source);
    return true;
  }

  evictAll(): void {
    while (this.#all.size > 0) this.#evictOldest(this.#all);
  }

  #evictOldest(entries: ReadonlySet<HalfOpen>): void {
    for (const oldest of entries) {
      this.remove(oldest);
      oldest.evict();
      return;
    }
  }
}
