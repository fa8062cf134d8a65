// A receipt for one answer (SPEC.md section 9): what was asked, what was answered, by which image, model and hardware, for how
// many tokens at what price. The core is the receipt cell of the bond contract, so that two different receipts for one request
// cost their signer its bond; the rest is signed with the same key over the canonical encoding.
// Refuses receipts of other versions, left-over bytes, and signatures that are not the receipt key's.
import { createHash } from 'node:crypto';
import { Address } from '@ton/core';
import { equalBytes, toHex } from '../core/bytes.ts';
import { receiptHash, signReceipt, verifyReceipt } from '../chain/receipt.ts';
import { verifySignature } from '../chain/ed25519.ts';
import { Decoder, Encoder } from './encoding.ts';
import { SealError } from './errors.ts';
import { decodeKeyRecord, signedBytesOf } from './key-record.ts';
import { encodeRouting } from './request.ts';
import type { Receipt } from '../chain/cells/receipt.ts';
import type { Signer } from '../chain/ed25519.ts';
import type { SealedUsage } from './answer.ts';
import type { KeyRecord, SignedKeyRecord } from './key-record.ts';
import type { Routing } from './request.ts';

const VERSION = 1;
const DOMAIN = Buffer.from('cocoon answer receipt 1\0');
const REQUEST_DOMAIN = Buffer.from('cocoon receipt request 1\0');
const HASH = 32;
const SIGNATURE = 64;
const MAX_RECORD = 16_384;
const MAX_ADDRESS = 80;

export const sha256 = (...parts: readonly Uint8Array[]): Uint8Array => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
};

/** What a node states about one answer. */
export interface AnswerReceipt {
  /** What the bond contract judges. `tokens` is the total that was billed. */
  readonly core: Receipt;
  /** The key record under which the request was sealed: names image, model, evidence digests and the receipt key. */
  readonly record: SignedKeyRecord;
  readonly usage: SealedUsage;
  /** Price in thousandths that was applied. */
  readonly coefficient: number;
  /** Price of one adjusted token in nanoTON, and the version of the parameters that say so. */
  readonly pricePerTokenNano: bigint;
  readonly paramsVersion: number;
  /** Payment key of the proxy through which it was asked, 32 bytes. */
  readonly proxyPublicKey: Uint8Array;
}

export interface SignedAnswerReceipt {
  readonly receipt: AnswerReceipt;
  /** Over the core's cell, as the bond contract takes it. 64 bytes. */
  readonly coreSignature: Uint8Array;
  /** Over everything. 64 bytes. */
  readonly signature: Uint8Array;
}

function encodeBody({ core, record, usage, coefficient, pricePerTokenNano, paramsVersion, proxyPublicKey }: AnswerReceipt): Uint8Array {
  return new Encoder().u8(VERSION)
    .u32(core.globalId >>> 0).text(core.bond.toRawString()).fixed(core.requestId, HASH).fixed(core.requestHash, HASH)
    .fixed(core.responseHash, HASH).u64(core.tokens).u32(core.time)
    .bytes(record.record).fixed(record.signature, SIGNATURE)
    .u64(usage.prompt).u64(usage.cached).u64(usage.completion).u64(usage.reasoning).u64(usage.total)
    .u32(coefficient).u64(pricePerTokenNano).u32(paramsVersion).fixed(proxyPublicKey, HASH)
    .finish();
}

/**
 * The request id of a receipt, 32 bytes: it names what was sealed, with all that was authenticated, so that an honest node, which opens
 * nothing twice, never signs two receipts of one id, whatever ids its clients choose.
 */
export const receiptRequestId = (routing: Routing, enc: Uint8Array): Uint8Array => sha256(REQUEST_DOMAIN, encodeRouting(routing), enc);

const signedMessage = (body: Uint8Array): Uint8Array => new Uint8Array(Buffer.concat([DOMAIN, body]));

/** What the receipt key signs beside the core: a domain and the whole receipt. */
export const signedReceiptBytes = (receipt: AnswerReceipt): Uint8Array => signedMessage(encodeBody(receipt));

/** Signs with the receipt key that the record names. A key must never sign two different receipts of one request. */
export function signAnswerReceipt(receipt: AnswerReceipt, signer: Signer): SignedAnswerReceipt {
  return { receipt, coreSignature: signReceipt(receipt.core, signer).signature, signature: signer.sign(signedMessage(encodeBody(receipt))) };
}

