// What a worker can prove of its total: a payment for its own contract, signed by this proxy's key. Refuses anything else.
import { RemoteError } from '../../core/errors.ts';
import { checkPayment, parsePayment } from '../../chain/signed-payment.ts';
import type { LedgerAccount } from '../ledger/ledger.ts';

const ERROR = 602;

/** Tokens that the payment proves; 0n for no bytes at all. Throws RemoteError 602 for bytes that prove nothing. */
export function provenTotal(other: Uint8Array, { contract }: LedgerAccount, publicKey: Uint8Array): bigint {
  if (other.byteLength === 0) return 0n;
  try {
    const payment = parsePayment(other);
    checkPayment(payment, { kinds: ['workerPayout', 'workerLastPayout'], contract, publicKey });
    return 'tokens' in payment.claim ? payment.claim.tokens : 0n;
  } catch (error) {
    throw new RemoteError(ERROR, `the proof of a larger total is refused: ${error instanceof Error ? error.message : 'unreadable'}`, { cause: error });
  }
}
