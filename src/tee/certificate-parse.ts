// Parses an attested certificate: X.509 v3, or v1 with extensions as the C++ programs make them (WIRE.md section 3,
// WIRE-2026-04.md section 7.1). Refuses every key and signature algorithm but Ed25519, duplicate extensions, unknown
// critical extensions, CA certificates, two evidence families and trailing bytes. Signature and dates: certificate-verify.ts.
import { equalBytes } from '../core/bytes.ts';
import { evidenceOfExtensions, isEvidenceOid } from './certificate-evidence.ts';
import type { CertificateEvidence } from './certificate-evidence.ts';
import { TAG, contextTag, DerReader } from './der.ts';
import { malformed, refused } from './refusal.ts';
import { checkStandardExtension, isStandardOid } from './certificate-standard.ts';
import { ED25519_KEY_BYTES } from './tls-keys.ts';

/** A quote of 32768 bytes and everything around it fit well. */
export const MAX_CERTIFICATE_BYTES = 49_152;
const MAX_EXTENSIONS = 32;
const MAX_SERIAL_BYTES = 20;
const MAX_NAME_PARTS = 32;
const OID_ED25519 = '1.3.101.112';
const ED25519_SIGNATURE_BYTES = 64;

export interface ParsedCertificate {
  readonly version: 1 | 3;
  /** Big-endian, without leading zeros. */
  readonly serial: Uint8Array;
  /** Raw Ed25519 public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Milliseconds since the Unix epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly evidence: CertificateEvidence;
  /** OIDs of evidence extensions that do not count because they are not critical. */
  readonly ignoredEvidence: readonly string[];
  /** The signed bytes and the signature over them, 64 bytes. */
  readonly signedBytes: Uint8Array;
  readonly signature: Uint8Array;
}

interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** Parses a DER certificate of at most MAX_CERTIFICATE_BYTES. Values are views into it. Throws AttestationError, nothing else. */
export function parseCertificate(der: Uint8Array): ParsedCertificate {
  const input = DerReader.of(der, 'certificate', MAX_CERTIFICATE_BYTES);
  const outer = input.nested('certificate sequence');
  input.end();
  const signed = outer.element(TAG.sequence, 'certificate body');
  readEd25519Algorithm(outer, 'signature algorithm');
  const signature = outer.bitStringBytes('signature');
  if (signature.length !== ED25519_SIGNATURE_BYTES) {
    throw malformed(`the signature has ${signature.length} bytes, expected ${ED25519_SIGNATURE_BYTES}`);
  }
  outer.end();
  const body = DerReader.of(signed.raw, 'certificate body', MAX_CERTIFICATE_BYTES).nested('certificate body');
  return { ...parseBody(body), signedBytes: signed.raw, signature };
}

function parseBody(body: DerReader): Omit<ParsedCertificate, 'signedBytes' | 'signature'> {
  const version = readVersion(body);
  const serial = body.unsigned('serial number', MAX_SERIAL_BYTES + 1);
  if (serial.length > MAX_SERIAL_BYTES) throw malformed(`the serial number has ${serial.length} bytes, expected at most ${MAX_SERIAL_BYTES}`);
  readEd25519Algorithm(body, 'signature algorithm of the body');
  const issuer = readName(body, 'issuer');
  const validity = body.nested('validity');
  const notBefore = validity.time('start of validity');
  const notAfter = validity.time('end of validity');
  validity.end();
  if (notAfter < notBefore) throw malformed('the validity ends before it starts');
  const subject = readName(body, 'subject');
  if (!equalBytes(issuer, subject)) {
    throw refused({
      check: 'self-signed', seen: 'an issuer that is not the subject', wanted: 'a self-signed certificate',
      meaning: 'trust comes from the evidence, and no certificate authority may stand in for it',
    });
  }
  const publicKey = readPublicKey(body);
  const extensions = readExtensions(body);
  body.end();
  return { version, serial, publicKey, notBefore, notAfter, ...appraiseExtensions(extensions, publicKey) };
}

