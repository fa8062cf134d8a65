// Index of all transactions: by account and logical time, by hash, by the message that caused it, by block. Holds a few
// hundred bytes each; the transactions themselves stay in the journal. Built from block records alone, so it survives with them.
import type { Place } from './journal.ts';
import type { BlockRecord } from './records.ts';

export interface TransactionEntry {
  readonly account: string;
  readonly lt: bigint;
  /** 64 hexadecimal digits. */
  readonly hash: string;
  /** Block that holds it. */
  readonly seqno: number;
  /** Where the block's record lies, and its position there. */
  readonly place: Place;
  readonly position: number;
}

export interface PageQuery {
  /** Newest transaction wanted; default: the account's newest. */
  readonly fromLt?: bigint;
  /** Only those with a greater logical time. */
  readonly afterLt: bigint;
  readonly limit: number;
  /** Only those in blocks up to this one. */
  readonly seqno: number;
}

export class TransactionIndex {
  readonly #byAccount = new Map<string, TransactionEntry[]>();
  readonly #byHash = new Map<string, TransactionEntry>();
  readonly #byMessage = new Map<string, TransactionEntry>();
  readonly #byMessageLt = new Map<bigint, TransactionEntry>();
  readonly #byBlock = new Map<number, TransactionEntry[]>();

  add(block: BlockRecord, place: Place): void {
    const inBlock: TransactionEntry[] = [];
    for (const [position, { account, lt, hash, message, messageLt }] of block.transactions.entries()) {
      const entry: TransactionEntry = { account, lt: BigInt(lt), hash, seqno: block.seqno, place, position };
      inBlock.push(entry);
      const list = this.#byAccount.get(account);
      if (list === undefined) this.#byAccount.set(account, [entry]);
      else list.push(entry);
      this.#byHash.set(hash, entry);
      this.#byMessage.set(message, entry);
      // Logical times of messages are unique on this chain: one shard, and room for each transaction's messages.
      if (messageLt !== null) this.#byMessageLt.set(BigInt(messageLt), entry);
    }
    if (inBlock.length > 0) this.#byBlock.set(block.seqno, inBlock);
  }

  get count(): number {
    return this.#byHash.size;
  }

  byHash(hash: string): TransactionEntry | undefined {
    return this.#byHash.get(hash);
  }

  /** The transaction that executed the message with this cell hash. */
  byMessage(hash: string): TransactionEntry | undefined {
    return this.#byMessage.get(hash);
  }

  /** The transaction that executed the internal message created at this logical time. */
  byMessageLt(lt: bigint): TransactionEntry | undefined {
    return this.#byMessageLt.get(lt);
  }

  byLt(account: string, lt: bigint): TransactionEntry | undefined {
    const entry = this.lastUpTo(account, lt);
    return entry?.lt === lt ? entry : undefined;
  }

  /** The account's newest transaction with a logical time of at most `lt`. */
  lastUpTo(account: string, lt: bigint): TransactionEntry | undefined {
    const list = this.#byAccount.get(account) ?? [];
    return list[countUpTo(list, lt) - 1];
  }

  /** In order of logical time. */
  inBlock(seqno: number): readonly TransactionEntry[] {
    return this.#byBlock.get(seqno) ?? [];
  }

  /** Newest first. */
  page(account: string, { fromLt, afterLt, limit, seqno }: PageQuery): TransactionEntry[] {
    const list = this.#byAccount.get(account) ?? [];
    const found: TransactionEntry[] = [];
    for (let i = (fromLt === undefined ? list.length : countUpTo(list, fromLt)) - 1; i >= 0 && found.length < limit; i -= 1) {
      const entry = list[i];
      if (entry === undefined || entry.lt <= afterLt) break;
      if (entry.seqno <= seqno) found.push(entry);
    }
    return found;
  }
}

/** How many of the entries, which ascend, have a logical time of at most `lt`. */
function countUpTo(list: readonly TransactionEntry[], lt: bigint): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = list[middle];
    if (entry !== undefined && entry.lt <= lt) low = middle + 1;
    else high = middle;
  }
  return low;
}
