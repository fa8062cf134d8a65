// Captured challenges and proofs, the solver against the verifier, and every refusal.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { NetworkError } from '../../src/core/errors.ts';
import {
  CHALLENGE_BYTES, decodeChallenge, decodeProof, encodeChallenge, encodeProof, makeChallenge, PROOF_BYTES, solveProof, verifyProof,
} from '../../src/wire/pow.ts';

interface Captured {
  readonly challenge_hex: string; readonly response_hex: string; readonly difficulty_bits: number; readonly salt: string;
  readonly nonce: string; readonly first8_as_u64le_leading_zero_bits: number;
}
const captured = JSON.parse(readFileSync(new URL('../vectors/wire/pow/pow.json', import.meta.url), 'utf8')) as readonly Captured[];
const refusal = (message: RegExp): unknown => expect.objectContaining({ code: 'E_PROTOCOL', message: expect.stringMatching(message) });

describe('captured proofs of work', () => {
  it.each(captured.map((one) => [one.salt, one] as const))('%s', (salt, one) => {
    const challenge = decodeChallenge(fromHex(one.challenge_hex));
    expect(challenge).toEqual({ difficultyBits: one.difficulty_bits, salt: fromHex(salt) });
    expect(toHex(encodeChallenge(challenge))).toBe(one.challenge_hex);
    const nonce = decodeProof(fromHex(one.response_hex));
    expect(nonce).toBe(BigInt(one.nonce));
    expect(toHex(encodeProof(nonce))).toBe(one.response_hex);
    const bits = one.first8_as_u64le_leading_zero_bits;
    expect(verifyProof(challenge, nonce)).toBe(true);
    expect(verifyProof({ ...challenge, difficultyBits: bits }, nonce)).toBe(true);
    expect(verifyProof({ ...challenge, difficultyBits: bits + 1 }, nonce)).toBe(false);
    expect(verifyProof(challenge, nonce + 1n)).toBe(false);
  });

  it('solveProof: finds the first nonce, the one that was captured', async () => {
    const { challenge_hex: hex, nonce } = captured[0]!;
    expect(await solveProof(decodeChallenge(fromHex(hex)))).toBe(BigInt(nonce));
  });
});

