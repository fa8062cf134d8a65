// The standard X.509 extensions that a Cocoon certificate may have (RFC 5280 section 4.2.1), critical or not.
// Refuses a CA certificate, a key that may not sign, and a usage other than TLS; everything else is checked for its form.
import { TAG, DerReader } from './der.ts';
import { malformed, refused } from './refusal.ts';

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const ANY_USAGE = '2.5.29.37.0';
const MAX_NAMES = 64;
const MAX_USAGES = 16;
const MAX_PATH_LENGTH_BYTES = 4;

const CHECKS = new Map<string, (value: Uint8Array) => void>([
  ['2.5.29.14', checkSubjectKeyIdentifier],
  ['2.5.29.15', checkKeyUsage],
  ['2.5.29.17', checkAlternativeNames],
  ['2.5.29.19', checkBasicConstraints],
  ['2.5.29.37', checkExtendedKeyUsage],
]);

export const isStandardOid = (oid: string): boolean => CHECKS.has(oid);

/** Checks the content of one extension for which `isStandardOid` holds. Throws AttestationError. */
export function checkStandardExtension(oid: string, value: Uint8Array): void {
  CHECKS.get(oid)?.(value);
}

const readerOf = (value: Uint8Array, what: string): DerReader => DerReader.of(value, what, value.length);

/** `SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL }`. */
function checkBasicConstraints(value: Uint8Array): void {
  const input = readerOf(value, 'basic constraints');
  const constraints = input.nested('basic constraints');
  input.end();
  const isAuthority = constraints.optionalTrue('CA flag');
  if (constraints.nextTag === TAG.integer) constraints.unsigned('path length', MAX_PATH_LENGTH_BYTES);
  constraints.end();
  if (isAuthority) {
    throw refused({
      check: 'not-a-ca', seen: 'a certificate with CA:TRUE', wanted: 'a leaf certificate (CA:FALSE)',
      meaning: 'a certificate authority could sign for keys that were never attested',
    });
  }
}

/** `BIT STRING`; bit 0, the highest of the first byte, is digitalSignature, which TLS 1.3 needs. */
function checkKeyUsage(value: Uint8Array): void {
  const input = readerOf(value, 'key usage');
  const { bytes } = input.bitString('key usage');
  input.end();
  const first = bytes[0] ?? 0;
  if ((first & 0x80) === 0) {
    throw refused({
      check: 'key-usage', seen: `usage bits 0x${first.toString(16).padStart(2, '0')}`, wanted: 'digitalSignature (0x80)',
      meaning: 'the key must not sign a TLS handshake',
    });
  }
}

function checkExtendedKeyUsage(value: Uint8Array): void {
  const input = readerOf(value, 'extended key usage');
  const list = input.nested('extended key usage');
  input.end();
  const usages: string[] = [];
  while (!list.done) {
    if (usages.length === MAX_USAGES) throw malformed(`the extended key usage has more than ${MAX_USAGES} entries`);
    usages.push(list.oid('usage'));
  }
  if (!usages.some((usage) => usage === SERVER_AUTH || usage === CLIENT_AUTH || usage === ANY_USAGE)) {
    throw refused({
      check: 'key-usage', seen: `extended key usage ${usages.join(', ') || 'without entries'}`, wanted: 'TLS server or client authentication',
      meaning: 'the certificate was made for something else than TLS',
    });
  }
}

function checkSubjectKeyIdentifier(value: Uint8Array): void {
  const input = readerOf(value, 'subject key identifier');
  input.octetString('subject key identifier');
  input.end();
}

/** `SEQUENCE OF GeneralName`. No name is compared: a peer is known by its key and its evidence. */
function checkAlternativeNames(value: Uint8Array): void {
  const input = readerOf(value, 'subject alternative name');
  const names = input.nested('subject alternative name');
  input.end();
  for (let count = 0; !names.done; count += 1) {
    if (count === MAX_NAMES) throw malformed(`the subject alternative name has more than ${MAX_NAMES} names`);
    const { tag } = names.any('name');
    if (tag < 0x80 || tag > 0xbf) throw malformed(`the subject alternative name has an entry of tag 0x${tag.toString(16)}, expected a context tag`);
  }
}
