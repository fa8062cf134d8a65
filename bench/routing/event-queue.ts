// Events in the order of their time (a binary heap); equal times in the order in which they were added.

interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

const before = (a: Entry, b: Entry): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

export class EventQueue {
  readonly #heap: Entry[] = [];
  #order = 0;
  nowMs = 0;

  at(atMs: number, run: () => void): void {
    const heap = this.#heap;
    const entry = { atMs: Math.max(atMs, this.nowMs), order: this.#order, run };
    this.#order += 1;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(entry, above)) break;
      heap[i] = above;
      i = parent;
    }
    heap[i] = entry;
  }

  after(ms: number, run: () => void): void {
    this.at(this.nowMs + ms, run);
  }

  /** Runs everything up to and including `untilMs`. */
  run(untilMs: number): void {
    for (let first = this.#heap[0]; first !== undefined && first.atMs <= untilMs; first = this.#heap[0]) {
      this.#pop();
      this.nowMs = first.atMs;
      first.run();
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      const left = heap[child];
      if (left === undefined) break;
      const right = heap[child + 1];
      const smaller = right !== undefined && before(right, left) ? right : left;
      if (smaller === right) child += 1;
      if (!before(smaller, last)) break;
      heap[i] = smaller;
      i = child;
    }
    heap[i] = last;
  }
}
