// Judges a receipt (SPEC.md section 9) as named checks: the signatures from evidence to answer, that what is billed is what was
// counted, and that request and answer are those at hand. What the evidence itself is worth is judged beside it, by a policy.
// Also what shows that a signer lied: two different receipts for one request, as the bond contract takes them.
import type { Address } from '@ton/core';
import { bondSlash } from '../chain/cells/bond.ts';
import { verifySignature } from '../chain/ed25519.ts';
import { contradict, receiptHash, verifyReceipt } from '../chain/receipt.ts';
import { equalBytes, isZero, toHex } from '../core/bytes.ts';
import { AttestationError, UsageError } from '../core/errors.ts';
import { cpuEvidenceDigest } from '../seal/evidence.ts';
import { CLOCK_SKEW_S, decodeKeyRecord, MAX_LIFE_S, signedBytesOf } from '../seal/key-record.ts';
import { sha256, signedReceiptBytes } from '../seal/receipt.ts';
import { certificateFile } from '../tee/evidence-file.ts';
import { statedImageHash } from '../tee/stated-image.ts';
import { CheckList } from '../tee/verdict.ts';
import { openReceipt } from './receipt-file.ts';
import type { KeyRecord } from '../seal/key-record.ts';
import type { SignedAnswerReceipt } from '../seal/receipt.ts';
import type { Verdict } from '../tee/verdict.ts';
import type { ReceiptFile } from './receipt-file.ts';

export interface JudgedReceipt {
  readonly verdict: Verdict;
  readonly signed: SignedAnswerReceipt;
  readonly record: KeyRecord;
}

/** Bodies at hand; absent ones are not compared. */
export interface Bodies {
  readonly request?: Uint8Array | undefined;
  readonly answer?: Uint8Array | undefined;
}

