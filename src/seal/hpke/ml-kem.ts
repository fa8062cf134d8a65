// ML-KEM-768 (FIPS 203) of the `mlkem` library, with its two longest hashes made by OpenSSL: in JavaScript the expansion of the
// public matrix alone takes longer than everything else that is done before a first token.
import { createHash } from 'node:crypto';
import type { MlKemInterface } from 'mlkem';

/** Bytes of SHAKE128 from which the library samples one polynomial of the matrix. */
const XOF_BYTES = 672;
const KDF_BYTES = 32;
const NO_BYTES = new Uint8Array(0);

/** Inside of the library's object, at the version that package.json names. */
interface Hashes {
  _xof(seed: Uint8Array): Uint8Array;
  _kdf(secret: Uint8Array, ciphertext?: Uint8Array): Uint8Array;
}

const xof = (seed: Uint8Array): Buffer => createHash('shake128', { outputLength: XOF_BYTES }).update(seed).digest();

const kdf = (secret: Uint8Array, ciphertext: Uint8Array = NO_BYTES): Buffer => createHash('shake256', { outputLength: KDF_BYTES }).update(secret).update(ciphertext).digest();

/** True when the library has both, and its own give what ours give: no other version of it is changed. */
function isKnown(inside: Partial<Hashes>): inside is Hashes {
  const [seed, ciphertext] = [new Uint8Array(34).fill(1), new Uint8Array(1088).fill(2)];
  if (typeof inside._xof !== 'function' || typeof inside._kdf !== 'function') return false;
  return xof(seed).equals(inside._xof(seed)) && kdf(seed, ciphertext).equals(inside._kdf(seed, ciphertext));
}

/** The library's object. Also tells whether it hashes with OpenSSL; where it does not, all is as correct and slower. */
export async function loadMlKem768(): Promise<{ readonly mlKem: MlKemInterface; readonly isNativelyHashed: boolean }> {
  const { createMlKem768 } = await import('mlkem');
  const mlKem = await createMlKem768();
  const inside = mlKem as MlKemInterface & Partial<Hashes>;
  if (!isKnown(inside)) return { mlKem, isNativelyHashed: false };
  return { mlKem: Object.assign(inside, { _xof: xof, _kdf: kdf }), isNativelyHashed: true };
}
