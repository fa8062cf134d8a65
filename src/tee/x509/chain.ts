// Decides whether certificates and CRLs may be believed (RFC 5280 section 6, the part that these chains use): names chained
// by their bytes, CA flags, path lengths, key usage, validity, signatures, a root pinned by its bytes, revocation.
// Refuses unknown critical extensions. Every refusal is an AttestationError that names the check.
import { equalBytes, toHex } from '../../core/bytes.ts';
import type { AttestationError } from '../../core/errors.ts';
import { refused } from '../refusal.ts';
import type { X509 } from './certificate.ts';
import { serialKey } from './crl.ts';
import type { Crl } from './crl.ts';
import { KEY_USAGE, OID_BASIC_CONSTRAINTS, OID_KEY_USAGE } from './extensions.ts';
import { authorityVerifies } from './remembered.ts';

/** The range of ECMAScript dates. */
const MAX_DATE_MS = 8.64e15;
const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();
/** For messages only; a time that is no time is refused by the comparisons, which NaN fails. */
const at = (milliseconds: number): string => (Math.abs(milliseconds) <= MAX_DATE_MS ? iso(milliseconds) : String(milliseconds));
const toSecond = (milliseconds: number): number => Math.floor(milliseconds / 1000) * 1000;
const describe = ({ subject, serial }: X509): string => `certificate "${subject.commonName}" (serial ${toHex(serial)})`;

export interface ChainRules {
  /** The trusted root, compared with the last certificate by its bytes. */
  readonly root: Uint8Array;
  /** Number of certificates from leaf to root, both included. */
  readonly length: number;
  /** Milliseconds since the Unix epoch; every certificate must be valid then. */
  readonly nowMs: number;
  /** Critical extensions beyond basic constraints and key usage that the caller understands, by dotted OID. */
  readonly knownCritical?: ReadonlySet<string>;
  /**
   * True where the leaf has no key usage extension in practice (AMD). Otherwise the leaf must have one with digitalSignature.
   */
  readonly leafWithoutUsage?: boolean;
  /** True for a chain whose first certificate is itself an authority, such as the issuer of a CRL. */
  readonly authorityLeaf?: boolean;
}

/** Throws AttestationError unless `chain` is leaf first, of the exact length, unbroken and ends in the pinned root. */
export function verifyChain(chain: readonly X509[], rules: ChainRules): void {
  if (chain.length !== rules.length) {
    throw refusal('chain-length', `${chain.length} certificates`, `${rules.length}`, 'a missing or additional authority changes who vouches for the leaf');
  }
  const root = chain.at(-1);
  if (root === undefined || !equalBytes(root.der, rules.root)) {
    throw refusal('chain-root', root === undefined ? 'no root' : describe(root), 'the pinned root certificate', 'somebody else than the manufacturer vouches for the leaf');
  }
  chain.forEach((certificate, index) => {
    verifyValidity(certificate, rules.nowMs);
    verifyExtensions(certificate, rules.knownCritical);
    if (index === 0 && rules.authorityLeaf !== true) verifyLeafUsage(certificate, rules.leafWithoutUsage ?? false);
    else verifyAuthority(certificate, rules.authorityLeaf === true ? index : index - 1);
  });
  // From the root down, so that no key verifies anything before it is trusted itself. The root is trusted by its bytes: its
  // signature on itself says nothing more.
  for (let index = chain.length - 2; index >= 0; index -= 1) {
    const [certificate, issuer] = [chain[index], chain[index + 1]];
    if (certificate !== undefined && issuer !== undefined) verifyIssued(certificate, issuer);
  }
}

/** Signatures that verified, child to issuer: one verification meets the same certificates in several chains. */
const verified = new WeakMap<X509, X509>();

/** Throws AttestationError unless `issuer` has signed `certificate` and is named as its issuer. The issuer itself must have been verified. */
export function verifyIssued(certificate: X509, issuer: X509): void {
  if (!equalBytes(certificate.issuer.raw, issuer.subject.raw)) {
    throw refusal('chain-names', `${describe(certificate)} issued by "${certificate.issuer.commonName}"`, `"${issuer.subject.commonName}", byte for byte`, 'the certificates are not of one chain');
  }
  if (verified.get(certificate) === issuer) return;
  if (!authorityVerifies(issuer.key, certificate.algorithm, certificate.signedBytes, certificate.signature)) {
    throw refusal('chain-signature', `a signature of ${describe(certificate)} that does not verify`, `one by "${issuer.subject.commonName}"`, 'the certificate was changed or forged');
  }
  verified.set(certificate, issuer);
}

/** Roots that have signed themselves. Only keys that are pinned get here, so that nobody can fill it. */
const selfSigned: X509[] = [];
const MAX_ROOTS = 16;

/**
 * A root whose key is pinned, once it is shown that it has signed itself, so that its name and validity are the
 * manufacturer's, too. Found out once in a process: later the certificate that was read first stands for all with the same
 * bytes. Throws AttestationError.
 */
