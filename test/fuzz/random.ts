// The fuzzer's random numbers: the same seed gives the same numbers on every machine.

export interface Random {
  /** An integer from 0 to `end` - 1; 0 for an `end` below 1. */
  below(end: number): number;
  pick<T>(items: readonly T[]): T | undefined;
}

/** Mulberry32 over a text such as "1 quote". */
export function randomOf(seed: string): Random {
  // FNV-1a
  let state = 0x811c9dc5;
  for (const byte of Buffer.from(seed)) state = Math.imul(state ^ byte, 0x01000193);
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  const below = (end: number): number => Math.floor(next() * Math.max(end, 0));
  return { below, pick: (items) => items[below(items.length)] };
}
