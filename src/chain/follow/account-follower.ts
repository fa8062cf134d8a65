// Every transaction of one account, once, in order, without gaps, from a cursor that the caller keeps durable. Each list
// is bound by hashes to the account's agreed newest transaction and to the cursor; an endpoint that lags shows nothing new,
// and a history that does not lead to the cursor is an error, never a jump.
import type { Address, Transaction } from '@ton/core';
import { abortError } from '../../core/deadline.ts';
import { equalBytes } from '../../core/bytes.ts';
import { asCocoonError, NetworkError } from '../../core/errors.ts';
import type { CocoonError } from '../../core/errors.ts';
import { silentLog } from '../../core/log.ts';
import type { Log } from '../../core/log.ts';
import { backoffMs, sleep as realSleep } from '../../core/retry.ts';
import type { Sleep } from '../../core/retry.ts';
import type { TonAccess, TransactionId } from '../access/types.ts';

export interface AccountFollower {
  /** Newest transaction that was handed over, or where the caller began; null before the first. */
  readonly cursor: TransactionId | null;
  /** Chain time (unix seconds) up to which everything was handed over; null before the first complete look. */
  readonly seenUntil: number | null;
  /** Why the last look failed; null after one that worked. */
  readonly problem: CocoonError | null;
  /** Looks now and resolves when everything up to the account's newest transaction was handed over. Errors as TonAccess, `E_CHAIN_DATA` on a gap, and those of `onTransactions`. */
  catchUp(signal?: AbortSignal): Promise<void>;
  /** Ends the polling; resolves when no `onTransactions` runs any more. Idempotent. */
  close(): Promise<void>;
}

export interface FollowAccountOptions {
  readonly access: Pick<TonAccess, 'account' | 'transactions'>;
  readonly address: Address;
  /** The last transaction that the caller has durable; null: from the account's first. */
  readonly after: TransactionId | null;
  /** Between two looks, milliseconds. */
  readonly pollMs: number;
  /**
   * Oldest first, at most `segment` at a time, never empty. When it resolves they are the caller's; it must have made the
   * cursor (`idOf` of the last) durable together with what they mean. When it rejects, the same list comes again later.
   */
  onTransactions(transactions: readonly Transaction[]): Promise<void>;
  readonly signal?: AbortSignal;
  readonly log?: Log;
  readonly sleep?: Sleep;
  /** Most transactions held at once. Default 256. */
  readonly segment?: number;
}

const DEFAULT_SEGMENT = 256;
/** Ids of list starts that are kept while walking back: with the default segment 16 million transactions. */
const MAX_SEGMENTS = 65_536;
const MAX_BACKOFF_MS = 60_000;

/** Names a transaction, for cursors. */
export function idOf(transaction: Transaction): TransactionId {
  return { lt: transaction.lt, hash: new Uint8Array(transaction.hash()) };
}

/** Starts to look at once and returns. */
export function followAccount(options: FollowAccountOptions): AccountFollower {
  return new PollingAccountFollower(options);
}

class PollingAccountFollower implements AccountFollower {
  readonly #options: FollowAccountOptions;
  readonly #ending = new AbortController();
  readonly #signal: AbortSignal;
  readonly #polling: Promise<void>;
  #looking: Promise<void> | null = null;
  #cursor: TransactionId | null;
  #seenUntil: number | null = null;
  #problem: CocoonError | null = null;

  constructor(options: FollowAccountOptions) {
    this.#options = options;
    this.#cursor = options.after;
    this.#signal = options.signal === undefined ? this.#ending.signal : AbortSignal.any([options.signal, this.#ending.signal]);
    this.#polling = this.#poll();
  }

  get cursor(): TransactionId | null {
    return this.#cursor;
  }

  get seenUntil(): number | null {
    return this.#seenUntil;
  }

  get problem(): CocoonError | null {
    return this.#problem;
  }

  async catchUp(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) throw abortError(signal);
    // A look under way may have begun before what the caller waits for.
    await this.#looking?.catch(() => undefined);
    const looking = this.#look();
    if (signal === undefined) return looking;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(abortError(signal));
      signal.addEventListener('abort', onAbort, { once: true });
      looking.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  async close(): Promise<void> {
    this.#ending.abort(new NetworkError('E_CLOSED', 'the account is not followed any more'));
    await this.#polling;
    await this.#looking?.catch(() => undefined);
  }

