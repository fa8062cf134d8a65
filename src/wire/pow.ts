// Proof of work before TLS (WIRE.md section 2): the acceptor sends a challenge of 24 bytes, the dialling side answers 12.
// Refuses wrong magic numbers, and challenges that are negative or harder than a limit.
import { hash, randomBytes } from 'node:crypto';
import { CocoonError, NetworkError } from '../core/errors.ts';

export const CHALLENGE_BYTES = 24;
export const PROOF_BYTES = 12;
export const SALT_BYTES = 16;
export const DEFAULT_DIFFICULTY_BITS = 20;
/** A dialling side refuses to work harder than this: about two minutes of one core. */
export const DEFAULT_MAX_DIFFICULTY_BITS = 28;
/** The hash is compared as a 64-bit number. */
const MAX_BITS = 64;

const CHALLENGE_MAGIC = 0x418e1291;
const PROOF_MAGIC = 0x01827319;
const DIFFICULTY_OFFSET = 4;
const SALT_OFFSET = 8;
const NONCE_OFFSET = 4;

/** How long the solver may hold the event loop, and how often it looks at the clock (about 0.4 µs a try). */
const SLICE_MS = 4;
const TRIES_PER_LOOK = 1024;

export interface Challenge {
  /** Leading zero bits asked for, 0…64. */
  readonly difficultyBits: number;
  /** 16 random bytes. */
  readonly salt: Uint8Array;
}

/** A fresh challenge. Throws E_INTERNAL when `difficultyBits` is not an integer of 0…64. */
export function makeChallenge(difficultyBits: number = DEFAULT_DIFFICULTY_BITS, random: (length: number) => Uint8Array = randomBytes): Challenge {
  return checkOwn({ difficultyBits, salt: random(SALT_BYTES) });
}

/** The 24 bytes that the acceptor sends. */
export function encodeChallenge(challenge: Challenge): Uint8Array {
  const { difficultyBits, salt } = checkOwn(challenge);
  const bytes = new Uint8Array(CHALLENGE_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, CHALLENGE_MAGIC, true);
  view.setInt32(DIFFICULTY_OFFSET, difficultyBits, true);
  bytes.set(salt, SALT_OFFSET);
  return bytes;
}

/** Reads exactly 24 bytes. Throws NetworkError E_PROTOCOL on another length, another magic, or a difficulty outside 0…64. */
export function decodeChallenge(bytes: Uint8Array): Challenge {
  const view = checkFrame(bytes, CHALLENGE_BYTES, CHALLENGE_MAGIC, 'the proof-of-work challenge');
  const difficultyBits = view.getInt32(DIFFICULTY_OFFSET, true);
  if (difficultyBits < 0 || difficultyBits > MAX_BITS) {
    throw new NetworkError('E_PROTOCOL', `cannot accept the proof-of-work challenge: expected a difficulty of 0 to ${MAX_BITS} bits, got ${difficultyBits}`);
  }
  return { difficultyBits, salt: new Uint8Array(bytes.subarray(SALT_OFFSET)) };
}

/** The 12 bytes that the dialling side answers. `nonce` is any 64-bit number, signed or not. */
export function encodeProof(nonce: bigint): Uint8Array {
  const bytes = new Uint8Array(PROOF_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, PROOF_MAGIC, true);
  view.setBigInt64(NONCE_OFFSET, nonce, true);
  return bytes;
}

/** Reads exactly 12 bytes; returns the nonce as a signed 64-bit number. Throws NetworkError E_PROTOCOL on another length or magic. */
export function decodeProof(bytes: Uint8Array): bigint {
  return checkFrame(bytes, PROOF_BYTES, PROOF_MAGIC, 'the proof of work').getBigInt64(NONCE_OFFSET, true);
}

/** True when the nonce solves the challenge: SHA-256(salt ‖ nonce), its first 8 bytes read as a little-endian number. */
export function verifyProof({ difficultyBits, salt }: Challenge, nonce: bigint): boolean {
  const message = Buffer.alloc(SALT_BYTES + 8);
  message.set(salt);
  message.writeBigInt64LE(BigInt.asIntN(64, nonce), SALT_BYTES);
  const digest = hash('sha256', message, 'buffer');
  // The bits that must be zero are the top ones of the number, so those of byte 7 first.
  return digest.readBigUInt64LE(0) >> BigInt(MAX_BITS - difficultyBits) === 0n;
}