export function verifyPinnedRoot(root: X509): X509 {
  const known = selfSigned.find(({ der }) => equalBytes(der, root.der));
  if (known !== undefined) return known;
  verifyIssued(root, root);
  if (selfSigned.length < MAX_ROOTS) selfSigned.push(root);
  return root;
}

/** Throws AttestationError unless the certificate is valid at `nowMs`, to the second, both ends included. */
export function verifyValidity(certificate: X509, nowMs: number): void {
  const now = toSecond(nowMs);
  if (!(now >= certificate.notBefore && now <= certificate.notAfter)) {
    throw refusal(
      'chain-validity', `${describe(certificate)} valid from ${iso(certificate.notBefore)} to ${iso(certificate.notAfter)}`,
      `one valid at ${at(now)}`, 'an expired or future certificate vouches for nothing',
    );
  }
}

/** Throws AttestationError unless the certificate may sign certificates, with at most `below` authorities under it. */
export function verifyAuthority(certificate: X509, below: number): void {
  const { isCa, pathLength } = certificate.constraints;
  if (!isCa) throw refusal('chain-ca', `${describe(certificate)} without CA:TRUE`, 'a certificate authority', 'a leaf must not be able to make other leaves');
  if (pathLength !== null && pathLength < below) {
    throw refusal('chain-ca', `${describe(certificate)} with path length ${pathLength}`, `at least ${below}`, 'the authority may not stand so far above the leaf');
  }
  if (certificate.keyUsage === null || !certificate.keyUsage.has(KEY_USAGE.keyCertSign)) {
    throw refusal('chain-usage', `${describe(certificate)} without the key usage keyCertSign`, 'a key that may sign certificates', 'the authority may not issue certificates');
  }
}

function verifyLeafUsage(leaf: X509, optional: boolean): void {
  if (leaf.constraints.isCa) throw refusal('chain-ca', `${describe(leaf)} with CA:TRUE as the leaf`, 'CA:FALSE', 'an authority could sign for keys that were never attested');
  if (leaf.keyUsage === null ? !optional : !leaf.keyUsage.has(KEY_USAGE.digitalSignature)) {
    throw refusal('chain-usage', `${describe(leaf)} without the key usage digitalSignature`, 'a key that may sign data', 'the key must not sign evidence');
  }
}

function verifyExtensions(certificate: X509, known: ReadonlySet<string> | undefined): void {
  for (const [oid, { critical }] of certificate.extensions) {
    if (!critical || oid === OID_BASIC_CONSTRAINTS || oid === OID_KEY_USAGE || known?.has(oid)) continue;
    throw refusal('critical-extensions', `the critical extension ${oid} of ${describe(certificate)}`, 'only known ones', 'the certificate must not be used without understanding it');
  }
}

/**
 * Throws AttestationError unless the CRL is by `issuer` (name by bytes, signature, key usage cRLSign) and is in force at
 * `nowMs`: not before thisUpdate and not after nextUpdate, to the second. The issuer itself must have been verified.
 */
export function verifyCrl(crl: Crl, issuer: X509, nowMs: number): void {
  const by = `"${issuer.subject.commonName}"`;
  if (!equalBytes(crl.issuer.raw, issuer.subject.raw)) {
    throw refusal('crl-issuer', `a CRL by "${crl.issuer.commonName}"`, `one by ${by}, byte for byte`, 'it lists the certificates of somebody else');
  }
  if (issuer.keyUsage === null || !issuer.keyUsage.has(KEY_USAGE.crlSign)) {
    throw refusal('crl-issuer', `${describe(issuer)} without the key usage cRLSign`, 'a key that may sign CRLs', 'the authority may not publish revocations');
  }
  if (!authorityVerifies(issuer.key, crl.algorithm, crl.signedBytes, crl.signature)) {
    throw refusal('crl-signature', 'a CRL whose signature does not verify', `one signed by ${by}`, 'the list was changed or forged, so a revocation may be missing');
  }
  const now = toSecond(nowMs);
  if (!(now >= crl.thisUpdate && now <= crl.nextUpdate)) {
    throw refusal(
      'crl-window', `a CRL for ${iso(crl.thisUpdate)} to ${iso(crl.nextUpdate)}`, `one in force at ${at(now)}`,
      'a stale list does not show what was revoked since',
    );
  }
}

/** Throws AttestationError when the CRL lists the certificate. The CRL must have been verified and be of the certificate's issuer. */
export function verifyNotRevoked(certificate: X509, crl: Crl): void {
  if (!equalBytes(certificate.issuer.raw, crl.issuer.raw)) {
    throw refusal('crl-issuer', `a CRL by "${crl.issuer.commonName}"`, `one by "${certificate.issuer.commonName}"`, 'it does not cover the certificate');
  }
  if (crl.revoked.has(serialKey(certificate.serial))) {
    throw refusal('revocation', `${describe(certificate)} on the list of ${iso(crl.thisUpdate)}`, 'a certificate that is not revoked', 'its issuer has withdrawn it, mostly because the key leaked');
  }
}

function refusal(check: string, seen: string, wanted: string, meaning: string): AttestationError {
  return refused({ check, seen, wanted, meaning });
}
