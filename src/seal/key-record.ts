// A node's key record (SPEC.md section 4): the keys that prompts may be sealed to, for how long, and for which image, model and
// network, signed by the TLS key that the node's evidence binds. Believed only after that evidence was verified.
// Refuses other versions, unknown lengths, records outside their time, of another key, image, model or network.
import { createHash } from 'node:crypto';
import { equalBytes, toHex } from '../core/bytes.ts';
import { Decoder, Encoder } from './encoding.ts';
import { SealError } from './errors.ts';
import type { SuiteId } from './suites.ts';

const VERSION = 1;
const DOMAIN = Buffer.from('cocoon seal record 1\0');
export const KEY_ID_BYTES = 16;
const HASH = 32;
const SIGNATURE = 64;
const MAX_SUITES = 8;
const MAX_PUBLIC_KEY = 2048;
const MAX_MODEL = 512;
const MAX_ROOT = 80;
/** Longest life of a record in seconds; a stolen key opens no older prompts. */
export const MAX_LIFE_S = 2 * 3600;
/** Clocks of two honest machines differ by at most this many seconds. */
export const CLOCK_SKEW_S = 120;
export const MAX_RECORD_BYTES = 16_384;

export interface OfferedSuite extends SuiteId {
  /** The node's encapsulation key for this suite. */
  readonly publicKey: Uint8Array;
}

export interface KeyRecord {
  /** 16 random bytes. */
  readonly keyId: Uint8Array;
  /** Unix seconds. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** 32 bytes: the Ed25519 key of the node's attested certificate; signs this record. */
  readonly tlsPublicKey: Uint8Array;
  /** 32 bytes: the Ed25519 key that signs receipts of answers under this record. */
  readonly receiptKey: Uint8Array;
  /** 32 bytes: image hash as the root contract lists it. */
  readonly imageHash: Uint8Array;
  /** Full name of the model: `name@commit:hash`. */
  readonly model: string;
  /** Root contract of the network, `workchain:hex`; empty on a network without one. */
  readonly root: string;
  /** SHA-256 of the CPU evidence in the certificate. */
  readonly cpuEvidence: Uint8Array;
  /** SHA-256 of the GPU evidence, 32 zero bytes where there is none. */
  readonly gpuEvidence: Uint8Array;
  readonly suites: readonly OfferedSuite[];
}

/** A record as it travels: its bytes are what is signed and hashed, so they are kept. */
export interface SignedKeyRecord {
  readonly record: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

export function encodeKeyRecord(record: KeyRecord): Uint8Array {
  const encoder = new Encoder().u8(VERSION).fixed(record.keyId, KEY_ID_BYTES).u32(record.notBefore).u32(record.notAfter)
    .fixed(record.tlsPublicKey, HASH).fixed(record.receiptKey, HASH).fixed(record.imageHash, HASH)
    .text(record.model).text(record.root)
    .fixed(record.cpuEvidence, HASH).fixed(record.gpuEvidence, HASH)
    .u8(record.suites.length);
  for (const { kem, kdf, aead, publicKey } of record.suites) encoder.u16(kem).u16(kdf).u16(aead).bytes(publicKey);
  return encoder.finish();
}

/** Throws SealError. */
export function decodeKeyRecord(bytes: Uint8Array): KeyRecord {
  if (bytes.byteLength > MAX_RECORD_BYTES) throw new SealError(`key record has ${bytes.byteLength} bytes, expected at most ${MAX_RECORD_BYTES}`);
  const decoder = new Decoder(bytes, 'key record');
  const version = decoder.u8();
  if (version !== VERSION) throw new SealError(`key record has version ${version}, expected ${VERSION}`);
  const head = {
    keyId: decoder.fixed(KEY_ID_BYTES), notBefore: decoder.u32(), notAfter: decoder.u32(),
    tlsPublicKey: decoder.fixed(HASH), receiptKey: decoder.fixed(HASH), imageHash: decoder.fixed(HASH),
    model: decoder.text(MAX_MODEL), root: decoder.text(MAX_ROOT),
    cpuEvidence: decoder.fixed(HASH), gpuEvidence: decoder.fixed(HASH),
  };
  const count = decoder.u8();
  if (count === 0 || count > MAX_SUITES) throw new SealError(`key record offers ${count} suites, expected 1 to ${MAX_SUITES}`);
  const suites = Array.from({ length: count }, (): OfferedSuite => ({ kem: decoder.u16(), kdf: decoder.u16(), aead: decoder.u16(), publicKey: decoder.bytes(MAX_PUBLIC_KEY) }));
  decoder.end();
  return { ...head, suites };
}

/** What Ed25519 signs: a domain and the record's bytes. */
export const signedBytesOf = (record: Uint8Array): Uint8Array => new Uint8Array(Buffer.concat([DOMAIN, record]));

/** Names a record in everything that is sealed under it. 32 bytes. */
export const recordHash = (record: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(record).digest());

/** What the verified evidence of the node says, and what the client asked for. */
export interface ExpectedRecord {
  readonly tlsPublicKey: Uint8Array;
  readonly imageHash: Uint8Array;
  readonly cpuEvidence: Uint8Array;
  readonly root: string;
  /** Name that was asked for: the part of the record's model before `@`, or the whole of it. */
  readonly model: string;
  /** Unix seconds. */
  readonly nowS: number;
  /** Checks a 64-byte Ed25519 signature of `key` over `message`. */
  verifySignature(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

/** The record, when it is what `expected` says. Throws SealError that names the first thing that is not. */
export function verifyKeyRecord({ record: bytes, signature }: SignedKeyRecord, expected: ExpectedRecord): KeyRecord {
  const record = decodeKeyRecord(bytes);
  const same = (what: string, seen: Uint8Array, wanted: Uint8Array): void => {
    if (!equalBytes(seen, wanted)) throw new SealError(`key record names the ${what} ${toHex(seen)}, the node's evidence ${toHex(wanted)}`);
  };
  same('TLS key', record.tlsPublicKey, expected.tlsPublicKey);
  if (signature.byteLength !== SIGNATURE || !expected.verifySignature(expected.tlsPublicKey, signedBytesOf(bytes), signature)) {
    throw new SealError('key record is not signed by the TLS key that the node\'s evidence binds');
  }
  same('image', record.imageHash, expected.imageHash);
  same('CPU evidence', record.cpuEvidence, expected.cpuEvidence);
  if (record.root !== expected.root) throw new SealError(`key record is for the network of root ${record.root || 'none'}, expected ${expected.root || 'none'}`);
  if (record.model !== expected.model && record.model.split('@', 1)[0] !== expected.model) {
    throw new SealError(`key record is for the model ${record.model}, expected ${expected.model}`);
  }
  if (record.notAfter - record.notBefore > MAX_LIFE_S || record.notAfter <= record.notBefore) {
    throw new SealError(`key record lives for ${record.notAfter - record.notBefore} s, expected 1 to ${MAX_LIFE_S}`);
  }
  if (expected.nowS < record.notBefore - CLOCK_SKEW_S || expected.nowS >= record.notAfter) {
    throw new SealError(`key record is valid from ${record.notBefore} to ${record.notAfter}, and it is ${expected.nowS}`);
  }
  return record;
}
