// The keys of a node to which prompts are sealed (SPEC.md section 4): made in memory, replaced every half hour, erased when no
// request that was sealed to them can still be on its way. They are never written anywhere.
import { randomBytes } from 'node:crypto';
import { toHex } from '../core/bytes.ts';
import { SealError } from './errors.ts';
import { encodeKeyRecord, KEY_ID_BYTES, signedBytesOf } from './key-record.ts';
import { HYBRID_SUITE, loadSuite, MANDATORY_SUITE, sameSuite, suiteName } from './suites.ts';
import type { KeyRecord, SignedKeyRecord } from './key-record.ts';
import type { Suite } from './hpke/context.ts';
import type { KemKey } from './hpke/kem.ts';
import type { SuiteId } from './suites.ts';

/** A new key this often, in seconds. */
export const ROTATION_S = 1800;
/** A record may be used this long after the next was made, in seconds: proxies and clients hold it for a while. */
export const GRACE_S = 600;
/** The newest and the one before, which is over long before a third is due: no clock that is set back keeps more. */
const MAX_KEYS = 2;
/** Clients whose clocks are a little behind may use a record at once. */
const BEFORE_S = 60;
const GPU_DIGEST_BYTES = 32;

export interface RingKey<V = undefined> {
  /** What vouches for the record. */
  readonly voucher: V;
  readonly signed: SignedKeyRecord;
  readonly keyId: Uint8Array;
  /** Unix seconds after which it opens nothing. */
  readonly notAfter: number;
  /** Suite and key for a request that names `suite`. Throws SealError for a suite that the record does not offer. */
  open(suite: SuiteId): { readonly suite: Suite; readonly key: KemKey };
  erase(): void;
}

/** What every record of a ring says. */
export type RingFacts = Pick<KeyRecord, 'tlsPublicKey' | 'receiptKey' | 'imageHash' | 'model' | 'root' | 'cpuEvidence'>;

export interface KeyRing<V = undefined> {
  /** The newest record, for new requests. */
  current(): RingKey<V>;
  /** The key of a request. Throws SealError for one that is unknown or over. */
  find(keyId: Uint8Array, nowS: number): RingKey<V>;
  /** Makes a new key and erases those that are over, also when no new one can be made. */
  rotate(nowS: number): Promise<void>;
  /** Erases what is over. */
  expire(nowS: number): void;
  /** Erases everything. */
  close(): void;
}

export interface KeyRingOptions<V> {
  /** Asked at each rotation. */
  facts(): RingFacts;
  /** Has evidence made for a record whose `gpuEvidence` is still zeros; what it gives is the digest that the record then carries. */
  vouch(draft: KeyRecord): Promise<{ readonly gpuEvidence: Uint8Array; readonly voucher: V }>;
  /** Ed25519 by the TLS key. */
  sign(message: Uint8Array): Uint8Array;
  readonly nowS: number;
}

/** A ring with its first key. */
export async function createKeyRing<V>(options: KeyRingOptions<V>): Promise<KeyRing<V>> {
  const keys = new Map<string, RingKey<V>>();
  let current = await makeKey(options, options.nowS);
  keys.set(toHex(current.keyId), current);
  const eraseWhere = (isOver: (key: RingKey<V>) => boolean): void => {
    for (const [id, key] of keys) {
      if (!isOver(key)) continue;
      key.erase();
      keys.delete(id);
    }
  };
  const expire = (nowS: number): void => eraseWhere(({ notAfter }) => nowS >= notAfter);
  return {
    expire,
    current: () => current,
    find(keyId, nowS) {
      const key = keys.get(toHex(keyId));
      if (key === undefined || nowS >= key.notAfter) throw new SealError(`key ${toHex(keyId)} is not one of this node's, or is over; seal the request again to the present one`);
      return key;
    },
    async rotate(nowS) {
      expire(nowS);
      current = await makeKey(options, nowS);
      keys.set(toHex(current.keyId), current);
      const kept = new Set([...keys.values()].slice(-MAX_KEYS));
      eraseWhere((key) => !kept.has(key));
    },
    close: () => eraseWhere(() => true),
  };
}

async function makeKey<V>({ facts, vouch, sign }: KeyRingOptions<V>, nowS: number): Promise<RingKey<V>> {
  const opened = await Promise.all([HYBRID_SUITE, MANDATORY_SUITE].map(async (id) => {
    const suite = await loadSuite(id);
    if (suite === null) throw new RangeError(`suite ${suiteName(id)} is not known here`);
    const seed = randomBytes(suite.kem.seedBytes);
    const key = suite.kem.keyOf(seed);
    seed.fill(0);
    return { id, suite, key };
  }));
  const keyId = new Uint8Array(randomBytes(KEY_ID_BYTES));
  const notAfter = nowS + ROTATION_S + GRACE_S;
  const draft: KeyRecord = {
    ...facts(), gpuEvidence: new Uint8Array(GPU_DIGEST_BYTES), keyId, notBefore: nowS - BEFORE_S, notAfter,
    suites: opened.map(({ id, key }) => ({ ...id, publicKey: key.publicKey })),
  };
  const erase = (): void => opened.forEach(({ key }) => key.erase());
  const { gpuEvidence, voucher } = await vouch(draft).catch((error: unknown) => {
    erase();
    throw error;
  });
  const record = encodeKeyRecord({ ...draft, gpuEvidence });
  return {
    voucher,
    signed: { record, signature: sign(signedBytesOf(record)) },
    keyId, notAfter,
    open(suite) {
      const found = opened.find(({ id }) => sameSuite(id, suite));
      if (found === undefined) throw new SealError(`suite ${suiteName(suite)} is not one that this node offers`);
      return found;
    },
    erase,
  };
}
