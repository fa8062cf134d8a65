// Finds out whether the ledger is the newest: every commitment on the proxy contract must be one that this ledger began, and
// no contract may have counted more than it committed. An older ledger, a copy of it in use elsewhere, or a new one beside a
// contract in use is refused; when told to rebuild, it takes over what the chain proves.
import type { Address } from '@ton/core';
import { equalBytes } from '../../core/bytes.ts';
import { ConfigError, DaemonError } from '../../core/errors.ts';
import type { Ledger, LedgerAccount } from '../ledger/ledger.ts';
import { KEPT_COMMITMENTS } from '../ledger/sqlite-ledger.ts';
import type { ContractBookHooks } from './contract-book.ts';

/** Highest count found on chain that is not the ledger's; stays until it is rebuilt. */
const BEHIND = 'behind';
/** Commitments up to this one were taken over by a rebuild. */
const ADOPTED = 'adopted';
const walletCounter = (address: Address): string => `wallet ${address.toRawString()}`;

export class RollbackGuard implements ContractBookHooks {
  readonly #ledger: Ledger;
  readonly #wallet: Address;
  readonly #fail: (error: DaemonError) => void;
  #rebuilding: boolean;
  #serving = false;
  #highest = 0;
  #reason = '';

  constructor(options: { readonly ledger: Ledger; readonly wallet: Address; readonly rebuild: boolean; readonly fail: (error: DaemonError) => void }) {
    this.#ledger = options.ledger;
    this.#wallet = options.wallet;
    this.#rebuilding = options.rebuild;
    this.#fail = options.fail;
  }

  /** Remembers the wallet, so that its commitments count also when another one is in use later. */
  async start(): Promise<void> {
    if (this.#ledger.counter(walletCounter(this.#wallet)) === 0) await this.#ledger.setCounter(walletCounter(this.#wallet), 1);
  }

  isOwnWallet(address: Address): boolean {
    return address.equals(this.#wallet) || this.#ledger.counter(walletCounter(address)) > 0;
  }

  async onSaveState(seqno: number, session: Uint8Array): Promise<boolean> {
    const known = this.#ledger.sessionOf(seqno);
    if (known !== null && equalBytes(known, session)) return equalBytes(session, this.#ledger.session);
    if (seqno <= this.#ledger.counter(ADOPTED) || (known === null && seqno <= this.#ledger.seqno - KEPT_COMMITMENTS)) return false;
    this.#highest = Math.max(this.#highest, seqno);
    await this.#behind(`commitment ${seqno} on chain is not of this ledger, which counts ${this.#ledger.seqno}`, seqno);
    return false;
  }

  async onAhead(account: LedgerAccount, tokens: bigint): Promise<void> {
    if (this.#rebuilding) return this.#ledger.prove(account, tokens);
    return this.#behind(`${account.kind} contract ${account.contract.toString()} has counted ${tokens} tokens, the ledger committed ${account.chainTokens}`, 1);
  }

  /** The chain was read up to now; these are all accounts. Throws ConfigError `E_LEDGER_BEHIND`; from then on evidence of another ledger ends the proxy. */
  async caughtUp(accounts: readonly LedgerAccount[]): Promise<void> {
    const ledger = this.#ledger;
    if (this.#rebuilding) {
      // Also what a start that was refused had read already.
      for (const account of accounts) await ledger.prove(account, account.child?.tokens ?? 0n);
      const highest = Math.max(this.#highest, ledger.counter(BEHIND));
      await ledger.adoptSeqno(highest);
      await ledger.setCounter(ADOPTED, Math.max(highest, ledger.counter(ADOPTED)));
      await ledger.setCounter(BEHIND, 0);
      this.#rebuilding = false;
    }
    if (ledger.counter(BEHIND) > 0) {
      throw new ConfigError('E_LEDGER_BEHIND', `the ledger is older than what this proxy committed on chain${this.#reason === '' ? '' : `: ${this.#reason}`}`, {
        hint: 'bring the newest ledger back, or rebuild it from the chain with --rebuild',
      });
    }
    this.#serving = true;
  }

  async #behind(reason: string, seqno: number): Promise<void> {
    if (this.#rebuilding) return;
    this.#reason = reason;
    await this.#ledger.setCounter(BEHIND, Math.max(seqno, this.#ledger.counter(BEHIND), 1));
    if (this.#serving) this.#fail(new DaemonError('E_LEDGER', `another proxy with the same key is running, or ran: ${reason}`, { hint: 'stop the other one, keep the newest ledger, and start with --rebuild' }));
  }
}
