// Algorithms and keys of the certificate chains that evidence rests on (RFC 5480, RFC 5758, RFC 4055): ECDSA over P-256 and
// P-384, RSASSA-PSS with SHA-384 and 4096-bit keys. Refuses every other algorithm, parameter, curve and key size.
import { toHex } from '../../core/bytes.ts';
import type { AttestationError } from '../../core/errors.ts';
import { TAG, contextTag, DerReader } from '../der.ts';
import { malformed, refused } from '../refusal.ts';

export type SignatureAlgorithm = 'ecdsa-sha256' | 'ecdsa-sha384' | 'rsa-pss-sha384';
export type KeyKind = 'p256' | 'p384' | 'rsa4096';

/** A public key as it stands in a certificate. */
export interface SubjectKey {
  readonly kind: KeyKind;
  /** DER SubjectPublicKeyInfo, as node:crypto reads it. */
  readonly spki: Uint8Array;
}

const OID = {
  ecdsaSha256: '1.2.840.10045.4.3.2', ecdsaSha384: '1.2.840.10045.4.3.3', ecPublicKey: '1.2.840.10045.2.1',
  p256: '1.2.840.10045.3.1.7', p384: '1.3.132.0.34',
  rsaEncryption: '1.2.840.113549.1.1.1', rsaPss: '1.2.840.113549.1.1.10', mgf1: '1.2.840.113549.1.1.8', sha384: '2.16.840.1.101.3.4.2.2',
} as const;

const PSS_SALT_BYTES = 48;
const RSA_MODULUS_BYTES = 512;
const RSA_EXPONENT = '010001';
/** Bytes of an uncompressed point: 0x04 and both coordinates. */
const POINT_BYTES = { p256: 65, p384: 97 } as const;
const UNCOMPRESSED = 0x04;

/** Which algorithm may be used with which key. */
export const KEYS_OF: Readonly<Record<SignatureAlgorithm, readonly KeyKind[]>> = {
  'ecdsa-sha256': ['p256', 'p384'], 'ecdsa-sha384': ['p256', 'p384'], 'rsa-pss-sha384': ['rsa4096'],
};

/** Reads an AlgorithmIdentifier of a signature. Throws AttestationError on any algorithm not listed above. */
export function readSignatureAlgorithm(reader: DerReader, what: string): SignatureAlgorithm {
  const algorithm = reader.nested(what);
  const oid = algorithm.oid(what);
  switch (oid) {
    case OID.ecdsaSha256: algorithm.end(); return 'ecdsa-sha256';
    case OID.ecdsaSha384: algorithm.end(); return 'ecdsa-sha384';
    case OID.rsaPss:
      readPssParameters(algorithm, what);
      algorithm.end();
      return 'rsa-pss-sha384';
    default: throw unsupported(what, oid, 'ECDSA with SHA-256 or SHA-384, or RSASSA-PSS with SHA-384');
  }
}

/** RSASSA-PSS-params: SHA-384 twice, salt of 48 bytes, trailer 1 (AMD writes this default out although DER would not). */
function readPssParameters(algorithm: DerReader, what: string): void {
  const parameters = algorithm.nested(`${what} parameters`);
  const hash = parameters.nested(`${what} hash`, contextTag(0, true));
  readSha384(hash, `${what} hash`);
  hash.end();
  const wrapper = parameters.nested(`${what} mask`, contextTag(1, true));
  const mask = wrapper.nested(`${what} mask`);
  const generator = mask.oid(`${what} mask`);
  if (generator !== OID.mgf1) throw unsupported(`${what} mask`, generator, `MGF1 (${OID.mgf1})`);
  readSha384(mask, `${what} mask hash`);
  mask.end();
  wrapper.end();
  readSmall(parameters, 2, `${what} salt length`, PSS_SALT_BYTES);
  if (!parameters.done) readSmall(parameters, 3, `${what} trailer`, 1);
  parameters.end();
}

function readSha384(reader: DerReader, what: string): void {
  const algorithm = reader.nested(what);
  const oid = algorithm.oid(what);
  if (oid !== OID.sha384) throw unsupported(what, oid, `SHA-384 (${OID.sha384})`);
  readNull(algorithm, what);
  algorithm.end();
}

/** NULL or nothing: both are written for hashes in practice (RFC 4055 section 2.1). */
function readNull(reader: DerReader, what: string): void {
  const element = reader.optional(TAG.null, what);
  if (element !== null && element.content.length !== 0) throw malformed(`${what} has a NULL of ${element.content.length} bytes, expected none`);
}

function readSmall(reader: DerReader, tag: number, what: string, wanted: number): void {
  const wrapper = reader.nested(what, contextTag(tag, true));
  const value = wrapper.smallInteger(what);
  wrapper.end();
  if (value !== wanted) throw unsupported(what, String(value), String(wanted));
}

/** Reads a SubjectPublicKeyInfo. Whether the point is on its curve is for the signature check. Throws AttestationError. */
export function readSubjectKey(reader: DerReader, what: string): SubjectKey {
  const { raw } = reader.element(TAG.sequence, what);
  const info = DerReader.of(raw, what, raw.length).nested(what);
  const algorithm = info.nested(`${what} algorithm`);
  const oid = algorithm.oid(`${what} algorithm`);
  const kind = oid === OID.rsaEncryption ? readRsa(algorithm, what) : readCurve(algorithm, oid, what);
  algorithm.end();
  const key = info.bitStringBytes(`${what} bits`);
  info.end();
  if (kind === 'rsa4096') checkRsaKey(key, what);
  else if (key.length !== POINT_BYTES[kind] || key[0] !== UNCOMPRESSED) {
    throw malformed(`${what} has ${key.length} bytes of form ${toHex(key.subarray(0, 1))}, expected an uncompressed point of ${POINT_BYTES[kind]} bytes`);
  }
  return { kind, spki: raw };
}

function readRsa(algorithm: DerReader, what: string): KeyKind {
  readNull(algorithm, `${what} parameters`);
  return 'rsa4096';
}

function readCurve(algorithm: DerReader, oid: string, what: string): KeyKind {
  if (oid !== OID.ecPublicKey) throw unsupported(`${what} algorithm`, oid, 'an elliptic curve or RSA key');
  const curve = algorithm.oid(`${what} curve`);
  if (curve === OID.p256) return 'p256';
  if (curve === OID.p384) return 'p384';
  throw unsupported(`${what} curve`, curve, 'P-256 or P-384');
}

/** RSAPublicKey: modulus of exactly 4096 bits, exponent 65537. */
function checkRsaKey(key: Uint8Array, what: string): void {
  const input = DerReader.of(key, what, key.length);
  const numbers = input.nested(what);
  input.end();
  const modulus = numbers.unsigned(`${what} modulus`, RSA_MODULUS_BYTES + 1);
  const exponent = toHex(numbers.unsigned(`${what} exponent`, 4));
  numbers.end();
  if (modulus.length !== RSA_MODULUS_BYTES || (modulus[0] ?? 0) < 0x80) throw unsupported(`${what} modulus`, `${modulus.length} bytes`, '4096 bits');
  if (exponent !== RSA_EXPONENT) throw unsupported(`${what} exponent`, exponent, RSA_EXPONENT);
}

function unsupported(what: string, seen: string, wanted: string): AttestationError {
  return refused({ check: 'algorithm', seen: `${what} ${seen}`, wanted, meaning: 'no chain that this verifier trusts uses it' });
}
