// Parses OCSP responses (RFC 6960 section 4.2.1): whose certificates they are about, what they say, who has signed them.
// Refuses error statuses, other response types, critical extensions, and bytes that are not strict DER.
import { contextTag, DerReader, TAG } from '../der.ts';
import { malformed } from '../refusal.ts';
import { readSignatureAlgorithm } from '../x509/algorithms.ts';
import type { SignatureAlgorithm } from '../x509/algorithms.ts';
import { readSerial } from '../x509/certificate.ts';
import type { X509 } from '../x509/certificate.ts';
import { readExtensions } from '../x509/extensions.ts';
import { readName } from '../x509/names.ts';
import { CertificatePool } from './certificate-pool.ts';

export const MAX_OCSP_BYTES = 65_536;
const MAX_RESPONSES = 32;
const MAX_CERTIFICATES = 4;

const OID_BASIC = '1.3.6.1.5.5.7.48.1.1';
const OID_NONCE = '1.3.6.1.5.5.7.48.1.2';
/** They only name the issuer; nobody gains by a collision. */
const HASHES = new Map<string, OcspHash>([['1.3.14.3.2.26', 'sha1'], ['2.16.840.1.101.3.4.2.1', 'sha256'], ['2.16.840.1.101.3.4.2.2', 'sha384']]);
export type OcspHash = 'sha1' | 'sha256' | 'sha384';
const STATUSES = ['successful', 'malformedRequest', 'internalError', 'tryLater', 'reserved', 'sigRequired', 'unauthorized'];
/** CRLReason 6: withdrawn for the time being. */
export const REASON_CERTIFICATE_HOLD = 6;

export type OcspStatus =
  | { readonly kind: 'good' }
  | { readonly kind: 'unknown' }
  /** `reason` as in CRLs (RFC 5280 section 5.3.1); null where none is given. */
  | { readonly kind: 'revoked'; readonly timeMs: number; readonly reason: number | null };

export interface OcspAnswer {
  readonly hash: OcspHash;
  readonly issuerNameHash: Uint8Array;
  readonly issuerKeyHash: Uint8Array;
  readonly serial: Uint8Array;
  readonly status: OcspStatus;
  /** Milliseconds since the Unix epoch. */
  readonly thisUpdate: number;
  readonly nextUpdate: number | null;
}

export interface OcspResponse {
  /** DER Name, or SHA-1 of the key's bits. */
  readonly responder: { readonly name: Uint8Array } | { readonly keyHash: Uint8Array };
  readonly answers: readonly OcspAnswer[];
  /** Of the request; null where the responder does not repeat it. */
  readonly nonce: Uint8Array | null;
  readonly algorithm: SignatureAlgorithm;
  readonly signedBytes: Uint8Array;
  readonly signature: Uint8Array;
  readonly certificates: readonly X509[];
}

/** Parses one DER OCSPResponse of at most MAX_OCSP_BYTES. Throws AttestationError. */
export function parseOcsp(der: Uint8Array, pool: CertificatePool = new CertificatePool()): OcspResponse {
  const what = 'OCSP response';
  const input = DerReader.of(der, what, MAX_OCSP_BYTES);
  const outer = input.nested(what);
  input.end();
  const status = outer.element(TAG.enumerated, 'response status').content;
  if (status.length !== 1 || status[0] !== 0) throw malformed(`the OCSP response has the status ${STATUSES[status[0] ?? 0] ?? 'unknown'}, expected successful`);
  const wrapper = outer.nested('response bytes', contextTag(0, true));
  outer.end();
  const typed = wrapper.nested('response bytes');
  wrapper.end();
  const type = typed.oid('response type');
  if (type !== OID_BASIC) throw malformed(`the OCSP response has the type ${type}, expected ${OID_BASIC}`);
  const basicBytes = DerReader.of(typed.octetString('basic response'), 'basic response', MAX_OCSP_BYTES);
  typed.end();
  const basic = basicBytes.nested('basic response');
  basicBytes.end();
  const signedBytes = basic.element(TAG.sequence, 'response data').raw;
  const algorithm = readSignatureAlgorithm(basic, 'signature algorithm');
  const signature = basic.bitStringBytes('signature');
  const certificates = readCertificates(basic, pool);
  basic.end();
  return { ...readData(signedBytes), algorithm, signedBytes, signature, certificates };
}

