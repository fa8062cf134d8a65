// Recognises what a file with evidence holds: a raw quote, a raw SEV-SNP report, an attested certificate (PEM or DER), the
// hexadecimal text of one of these, or a JSON bundle. Takes it apart and believes nothing; evidence-file-judge.ts judges.
// Refuses what is none of them, unknown members of bundles, and everything out of bounds; with AttestationError only.
import { equalBytes, toHex } from '../core/bytes.ts';
import type { CertificateEvidence } from './certificate-evidence.ts';
import { MAX_CERTIFICATE_BYTES, parseCertificate } from './certificate-parse.ts';
import type { ParsedCertificate } from './certificate-parse.ts';
import { asHex, asObject, asText, fieldOf, jsonObjectOf, listField, textField } from './dcap/json-reader.ts';
import type { JsonObject } from './dcap/json-reader.ts';
import { MAX_QUOTE_BYTES } from './dcap/parse-quote.ts';
import { malformed } from './refusal.ts';
import { reportDataOf } from './report-data.ts';
import { SNP_REPORT_BYTES } from './snp/parse-report.ts';
import { MAX_CRL_BYTES } from './x509/crl.ts';
import { certificatesOfPem, MAX_PEM_BYTES } from './x509/pem.ts';

/** GPU evidence of a large machine with its manifests stays well below. */
export const MAX_EVIDENCE_FILE_BYTES = 16 * 1024 * 1024;
const MAX_GPUS = 16;

/** SnpCollateralTexts before it is parsed. */
export interface SnpTexts {
  readonly vek: string;
  readonly cert_chain: string;
  readonly crl: string;
}

/** What the evidence must be bound to, as far as the file itself says it; null where it says nothing. */
interface Bound {
  /** The 64 bytes that report data must be. */
  readonly reportData: Uint8Array | null;
}

/** Intel TDX or SGX. `collateral` is parsed JSON, undefined where the file has none. */
export interface DcapPart extends Bound {
  readonly kind: 'dcap';
  readonly quote: Uint8Array;
  readonly collateral: unknown;
}

export interface SnpPart extends Bound {
  readonly kind: 'sev-snp';
  readonly report: Uint8Array;
  /** PEM of the VCEK or VLEK that came along; null without one. */
  readonly vek: string | null;
  /** Null where the file has none. */
  readonly collateral: SnpTexts | null;
}

