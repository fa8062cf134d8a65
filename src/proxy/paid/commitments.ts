// Commitments of the ledger on chain (WIRE.md section 16): a save_state message from the proxy's wallet to its contract, at
// an interval while there is something to commit. Only what a confirmed one covers is signed.
import { saveState } from '../../chain/cells/proxy-messages.ts';
import { queryIdOf } from '../../chain/plans/plan.ts';
import { abortError } from '../../core/deadline.ts';
import { deferred } from '../../core/deferred.ts';
import { asCocoonError } from '../../core/errors.ts';
import type { CocoonError } from '../../core/errors.ts';
import { toHex } from '../../core/bytes.ts';
import type { Commitment } from '../ledger/ledger.ts';
import type { PaidContext } from './context.ts';
import type { ContractBook } from './contract-book.ts';
import { signCommitted } from './payments.ts';

/** The message carries nothing but its text. */
const VALUE_NANO = 1n;
/** Longest wait for a commitment to be seen on chain. */
const CONFIRM_MS = 180_000;
const SESSION_CHARACTERS = 16;

export interface CommitterBooks {
  /** Of all contracts that are not closed. */
  all(): readonly ContractBook[];
  /** Whose contract gets the message; null while there is none. */
  target(): ContractBook | null;
}

export class Committer {
  readonly #context: PaidContext;
  readonly #books: CommitterBooks;
  #running: Promise<void> | null = null;
  #loop: Promise<void> = Promise.resolve();
  #triedMs = Number.NEGATIVE_INFINITY;
  /** Milliseconds of the clock at the last confirmed one; null before the first. */
  confirmedMs: number | null = null;
  problem: CocoonError | null = null;

  constructor(context: PaidContext, books: CommitterBooks) {
    this.#context = context;
    this.#books = books;
  }

  start(): void {
    this.#loop = this.#keepCommitting();
  }

  /** Resolves when the loop has ended. */
  async ended(): Promise<void> {
    await this.#loop;
    await this.#running?.catch(() => undefined);
  }

  /** Commits what is booked now, and signs it. Joins nothing that began before. Throws the wallet's and the chain's errors. */
  async commit(signal: AbortSignal = this.#context.ending): Promise<void> {
    // Who gives up does not wait for what began before him either: a proxy that closes has its own limit.
    while (this.#running !== null) await unlessAborted(this.#running.catch(() => undefined), signal);
    this.#running = this.#commitOnce(signal).then(
      () => { this.problem = null; },
      (error: unknown) => {
        this.problem = asCocoonError(error);
        throw error;
      },
    ).finally(() => { this.#running = null; });
    return this.#running;
  }

  /** Signs what is committed already, for example before a restart. */
  async sign(): Promise<void> {
    for (const book of this.#books.all()) await signCommitted(this.#context, book.accounts);
  }

  async #commitOnce(signal: AbortSignal): Promise<void> {
    const { ledger, clock, log } = this.#context;
    this.#triedMs = clock.now();
    const book = this.#books.target();
    if (ledger.uncommitted && book !== null) {
      const commitment = await ledger.beginCommitment();
      const key = `save:${book.instance.contract.toRawString()}:${toHex(commitment.session).slice(0, SESSION_CHARACTERS)}:${commitment.seqno}`;
      try {
        await this.#send(book, key, commitment, AbortSignal.any([signal, AbortSignal.timeout(CONFIRM_MS)]));
      } catch (error) {
        // It may still come; then it is known by its session, and the next one covers what it did.
        await ledger.endCommitment(commitment, 'abandoned');
        throw error;
      }
      await ledger.endCommitment(commitment, 'confirmed');
      this.#context.wallet.forget(key); // its number is never used again
      this.confirmedMs = clock.now();
      log.debug('ledger committed', { seqno: commitment.seqno });
    }
    await this.sign();
  }

  async #send(book: ContractBook, key: string, { seqno, session }: Commitment, signal: AbortSignal): Promise<void> {
    const body = saveState.store({ queryId: queryIdOf(key), save: { seqno, sessionHash: session } });
    await this.#context.wallet.send(key, [{ to: book.instance.contract, valueNano: VALUE_NANO, body, bounce: false }], { timeoutMs: CONFIRM_MS, signal });
    await book.waitForSave(seqno, signal);
  }

  async #keepCommitting(): Promise<void> {
    const { rules, ledger, sleep, ending, clock, log } = this.#context;
    for (;;) {
      await sleep(rules.commitSoonMs, ending).catch(() => undefined);
      if (ending.aborted || ledger.failure !== null) return;
      if (!ledger.uncommitted || clock.now() - this.#triedMs < rules.commitIntervalMs || this.#running !== null) continue;
      await this.commit().catch((error: unknown) => {
        if (!ending.aborted) log.warn('ledger not committed', { code: asCocoonError(error).code, reason: asCocoonError(error).message });
      });
    }
  }
}

/** Waits for `work`, or rejects with the signal's reason when that comes first. */
async function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) throw abortError(signal);
  const aborted = deferred<never>();
  const onAbort = (): void => aborted.reject(abortError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
