// The suites of sealing (SPEC.md section 3): X25519 with AES-128-GCM, which everybody speaks, and X-Wing, which also holds
// against a quantum computer and is preferred. A suite is named by its three registry numbers.
import { AES_128_GCM, CHACHA20_POLY1305 } from './hpke/aead.ts';
import { HKDF_SHA256 } from './hpke/context.ts';
import { X25519 } from './hpke/x25519.ts';
import { loadXWing } from './hpke/x-wing.ts';
import type { Aead } from './hpke/aead.ts';
import type { Suite } from './hpke/context.ts';
import type { Kem } from './hpke/kem.ts';

/** Registry numbers of RFC 9180. */
export interface SuiteId {
  readonly kem: number;
  readonly kdf: number;
  readonly aead: number;
}

const X25519_ID = 0x0020;
const X_WING_ID = 0x647a;
const AEADS = new Map<number, Aead>([AES_128_GCM, CHACHA20_POLY1305].map((aead) => [aead.id, aead]));

export const MANDATORY_SUITE: SuiteId = { kem: X25519_ID, kdf: HKDF_SHA256, aead: AES_128_GCM.id };
export const HYBRID_SUITE: SuiteId = { kem: X_WING_ID, kdf: HKDF_SHA256, aead: AES_128_GCM.id };
/** In the order in which a client prefers them. */
const PREFERENCE: readonly SuiteId[] = [HYBRID_SUITE, { ...HYBRID_SUITE, aead: CHACHA20_POLY1305.id }, MANDATORY_SUITE, { ...MANDATORY_SUITE, aead: CHACHA20_POLY1305.id }];

export const sameSuite = (a: SuiteId, b: SuiteId): boolean => a.kem === b.kem && a.kdf === b.kdf && a.aead === b.aead;

/** True for a suite that a quantum computer does not open. */
export const isHybrid = ({ kem }: SuiteId): boolean => kem === X_WING_ID;

/** "X-Wing, AES-128-GCM", or the numbers of a suite that is not known here. */
export function suiteName({ kem, kdf, aead }: SuiteId): string {
  const kemName = kem === X_WING_ID ? 'X-Wing' : kem === X25519_ID ? 'X25519' : `KEM ${kem}`;
  return `${kemName}${kdf === HKDF_SHA256 ? '' : `, KDF ${kdf}`}, ${AEADS.get(aead)?.name ?? `AEAD ${aead}`}`;
}

/** The suite behind the numbers, null for one that is not known here. */
export async function loadSuite({ kem, kdf, aead }: SuiteId): Promise<Suite | null> {
  const cipher = AEADS.get(aead);
  const encapsulation = await loadKem(kem);
  return cipher === undefined || encapsulation === null || kdf !== HKDF_SHA256 ? null : { kem: encapsulation, aead: cipher };
}

async function loadKem(id: number): Promise<Kem | null> {
  if (id === X25519.id) return X25519;
  return id === X_WING_ID ? loadXWing() : null;
}

/** The best suite of those that a key record offers, null when none is known here. */
export const preferredSuite = <T extends SuiteId>(offered: readonly T[]): T | null =>
  PREFERENCE.map((wanted) => offered.find((suite) => sameSuite(suite, wanted))).find((suite) => suite !== undefined) ?? null;
