// Who wants to know when more has been signed for an account: the connections of workers, which stop working for a proxy that
// owes too much and go on as soon as it has signed.
import type { LedgerAccount } from '../ledger/ledger.ts';

export class SignedNews {
  readonly #listeners = new Map<LedgerAccount, Set<() => void>>();

  /** Returns how to stop listening. */
  on(account: LedgerAccount, listener: () => void): () => void {
    const listeners = this.#listeners.get(account) ?? new Set();
    this.#listeners.set(account, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.#listeners.get(account) === listeners) this.#listeners.delete(account);
    };
  }

  /** To be called when the signature is on disk. */
  tell(account: LedgerAccount): void {
    for (const listener of this.#listeners.get(account) ?? []) listener();
  }
}