/** `version [0] EXPLICIT INTEGER DEFAULT v1`; DER leaves the default out. */
function readVersion(body: DerReader): 1 | 3 {
  const wrapper = body.optionalNested('version', contextTag(0, true));
  if (wrapper === null) return 1;
  const number = wrapper.smallInteger('version number');
  wrapper.end();
  if (number !== 2) throw malformed(`the certificate has version number ${number}, expected 2 (X.509 v3) or none (v1)`);
  return 3;
}

/** AlgorithmIdentifier without parameters, as RFC 8410 demands for Ed25519. */
function readEd25519Algorithm(reader: DerReader, what: string): void {
  const algorithm = reader.nested(what);
  const oid = algorithm.oid(what);
  if (oid !== OID_ED25519) {
    throw refused({
      check: 'key-type', seen: `${what} ${oid}`, wanted: `Ed25519 (${OID_ED25519})`,
      meaning: 'Cocoon peers have Ed25519 keys only',
    });
  }
  algorithm.end();
}

/** The raw bytes of a distinguished name. Its content says nothing about a peer, so only its form is checked. */
function readName(body: DerReader, what: string): Uint8Array {
  const { raw } = body.element(TAG.sequence, what);
  const parts = DerReader.of(raw, what, MAX_CERTIFICATE_BYTES).nested(what);
  for (let count = 0; !parts.done; count += 1) {
    if (count === MAX_NAME_PARTS) throw malformed(`the ${what} has more than ${MAX_NAME_PARTS} parts`);
    const part = parts.nested(`${what} part`, TAG.set);
    const attribute = part.nested(`${what} attribute`);
    attribute.oid(`${what} attribute type`);
    attribute.any(`${what} attribute value`);
    attribute.end();
    part.end();
  }
  return raw;
}

function readPublicKey(body: DerReader): Uint8Array {
  const info = body.nested('public key');
  readEd25519Algorithm(info, 'public key algorithm');
  const key = info.bitStringBytes('public key bits');
  info.end();
  if (key.length !== ED25519_KEY_BYTES) throw malformed(`the public key has ${key.length} bytes, expected ${ED25519_KEY_BYTES}`);
  return key;
}

/** `extensions [3] EXPLICIT SEQUENCE OF { OID, critical BOOLEAN DEFAULT FALSE, OCTET STRING }`, in versions 3 and 1 alike. */
function readExtensions(body: DerReader): Extension[] {
  const wrapper = body.optionalNested('extensions', contextTag(3, true));
  if (wrapper === null) return [];
  const list = wrapper.nested('extension list');
  wrapper.end();
  const extensions: Extension[] = [];
  const seen = new Set<string>();
  while (!list.done) {
    if (extensions.length === MAX_EXTENSIONS) throw malformed(`the certificate has more than ${MAX_EXTENSIONS} extensions`);
    const entry = list.nested('extension');
    const oid = entry.oid('extension id');
    const critical = entry.optionalTrue('extension critical flag');
    const value = entry.octetString('extension value');
    entry.end();
    if (seen.has(oid)) throw malformed(`the extension ${oid} is there twice, expected at most once`);
    seen.add(oid);
    extensions.push({ oid, critical, value });
  }
  return extensions;
}

function appraiseExtensions(extensions: readonly Extension[], publicKey: Uint8Array): Pick<ParsedCertificate, 'evidence' | 'ignoredEvidence'> {
  const critical = new Map<string, Uint8Array>();
  for (const extension of extensions) {
    if (isStandardOid(extension.oid)) {
      checkStandardExtension(extension.oid, extension.value);
    } else if (extension.critical) {
      if (!isEvidenceOid(extension.oid)) {
        throw refused({
          check: 'critical-extensions', seen: `the critical extension ${extension.oid}`, wanted: 'only known ones',
          meaning: 'the certificate must not be used without understanding it',
        });
      }
      critical.set(extension.oid, extension.value);
    }
  }
  const ignoredEvidence = extensions.filter(({ oid, critical: flag }) => !flag && isEvidenceOid(oid)).map(({ oid }) => oid);
  return { evidence: evidenceOfExtensions(critical, publicKey), ignoredEvidence };
}