function readCertificates(basic: DerReader, pool: CertificatePool): X509[] {
  const wrapper = basic.optionalNested('certificates', contextTag(0, true));
  if (wrapper === null) return [];
  const list = wrapper.nested('certificates');
  wrapper.end();
  const certificates: X509[] = [];
  while (!list.done) {
    if (certificates.length === MAX_CERTIFICATES) throw malformed(`the OCSP response has more than ${MAX_CERTIFICATES} certificates`);
    certificates.push(pool.parse(list.element(TAG.sequence, 'certificate').raw, 'OCSP responder certificate'));
  }
  return certificates;
}

function readData(bytes: Uint8Array): Pick<OcspResponse, 'responder' | 'answers' | 'nonce'> {
  const data = DerReader.of(bytes, 'response data', MAX_OCSP_BYTES).nested('response data');
  const responder = readResponder(data);
  data.time('produced at');
  const list = data.nested('answers');
  const answers: OcspAnswer[] = [];
  while (!list.done) {
    if (answers.length === MAX_RESPONSES) throw malformed(`the OCSP response has more than ${MAX_RESPONSES} answers`);
    answers.push(readAnswer(list.nested('answer')));
  }
  const extensions = readOptionalExtensions(data, 1);
  data.end();
  const nonce = extensions.get(OID_NONCE)?.value;
  return { responder, answers, nonce: nonce === undefined ? null : readNonce(nonce) };
}

function readResponder(data: DerReader): OcspResponse['responder'] {
  const named = data.optionalNested('responder name', contextTag(1, true));
  if (named !== null) {
    const { raw } = readName(named, 'responder name');
    named.end();
    return { name: raw };
  }
  const keyed = data.nested('responder key', contextTag(2, true));
  const keyHash = keyed.octetString('responder key');
  keyed.end();
  return { keyHash };
}

function readNonce(value: Uint8Array): Uint8Array {
  const reader = DerReader.of(value, 'nonce', value.length);
  const nonce = reader.octetString('nonce');
  reader.end();
  return nonce;
}

function readOptionalExtensions(reader: DerReader, tag: number): ReturnType<typeof readExtensions> {
  const wrapper = reader.optionalNested('extensions', contextTag(tag, true));
  if (wrapper === null) return new Map();
  const extensions = readExtensions(wrapper.nested('extensions'), 'OCSP response');
  wrapper.end();
  for (const [oid, { critical }] of extensions) if (critical) throw malformed(`the OCSP response has the critical extension ${oid}, expected none`);
  return extensions;
}

function readAnswer(answer: DerReader): OcspAnswer {
  const id = answer.nested('certificate id');
  const algorithm = id.nested('hash algorithm');
  const oid = algorithm.oid('hash algorithm');
  const parameters = algorithm.optional(TAG.null, 'hash parameters');
  algorithm.end();
  const hash = HASHES.get(oid);
  if (hash === undefined || (parameters !== null && parameters.content.length !== 0)) throw malformed(`the OCSP response names certificates with the hash ${oid}, expected SHA-1, SHA-256 or SHA-384`);
  const issuerNameHash = id.octetString('issuer name hash');
  const issuerKeyHash = id.octetString('issuer key hash');
  const serial = readSerial(id, 'OCSP response');
  id.end();
  const status = readStatus(answer);
  const thisUpdate = answer.time('this update');
  const wrapper = answer.optionalNested('next update', contextTag(0, true));
  const nextUpdate = wrapper === null ? null : wrapper.time('next update');
  wrapper?.end();
  readOptionalExtensions(answer, 1);
  answer.end();
  if (nextUpdate !== null && nextUpdate < thisUpdate) throw malformed('the OCSP response has a next update before its update');
  return { hash, issuerNameHash, issuerKeyHash, serial, status, thisUpdate, nextUpdate };
}

/** `CHOICE { good [0] NULL, revoked [1] SEQUENCE { time, reason [0] OPTIONAL }, unknown [2] NULL }`, tagged implicitly. */
function readStatus(answer: DerReader): OcspStatus {
  const revoked = answer.optionalNested('revocation', contextTag(1, true));
  if (revoked !== null) {
    const timeMs = revoked.time('revocation time');
    const wrapper = revoked.optionalNested('revocation reason', contextTag(0, true));
    const reason = wrapper === null ? null : wrapper.element(TAG.enumerated, 'revocation reason').content;
    wrapper?.end();
    revoked.end();
    if (reason !== null && reason.length !== 1) throw malformed('the OCSP response has a revocation reason of several bytes');
    return { kind: 'revoked', timeMs, reason: reason?.[0] ?? null };
  }
  const good = answer.optional(contextTag(0, false), 'certificate status');
  const { content } = good ?? answer.element(contextTag(2, false), 'certificate status');
  if (content.length !== 0) throw malformed('the OCSP response has a status with a value, expected none');
  return { kind: good === null ? 'unknown' : 'good' };
}
