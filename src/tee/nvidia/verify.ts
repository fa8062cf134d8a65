// Verifies that NVIDIA evidence and manifests are genuine (attestation checks list, NVIDIA GPU 2 to 4): chains to the pinned
// roots, OCSP, the signature over request and response, the firmware id of the signing key, signatures of manifests.
// Refuses the rest, check by check; whether a genuine device is acceptable is for appraise.ts.
import { createHash } from 'node:crypto';
import { equalBytes, toHex } from '../../core/bytes.ts';
import { AttestationError } from '../../core/errors.ts';
import { refused } from '../refusal.ts';
import type { CheckList } from '../verdict.ts';
import { earliest } from '../verdict.ts';
import type { X509 } from '../x509/certificate.ts';
import { verifyChain, verifyPinnedRoot } from '../x509/chain.ts';
import { authorityVerifies } from '../x509/remembered.ts';
import { verifiesWith } from '../x509/signature.ts';
import type { NvidiaDevice } from './bundle.ts';
import { fwidOf } from './fwid.ts';
import type { OcspResponse } from './parse-ocsp.ts';
import type { Rim } from './parse-rim.ts';
import type { SpdmEvidence } from './parse-spdm.ts';
import type { NvidiaPolicy } from './policy.ts';
import { isChipOf } from './roots.ts';
import { verifyStatus } from './verify-ocsp.ts';

/** Leaf, the device's own identity, at least one authority, the root. */
const MIN_DEVICE_CHAIN = 4;
const MIN_RIM_CHAIN = 3;

/** Names of the checks that a full verification of a device records. */
export const DEVICE_CHECKS = ['chain', 'architecture', 'report-signature', 'nonce', 'ocsp', 'fwid'] as const;