export interface SimulatedPart {
  readonly kind: 'simulated';
  readonly evidence: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** A certificate that proves nothing by itself: without evidence, or with the fake of the C++ test mode. */
export interface EmptyPart {
  readonly kind: 'none';
  /** What is there instead of evidence. */
  readonly seen: string;
}

export type CpuPart = DcapPart | SnpPart | SimulatedPart | EmptyPart;

/** One device as NVIDIA's tools write it, not parsed yet. */
export interface GpuPart {
  readonly kind: 'nvidia';
  /** `{ devices, collateral?, system? }` as nvidia/bundle.ts reads it. */
  readonly bundle: JsonObject;
}

/** What one collection says of itself (schema cocoon.evidence/1, collect/collect.ts). */
export interface Collection {
  /** Raw Ed25519 key and the nonce that the evidence was made for, 32 bytes each. */
  readonly publicKey: Uint8Array;
  readonly nonce: Uint8Array;
  /** By the key over nonce, CPU evidence, devices and their mode: 64 bytes. */
  readonly signature: Uint8Array;
  readonly devices: readonly { readonly evidence: string; readonly certificate: string }[];
  /** As it stands in the file; null where it has none. */
  readonly system: { readonly cc_mode: string; readonly dev_tools: string } | null;
  /** TDX only: the ACPI table and the log area. */
  readonly eventLog: { readonly table: Uint8Array; readonly log: Uint8Array } | null;
}

export interface EvidenceFile {
  readonly form: 'quote' | 'report' | 'certificate' | 'bundle' | 'collection';
  /** Present for `certificate`. */
  readonly certificate: (ParsedCertificate & { readonly der: Uint8Array }) | null;
  /** Present for `collection`. */
  readonly collection: Collection | null;
  readonly cpu: CpuPart | null;
  readonly gpu: GpuPart | null;
}

const FILE: Omit<EvidenceFile, 'form'> = { certificate: null, collection: null, cpu: null, gpu: null };

const DER_SEQUENCE = 0x30;
const QUOTE_HEADER_BYTES = 48;
const PEM_BEGIN = '-----BEGIN CERTIFICATE-----';

/** Takes a file with evidence apart; bytes are views into it where it is not text. Throws AttestationError E_EVIDENCE_MALFORMED or E_EVIDENCE_REFUSED. */
export function parseEvidenceFile(bytes: Uint8Array): EvidenceFile {
  if (bytes.length > MAX_EVIDENCE_FILE_BYTES) throw malformed(`the file has ${bytes.length} bytes, expected at most ${MAX_EVIDENCE_FILE_BYTES}`);
  return binaryFile(bytes) ?? textFile(bytes);
}

function binaryFile(bytes: Uint8Array): EvidenceFile | null {
  if (isSnpReport(bytes)) return reportFile(bytes);
  if (isQuote(bytes)) return quoteFile(bytes);
  if (bytes[0] === DER_SEQUENCE && (bytes[1] ?? 0) >= 0x80) return certificateFile(bytes);
  return null;
}

/** Version 2 to 5 as a 32-bit number: a quote has its key type in the upper half. */
function isSnpReport(bytes: Uint8Array): boolean {
  const [version = 0, ...high] = bytes.subarray(0, 4);
  return bytes.length === SNP_REPORT_BYTES && version >= 2 && version <= 5 && high.every((byte) => byte === 0);
}

/** Version 3 to 5 as a 16-bit number, and a key type. */
function isQuote(bytes: Uint8Array): boolean {
  const [low = 0, high = 0, keyType = 0, keyTypeHigh = 0] = bytes;
  return bytes.length >= QUOTE_HEADER_BYTES && low >= 3 && low <= 5 && high === 0 && keyType >= 1 && keyType <= 3 && keyTypeHigh === 0;
}

function quoteFile(quote: Uint8Array): EvidenceFile {
  if (quote.length > MAX_QUOTE_BYTES) throw malformed(`the quote has ${quote.length} bytes, expected at most ${MAX_QUOTE_BYTES}`);
  return { ...FILE, form: 'quote', cpu: { kind: 'dcap', quote, collateral: undefined, reportData: null } };
}

const reportFile = (report: Uint8Array): EvidenceFile =>
  ({ ...FILE, form: 'report', cpu: { kind: 'sev-snp', report, vek: null, collateral: null, reportData: null } });

/** The attested certificate of a peer, DER. Throws AttestationError. */
export function certificateFile(der: Uint8Array): EvidenceFile {
  const certificate = parseCertificate(der);
  return { ...FILE, form: 'certificate', certificate: { ...certificate, der }, cpu: partOfCertificate(certificate.evidence, certificate) };
}

function partOfCertificate(evidence: CertificateEvidence, { publicKey, ignoredEvidence }: ParsedCertificate): CpuPart {
  const reportData = reportDataOf(publicKey);
  switch (evidence.family) {
    case 'none': return { kind: 'none', seen: ignoredEvidence.length === 0 ? 'none' : `only extensions that are not critical (${ignoredEvidence.join(', ')}), which do not count` };
    case 'simulated': return { kind: 'simulated', evidence: evidence.evidence, publicKey };
    case 'tdx': return evidence.quote.length === reportData.length
      ? { kind: 'none', seen: 'the 64-byte fake quote of the C++ test mode, which anybody can make' }
      : { kind: 'dcap', quote: evidence.quote, collateral: undefined, reportData };
    case 'sev-snp': {
      if (!equalBytes(evidence.reportData, reportData)) throw malformed(`the certificate states the report data ${toHex(evidence.reportData)}, expected SHA-512 of its key, ${toHex(reportData)}`);
      return { kind: 'sev-snp', report: evidence.report, vek: Buffer.from(evidence.vcekPem).toString('latin1'), collateral: null, reportData };
    }
  }
}

function textFile(bytes: Uint8Array): EvidenceFile {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw unknownFile(bytes, cause);
  }
  if (text.startsWith(PEM_BEGIN)) {
    const [der, ...more] = text.length > MAX_CERTIFICATE_BYTES * 2 ? [] : certificatesOfPem(text, 'the file', 2);
    if (der === undefined || more.length > 0) throw malformed('the file has more than one certificate or a certificate that is too long, expected one attested certificate');
    return certificateFile(der);
  }
  if (/^\s*\{/.test(text)) return bundleFile(jsonObjectOf(text, 'the evidence bundle', MAX_EVIDENCE_FILE_BYTES));
  const digits = text.replace(/\s+/g, '');
  const inner = digits.length > 0 && digits.length <= 2 * MAX_CERTIFICATE_BYTES && digits.length % 2 === 0 && /^[0-9a-fA-F]+$/.test(digits) ? binaryFile(Buffer.from(digits, 'hex')) : null;
  if (inner === null) throw unknownFile(bytes);
  return inner;
}

function unknownFile(bytes: Uint8Array, cause?: unknown) {
  const start = bytes.length === 0 ? 'it is empty' : `it has ${bytes.length} bytes and begins with ${toHex(bytes.subarray(0, 8))}`;
  return malformed(`the file is no evidence that is known: ${start}, expected a quote, a SEV-SNP report, an attested certificate or a JSON bundle`, cause);
}

function bundleFile(json: JsonObject): EvidenceFile {
  if (fieldOf(json, 'schema') !== undefined) return collectionFile(json);
  const has = (name: string): boolean => fieldOf(json, name) !== undefined;
  const kinds = ['quote_hex', 'report_hex', 'devices'].filter(has);
  const [kind, second] = kinds;
  if (kind === undefined || second !== undefined) {
    throw malformed(`the JSON bundle has ${kind === undefined ? 'none' : kinds.join(' and ')} of quote_hex, report_hex and devices, expected exactly one`);
  }
  if (kind === 'devices') return { ...FILE, form: 'bundle', gpu: { kind: 'nvidia', bundle: json } };
  return { ...FILE, form: 'bundle', cpu: kind === 'quote_hex' ? dcapPart(json, null) : snpPart(json, null, null) };
}

/** `{ quote_hex, collateral }`; test vectors name themselves and the time they are for, which decides nothing. */
function dcapPart(json: JsonObject, reportData: Uint8Array | null): DcapPart {
  onlyFields(json, ['quote_hex', 'collateral', 'name', 'expect', 'now'], 'the DCAP bundle');
  return { kind: 'dcap', quote: asHex(fieldOf(json, 'quote_hex'), 'quote_hex of the DCAP bundle', MAX_QUOTE_BYTES), collateral: fieldOf(json, 'collateral'), reportData };
}

/** `{ report_hex, collateral }` as snp/bundle.ts describes it. */
function snpPart(json: JsonObject, vek: string | null, reportData: Uint8Array | null): SnpPart {
  const what = 'the SEV-SNP bundle';
  onlyFields(json, ['report_hex', 'collateral'], what);
  const report = asHex(fieldOf(json, 'report_hex'), `report_hex of ${what}`, SNP_REPORT_BYTES);
  const given = fieldOf(json, 'collateral');
  if (given === undefined) return { kind: 'sev-snp', report, vek, collateral: null, reportData };
  const texts = asObject(given, `collateral of ${what}`);
  onlyFields(texts, ['vek', 'cert_chain', 'crl'], `collateral of ${what}`);
  const collateral = { vek: textField(texts, 'vek', what, MAX_PEM_BYTES), cert_chain: textField(texts, 'cert_chain', what, MAX_PEM_BYTES), crl: textField(texts, 'crl', what, 2 * MAX_CRL_BYTES) };
  return { kind: 'sev-snp', report, vek, collateral, reportData };
}

const COLLECTION = 'the evidence collection';

/** What `attest collect` writes: all of one machine, bound to one key and nonce. */
function collectionFile(json: JsonObject): EvidenceFile {
  onlyFields(json, ['schema', 'family', 'tls_public_key', 'nonce', 'cpu', 'vek', 'event_log', 'nvidia', 'freshness_signature'], COLLECTION);
  const schema = textField(json, 'schema', COLLECTION, 64);
  if (schema !== 'cocoon.evidence/1') throw malformed(`${COLLECTION} has the schema ${JSON.stringify(schema)}, expected "cocoon.evidence/1"`);
  const sized = (name: string, bytes: number): Uint8Array => {
    const value = asHex(fieldOf(json, name), `${name} of ${COLLECTION}`, bytes);
    if (value.length !== bytes) throw malformed(`${name} of ${COLLECTION} has ${value.length} bytes, expected ${bytes}`);
    return value;
  };
  const publicKey = sized('tls_public_key', 32);
  const reportData = reportDataOf(publicKey);
  const cpu = asObject(fieldOf(json, 'cpu'), `cpu of ${COLLECTION}`);
  const family = textField(json, 'family', COLLECTION, 16);
  if (family !== 'tdx' && family !== 'sev-snp') throw malformed(`${COLLECTION} has the family ${JSON.stringify(family)}, expected "tdx" or "sev-snp"`);
  const givenVek = fieldOf(json, 'vek') ?? null;
  const vek = givenVek === null ? null : asText(givenVek, `vek of ${COLLECTION}`, MAX_PEM_BYTES);
  const given = fieldOf(json, 'nvidia') ?? null;
  const nvidia = given === null ? null : asObject(given, `nvidia of ${COLLECTION}`);
  const devices = nvidia === null ? [] : listField(nvidia, 'devices', `nvidia of ${COLLECTION}`, MAX_GPUS);
  return {
    form: 'collection', certificate: null,
    collection: {
      publicKey, nonce: sized('nonce', 32), signature: sized('freshness_signature', 64),
      devices: devices.map((device) => {
        const what = `a device of ${COLLECTION}`;
        const object = asObject(device, what);
        return { evidence: textField(object, 'evidence', what, 1024 * 1024), certificate: textField(object, 'certificate', what, 1024 * 1024) };
      }),
      system: systemOf(nvidia === null ? undefined : fieldOf(nvidia, 'system')),
      eventLog: eventLogOf(fieldOf(json, 'event_log') ?? null),
    },
    cpu: family === 'tdx' ? dcapPart(cpu, reportData) : snpPart(cpu, vek, reportData),
    gpu: nvidia === null ? null : { kind: 'nvidia', bundle: nvidia },
  };
}

function systemOf(value: unknown): Collection['system'] {
  if (value === undefined) return null;
  const what = `system of ${COLLECTION}`;
  const object = asObject(value, what);
  return { cc_mode: textField(object, 'cc_mode', what, 8), dev_tools: textField(object, 'dev_tools', what, 8) };
}

const MAX_CCEL_TABLE_BYTES = 4096;
const MAX_CCEL_BYTES = 4 * 1024 * 1024;

function eventLogOf(value: unknown): Collection['eventLog'] {
  if (value === null) return null;
  const what = `event_log of ${COLLECTION}`;
  const object = asObject(value, what);
  onlyFields(object, ['ccel_table_hex', 'ccel_hex'], what);
  return {
    table: asHex(fieldOf(object, 'ccel_table_hex'), `ccel_table_hex of ${what}`, MAX_CCEL_TABLE_BYTES),
    log: asHex(fieldOf(object, 'ccel_hex'), `ccel_hex of ${what}`, MAX_CCEL_BYTES),
  };
}

/** A member with a misspelt name would otherwise count as absent. */
function onlyFields(object: JsonObject, known: readonly string[], what: string): void {
  const unknown = Object.keys(object).find((name) => !known.includes(name));
  if (unknown !== undefined) throw malformed(`${what} has the unknown member ${JSON.stringify(unknown.slice(0, 32))}, expected ${known.join(', ')}`);
}
