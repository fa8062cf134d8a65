// The highest signed payment of each contract, on disk before it is acted on: one private file a contract, replaced
// atomically, shared by processes under a lock. Refuses to go back, payments that are not the proxy's, and damaged files.
import { join } from 'node:path';
import type { Address } from '@ton/core';
import { systemClock } from '../core/clock.ts';
import type { Clock } from '../core/clock.ts';
import { deferred } from '../core/deferred.ts';
import type { Deferred } from '../core/deferred.ts';
import { equalBytes } from '../core/bytes.ts';
import { ConfigError, NotFoundError } from '../core/errors.ts';
import { ensureFolder, listFolder, readBounded, removeLeftovers, writeFileAtomic } from '../core/files.ts';
import type { WriteStep } from '../core/files.ts';
import { showPresence, withLock } from '../core/lock.ts';
import type { Presence } from '../core/lock.ts';
import { checkedTokens, decodeEntry, encodeEntry, fileName, isLast, SUFFIX } from './payment-entry.ts';
import type { BookEntry } from './payment-entry.ts';
import { encodePayment, parsePayment } from './signed-payment.ts';
import type { SignedPayment } from './signed-payment.ts';

export type NewBookEntry = Pick<BookEntry, 'proxy' | 'contract' | 'kind' | 'publicKey'> & {
  readonly model?: string;
  /** Where counting begins: what the contract has on chain. Default 0n. */
  readonly startTokens?: bigint;
};

/** Errors of every method: ConfigError `E_STATE` naming a file that is damaged, unreadable or in use. */
export interface PaymentBook {
  /** All entries, read anew: other processes write to the same book. */
  entries(): Promise<BookEntry[]>;
  /** As last read or written by this object; null where it has not been opened. */
  entry(contract: Address): BookEntry | null;
  /** Makes the entry durable where there is none. Throws `E_STATE` when there is one of another proxy, key or kind. */
  open(entry: NewBookEntry): Promise<BookEntry>;
  /**
   * Makes a payment durable; a lower or equal total than the recorded one changes nothing. Throws NetworkError
   * `E_SIGNED_PAYMENT` when it is not signed by the entry's key for the entry's contract. Errors as `open`.
   */
  record(contract: Address, payment: SignedPayment): Promise<BookEntry>;
  /**
   * Says that this process begins to use an entry, until `close`. Resolves with the open tokens that processes left behind which
   * are gone: nobody here will see the end of those requests. 0n while another process uses it, and for every call but the first.
   */
  use(contract: Address): Promise<bigint>;
  /** Adds to what was counted (`tokens`) and to what is open (`openTokens`, may be negative; never below 0 in all). */
  counted(contract: Address, change: { readonly tokens?: bigint; readonly openTokens?: bigint }): Promise<BookEntry>;
  /** Raises what the proxy says is booked, and what the chain says is claimed; lower values change nothing. */
  stated(contract: Address, change: { readonly dbTokens?: bigint; readonly claimedTokens?: bigint }): Promise<BookEntry>;
  /** Runs `work` while no other process, and no other caller, does so on this book: for decisions over several entries. */
  exclusively<T>(work: () => Promise<T>, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<T>;
  /** Waits for writes under way, and ends the use of all entries. Idempotent. */
  close(): Promise<void>;
}

export interface PaymentBookOptions {
  readonly clock?: Clock;
  /** How long to wait for another process that writes. Default 10 s. */
  readonly lockTimeoutMs?: number;
  /** Called with the name of each completed step of a write; for crash tests. */
  readonly onStep?: (step: 'locked' | WriteStep) => void;
}

const LOCK_MS = 10_000;
const MAX_FILE_BYTES = 8 * 1024;
const FILE = /^(0|-1)_[0-9a-f]{64}\.json$/;
const MAX_TOKENS = 2n ** 64n - 1n;

type Change = (entry: BookEntry | null, path: string) => BookEntry;

interface Waiting {
  readonly contract: Address;
  readonly change: Change;
  readonly done: Deferred<BookEntry>;
}

/** Opens the book in `folder`, which is made when it does not exist, and reads it. Throws `E_STATE` naming the first damaged file. */
export async function openPaymentBook(folder: string, options: PaymentBookOptions = {}): Promise<PaymentBook> {
  const book = new FilePaymentBook(folder, options);
  await book.start();
  return book;
}

class FilePaymentBook implements PaymentBook {
  readonly #folder: string;
  readonly #options: PaymentBookOptions;
  readonly #entries = new Map<string, BookEntry>();
  readonly #used = new Map<string, Promise<bigint>>();
  readonly #presences: Presence[] = [];
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;

