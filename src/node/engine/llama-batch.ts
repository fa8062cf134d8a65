// Which queued tokens make up the next batch. llama.cpp evaluates sequences of a batch together only where their ids
// ascend one by one, so batches are ordered by id; and one token of each running answer goes before any prompt.

/** A queued evaluation as node-llama-cpp hands it over; the sequence id travels in `evaluationPriority`. */
export interface BatchItem {
  readonly tokens: readonly unknown[];
  readonly evaluationPriority: number;
}

export interface BatchShare<Item> {
  readonly item: Item;
  /** Tokens to take from the front of the item. */
  readonly processAmount: number;
}

/**
 * Shares `size` token slots: first one token for each item in the order of ids, then the rest evenly over those that have more.
 * Items that get none wait for the next batch.
 */
export function shareBatch<Item extends BatchItem>(items: readonly Item[], size: number): BatchShare<Item>[] {
  const ordered = items.toSorted((a, b) => a.evaluationPriority - b.evaluationPriority).slice(0, size);
  let left = size - ordered.length;
  const amounts = ordered.map(() => 1);
  let hungry = ordered.map((_, index) => index).filter((index) => wanted(ordered, amounts, index) > 0);
  while (left > 0 && hungry.length > 0) {
    const share = Math.max(1, Math.floor(left / hungry.length));
    for (const index of hungry) {
      const extra = Math.min(share, left, wanted(ordered, amounts, index));
      amounts[index] = (amounts[index] ?? 0) + extra;
      left -= extra;
    }
    hungry = hungry.filter((index) => wanted(ordered, amounts, index) > 0);
  }
  return ordered.map((item, index) => ({ item, processAmount: amounts[index] ?? 1 }));
}

function wanted(items: readonly BatchItem[], amounts: readonly number[], index: number): number {
  return (items[index]?.tokens.length ?? 0) - (amounts[index] ?? 0);
}