/**
 * Finds a nonce for the challenge, counting up from 0. Works in slices of a few milliseconds and lets the event loop run
 * in between: about half a second for 20 bits, twice that for each bit more.
 * Throws NetworkError E_PROTOCOL when the challenge asks for more than `maxDifficultyBits`; the signal's reason when aborted.
 */
export async function solveProof(
  challenge: Challenge,
  options: { readonly maxDifficultyBits?: number; readonly signal?: AbortSignal } = {},
): Promise<bigint> {
  const { difficultyBits, salt } = challenge;
  const { maxDifficultyBits = DEFAULT_MAX_DIFFICULTY_BITS, signal } = options;
  if (!Number.isInteger(difficultyBits) || difficultyBits < 0 || difficultyBits > maxDifficultyBits) {
    throw new NetworkError('E_PROTOCOL', `cannot solve the proof-of-work challenge: expected a difficulty of 0 to ${maxDifficultyBits} bits, got ${difficultyBits}`);
  }
  const message = Buffer.alloc(SALT_BYTES + 8);
  message.set(salt);
  let next = 0;
  for (;;) {
    signal?.throwIfAborted();
    const sliceEnd = performance.now() + SLICE_MS;
    do {
      const found = tryNonces(message, next, difficultyBits);
      if (found !== null) {
        const nonce = BigInt(found);
        if (verifyProof(challenge, nonce)) return nonce;
        throw new CocoonError('E_INTERNAL', `cannot solve the proof-of-work challenge: nonce ${nonce} does not verify`);
      }
      next += TRIES_PER_LOOK;
    } while (performance.now() < sliceEnd);
    await new Promise((resolve) => { setImmediate(resolve); });
  }
}

/** Tries the nonces from `first`; all are below 2^53. The digest as text is four times as fast to get as one in a buffer. */
function tryNonces(message: Buffer, first: number, difficultyBits: number): number | null {
  for (let nonce = first; nonce < first + TRIES_PER_LOOK; nonce++) {
    message.writeUInt32LE(nonce % 2 ** 32, SALT_BYTES);
    message.writeUInt32LE(Math.floor(nonce / 2 ** 32), SALT_BYTES + 4);
    if (leadingZeros(hash('sha256', message, 'binary')) >= difficultyBits) return nonce;
  }
  return null;
}

/** Leading zero bits of the little-endian number in the first 8 bytes of a digest, one character a byte. */
function leadingZeros(digest: string): number {
  let bits = 0;
  for (let i = 7; i >= 0; i--) {
    const byte = digest.charCodeAt(i);
    if (byte !== 0) return bits + Math.clz32(byte) - 24;
    bits += 8;
  }
  return bits;
}

function checkOwn(challenge: Challenge): Challenge {
  const { difficultyBits, salt } = challenge;
  if (!Number.isInteger(difficultyBits) || difficultyBits < 0 || difficultyBits > MAX_BITS) {
    throw new CocoonError('E_INTERNAL', `cannot make a proof-of-work challenge of ${difficultyBits} bits: expected 0 to ${MAX_BITS}`);
  }
  if (salt.byteLength !== SALT_BYTES) {
    throw new CocoonError('E_INTERNAL', `cannot make a proof-of-work challenge with a salt of ${salt.byteLength} bytes: expected ${SALT_BYTES}`);
  }
  return challenge;
}

function checkFrame(bytes: Uint8Array, length: number, magic: number, what: string): DataView {
  if (bytes.byteLength !== length) {
    throw new NetworkError('E_PROTOCOL', `cannot read ${what}: expected ${length} bytes, got ${bytes.byteLength}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const got = view.getUint32(0, true);
  if (got !== magic) {
    throw new NetworkError('E_PROTOCOL', `cannot read ${what}: expected magic 0x${magic.toString(16).padStart(8, '0')}, got 0x${got.toString(16).padStart(8, '0')}`);
  }
  return view;
}
