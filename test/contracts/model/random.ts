// Seeded numbers for the model tests: one seed gives one run, on every machine.

/** mulberry32: 32 bits of state are plenty for choosing test actions. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer from 0 to `below` - 1. */
  int(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4_294_967_296) * below);
  }

  /** A number of nanoTON below `limit`, spread over all magnitudes. */
  coins(limit: bigint): bigint {
    const value = (BigInt(this.int(1 << 30)) << 30n) | BigInt(this.int(1 << 30));
    return (value % (limit + 1n)) >> BigInt(this.chance(4) ? this.int(40) : 0);
  }

  /** True once in `n` times. */
  chance(n: number): boolean {
    return this.int(n) === 0;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.int(items.length)];
    if (item === undefined) throw new Error('nothing to pick from');
    return item;
  }
}