describe('solveProof', () => {
  it.each([0, 1, 7, 8, 9, 12])('%i bits: the smallest nonce that verifies', async (difficultyBits) => {
    const challenge = makeChallenge(difficultyBits);
    const nonce = await solveProof(challenge);
    expect(verifyProof(challenge, nonce)).toBe(true);
    for (let earlier = 0n; earlier < nonce; earlier++) expect(verifyProof(challenge, earlier)).toBe(false);
    const digest = createHash('sha256').update(challenge.salt).update(encodeProof(nonce).subarray(4)).digest();
    expect(digest.readBigUInt64LE(0)).toBeLessThan(2n ** BigInt(64 - difficultyBits));
  });

  it('lets the event loop run: timers are late by milliseconds only', async () => {
    let last = performance.now();
    let latest = 0;
    let ticks = 0;
    const timer = setInterval(() => {
      const now = performance.now();
      latest = Math.max(latest, now - last);
      last = now;
      ticks += 1;
    }, 1);
    const abort = new AbortController();
    const deadline = setTimeout(() => abort.abort(new Error('enough')), 300);
    await expect(solveProof(makeChallenge(60), { maxDifficultyBits: 64, signal: abort.signal })).rejects.toThrow('enough');
    clearInterval(timer);
    clearTimeout(deadline);
    expect(ticks).toBeGreaterThan(5);
    expect(latest).toBeLessThan(5_000);
  });

  it('an aborted signal stops it before the first try', async () => {
    await expect(solveProof(makeChallenge(0), { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone');
  });

  it.each([[29, {}], [21, { maxDifficultyBits: 20 }], [-1, {}], [1.5, {}], [Number.NaN, {}]])('%d bits with %j: refused', async (difficultyBits, options) => {
    await expect(solveProof({ difficultyBits, salt: new Uint8Array(16) }, options)).rejects.toEqual(refusal(/cannot solve .* expected a difficulty of 0 to/));
  });
});

describe('makeChallenge, encodeChallenge', () => {
  it('uses the random port, 20 bits by default', () => {
    expect(toHex(encodeChallenge(makeChallenge(undefined, (length) => new Uint8Array(length).fill(0xab))))).toBe(`91128e4114000000${'ab'.repeat(16)}`);
    expect(makeChallenge().salt).not.toEqual(makeChallenge().salt);
  });

  it.each([-1, 65, 0.5, Number.NaN])('%d bits: refused', (difficultyBits) => {
    expect(() => makeChallenge(difficultyBits)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    expect(() => encodeChallenge({ difficultyBits, salt: new Uint8Array(16) })).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  });

  it('a salt of another length: refused', () => {
    expect(() => encodeChallenge({ difficultyBits: 1, salt: new Uint8Array(15) })).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  });
});

describe('decodeChallenge, decodeProof: refusals', () => {
  const challenge = encodeChallenge(makeChallenge());
  const withDifficulty = (bits: number): Uint8Array => {
    const bytes = challenge.slice();
    new DataView(bytes.buffer).setInt32(4, bits, true);
    return bytes;
  };

  it.each([
    ['a short challenge', challenge.subarray(0, 23), /expected 24 bytes, got 23/],
    ['a long challenge', Buffer.concat([challenge, Buffer.alloc(1)]), /expected 24 bytes, got 25/],
    ['another magic', fromHex(`01128e41${'00'.repeat(20)}`), /expected magic 0x418e1291, got 0x418e1201/],
    ['a negative difficulty', withDifficulty(-1), /expected a difficulty of 0 to 64 bits, got -1/],
    ['a difficulty above 64', withDifficulty(65), /expected a difficulty of 0 to 64 bits, got 65/],
  ])('%s', (_, bytes, message) => {
    expect(() => decodeChallenge(bytes)).toThrow(refusal(message));
  });

  it.each([
    ['a short proof', new Uint8Array(11), /expected 12 bytes, got 11/],
    ['a long proof', new Uint8Array(13), /expected 12 bytes, got 13/],
    ['another magic', new Uint8Array(12), /expected magic 0x01827319, got 0x00000000/],
  ])('%s', (_, bytes, message) => {
    expect(() => decodeProof(bytes)).toThrow(refusal(message));
  });

  it('the decoded salt is a copy', () => {
    const bytes = challenge.slice();
    const { salt } = decodeChallenge(bytes);
    bytes.fill(0);
    expect(salt).toEqual(challenge.slice(8));
  });

  it('any bytes decode or are refused with E_PROTOCOL', () => {
    const start = fc.constantFrom([], [...fromHex('91128e41')], [...fromHex('19738201')]);
    fc.assert(fc.property(start, fc.uint8Array({ maxLength: 24 }), (magic, rest) => {
      const bytes = Uint8Array.from([...magic, ...rest]);
      for (const [decode, length] of [[decodeChallenge, CHALLENGE_BYTES], [decodeProof, PROOF_BYTES]] as const) {
        try {
          decode(bytes);
          expect(bytes.byteLength).toBe(length);
        } catch (error) {
          if (!(error instanceof NetworkError) || error.code !== 'E_PROTOCOL') throw error;
        }
      }
    }), { numRuns: 1000 });
  });

  it('any nonce survives, also a negative one', () => {
    fc.assert(fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (nonce) => {
      const decoded = decodeProof(encodeProof(nonce));
      expect(decoded).toBe(BigInt.asIntN(64, nonce));
      const challenge = { difficultyBits: 1, salt: new Uint8Array(16) };
      expect(verifyProof(challenge, decoded)).toBe(verifyProof(challenge, nonce));
    }));
  });
});