  async #poll(): Promise<void> {
    const { pollMs, address, log = silentLog, sleep = realSleep } = this.#options;
    for (let failures = 0; !this.#signal.aborted;) {
      try {
        await this.#look();
        failures = 0;
      } catch (error) {
        if (this.#signal.aborted) return;
        failures += 1;
        const { code, message } = asCocoonError(error);
        log.warn('account not followed', { account: address.toString(), code, reason: message, failures });
      }
      const waitMs = failures === 0 ? backoffMs(0, { baseMs: pollMs, maxMs: pollMs }) : backoffMs(failures - 1, { baseMs: pollMs, maxMs: Math.max(pollMs, MAX_BACKOFF_MS) });
      await sleep(waitMs, this.#signal).catch(() => undefined);
    }
  }

  #look(): Promise<void> {
    if (this.#signal.aborted) return Promise.reject(abortError(this.#signal));
    this.#looking ??= this.#handOver().then(
      () => { this.#problem = null; },
      (error: unknown) => {
        this.#problem = asCocoonError(error);
        throw error;
      },
    ).finally(() => { this.#looking = null; });
    return this.#looking;
  }

  async #handOver(): Promise<void> {
    const { access, address, segment = DEFAULT_SEGMENT, onTransactions } = this.#options;
    const account = await access.account(address, { agreed: true, signal: this.#signal });
    const newest = account.last?.lt ?? 0n;
    const known = this.#cursor?.lt ?? 0n;
    // The endpoints show the account as it was: nothing is new, and nothing is known of later times.
    if (newest < known) return;
    if (account.last !== null && newest > known) {
      // Oldest first in bounded memory: only where each list starts is kept, and it is fetched again when its turn comes.
      const starts = await this.#walkBack(account.last);
      for (const start of starts.reverse()) {
        const list = await this.#segment(start, segment);
        if (this.#signal.aborted) throw abortError(this.#signal);
        const [last] = list;
        if (last === undefined) continue;
        await onTransactions(list.toReversed());
        this.#cursor = idOf(last);
      }
    } else if (this.#cursor !== null && account.last !== null && !equalBytes(account.last.hash, this.#cursor.hash)) {
      throw this.#gap();
    }
    this.#seenUntil = Math.max(account.time, this.#seenUntil ?? 0);
  }

  /** Where each list starts that is to be handed over, newest first. Throws `E_CHAIN_DATA` when they do not lead to the cursor. */
  async #walkBack(newest: TransactionId): Promise<TransactionId[]> {
    const { segment = DEFAULT_SEGMENT } = this.#options;
    const starts: TransactionId[] = [];
    for (let from: TransactionId | null = newest; from !== null;) {
      if (starts.push(from) > MAX_SEGMENTS) throw new NetworkError('E_CHAIN_DATA', `account ${this.#options.address.toString()} has more than ${MAX_SEGMENTS * segment} new transactions`);
      const oldest: Transaction | undefined = (await this.#segment(from, segment)).at(-1);
      if (oldest === undefined) throw this.#gap();
      from = this.#before(oldest);
    }
    return starts;
  }

  /** The transaction before this one; null when that is the cursor, or there is none. */
  #before(transaction: Transaction): TransactionId | null {
    const { prevTransactionLt: lt, prevTransactionHash } = transaction;
    const hash = new Uint8Array(Buffer.from(prevTransactionHash.toString(16).padStart(64, '0'), 'hex'));
    const cursor = this.#cursor;
    if (cursor === null) return lt === 0n ? null : { lt, hash };
    if (lt > cursor.lt) return { lt, hash };
    if (lt !== cursor.lt || !equalBytes(hash, cursor.hash)) throw this.#gap();
    return null;
  }

  async #segment(from: TransactionId, limit: number): Promise<readonly Transaction[]> {
    const { access, address } = this.#options;
    const { transactions } = await access.transactions(address, { afterLt: this.#cursor?.lt ?? 0n, from, limit }, { signal: this.#signal });
    return transactions;
  }

  #gap(): NetworkError {
    const { address } = this.#options;
    return new NetworkError('E_CHAIN_DATA', `history of account ${address.toString()} does not lead to transaction ${this.#cursor?.lt ?? 0n}, which was seen before`, {
      hint: 'the endpoints belong to another chain, or do not keep so old transactions',
    });
  }
}
