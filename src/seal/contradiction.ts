// The proof that a node has signed two different receipts for one request: what the bond contract takes (SPEC.md section 9,
// contracts/bond.tolk). Refuses receipts that do not verify, are of two signers, or do not contradict each other.
import { equalBytes, toHex } from '../core/bytes.ts';
import { contradict } from '../chain/receipt.ts';
import { SealError } from './errors.ts';
import { verifyAnswerReceipt } from './receipt.ts';
import type { Address } from '@ton/core';
import type { SignedReceipt } from '../chain/cells/receipt.ts';
import type { SignedAnswerReceipt } from './receipt.ts';

/** Arguments of BondContract.sendSlash. */
export interface Contradiction {
  readonly bond: Address;
  /** Receipt key that signed both, 32 bytes. */
  readonly key: Uint8Array;
  readonly proof: readonly [SignedReceipt, SignedReceipt];
}

/** Throws SealError when the two prove nothing. The contract demands that `key` is one that the bond lists. */
export function contradictionOf(first: SignedAnswerReceipt, second: SignedAnswerReceipt): Contradiction {
  const keys = [first, second].map((each) => verifyAnswerReceipt(each).receiptKey);
  const [key, other] = keys;
  if (key === undefined || other === undefined || !equalBytes(key, other)) throw new SealError(`the receipts are signed by two keys: ${keys.map(toHex).join(' and ')}`);
  const [a, b] = [first.receipt.core, second.receipt.core];
  if (!contradict(a, b)) throw new SealError('the receipts do not contradict each other: they are the same, or of two requests');
  return { bond: a.bond, key, proof: [{ receipt: a, signature: first.coreSignature }, { receipt: b, signature: second.coreSignature }] };
}
