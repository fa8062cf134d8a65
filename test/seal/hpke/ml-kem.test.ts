// ML-KEM-768 with OpenSSL's hashes gives what the library gives without them.
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { createMlKem768 } from 'mlkem';
import { toHex } from '../../../src/core/bytes.ts';
import { loadMlKem768 } from '../../../src/seal/hpke/ml-kem.ts';

const random = (size: number): Uint8Array => new Uint8Array(randomBytes(size));

describe('loadMlKem768', () => {
  it('hashes with OpenSSL at the library\'s version that is installed', async () => {
    expect((await loadMlKem768()).isNativelyHashed).toBe(true);
  });

  it('keys, encapsulations, shared secrets and rejections are those of the library', async () => {
    const [{ mlKem }, library] = [await loadMlKem768(), await createMlKem768()];
    for (let round = 0; round < 25; round += 1) {
      const [seed, randomness] = [random(64), random(32)];
      const [publicKey, secret] = mlKem.deriveKeyPair(seed);
      expect([publicKey, secret].map(toHex)).toEqual(library.deriveKeyPair(seed).map(toHex));
      const [ciphertext, shared] = mlKem.encap(publicKey, randomness);
      expect([ciphertext, shared].map(toHex)).toEqual(library.encap(publicKey, randomness).map(toHex));
      expect(toHex(mlKem.decap(ciphertext, secret))).toBe(toHex(shared));
      // A changed ciphertext gives another secret, not an error (FIPS 203 section 6.3).
      const changed = ciphertext.slice();
      changed[round] = (changed[round] ?? 0) ^ 1;
      const rejected = toHex(mlKem.decap(changed, secret));
      expect(rejected).toBe(toHex(library.decap(changed, secret)));
      expect(rejected).not.toBe(toHex(shared));
    }
  });
});
