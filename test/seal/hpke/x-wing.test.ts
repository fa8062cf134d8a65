// X-Wing against the vectors of its specification, and what it refuses.
import { describe, expect, it } from '@jest/globals';
import { fromHex, toHex } from '../../../src/core/bytes.ts';
import { SealError } from '../../../src/seal/errors.ts';
import { loadXWing } from '../../../src/seal/hpke/x-wing.ts';
import { readVectors } from '../vectors.ts';

interface XWingCase {
  readonly seed: string;
  readonly eseed: string;
  readonly ss: string;
  readonly pkBegins: string;
  readonly pkEnds: string;
  readonly ctBegins: string;
  readonly ctEnds: string;
}

describe('X-Wing', () => {
  it.each(readVectors<{ cases: XWingCase[] }>('x-wing').cases)('keyOf, encapsulate, decapsulate: seed $seed', async (vector) => {
    const kem = await loadXWing();
    const key = kem.keyOf(fromHex(vector.seed));
    expect(key.publicKey).toHaveLength(1216);
    expect(toHex(key.publicKey)).toMatch(new RegExp(`^${vector.pkBegins}.*${vector.pkEnds}$`));
    const { enc, sharedSecret } = kem.encapsulate(key.publicKey, fromHex(vector.eseed));
    expect(enc).toHaveLength(1120);
    expect(toHex(enc)).toMatch(new RegExp(`^${vector.ctBegins}.*${vector.ctEnds}$`));
    expect(toHex(sharedSecret)).toBe(vector.ss);
    expect(toHex(key.decapsulate(enc))).toBe(vector.ss);
  });

  it('encapsulate, decapsulate: other lengths and keys that are none', async () => {
    const kem = await loadXWing();
    const key = kem.keyOf(new Uint8Array(32));
    const randomness = new Uint8Array(64).fill(1);
    expect(() => kem.encapsulate(key.publicKey.slice(1), randomness)).toThrow(SealError);
    expect(() => kem.encapsulate(new Uint8Array(1216).fill(0xff), randomness)).toThrow(SealError);
    expect(() => key.decapsulate(new Uint8Array(1119))).toThrow(SealError);
  });

  it('erase: the key decapsulates to something else afterwards', async () => {
    const kem = await loadXWing();
    const key = kem.keyOf(new Uint8Array(32).fill(3));
    const { enc, sharedSecret } = kem.encapsulate(key.publicKey, new Uint8Array(64).fill(5));
    key.erase();
    expect(toHex(key.decapsulate(enc))).not.toBe(toHex(sharedSecret));
  });
});
