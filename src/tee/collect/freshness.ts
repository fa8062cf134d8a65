// What ties evidence to a question, next to the report data that the network fixes as SHA-512 of the TLS key: the nonce that
// GPUs are asked with, and a record, signed by the TLS key, over the verifier's nonce and all evidence that was collected for it.
import { createHash, sign, verify } from 'node:crypto';
import { toHex } from '../../core/bytes.ts';
import { ED25519_KEY_BYTES, publicKeyFromRaw } from '../tls-keys.ts';
import type { TlsKeys } from '../tls-keys.ts';
import type { DeviceEvidence, SystemModeText } from './gpu-evidence.ts';

export const NONCE_BYTES = 32;
const GPU_NONCE_TAG = Buffer.from('cocoon-gpu-nonce/1\0', 'latin1');
const RECORD_TAG = Buffer.from('cocoon-freshness/1\0', 'latin1');
const RECORD_TAG_WITH_SYSTEM = Buffer.from('cocoon-freshness/2\0', 'latin1');
const SIGNATURE_BYTES = 64;

/** SHA-256 of the tag, the verifier's nonce (32 bytes) and the TLS key (32 bytes): the nonce for every GPU and switch. */
export function gpuNonceOf(nonce: Uint8Array, publicKey: Uint8Array): Uint8Array {
  checkSizes(nonce, publicKey);
  return new Uint8Array(createHash('sha256').update(GPU_NONCE_TAG).update(nonce).update(publicKey).digest());
}

/** Everything that one collection gave. */
export interface CollectedEvidence {
  /** Quote (TDX) or report (SEV-SNP). */
  readonly cpu: Uint8Array;
  readonly devices: readonly DeviceEvidence[];
  /** What the guest says about the mode of its GPUs; null or left out where it says nothing. */
  readonly system?: Readonly<Record<keyof SystemModeText, string>> | null;
}

/**
 * The signed bytes: tag, nonce 32, TLS key 32, SHA-256 of the CPU's evidence, number of devices (u32, big-endian), and for
 * each device SHA-256 of its SPDM bytes and SHA-256 of its chain; with a tag of its own also SHA-256 of the mode, which
 * nothing else signs: whoever passes the evidence on could write another one. All parts have fixed sizes.
 */
function recordBytes(nonce: Uint8Array, publicKey: Uint8Array, { cpu, devices, system = null }: CollectedEvidence): Uint8Array {
  checkSizes(nonce, publicKey);
  const count = Buffer.alloc(4);
  count.writeUInt32BE(devices.length);
  const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();
  const parts = devices.flatMap(({ evidence, certificate }) => [sha256(Buffer.from(evidence, 'base64')), sha256(Buffer.from(certificate, 'base64'))]);
  const mode = system === null ? [] : [sha256(Buffer.from(JSON.stringify([system.cc_mode, system.dev_tools])))];
  return Buffer.concat([system === null ? RECORD_TAG : RECORD_TAG_WITH_SYSTEM, nonce, publicKey, sha256(cpu), count, ...parts, ...mode]);
}

/** Ed25519 signature of 64 bytes by the TLS key. */
export function signFreshness(keys: TlsKeys, nonce: Uint8Array, collected: CollectedEvidence): Uint8Array {
  return new Uint8Array(sign(null, recordBytes(nonce, keys.publicKey, collected), keys.privateKey));
}

/** True when the owner of the TLS key has signed exactly this evidence for exactly this nonce. */
export function isFresh(publicKey: Uint8Array, nonce: Uint8Array, collected: CollectedEvidence, signature: Uint8Array): boolean {
  return signature.length === SIGNATURE_BYTES && verify(null, recordBytes(nonce, publicKey, collected), publicKeyFromRaw(publicKey), signature);
}

function checkSizes(nonce: Uint8Array, publicKey: Uint8Array): void {
  if (nonce.length !== NONCE_BYTES) throw new RangeError(`expected a nonce of ${NONCE_BYTES} bytes, got ${toHex(nonce).slice(0, 64)}`);
  if (publicKey.length !== ED25519_KEY_BYTES) throw new RangeError(`expected a public key of ${ED25519_KEY_BYTES} bytes, got ${publicKey.length}`);
}