  constructor(folder: string, options: PaymentBookOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  async start(): Promise<void> {
    await ensureFolder(this.#folder);
    await this.#locked(() => removeLeftovers(this.#folder));
    await this.entries();
  }

  async entries(): Promise<BookEntry[]> {
    const entries: BookEntry[] = [];
    for (const name of await listFolder(this.#folder)) {
      if (!FILE.test(name)) continue;
      const entry = await this.#read(join(this.#folder, name), name);
      if (entry !== null) entries.push(this.#keep(entry));
    }
    return entries;
  }

  entry(contract: Address): BookEntry | null {
    return this.#entries.get(contract.toRawString()) ?? null;
  }

  open({ proxy, contract, kind, publicKey, model, startTokens = 0n }: NewBookEntry): Promise<BookEntry> {
    return this.#change(contract, (entry, path) => {
      if (entry === null) {
        return {
          proxy, contract, kind, publicKey: Uint8Array.from(publicKey), signedTokens: 0n, payment: null, countedTokens: startTokens, openTokens: 0n,
          dbTokens: 0n, claimedTokens: startTokens, model: model ?? null, updatedAtMs: 0,
        };
      }
      if (!entry.proxy.equals(proxy) || entry.kind !== kind || !equalBytes(entry.publicKey, publicKey)) {
        throw new ConfigError('E_STATE', `${path} is of another proxy, key or kind than ${proxy.toString()}`);
      }
      return model === undefined || entry.model === model ? entry : { ...entry, model };
    });
  }

  record(contract: Address, payment: SignedPayment): Promise<BookEntry> {
    return this.#change(contract, (entry, path) => {
      const known = opened(entry, path);
      const total = checkedTokens(known, payment);
      const isMore = known.payment === null || total > known.signedTokens
        || (total === known.signedTokens && isLast(payment) && !isLast(parsePayment(known.payment)));
      return isMore ? { ...known, signedTokens: total, payment: encodePayment(payment) } : known;
    });
  }

