// Verifies what a parsed certificate says about itself: its own signature and its validity at a point in time
// (WIRE.md section 3). Refuses a signature by another key, a certificate that is not valid yet, and an expired one.
import { verify } from 'node:crypto';
import type { ParsedCertificate } from './certificate-parse.ts';
import type { PassedCheck } from './peer.ts';
import { refused } from './refusal.ts';
import { publicKeyFromRaw } from './tls-keys.ts';

const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();

/** `nowMs` in milliseconds since the Unix epoch; both ends of the validity are inclusive, to the second. Throws AttestationError. */
export function verifyCertificate(certificate: ParsedCertificate, nowMs: number): PassedCheck[] {
  const { notBefore, notAfter } = certificate;
  if (!verifiesSelf(certificate)) {
    throw refused({
      check: 'self-signature', seen: 'a signature that does not verify', wanted: 'a signature by the key in the certificate',
      meaning: 'the certificate was changed or its maker does not hold the key',
    });
  }
  const now = Math.floor(nowMs / 1000) * 1000;
  if (!(now >= notBefore)) {
    throw refused({
      check: 'validity', seen: `a certificate valid from ${iso(notBefore)}`, wanted: `one valid now, ${iso(now)}`,
      meaning: 'it is not valid yet', hint: 'Compare the clocks of both machines.',
    });
  }
  if (!(now <= notAfter)) {
    throw refused({
      check: 'validity', seen: `a certificate valid until ${iso(notAfter)}`, wanted: `one valid now, ${iso(now)}`,
      meaning: 'it has expired', hint: 'Compare the clocks of both machines; if the peer is yours, restart it to renew its certificate.',
    });
  }
  return [
    { name: 'self-signature', detail: 'Ed25519 signature by the certificate\'s own key' },
    { name: 'validity', detail: `valid from ${iso(notBefore)} to ${iso(notAfter)}` },
  ];
}

function verifiesSelf({ publicKey, signedBytes, signature }: ParsedCertificate): boolean {
  try {
    return verify(null, signedBytes, publicKeyFromRaw(publicKey), signature);
  } catch {
    // OpenSSL throws on some byte strings that are no point of the curve: such a key has signed nothing.
    return false;
  }
}
