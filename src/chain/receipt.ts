// Receipts: sign, verify, and tell whether two contradict each other, by the rules of contracts/bond.tolk.
import { equalBytes } from '../core/bytes.ts';
import { receiptCell } from './cells/receipt.ts';
import type { Receipt, SignedReceipt } from './cells/receipt.ts';
import { verifySignature } from './ed25519.ts';
import type { Signer } from './ed25519.ts';

/** The 32 bytes that are signed: the receipt cell's representation hash, which covers all fields. */
export const receiptHash = (receipt: Receipt): Uint8Array => new Uint8Array(receiptCell.store(receipt).hash());

/** Signs a receipt with a key that the bond lists. A key must never sign two different receipts of one request. */
export const signReceipt = (receipt: Receipt, signer: Signer): SignedReceipt => ({ receipt, signature: signer.sign(receiptHash(receipt)) });

/** True when the signature is `key`'s (32 bytes) over the receipt. */
export const verifyReceipt = ({ receipt, signature }: SignedReceipt, key: Uint8Array): boolean => verifySignature(key, receiptHash(receipt), signature);

/**
 * True when two receipts are proof against their signer: same network, bond, request id and request hash, and any
 * difference in response hash, tokens or time. Signatures are not looked at.
 */
export function contradict(a: Receipt, b: Receipt): boolean {
  const sameRequest = a.globalId === b.globalId && a.bond.equals(b.bond)
    && equalBytes(a.requestId, b.requestId) && equalBytes(a.requestHash, b.requestHash);
  const sameAnswer = equalBytes(a.responseHash, b.responseHash) && a.tokens === b.tokens && a.time === b.time;
  return sameRequest && !sameAnswer;
}