  counted(contract: Address, { tokens: added = 0n, openTokens = 0n }: { readonly tokens?: bigint; readonly openTokens?: bigint }): Promise<BookEntry> {
    if (added < 0n) return Promise.reject(new ConfigError('E_STATE', `${added} tokens cannot be counted: a count never goes back`));
    return this.#change(contract, (entry, path) => {
      const known = opened(entry, path);
      if (added === 0n && openTokens === 0n) return known;
      const open = known.openTokens + openTokens;
      return { ...known, countedTokens: atMost(known.countedTokens + added), openTokens: open < 0n ? 0n : atMost(open) };
    });
  }

  stated(contract: Address, { dbTokens = 0n, claimedTokens = 0n }: { readonly dbTokens?: bigint; readonly claimedTokens?: bigint }): Promise<BookEntry> {
    return this.#change(contract, (entry, path) => {
      const known = opened(entry, path);
      if (dbTokens <= known.dbTokens && claimedTokens <= known.claimedTokens) return known;
      return { ...known, dbTokens: atMost(larger(known.dbTokens, dbTokens)), claimedTokens: atMost(larger(known.claimedTokens, claimedTokens)) };
    });
  }

  use(contract: Address): Promise<bigint> {
    const name = fileName(contract);
    const known = this.#used.get(name);
    if (known !== undefined) return known.then(() => 0n);
    // Under the lock of every reservation: what is open now, with nobody else here, is nobody's.
    const used = this.#locked(async () => {
      const presence = await showPresence(join(this.#folder, name.slice(0, -SUFFIX.length)));
      this.#presences.push(presence);
      return presence.isAlone ? (await this.#read(join(this.#folder, name), name))?.openTokens ?? 0n : 0n;
    });
    this.#used.set(name, used);
    used.catch(() => this.#used.delete(name));
    return used;
  }

  exclusively<T>(work: () => Promise<T>, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<T> {
    return withLock(join(this.#folder, 'decisions'), work, options);
  }

  async close(): Promise<void> {
    await this.#writing;
    for (const presence of this.#presences.splice(0)) await presence.leave();
  }

  #keep(entry: BookEntry): BookEntry {
    this.#entries.set(entry.contract.toRawString(), entry);
    return entry;
  }

  async #read(path: string, name: string): Promise<BookEntry | null> {
    let bytes: Uint8Array;
    try {
      bytes = await readBounded(path, MAX_FILE_BYTES, { private: true });
    } catch (error) {
      if (error instanceof NotFoundError) return null;
      throw error;
    }
    const entry = decodeEntry(bytes, path);
    if (fileName(entry.contract) !== name) throw new ConfigError('E_STATE', `${path} is damaged: it is the entry of ${entry.contract.toRawString()}`);
    return entry;
  }

  #locked<T>(work: () => Promise<T>): Promise<T> {
    return withLock(join(this.#folder, 'book'), work, { timeoutMs: this.#options.lockTimeoutMs ?? LOCK_MS });
  }

  #change(contract: Address, change: Change): Promise<BookEntry> {
    const done = deferred<BookEntry>();
    this.#waiting.push({ contract, change, done });
    // Changes that come while a write is under way share the next one: one lock and, for each contract, one fsync.
    this.#writing ??= this.#write();
    return done.promise;
  }

  async #write(): Promise<void> {
    await Promise.resolve(); // what is asked for in the same turn goes along
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      try {
        await this.#locked(async () => {
          this.#options.onStep?.('locked');
          for (const key of new Set(batch.map(({ contract }) => contract.toRawString()))) {
            await this.#apply(batch.filter(({ contract }) => contract.toRawString() === key));
          }
        });
      } catch (error) {
        for (const { done } of batch) done.reject(error);
      }
    }
    this.#writing = null; // in the same turn in which nothing was found waiting
  }

  /** All changes of one contract, in order, and one write. What another process has written meanwhile is what they start from. */
  async #apply(changes: readonly Waiting[]): Promise<void> {
    const [first] = changes;
    if (first === undefined) return;
    const name = fileName(first.contract);
    const path = join(this.#folder, name);
    const kept: Waiting[] = [];
    try {
      const before = await this.#read(path, name);
      // What was here and is gone was money: it is never begun anew in silence.
      if (before === null && this.entry(first.contract) !== null) throw new ConfigError('E_STATE', `${path} is gone`, { hint: 'restore it from a backup' });
      let entry = before;
      for (const waiting of changes) {
        try {
          entry = waiting.change(entry, path);
          kept.push(waiting);
        } catch (error) {
          waiting.done.reject(error);
        }
      }
      if (entry === null) return;
      if (entry !== before) {
        entry = { ...entry, updatedAtMs: Math.max(0, Math.round((this.#options.clock ?? systemClock).now())) };
        await writeFileAtomic(path, encodeEntry(entry), this.#options.onStep === undefined ? {} : { onStep: this.#options.onStep });
      }
      this.#keep(entry);
      for (const { done } of kept) done.resolve(entry);
    } catch (error) {
      for (const { done } of changes) done.reject(error);
    }
  }
}

function opened(entry: BookEntry | null, path: string): BookEntry {
  if (entry === null) throw new ConfigError('E_STATE', `${path} does not exist: the entry has not been opened`);
  return entry;
}

const larger = (a: bigint, b: bigint): bigint => (a > b ? a : b);
const atMost = (value: bigint): bigint => (value > MAX_TOKENS ? MAX_TOKENS : value);
