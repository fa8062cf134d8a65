// Payments that the proxy signs: always the same bytes for the same total. The query id follows from what is signed, so that
// no id ever stands for two meanings, and Ed25519 is deterministic.
import { createHash } from 'node:crypto';
import type { Address } from '@ton/core';
import { priceOf, workerFeeOf } from '../../chain/root-config.ts';
import { encodePayment, signPayment } from '../../chain/signed-payment.ts';
import type { CloseKind, TokensKind } from '../../chain/cells/signed.ts';
import type { SignedPayment } from '../../chain/signed-payment.ts';
import type { LedgerAccount, StoredPayment } from '../ledger/ledger.ts';
import type { PaidContext } from './context.ts';

type Signing = Pick<PaidContext, 'signer' | 'wallet'>;

/** First 64 bits of SHA-256 over what the payment says. */
function queryIdOf(kind: TokensKind | CloseKind, contract: Address, tokens: bigint): bigint {
  return createHash('sha256').update(`cocoon payment ${kind} ${contract.toRawString()} ${tokens}`).digest().readBigUInt64BE();
}

export function tokensPayment({ signer, wallet }: Signing, kind: TokensKind, contract: Address, tokens: bigint): StoredPayment {
  const claim = { kind, queryId: queryIdOf(kind, contract, tokens), tokens, contract };
  return { kind, tokens, boc: encodePayment(signPayment(claim, wallet.address, signer)) };
}

export const closePayment = ({ signer, wallet }: Signing, kind: CloseKind, contract: Address): SignedPayment =>
  signPayment({ kind, queryId: queryIdOf(kind, contract, 0n), contract }, wallet.address, signer);

export const regularKind = ({ kind }: LedgerAccount): TokensKind => kind === 'client' ? 'clientCharge' : 'workerPayout';
export const finalKind = ({ kind }: LedgerAccount): TokensKind => kind === 'client' ? 'clientGrantRefund' : 'workerLastPayout';

/** Payments signed in one transaction of the ledger, and between two turns of the event loop: about 10 ms of signatures. */
const SIGNED_AT_ONCE = 128;

/**
 * Signs what is committed and not signed yet, of these accounts. Each payment is on disk before it can be handed out. An account
 * with its last payment gets no other.
 */
export async function signCommitted(context: Pick<PaidContext, 'signer' | 'wallet' | 'ledger' | 'signed'>, accounts: readonly LedgerAccount[]): Promise<void> {
  const due = accounts.filter(({ chainTokens, payment, finalPayment }) => finalPayment === null && chainTokens > (payment?.tokens ?? 0n));
  for (let at = 0; at < due.length; at += SIGNED_AT_ONCE) {
    const batch = due.slice(at, at + SIGNED_AT_ONCE);
    await context.ledger.sign(batch.map((account) => ({ account, payment: tokensPayment(context, regularKind(account), account.contract, account.chainTokens) })));
    for (const account of batch) context.signed.tell(account);
  }
}

const firstPayments = new WeakMap<LedgerAccount, Uint8Array>();

/** What is handed out: the highest signed payment; before the first one a payment of nothing, which the network's programs expect. */
export function handedOut(context: Signing, account: LedgerAccount): Uint8Array {
  if (account.payment !== null) return account.payment.boc;
  const known = firstPayments.get(account) ?? tokensPayment(context, regularKind(account), account.contract, 0n).boc;
  firstPayments.set(account, known);
  return known;
}

/** Tokens accrued and not yet charged or paid out on chain, in nanoTON by the account's own contract. */
export function owedNano({ instance, kind, maxTokens, child }: LedgerAccount): bigint {
  const open = maxTokens - (child?.tokens ?? 0n);
  if (open <= 0n) return 0n;
  return kind === 'client' ? priceOf(instance.params, open) : workerFeeOf(instance.params, open);
}
