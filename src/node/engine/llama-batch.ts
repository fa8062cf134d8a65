// Which waiting tokens make up the next batch. llama.cpp evaluates sequences of a batch together only where their ids ascend one
// by one, so batches are ordered by id. One token of each running answer goes before any prompt, and while answers run, each
// prompt adds no more to a batch than answers can be held up for; among prompts the shortest goes first, unless one has waited long.

export interface BatchItem {
  /** Position of the sequence in the context. */
  readonly id: number;
  /** Tokens that wait to be evaluated. */
  readonly left: number;
  /** True for the next token of a running answer, false for a prompt. */
  readonly answering: boolean;
  /** Batches that the item has waited for without getting anything. */
  readonly waited: number;
}

export interface BatchShare<Item> {
  readonly item: Item;
  /** Tokens to take from the front of the item, at least 1. */
  readonly amount: number;
}

/** A prompt that has waited for one more batch counts as this many tokens shorter. */
const AGING = 64;
/** A prompt that is longer than its share by this factor at most is taken whole: a batch of its own for the rest costs more. */
const WHOLE = 1.5;

/**
 * Shares `size` token slots. While there are answers, about `promptShare` of them are for prompts, times the prompts that wait: a
 * long one cannot hold up the answers, and many that come together start together. Without answers prompts get all.
 * Items that get none wait for the next batch.
 */
export function shareBatch<Item extends BatchItem>(items: readonly Item[], size: number, promptShare: number): BatchShare<Item>[] {
  // What almost every batch is: no prompts, and answers in the order of their sequences.
  if (items.length <= size && items.every(({ answering }) => answering) && isOrdered(items)) return items.map((item) => ({ item, amount: 1 }));
  const answers = items.filter(({ answering }) => answering).toSorted((a, b) => b.waited - a.waited).slice(0, size);
  const shares: BatchShare<Item>[] = answers.map((item) => ({ item, amount: 1 }));
  const prompts = items.filter(({ answering }) => !answering);
  let space = size - answers.length;
  let left = answers.length === 0 ? space : Math.min(space, promptShare * prompts.length);
  const rank = ({ left: tokens, waited }: Item): number => tokens - AGING * waited;
  for (const item of prompts.toSorted((a, b) => rank(a) - rank(b))) {
    const amount = Math.min(space, item.left <= left * WHOLE ? item.left : left);
    if (amount === 0) break;
    shares.push({ item, amount });
    space -= amount;
    left = Math.max(0, left - amount);
  }
  return shares.toSorted((a, b) => a.item.id - b.item.id);
}

const isOrdered = (items: readonly BatchItem[]): boolean => items.every(({ id }, at) => at === 0 || (items[at - 1]?.id ?? id) < id);