export interface VerifyContext {
  readonly checks: CheckList;
  readonly policy: NvidiaPolicy;
  readonly ocsp: readonly OcspResponse[];
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

export interface GenuineDevice {
  /** For example `GH100`. */
  readonly chip: string;
  /** Serial numbers of the leaf (NVIDIA's UEID) and of the device's identity certificate, in hexadecimal. */
  readonly ueid: string;
  readonly identity: string;
  readonly expiresAtMs: number;
}

/** Records the checks. Returns null when nobody trusted has signed the evidence; other failures do not end it. */
export function verifyDevice(
  context: VerifyContext, device: NvidiaDevice, spdm: SpdmEvidence, reportedFwid: Uint8Array | null, nonce: Uint8Array | null, root: string,
): GenuineDevice | null {
  const { checks } = context;
  const { chain } = device;
  const [leaf, identity] = chain;
  const chained = checks.attempt({
    name: 'chain', wanted: 'an unbroken chain to the pinned root of NVIDIA\'s devices, valid now', meaning: 'nobody whom NVIDIA vouches for has signed the evidence',
    seen: namesOf,
  }, () => verifyPinned(chain, root, context.nowMs, MIN_DEVICE_CHAIN));
  if (chained === undefined || leaf === undefined || identity === undefined) return null;
  const chip = identity.subject.commonName.split(' ', 1)[0] ?? '';
  checks.check(isChipOf(device.architecture, chip) && leaf.subject.commonName.startsWith(`${chip} `), {
    name: 'architecture', seen: `"${leaf.subject.commonName}" under "${identity.subject.commonName}"`, wanted: `a chip of ${device.architecture}`, meaning: 'the evidence is of another kind of device than it claims',
  });
  const genuine = leaf.key.kind === 'p384' && verifiesWith(leaf.key, 'ecdsa-sha384', spdm.signedBytes, spdm.signature, 'ieee-p1363');
  const signed = checks.check(genuine, {
    name: 'report-signature', seen: genuine ? `ECDSA P-384 by "${leaf.subject.commonName}"` : 'a signature that does not verify', wanted: 'one by the device over request and response',
    meaning: 'the evidence was changed, or another device has made it',
  });
  if (!signed) return null;
  verifyNonce(checks, spdm, nonce);
  // The leaf is made by the device itself; what NVIDIA can withdraw starts with the device's identity.
  const end = verifyOcsp(context, 'ocsp', chained.slice(1));
  verifyFwid(context, leaf, reportedFwid);
  return { chip, ueid: toHex(leaf.serial), identity: toHex(identity.serial), expiresAtMs: earliest(end, ...chain.map(({ notAfter }) => notAfter)) };
}

const namesOf = (chain: readonly X509[]): string => chain.map(({ subject }) => subject.commonName).join(' < ');

/** Throws AttestationError unless the chain is unbroken, valid now and ends in the key with this SHA-256 digest. */
function verifyPinned(chain: readonly X509[], pin: string, nowMs: number, minLength: number): readonly X509[] {
  const root = chain.at(-1);
  const digest = root === undefined ? 'none' : createHash('sha256').update(root.key.spki).digest('hex');
  if (root === undefined || digest !== pin) {
    throw refused({ check: 'chain-root', seen: `"${root?.subject.commonName ?? 'no root'}" with the key ${digest}`, wanted: `the key ${pin}`, meaning: 'somebody else than NVIDIA vouches for the leaf' });
  }
  const pinned = [...chain.slice(0, -1), verifyPinnedRoot(root)];
  verifyChain(pinned, { root: root.der, length: Math.max(chain.length, minLength), nowMs });
  return pinned;
}

function verifyNonce(checks: CheckList, { requestNonce }: SpdmEvidence, nonce: Uint8Array | null): void {
  const seen = toHex(requestNonce);
  if (nonce === null) checks.info('nonce', seen, 'no nonce is expected, so the evidence may be an old one');
  else checks.check(equalBytes(requestNonce, nonce), { name: 'nonce', seen, wanted: toHex(nonce), meaning: 'the evidence was made for another request and may have been copied' });
}

/** Every certificate of the chain but the last must be good. Returns the end of the first answer. */
function verifyOcsp({ checks, ocsp, policy, nowMs }: VerifyContext, name: string, chain: readonly X509[]): number {
  const rules = { nowMs, maxAgeMs: policy.ocspMaxAgeMs, allowHold: policy.allowCertificateHold };
  const text = { name, wanted: 'good, by an answer in force now, for each certificate below the root', meaning: 'a certificate was withdrawn, or nothing shows that it was not' };
  if (ocsp.length === 0) {
    checks.skip({ ...text, seen: 'no OCSP answers at all' });
    return nowMs;
  }
  const ends = checks.attempt({
    ...text,
    seen: (found: readonly number[]) => `${found.length} certificates good until ${new Date(earliest(...found)).toISOString()}`,
  }, () => chain.slice(0, -1).flatMap((certificate, index) => {
    const issuer = chain[index + 1];
    return issuer === undefined ? [] : verifyStatus(certificate, issuer, ocsp, rules);
  }));
  // Without an answer the verdict is no pass, whenever it ends.
  return ends === undefined ? nowMs : earliest(...ends);
}

/** The signing key was derived for the firmware that the certificate names; the report must name the same. */
function verifyFwid({ checks, policy }: VerifyContext, leaf: X509, reported: Uint8Array | null): void {
  const name = 'fwid';
  const meaning = 'the key that signs was made for other firmware than the one that reports';
  const seen = reported === null ? 'none reported' : toHex(reported);
  let wanted: Uint8Array | null;
  try {
    wanted = fwidOf(leaf);
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    checks.check(false, { name, seen: error.message, wanted: 'a firmware id in the device certificate', meaning });
    return;
  }
  if (wanted === null && reported === null) checks.info(name, 'none', 'neither the certificate nor the report names the firmware');
  else if (reported === null && policy.fwid === 'when-reported') checks.waive({ name, seen, wanted: 'any', meaning });
  else checks.check(wanted !== null && reported !== null && equalBytes(wanted, reported), { name, seen, wanted: wanted === null ? 'none, as in the certificate' : toHex(wanted), meaning });
}

/** Manifests whose signature verified: one stands for every device of its kind. */
const verified = new WeakSet<Rim>();

/**
 * Records `${prefix}-signature` and `${prefix}-ocsp`: chain of the signer to the pinned root, digest and signature.
 * Returns the end of its collateral, or null when the manifest must not be compared with.
 */
export function verifyRim(context: VerifyContext, rim: Rim, prefix: string, root: string): number | null {
  const signer = context.checks.attempt({
    name: `${prefix}-signature`, wanted: 'a manifest signed under the pinned root of NVIDIA\'s manifests', meaning: 'somebody else than NVIDIA says what should be measured',
    seen: ({ subject }) => `ECDSA P-384 by "${subject.commonName}"`,
  }, () => verifyRimSignature(rim, root, context.nowMs));
  if (signer === undefined) return null;
  return earliest(verifyOcsp(context, `${prefix}-ocsp`, rim.certificates), ...rim.certificates.map(({ notAfter }) => notAfter));
}

function verifyRimSignature(rim: Rim, root: string, nowMs: number): X509 {
  const [signer] = verifyPinned(rim.certificates, root, nowMs, MIN_RIM_CHAIN);
  const check = 'rim-signature';
  if (signer === undefined) throw refused({ check, seen: 'no signer', wanted: 'one', meaning: 'nobody vouches for the manifest' });
  if (verified.has(rim)) return signer;
  const digest = createHash('sha384').update(rim.content).digest();
  if (!equalBytes(digest, rim.digest)) throw refused({ check, seen: `content with the digest ${toHex(digest)}`, wanted: toHex(rim.digest), meaning: 'the manifest was changed after it was signed' });
  if (signer.key.kind !== 'p384' || !authorityVerifies(signer.key, 'ecdsa-sha384', rim.signedInfo, rim.signature, 'ieee-p1363')) {
    throw refused({ check, seen: 'a signature that does not verify', wanted: `one by "${signer.subject.commonName}"`, meaning: 'the manifest was changed or forged' });
  }
  verified.add(rim);
  return signer;
}
