// Parses X.509 v3 certificates of the chains behind evidence: Intel PCK and TCB signing, AMD VCEK, VLEK, ASK and ARK,
// NVIDIA devices (RFC 5280). Refuses other versions and algorithms, duplicate extensions, trailing bytes, and lengths out
// of bounds. What a certificate says is only parsed here; chain.ts decides whether it may be believed.
import { TAG, contextTag, DerReader } from '../der.ts';
import { malformed } from '../refusal.ts';
import { readSignatureAlgorithm, readSubjectKey } from './algorithms.ts';
import type { SignatureAlgorithm, SubjectKey } from './algorithms.ts';
import { OID_BASIC_CONSTRAINTS, OID_KEY_USAGE, parseBasicConstraints, parseKeyUsage, readExtensions } from './extensions.ts';
import type { BasicConstraints, Extension } from './extensions.ts';
import { readName } from './names.ts';
import type { Name } from './names.ts';

export const MAX_X509_BYTES = 16_384;
/** RFC 5280 section 4.1.2.2, plus a leading zero byte. */
const MAX_SERIAL_BYTES = 20;
const VERSION_3 = 2;

export interface X509 {
  /** The whole certificate. */
  readonly der: Uint8Array;
  /** Big-endian magnitude without leading zeros. */
  readonly serial: Uint8Array;
  readonly issuer: Name;
  readonly subject: Name;
  /** Milliseconds since the Unix epoch, both inclusive. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly key: SubjectKey;
  /** By dotted OID. */
  readonly extensions: ReadonlyMap<string, Extension>;
  /** `{ isCa: false, pathLength: null }` where the extension is absent. */
  readonly constraints: BasicConstraints;
  /** Bits of KEY_USAGE; null where the extension is absent, which means no restriction. */
  readonly keyUsage: ReadonlySet<number> | null;
  readonly algorithm: SignatureAlgorithm;
  /** The signed bytes and the signature over them: DER for ECDSA, 512 bytes for RSA. */
  readonly signedBytes: Uint8Array;
  readonly signature: Uint8Array;
}

/** Parses one DER certificate of at most MAX_X509_BYTES; values are views into it. Throws AttestationError, nothing else. */
export function parseX509(der: Uint8Array, what = 'certificate'): X509 {
  const input = DerReader.of(der, what, MAX_X509_BYTES);
  const outer = input.nested(what);
  input.end();
  const signedBytes = outer.element(TAG.sequence, `${what} body`).raw;
  const algorithm = readSignatureAlgorithm(outer, 'signature algorithm');
  const signature = outer.bitStringBytes('signature');
  outer.end();
  const body = DerReader.of(signedBytes, `${what} body`, MAX_X509_BYTES).nested(`${what} body`);
  readVersion(body, what);
  const serial = readSerial(body, what);
  const inner = readSignatureAlgorithm(body, 'signature algorithm of the body');
  if (inner !== algorithm) throw malformed(`the ${what} names two signature algorithms, ${inner} and ${algorithm}`);
  const issuer = readName(body, 'issuer');
  const { notBefore, notAfter } = readValidity(body, what);
  const subject = readName(body, 'subject');
  const key = readSubjectKey(body, 'public key');
  const wrapper = body.nested('extensions', contextTag(3, true));
  const extensions = readExtensions(wrapper.nested('extension list'), what);
  wrapper.end();
  body.end();
  return {
    der, serial, issuer, subject, notBefore, notAfter, key, extensions, ...usageOf(extensions), algorithm, signedBytes, signature,
  };
}

function readVersion(body: DerReader, what: string): void {
  const wrapper = body.nested('version', contextTag(0, true));
  const version = wrapper.smallInteger('version number');
  wrapper.end();
  if (version !== VERSION_3) throw malformed(`the ${what} has version number ${version}, expected ${VERSION_3} (X.509 v3)`);
}

/** A serial number: zero or more, at most 20 bytes. */
export function readSerial(reader: DerReader, what: string): Uint8Array {
  const serial = reader.unsigned('serial number', MAX_SERIAL_BYTES + 1);
  if (serial.length > MAX_SERIAL_BYTES) throw malformed(`the serial number in the ${what} has ${serial.length} bytes, expected at most ${MAX_SERIAL_BYTES}`);
  return serial;
}

function readValidity(body: DerReader, what: string): Pick<X509, 'notBefore' | 'notAfter'> {
  const validity = body.nested('validity');
  const notBefore = validity.time('start of validity');
  const notAfter = validity.time('end of validity');
  validity.end();
  if (notAfter < notBefore) throw malformed(`the validity of the ${what} ends before it starts`);
  return { notBefore, notAfter };
}

function usageOf(extensions: ReadonlyMap<string, Extension>): Pick<X509, 'constraints' | 'keyUsage'> {
  const constraints = extensions.get(OID_BASIC_CONSTRAINTS);
  const usage = extensions.get(OID_KEY_USAGE);
  return {
    constraints: constraints === undefined ? { isCa: false, pathLength: null } : parseBasicConstraints(constraints.value),
    keyUsage: usage === undefined ? null : parseKeyUsage(usage.value),
  };
}
