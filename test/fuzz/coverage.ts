// What an execution has reached: the counters that instrument.mjs puts into src/, and the values that were compared. Must be
// imported before anything of src/ is.

const MAX_COUNTERS = 1 << 16;
const MAX_PAIRS = 64;
const MAX_TEXT = 64;

export type Compared = string | number | bigint;
export type Pair = readonly [Compared, Compared];

const hits = new Uint8ClampedArray(MAX_COUNTERS);
/** Files with the numbers of their counters, in the order in which they were loaded. */
const files: (readonly [name: string, from: number, to: number])[] = [];
let pairs: Pair[] | null = null;

const isValue = (value: unknown): value is Compared =>
  typeof value === 'number' || typeof value === 'bigint' || (typeof value === 'string' && value.length <= MAX_TEXT && value !== '');

function same(left: unknown, right: unknown): boolean {
  if (pairs !== null && left !== right && pairs.length < MAX_PAIRS && isValue(left) && isValue(right)) pairs.push([left, right]);
  return left === right;
}

Object.assign(globalThis, { cocoonFuzz: { hits, same, files } });

/** Runs `step` and says which values it compared and found different. */
export async function comparedIn(step: () => Promise<void>): Promise<readonly Pair[]> {
  const list: Pair[] = [];
  pairs = list;
  try {
    await step();
  } finally {
    pairs = null;
  }
  return list;
}

/** 1, 2, 3, 4-7, 8-15, 16-31, 32-127 and more times are different things to have happened. */
const BUCKETS = Uint8Array.from({ length: 256 }, (_, count) => {
  if (count < 4) return count === 0 ? 0 : 1 << (count - 1);
  return count < 8 ? 8 : count < 16 ? 16 : count < 32 ? 32 : count < 128 ? 64 : 128;
});

/** Files are not evaluated in the order in which they were read. */
const used = (): number => files.reduce((most, [, , to]) => Math.max(most, to), 0);

/** Forgets what the last execution reached. */
export const clear = (): void => { hits.fill(0, 0, used()); };

/** Everything that the executions of one target have reached. */
export class Reached {
  readonly #seen = new Uint8Array(MAX_COUNTERS);
  #branches = 0;

  /** Adds what was reached since `clear`; true when something is new. */
  add(): boolean {
    let isNew = false;
    const end = used();
    for (let index = 0; index < end; index += 1) {
      const count = hits[index] ?? 0;
      if (count === 0) continue;
      const before = this.#seen[index] ?? 0;
      const bucket = BUCKETS[count] ?? 0;
      if ((before & bucket) !== 0) continue;
      if (before === 0) this.#branches += 1;
      this.#seen[index] = before | bucket;
      isNew = true;
    }
    return isNew;
  }

  get branches(): number {
    return this.#branches;
  }

  /** Branches reached and branches there are in files whose names begin so. */
  share(prefixes: readonly string[]): { readonly reached: number; readonly all: number } {
    let [reached, all] = [0, 0];
    for (const [name, from, to] of files) {
      if (!prefixes.some((prefix) => name.startsWith(prefix))) continue;
      all += to - from;
      for (let index = from; index < to; index += 1) reached += (this.#seen[index] ?? 0) === 0 ? 0 : 1;
    }
    return { reached, all };
  }
}
