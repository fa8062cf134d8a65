// The JSON bundle of an SEV-SNP report and what is needed to verify it, as `cocoon attest verify` reads it. Refuses unknown
// members, texts out of bounds, and certificates or lists that cannot be parsed. Everything in it is untrusted.
import { asHex, asObject, fieldOf, textField } from '../dcap/json-reader.ts';
import { malformed } from '../refusal.ts';
import { parseX509 } from '../x509/certificate.ts';
import type { X509 } from '../x509/certificate.ts';
import { MAX_CRL_BYTES, parseCrl } from '../x509/crl.ts';
import type { Crl } from '../x509/crl.ts';
import { MAX_PEM_BYTES, certificatesOfPem } from '../x509/pem.ts';
import { SNP_REPORT_BYTES } from './parse-report.ts';

/** Parsed, not yet believed. */
export interface SnpCollateral {
  /** VCEK or VLEK. */
  readonly vek: X509;
  /** ASK above a VCEK, ASVK above a VLEK. */
  readonly ask: X509;
  /** The root, which must be one of the pinned ones. */
  readonly ark: X509;
  /** Revocation list of the root. */
  readonly crl: Crl;
}

/** The same as it is fetched from AMD's key distribution service. */
export interface SnpCollateralTexts {
  /** PEM of the VCEK or VLEK. */
  readonly vek: string;
  /** PEM of ASK (or ASVK) and ARK, in this order: the answer to `/vcek/v1/{product}/cert_chain`. */
  readonly cert_chain: string;
  /** Hexadecimal DER: the answer to `/vcek/v1/{product}/crl`. */
  readonly crl: string;
}

export interface SnpBundle {
  /** Bytes of the report; parseSnpReport reads them. */
  readonly report: Uint8Array;
  readonly collateral: SnpCollateral;
}

/**
 * Reads a bundle:
 * `{ "report_hex": "<1184 bytes>", "collateral": { "vek": "<PEM>", "cert_chain": "<PEM: ASK, ARK>", "crl": "<DER, hexadecimal>" } }`.
 * For a report signed by a VLEK, `vek` is the VLEK and `cert_chain` holds ASVK and ARK.
 * Throws AttestationError E_EVIDENCE_MALFORMED (for algorithms that no chain of AMD's uses: E_EVIDENCE_REFUSED).
 */
export function parseSnpBundle(json: unknown): SnpBundle {
  const what = 'the SEV-SNP bundle';
  const bundle = asObject(json, what);
  onlyFields(bundle, ['report_hex', 'collateral'], what);
  const collateral = asObject(fieldOf(bundle, 'collateral'), `collateral of ${what}`);
  onlyFields(collateral, ['vek', 'cert_chain', 'crl'], `collateral of ${what}`);
  return {
    report: asHex(fieldOf(bundle, 'report_hex'), `report_hex of ${what}`, SNP_REPORT_BYTES),
    collateral: parseSnpCollateral({
      vek: textField(collateral, 'vek', what, MAX_PEM_BYTES),
      cert_chain: textField(collateral, 'cert_chain', what, MAX_PEM_BYTES),
      crl: textField(collateral, 'crl', what, 2 * MAX_CRL_BYTES),
    }),
  };
}

/** Parses the collateral of one report. Throws AttestationError. */
export function parseSnpCollateral(texts: SnpCollateralTexts): SnpCollateral {
  const [vek] = exactly(1, certificatesOfPem(texts.vek, 'VCEK or VLEK', 1), 'vek');
  const [ask, ark] = exactly(2, certificatesOfPem(texts.cert_chain, 'certificate chain', 2), 'cert_chain');
  if (vek === undefined || ask === undefined || ark === undefined) throw malformed('the SEV-SNP collateral lacks a certificate');
  const crl = asHex(texts.crl, 'crl of the SEV-SNP collateral', MAX_CRL_BYTES);
  return { vek: parseX509(vek, 'chip key'), ask: parseX509(ask, 'signing authority'), ark: parseX509(ark, 'root'), crl: parseCrl(crl) };
}

function exactly(count: number, certificates: readonly Uint8Array[], member: string): readonly Uint8Array[] {
  if (certificates.length !== count) throw malformed(`${member} of the SEV-SNP collateral has ${certificates.length} certificates, expected ${count}`);
  return certificates;
}

/** A member with a misspelt name would otherwise count as absent. */
function onlyFields(object: object, known: readonly string[], what: string): void {
  const unknown = Object.keys(object).find((name) => !known.includes(name));
  if (unknown !== undefined) throw malformed(`${what} has the unknown member ${JSON.stringify(unknown.slice(0, 32))}, expected ${known.join(', ')}`);
}
