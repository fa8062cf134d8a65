// Decides what OCSP responses say about the certificates of a chain (RFC 6960 section 4.2.2.2): signed by the issuer itself
// or by a responder that the issuer has certified for it, about exactly this certificate, in force now. Refuses everything
// else, and every status but good.
import { createHash } from 'node:crypto';
import { equalBytes, toHex } from '../../core/bytes.ts';
import type { AttestationError } from '../../core/errors.ts';
import { DerReader, TAG } from '../der.ts';
import { refused } from '../refusal.ts';
import type { X509 } from '../x509/certificate.ts';
import { verifyIssued, verifyValidity } from '../x509/chain.ts';
import { KEY_USAGE, OID_BASIC_CONSTRAINTS, OID_KEY_USAGE } from '../x509/extensions.ts';
import { verifiesWith } from '../x509/signature.ts';
import { REASON_CERTIFICATE_HOLD } from './parse-ocsp.ts';
import type { OcspAnswer, OcspHash, OcspResponse } from './parse-ocsp.ts';

const OID_EXTENDED_KEY_USAGE = '2.5.29.37';
const OID_OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
/** How long an answer without nextUpdate counts. */
const DEFAULT_AGE_MS = 24 * 60 * 60 * 1000;

export interface OcspRules {
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
  /** Largest age of an answer, whatever its nextUpdate says; null for no further limit. */
  readonly maxAgeMs: number | null;
  /** True: a certificate on hold counts as good. */
  readonly allowHold: boolean;
}

/** Responses whose signature verified, to the responder: those about an authority are met for every device below it. */
const verified = new WeakMap<OcspResponse, X509>();

/**
 * Throws AttestationError unless one of the responses says that `certificate` is good and the others do not contradict it.
 * Returns the end of the answer, or of its signer's validity, in milliseconds since the Unix epoch. `issuer` must have been verified.
 */
export function verifyStatus(certificate: X509, issuer: X509, responses: readonly OcspResponse[], rules: OcspRules): number {
  const about = responses.flatMap((response) => response.answers.filter((answer) => isAbout(answer, certificate, issuer)).map((answer) => ({ response, answer })));
  if (about.length === 0) throw refusal(certificate, 'no OCSP answer', 'one', 'nothing shows that the certificate is not withdrawn');
  const ends = about.map(({ response, answer }) => {
    const signer = verifyResponder(response, certificate, issuer, rules.nowMs);
    const end = endOf(answer, certificate, rules);
    requireGood(answer, certificate, rules);
    return Math.min(end, signer.notAfter);
  });
  return Math.min(...ends);
}

function endOf({ thisUpdate, nextUpdate }: OcspAnswer, certificate: X509, { nowMs, maxAgeMs }: OcspRules): number {
  const end = Math.min(nextUpdate ?? thisUpdate + DEFAULT_AGE_MS, maxAgeMs === null ? Infinity : thisUpdate + maxAgeMs);
  const now = Math.floor(nowMs / 1000) * 1000;
  if (!(now >= thisUpdate && now <= end)) {
    throw refusal(certificate, `an answer for ${iso(thisUpdate)} to ${iso(end)}`, 'one in force now', 'a stale answer does not show what was withdrawn since');
  }
  return end;
}

function requireGood({ status }: OcspAnswer, certificate: X509, { allowHold }: OcspRules): void {
  if (status.kind === 'good') return;
  if (status.kind === 'unknown') throw refusal(certificate, 'unknown to the responder', 'good', 'its issuer does not know the certificate');
  const hold = status.reason === REASON_CERTIFICATE_HOLD;
  if (hold && allowHold) return;
  const reason = hold ? 'certificateHold' : `reason ${status.reason ?? 'not given'}`;
  throw refusal(certificate, `revoked on ${iso(status.timeMs)} (${reason})`, 'good', hold ? 'its issuer has withdrawn it for the time being' : 'its issuer has withdrawn it');
}

/** True when an answer names this certificate of this issuer: serial number, name and key. */
export function isAbout({ hash, issuerNameHash, issuerKeyHash, serial }: OcspAnswer, certificate: X509, issuer: X509): boolean {
  return equalBytes(serial, certificate.serial) && equalBytes(issuerNameHash, digest(hash, certificate.issuer.raw)) && equalBytes(issuerKeyHash, digest(hash, keyBits(issuer)));
}

/** The signer: the issuer, or a certificate that it has issued for signing OCSP responses. */
function verifyResponder(response: OcspResponse, certificate: X509, issuer: X509, nowMs: number): X509 {
  const signer = [issuer, ...response.certificates].find((candidate) => isResponder(candidate, response));
  if (signer === undefined) throw refusal(certificate, 'an OCSP answer by an unknown responder', `one by "${issuer.subject.commonName}" or its responder`, 'anybody could have made it');
  if (signer !== issuer) {
    verifyIssued(signer, issuer);
    verifyValidity(signer, nowMs);
    const critical = [...signer.extensions].filter(([oid, extension]) => extension.critical && ![OID_BASIC_CONSTRAINTS, OID_KEY_USAGE, OID_EXTENDED_KEY_USAGE].includes(oid));
    if (critical.length > 0 || signer.constraints.isCa || !mayAnswer(signer)) {
      throw refusal(certificate, `an OCSP answer signed by "${signer.subject.commonName}"`, 'a certificate for signing OCSP responses', 'the key was made for something else');
    }
  }
  if (verified.get(response) === signer) return signer;
  if (!verifiesWith(signer.key, response.algorithm, response.signedBytes, response.signature)) {
    throw refusal(certificate, 'an OCSP answer whose signature does not verify', `one signed by "${signer.subject.commonName}"`, 'the answer was changed or forged');
  }
  verified.set(response, signer);
  return signer;
}

function isResponder(candidate: X509, { responder }: OcspResponse): boolean {
  return 'name' in responder ? equalBytes(responder.name, candidate.subject.raw) : equalBytes(responder.keyHash, digest('sha1', keyBits(candidate)));
}

function mayAnswer({ extensions, keyUsage }: X509): boolean {
  if (keyUsage !== null && !keyUsage.has(KEY_USAGE.digitalSignature)) return false;
  const value = extensions.get(OID_EXTENDED_KEY_USAGE)?.value;
  if (value === undefined) return false;
  const reader = DerReader.of(value, 'extended key usage', value.length);
  const usages = reader.nested('extended key usage');
  reader.end();
  let found = false;
  while (!usages.done) found = usages.oid('extended key usage') === OID_OCSP_SIGNING || found;
  return found;
}

const digest = (hash: OcspHash, bytes: Uint8Array): Uint8Array => createHash(hash).update(bytes).digest();
const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();

/** The bytes inside the BIT STRING of the public key, which OCSP hashes. */
function keyBits({ key }: X509): Uint8Array {
  const info = DerReader.of(key.spki, 'public key', key.spki.length).nested('public key');
  info.element(TAG.sequence, 'algorithm');
  return info.bitStringBytes('key bits');
}

function refusal({ subject, serial }: X509, seen: string, wanted: string, meaning: string): AttestationError {
  return refused({ check: 'ocsp', seen: `${seen} for "${subject.commonName}" (serial ${toHex(serial)})`, wanted, meaning });
}
