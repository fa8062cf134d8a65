// Evidence as critical certificate extensions with raw content: no DER inside the OCTET STRING (WIRE.md section 3,
// WIRE-2026-04.md section 7.1). Refuses two families at once, an incomplete family and contents of a wrong size.
import { equalBytes, toHex } from '../core/bytes.ts';
import { malformed, refused } from './refusal.ts';
import { REPORT_DATA_BYTES } from './report-data.ts';

export const OID = {
  tdxQuote: '1.3.6.1.4.1.12345.1',
  tdxUserClaims: '1.3.6.1.4.1.12345.2',
  sevReportData: '1.3.6.1.4.1.12345.100',
  sevReport: '1.3.6.1.4.1.12345.101',
  sevVcek: '1.3.6.1.4.1.12345.102',
  simulated: '1.3.6.1.4.1.12345.9000',
} as const;

export const MAX_QUOTE_BYTES = 32_768;
export const SEV_REPORT_BYTES = 1184;
/** A VCEK is about 1400 bytes of DER, 1900 of PEM. */
export const MAX_VCEK_PEM_BYTES = 8192;
/** Magic 8, role 1, measurement 48, report data 64, network id 32, signature 64; the layout is in simulated.ts. */
export const SIMULATED_EVIDENCE_BYTES = 217;

/** What a certificate carries to prove its owner. A 64-byte TDX "quote" is the C++ test mode's fake (fake-tdx.ts). */
export type CertificateEvidence =
  | { readonly family: 'none' }
  | { readonly family: 'tdx'; readonly quote: Uint8Array }
  | { readonly family: 'sev-snp'; readonly reportData: Uint8Array; readonly report: Uint8Array; readonly vcekPem: Uint8Array }
  | { readonly family: 'simulated'; readonly evidence: Uint8Array };

export type EvidenceFamily = CertificateEvidence['family'];

export interface RawExtension {
  readonly oid: string;
  /** Content of the extension's OCTET STRING. */
  readonly value: Uint8Array;
}

/** The extensions that carry `evidence` for a TLS key, in the order of section 3; all of them go in as critical. */
export function evidenceExtensions(evidence: CertificateEvidence, publicKey: Uint8Array): RawExtension[] {
  switch (evidence.family) {
    case 'none': return [];
    case 'tdx': return [{ oid: OID.tdxQuote, value: evidence.quote }, { oid: OID.tdxUserClaims, value: publicKey }];
    case 'sev-snp': return [
      { oid: OID.sevReportData, value: evidence.reportData },
      { oid: OID.sevReport, value: evidence.report },
      { oid: OID.sevVcek, value: evidence.vcekPem },
    ];
    case 'simulated': return [{ oid: OID.simulated, value: evidence.evidence }];
  }
}

const FAMILY_OF = new Map<string, Exclude<EvidenceFamily, 'none'>>([
  [OID.tdxQuote, 'tdx'], [OID.tdxUserClaims, 'tdx'],
  [OID.sevReportData, 'sev-snp'], [OID.sevReport, 'sev-snp'], [OID.sevVcek, 'sev-snp'],
  [OID.simulated, 'simulated'],
]);

/** True for the extensions that this file reads. */
export const isEvidenceOid = (oid: string): boolean => FAMILY_OF.has(oid);

/**
 * The evidence in the critical extensions of a certificate (`value` by OID). Extensions that are not critical must be
 * left out by the caller: they count as absent. Throws AttestationError.
 */
export function evidenceOfExtensions(critical: ReadonlyMap<string, Uint8Array>, publicKey: Uint8Array): CertificateEvidence {
  const families = new Set([...critical.keys()].flatMap((oid) => FAMILY_OF.get(oid) ?? []));
  const [family, second] = families;
  if (second !== undefined) {
    throw refused({
      check: 'one-family', seen: `evidence of ${[...families].join(' and ')}`, wanted: 'one family',
      meaning: 'a certificate proves one machine, so nothing says which evidence would count',
    });
  }
  if (family === undefined) return { family: 'none' };
  switch (family) {
    case 'tdx': return tdxEvidence(critical, publicKey);
    case 'sev-snp': return {
      family,
      reportData: field(critical, OID.sevReportData, 'SEV report data', REPORT_DATA_BYTES, REPORT_DATA_BYTES),
      report: field(critical, OID.sevReport, 'SEV-SNP attestation report', SEV_REPORT_BYTES, SEV_REPORT_BYTES),
      vcekPem: field(critical, OID.sevVcek, 'VCEK certificate', 1, MAX_VCEK_PEM_BYTES),
    };
    case 'simulated': return {
      family,
      evidence: field(critical, OID.simulated, 'simulated evidence', SIMULATED_EVIDENCE_BYTES, SIMULATED_EVIDENCE_BYTES),
    };
  }
}

/** The C++ verifier never compares the user claims; its certificates always carry the TLS key there, so ours does compare. */
function tdxEvidence(critical: ReadonlyMap<string, Uint8Array>, publicKey: Uint8Array): CertificateEvidence {
  const quote = field(critical, OID.tdxQuote, 'TDX quote', 1, MAX_QUOTE_BYTES);
  const claims = field(critical, OID.tdxUserClaims, 'TDX user claims', 32, 32);
  if (!equalBytes(claims, publicKey)) {
    throw refused({
      check: 'user-claims', seen: toHex(claims), wanted: `the certificate's own key ${toHex(publicKey)}`,
      meaning: 'the claims were made for another TLS key',
    });
  }
  return { family: 'tdx', quote };
}

function field(critical: ReadonlyMap<string, Uint8Array>, oid: string, name: string, min: number, max: number): Uint8Array {
  const value = critical.get(oid);
  if (value === undefined) throw malformed(`the critical extension ${oid} (${name}) is missing next to the others of its family`);
  if (value.length < min || value.length > max) {
    const wanted = min === max ? `${min}` : `${min} to ${max}`;
    throw malformed(`the extension ${oid} (${name}) has ${value.length} bytes, expected ${wanted}`);
  }
  return value;
}