/** Every check of the receipt itself. Throws AttestationError `E_SEAL` or `E_EVIDENCE_MALFORMED` for what cannot be read at all. */
export function judgeReceipt(file: ReceiptFile, { request, answer }: Bodies = {}): JudgedReceipt {
  const signed = openReceipt(file);
  const { receipt: { core, record: { record: recordBytes, signature }, usage }, coreSignature } = signed;
  const record = decodeKeyRecord(recordBytes);
  const { certificate, cpu } = certificateFile(file.certificate);
  if (certificate === null || cpu === null) throw new AttestationError('E_EVIDENCE_MALFORMED', 'the receipt\'s certificate has no evidence');
  const checks = new CheckList();
  const same = (name: string, seen: Uint8Array, wanted: Uint8Array, meaning: string): void => {
    checks.check(equalBytes(seen, wanted), { name, seen: toHex(seen), wanted: toHex(wanted), meaning });
  };
  const isSigned = (name: string, ok: boolean, key: Uint8Array, meaning: string): void => {
    checks.check(ok, { name, seen: ok ? `signed by ${toHex(key)}` : 'another signature', wanted: `a signature by ${toHex(key)}`, meaning });
  };

  same('certificate-key', certificate.publicKey, record.tlsPublicKey, 'the evidence is another machine\'s');
  same('cpu-evidence', cpuEvidenceDigest(file.certificate), record.cpuEvidence, 'the key record speaks of other evidence');
  checks.attempt({ name: 'image', wanted: toHex(record.imageHash), meaning: 'the key record names another image than the evidence', seen: toHex }, () => {
    const stated = statedImageHash(cpu) ?? new Uint8Array(0);
    if (equalBytes(stated, record.imageHash)) return stated;
    throw new AttestationError('E_EVIDENCE_REFUSED', toHex(stated) || 'none');
  });
  isSigned('record-signature', verifySignature(record.tlsPublicKey, signedBytesOf(recordBytes), signature), record.tlsPublicKey, 'the key record was not made by the attested machine');
  isSigned('core-signature', verifyReceipt({ receipt: core, signature: coreSignature }, record.receiptKey), record.receiptKey, 'the receipt is not the node\'s, and no bond answers for it');
  isSigned('receipt-signature', verifySignature(record.receiptKey, signedReceiptBytes(signed.receipt), signed.signature), record.receiptKey, 'something around the receipt\'s core is not the node\'s');
  const [from, to] = [record.notBefore - CLOCK_SKEW_S, record.notAfter + MAX_LIFE_S];
  checks.check(core.time >= from && core.time <= to, { name: 'receipt-time', seen: iso(core.time), wanted: `${iso(from)} to ${iso(to)}`, meaning: 'the key of this record did not sign at that time' });
  const counted = usage.prompt + usage.cached + usage.completion + usage.reasoning;
  checks.check(core.tokens === usage.total && usage.total === counted, {
    name: 'tokens', seen: `${core.tokens} billed, ${usage.total} in all`, wanted: `${counted}, the sum of what was counted`, meaning: 'the bill is not what was counted',
  });
  body('request', request, core.requestHash);
  body('answer', answer, core.responseHash);
  checks.info('model', record.model, 'the model that the node answered with');
  checks.info('root', record.root === '' ? 'none' : record.root, 'the root contract of the network that it was answered in');
  checks.info('gpu-evidence', isZero(record.gpuEvidence) ? 'none' : toHex(record.gpuEvidence), 'digest of the evidence of the node\'s GPUs');
  checks.info('bond', core.bond.toString(), 'the stake that answers for the receipt key, if it lists it');
  return { verdict: checks.verdict(null), signed, record };

  function body(name: 'request' | 'answer', bytes: Uint8Array | undefined, hash: Uint8Array): void {
    if (bytes === undefined) checks.info(name, `sha256 ${toHex(hash)}`, `hash of the ${name}'s body; --${name} FILE compares it`);
    else same(name, sha256(bytes), hash, `the receipt is for another ${name}`);
  }
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();

/** What the bond contract takes as proof that a signer lied. */
export interface ContradictionProof {
  readonly bond: Address;
  /** The receipt key, 32 bytes. */
  readonly key: Uint8Array;
  /** Hashes of the two receipts. */
  readonly receipts: readonly [Uint8Array, Uint8Array];
  /** Body of the message to the bond contract, BoC. */
  readonly message: Uint8Array;
}

/**
 * The proof that two receipts make. `reporter` gets the reporter's part. Throws UsageError when they do not contradict each other,
 * AttestationError `E_SEAL` when one is not signed.
 */
export function contradictionOf(files: readonly [ReceiptFile, ReceiptFile], reporter: Address): ContradictionProof {
  const [first, second] = files.map((file) => {
    const { receipt, coreSignature } = openReceipt(file);
    const { receiptKey } = decodeKeyRecord(receipt.record.record);
    if (!verifyReceipt({ receipt: receipt.core, signature: coreSignature }, receiptKey)) throw new AttestationError('E_SEAL', `receipt ${toHex(receiptHash(receipt.core))} is not signed by the receipt key that it names`);
    return { key: receiptKey, receipt: receipt.core, signature: coreSignature };
  });
  if (first === undefined || second === undefined) throw new RangeError('expected two receipts');
  if (!equalBytes(first.key, second.key)) throw new UsageError('E_USAGE', 'the receipts are signed by different keys: each node may have answered in its own way');
  if (!contradict(first.receipt, second.receipt)) {
    const isSame = equalBytes(receiptHash(first.receipt), receiptHash(second.receipt));
    throw new UsageError('E_USAGE', isSame ? 'the receipts are the same' : 'the receipts are for different requests, so they do not contradict each other');
  }
  const message = bondSlash.store({ queryId: 0n, key: first.key, sendExcessesTo: reporter, first, second }).toBoc();
  return { bond: first.receipt.bond, key: first.key, receipts: [receiptHash(first.receipt), receiptHash(second.receipt)], message: new Uint8Array(message) };
}
