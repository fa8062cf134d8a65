// X-Wing (draft-connolly-cfrg-xwing-kem): ML-KEM-768 and X25519 in one KEM, safe while either of them is. ML-KEM comes from a
// library; X25519 and the hashes are Node's own, because in JavaScript they would cost ten times the rest.
// Refuses encapsulation keys and ciphertexts of another length, keys that are no ML-KEM keys, X25519 points of small order.
import { createHash } from 'node:crypto';
import type { MlKemInterface } from 'mlkem';
import { SealError } from '../errors.ts';
import { loadMlKem768 } from './ml-kem.ts';
import { x25519Key } from './x25519.ts';
import type { Kem, KemKey } from './kem.ts';

const SEED = 32;
const X_BYTES = 32;
const M_PUBLIC_KEY = 1184;
const M_CIPHERTEXT = 1088;
const M_RANDOMNESS = 32;
/** d and z of ML-KEM, then the X25519 scalar. */
const M_SEED = 64;
const EXPANDED = M_SEED + X_BYTES;
/** The drawing of an X-wing: \.//^\ */
const LABEL = Buffer.from('5c2e2f2f5e5c', 'hex');

const combine = (mShared: Uint8Array, xShared: Uint8Array, xCiphertext: Uint8Array, xPublicKey: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha3-256').update(mShared).update(xShared).update(xCiphertext).update(xPublicKey).update(LABEL).digest());

function split(bytes: Uint8Array, mBytes: number, what: string): { m: Uint8Array; x: Uint8Array } {
  if (bytes.byteLength !== mBytes + X_BYTES) throw new SealError(`X-Wing ${what} has ${bytes.byteLength} bytes, expected ${mBytes + X_BYTES}`);
  return { m: bytes.slice(0, mBytes), x: bytes.slice(mBytes) };
}

function keyOf(mlKem: MlKemInterface, seed: Uint8Array): KemKey {
  if (seed.byteLength !== SEED) throw new RangeError(`X-Wing seed has ${seed.byteLength} bytes, expected ${SEED}`);
  const expanded = createHash('shake256', { outputLength: EXPANDED }).update(seed).digest();
  const [mPublicKey, mSecret] = mlKem.deriveKeyPair(new Uint8Array(expanded.subarray(0, M_SEED)));
  const x = x25519Key(new Uint8Array(expanded.subarray(M_SEED)));
  expanded.fill(0);
  return {
    publicKey: new Uint8Array(Buffer.concat([mPublicKey, x.publicKey])),
    decapsulate(enc) {
      const { m, x: xCiphertext } = split(enc, M_CIPHERTEXT, 'ciphertext');
      return combine(mlKem.decap(m, mSecret), x.agree(xCiphertext), xCiphertext, x.publicKey);
    },
    erase: () => { mSecret.fill(0); },
  };
}

let loading: Promise<Kem> | null = null;

/** The KEM; its library is loaded when it is first asked for. */
export function loadXWing(): Promise<Kem> {
  return loading ??= load();
}

async function load(): Promise<Kem> {
  const { mlKem } = await loadMlKem768();
  return {
    id: 0x647a, name: 'X-Wing', publicKeyBytes: M_PUBLIC_KEY + X_BYTES, encBytes: M_CIPHERTEXT + X_BYTES, seedBytes: SEED, randomnessBytes: M_RANDOMNESS + X_BYTES,
    keyOf: (seed) => keyOf(mlKem, seed),
    encapsulate(publicKey, randomness) {
      if (randomness.byteLength !== M_RANDOMNESS + X_BYTES) throw new RangeError(`X-Wing takes ${M_RANDOMNESS + X_BYTES} random bytes, got ${randomness.byteLength}`);
      const { m: mPublicKey, x: xPublicKey } = split(publicKey, M_PUBLIC_KEY, 'public key');
      const ephemeral = x25519Key(randomness.slice(M_RANDOMNESS));
      const [mCiphertext, mShared] = encapsulateM(mlKem, mPublicKey, randomness.slice(0, M_RANDOMNESS));
      const enc = new Uint8Array(Buffer.concat([mCiphertext, ephemeral.publicKey]));
      return { sharedSecret: combine(mShared, ephemeral.agree(xPublicKey), ephemeral.publicKey, xPublicKey), enc };
    },
  };
}

function encapsulateM(mlKem: MlKemInterface, publicKey: Uint8Array, randomness: Uint8Array): [Uint8Array, Uint8Array] {
  try {
    return mlKem.encap(publicKey, randomness);
  } catch (cause) {
    throw new SealError('X-Wing public key has a part that is no ML-KEM-768 key', cause);
  }
}
