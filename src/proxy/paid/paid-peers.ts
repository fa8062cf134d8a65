// Clients and workers as the wire sessions and the relay see them: one account of one proxy contract each.
import { Address } from '@ton/core';
import { STATE } from '../../chain/cells/storage.ts';
import { CocoonError, RemoteError } from '../../core/errors.ts';
import type { PaymentStatus } from '../../wire/peer-info.ts';
import type { ClientAccount, WorkerAccount } from '../accounts.ts';
import type { LedgerAccount } from '../ledger/ledger.ts';
import type { Bonds } from './bonds.ts';
import type { PaidContext } from './context.ts';
import type { ContractBook } from './contract-book.ts';
import { handedOut, signCommitted } from './payments.ts';
import { provenTotal } from './proof.ts';

const ERROR = 602;

/** One side of the accounts: who, at which contract. */
export interface Side {
  readonly context: PaidContext;
  readonly book: ContractBook;
  readonly account: LedgerAccount;
  isActive(): boolean;
}

export class PaidClient implements ClientAccount {
  readonly book: ContractBook;
  readonly account: LedgerAccount;
  readonly ownerAddress: string;
  readonly contractAddress: string;
  readonly #side: Side;

  constructor(side: Side) {
    this.#side = side;
    this.book = side.book;
    this.account = side.account;
    this.ownerAddress = textOf(side.account.owner);
    this.contractAddress = textOf(side.account.contract);
  }

  get secretHash(): Uint8Array | null { return this.account.child?.secretHash ?? null; }

  async authorize(method: Parameters<ClientAccount['authorize']>[0], signal: AbortSignal): Promise<void> {
    if (method.kind === 'long') await this.book.registrations.wait(this.account.contract.toRawString(), method.nonce, signal);
    if (isEnded(this.account)) throw new RemoteError(ERROR, 'client is closing');
  }

  status(): PaymentStatus {
    return paymentStatusOf(this.#side);
  }

  isActive(): boolean {
    return this.#side.isActive() && !isEnded(this.account);
  }
}

export class PaidWorker implements WorkerAccount {
  readonly book: ContractBook;
  readonly account: LedgerAccount;
  readonly ownerAddress: string;
  readonly contractAddress: string;
  readonly #side: Side & { readonly bonds: Bonds };

  constructor(side: Side & { readonly bonds: Bonds }) {
    this.#side = side;
    this.book = side.book;
    this.account = side.account;
    this.ownerAddress = textOf(side.account.owner);
    this.contractAddress = textOf(side.account.contract);
  }

  compare(claim: Parameters<WorkerAccount['compare']>[0]): ReturnType<WorkerAccount['compare']> {
    const { maxTokens } = this.account;
    // Any number above ours means that something is known of there which is not known here.
    const agreed = claim.maxTokens <= maxTokens && claim.dbTokens <= maxTokens && claim.chainTokens <= maxTokens;
    return { status: this.status(), agreed };
  }

  /** A worker that knows more proves it with the highest payment that it has; what it cannot prove is not booked, and it may go on. */
  async extendedCompare(dbTokens: bigint, other: Uint8Array): Promise<void> {
    const { context } = this.#side;
    const proven = provenTotal(other, this.account, context.signer.publicKey);
    if (proven > this.account.chainTokens) {
      await context.ledger.prove(this.account, proven);
      await signCommitted(context, [this.account]);
      context.log.warn('total raised to what a worker proved', { worker: this.contractAddress, tokens: proven.toString() });
    }
    if (dbTokens > this.account.maxTokens) {
      context.log.warn('a worker claims more than it can prove', { worker: this.contractAddress, claimed: dbTokens.toString(), tokens: this.account.maxTokens.toString() });
    }
  }

  status(): PaymentStatus {
    return paymentStatusOf(this.#side);
  }

  bondNano(): bigint {
    return this.#side.bonds.stakeNano(this.account.owner);
  }

  isActive(): boolean {
    return this.#side.isActive() && this.account.child?.state !== STATE.closed;
  }

  onSigned(listener: () => void): () => void {
    return this.#side.context.signed.on(this.account, listener);
  }
}

const paymentStatusOf = ({ context, account }: Side): PaymentStatus =>
  ({ signedPayment: handedOut(context, account), dbTokens: account.dbTokens, maxTokens: account.maxTokens });

/** True when the contract takes no new work: it is closing or closed. */
export const isEnded = ({ child }: LedgerAccount): boolean => child !== null && child.state !== STATE.normal;

/** As the network's programs write addresses: base64url, not bounceable. */
export const textOf = (address: Address): string => address.toString({ urlSafe: true, bounceable: false, testOnly: false });

/** The address in a text of the wire. Throws RemoteError 0. */
export function parseAddress(text: string): Address {
  try {
    return Address.parseFriendly(text).address;
  } catch {
    throw new RemoteError(0, 'Failed to parse account address');
  }
}

export function ownClient(client: ClientAccount): PaidClient {
  if (!(client instanceof PaidClient)) throw new CocoonError('E_INTERNAL', 'a client account of other accounts is used');
  return client;
}

export function ownWorker(worker: WorkerAccount): PaidWorker {
  if (!(worker instanceof PaidWorker)) throw new CocoonError('E_INTERNAL', 'a worker account of other accounts is used');
  return worker;
}
