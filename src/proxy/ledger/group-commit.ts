// Group commit: whatever is asked for while one transaction is being synced goes into the next one, so that many bookings
// share one fsync. Items keep their order; the first one that cannot be written rejects itself and all that follow.
import type { CocoonError } from '../../core/errors.ts';
import type { Database } from './database.ts';

/** Something to be written. */
export interface Item<Batch> {
  /** Adds its SQL to the batch. Called in order, right before the batch is written. */
  write(batch: Batch): void;
  /** Called in order when the batch is durable. */
  done(): void;
  reject(error: CocoonError): void;
}

/** Work of its own between two transactions, with everything on disk that was asked for before. It handles its own errors. */
interface Alone {
  alone(database: Database): Promise<void>;
  reject(error: CocoonError): void;
}

export interface GroupCommitOptions<Batch> {
  readonly database: Database;
  /** Fresh for each transaction. */
  begin(): Batch;
  /** All statements of the batch, without BEGIN and COMMIT; empty where there is nothing to write. */
  sql(batch: Batch): string;
  /** Called once, with the first error. Nothing is written after it. */
  onFailure(error: unknown): CocoonError;
}

/**
 * Shortest time from one transaction to the next: nobody waits for a booking but the message about it, and a transaction costs
 * as much as a hundred bookings. The first after a pause does not wait.
 */
const PACE_MS = 40;
/** Bounds a transaction: 4096 bookings are at most a quarter of a megabyte of SQL. */
const MAX_ITEMS = 4_096;

export class GroupCommit<Batch> {
  readonly #options: GroupCommitOptions<Batch>;
  readonly #queue: (Item<Batch> | Alone)[] = [];
  #running: Promise<void> | null = null;
  #failure: CocoonError | null = null;
  /** Since the start; the time of the last one from BEGIN to durable, milliseconds. */
  transactions = 0;
  lastCommitMs = 0;
  #startedMs = Number.NEGATIVE_INFINITY;

  constructor(options: GroupCommitOptions<Batch>) {
    this.#options = options;
  }

  /** Writes the item with the next transaction. */
  add(item: Item<Batch> | Alone): void {
    if (this.#failure !== null) return item.reject(this.#failure);
    this.#queue.push(item);
    this.#running ??= this.#run();
  }

  /** Resolves with what `work` gives. */
  exclusively<T>(work: (database: Database) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.add({ alone: async (database) => work(database).then(resolve, reject), reject });
    });
  }

  /** Writes what waits and closes the database; `closed` is what comes later is rejected with. Idempotent. */
  async close(closed: CocoonError): Promise<void> {
    while (this.#running !== null) await this.#running;
    await this.#fail(closed);
  }

  async #run(): Promise<void> {
    // Everything of this turn of the event loop shares the first transaction.
    await new Promise((resolve) => { setImmediate(resolve); });
    while (this.#queue.length > 0) {
      const earlyMs = this.#startedMs + PACE_MS - performance.now();
      if (earlyMs > 0) await new Promise((resolve) => { setTimeout(resolve, earlyMs); });
      const batch = this.#take();
      try {
        await this.#carryOut(batch);
      } catch (error) {
        const failure = this.#options.onFailure(error);
        for (const item of batch) item.reject(failure);
        await this.#fail(failure);
      }
    }
    this.#running = null;
  }

  /** Items up to the next one that wants to be alone, or that one. */
  #take(): (Item<Batch> | Alone)[] {
    const next = this.#queue.findIndex((item) => 'alone' in item);
    const count = next < 0 ? MAX_ITEMS : Math.max(1, next);
    return this.#queue.splice(0, Math.min(count, MAX_ITEMS));
  }

  async #carryOut(items: readonly (Item<Batch> | Alone)[]): Promise<void> {
    const { database, begin, sql } = this.#options;
    const [first] = items;
    if (first !== undefined && 'alone' in first) return first.alone(database);
    const batch = begin();
    const writing = items.filter((item): item is Item<Batch> => 'write' in item);
    for (const item of writing) item.write(batch);
    const statements = sql(batch);
    if (statements !== '') {
      this.#startedMs = performance.now();
      await database.exec(`BEGIN IMMEDIATE;${statements}COMMIT`);
      this.transactions += 1;
      this.lastCommitMs = performance.now() - this.#startedMs;
    }
    for (const item of writing) item.done();
  }

  async #fail(error: CocoonError): Promise<void> {
    if (this.#failure !== null) return;
    this.#failure = error;
    for (const item of this.#queue.splice(0)) item.reject(error);
    await this.#options.database.close();
  }
}