export const encodeAnswerReceipt = ({ receipt, coreSignature, signature }: SignedAnswerReceipt): Uint8Array =>
  new Encoder().bytes(encodeBody(receipt)).fixed(coreSignature, SIGNATURE).fixed(signature, SIGNATURE).finish();

/** Throws SealError. Nothing is verified yet. */
export function decodeAnswerReceipt(bytes: Uint8Array): SignedAnswerReceipt {
  const outer = new Decoder(bytes, 'receipt');
  const body = outer.bytes(MAX_RECORD * 2);
  const signed = { coreSignature: outer.fixed(SIGNATURE), signature: outer.fixed(SIGNATURE) };
  outer.end();
  const decoder = new Decoder(body, 'receipt');
  const version = decoder.u8();
  if (version !== VERSION) throw new SealError(`receipt has version ${version}, expected ${VERSION}`);
  const core = {
    globalId: decoder.u32() | 0, bond: addressOf(decoder.text(MAX_ADDRESS)), requestId: decoder.fixed(HASH), requestHash: decoder.fixed(HASH),
    responseHash: decoder.fixed(HASH), tokens: decoder.u64(), time: decoder.u32(),
  };
  const record = { record: decoder.bytes(MAX_RECORD), signature: decoder.fixed(SIGNATURE) };
  const usage = { prompt: decoder.u64(), cached: decoder.u64(), completion: decoder.u64(), reasoning: decoder.u64(), total: decoder.u64() };
  const receipt: AnswerReceipt = {
    core, record, usage, coefficient: decoder.u32(), pricePerTokenNano: decoder.u64(), paramsVersion: decoder.u32(), proxyPublicKey: decoder.fixed(HASH),
  };
  decoder.end();
  if (!equalBytes(encodeBody(receipt), body)) throw new SealError('receipt is not in its canonical encoding');
  return { receipt, ...signed };
}

function addressOf(text: string): Address {
  try {
    return Address.parseRaw(text);
  } catch (cause) {
    throw new SealError(`receipt names the bond ${JSON.stringify(text)}, expected an address`, cause);
  }
}

/**
 * The key record inside a receipt, when record and receipt are signed as they must be. Evidence is the caller's to verify. `known` is a
 * signed record that was verified before: the same one is not verified again. Throws SealError.
 */
export function verifyAnswerReceipt({ receipt, coreSignature, signature }: SignedAnswerReceipt, known: SignedKeyRecord | null = null): KeyRecord {
  const record = decodeKeyRecord(receipt.record.record);
  const isKnown = known !== null && equalBytes(known.record, receipt.record.record) && equalBytes(known.signature, receipt.record.signature);
  if (!isKnown && !verifySignature(record.tlsPublicKey, signedBytesOf(receipt.record.record), receipt.record.signature)) {
    throw new SealError('receipt has a key record that is not signed by the TLS key in it');
  }
  if (!verifyReceipt({ receipt: receipt.core, signature: coreSignature }, record.receiptKey)) {
    throw new SealError(`receipt ${toHex(receiptHash(receipt.core))} is not signed by the receipt key of its record`);
  }
  if (!verifySignature(record.receiptKey, signedMessage(encodeBody(receipt)), signature)) {
    throw new SealError('receipt has a part that is not signed by the receipt key of its record');
  }
  if (receipt.core.tokens !== receipt.usage.total) {
    throw new SealError(`receipt bills ${receipt.core.tokens} tokens and counts ${receipt.usage.total}`);
  }
  return record;
}

/** What a client can check about its own answer. */
export interface OwnAnswer {
  readonly requestId: Uint8Array;
  readonly requestHash: Uint8Array;
  readonly responseHash: Uint8Array;
  readonly total: bigint;
}

/** Throws SealError unless the receipt is for this very answer. */
export function checkReceiptIsFor({ core }: AnswerReceipt, own: OwnAnswer): void {
  const same = (what: string, seen: Uint8Array, wanted: Uint8Array): void => {
    if (!equalBytes(seen, wanted)) throw new SealError(`receipt is for another ${what}: ${toHex(seen)}, expected ${toHex(wanted)}`);
  };
  same('request', core.requestId, own.requestId);
  same('request body', core.requestHash, own.requestHash);
  same('answer', core.responseHash, own.responseHash);
  if (core.tokens !== own.total) throw new SealError(`receipt bills ${core.tokens} tokens, the answer ${own.total}`);
}
