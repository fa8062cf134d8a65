// AMD's collateral (key distribution service, AMD 57230 chapter 4): the chip's VCEK, the authority's chain and its CRL.
// A VLEK is loaded by the cloud provider and comes with the evidence, not from AMD. Gives the texts that src/tee/snp takes.
// Refuses a VCEK for another chip or TCB than the one asked for, and asks AMD one thing at a time.
import { equalBytes, isZero, toHex } from '../../core/bytes.ts';
import { ConfigError } from '../../core/errors.ts';
import type { SnpCollateralTexts } from '../snp/bundle.ts';
import type { SnpReport, SnpSigner } from '../snp/parse-report.ts';
import { CHIP_ID_BYTES, productOfCpu, tcbOf, tcbText } from '../snp/products.ts';
import type { SnpProduct, Tcb } from '../snp/products.ts';
import { vekFactsOf } from '../snp/vek.ts';
import { parseX509 } from '../x509/certificate.ts';
import { MAX_CRL_BYTES, parseCrl } from '../x509/crl.ts';
import { certificatesOfPem } from '../x509/pem.ts';
import { chainField, earliestEnd, field, hexField, parsing, pemOf, strictPem, textOf } from './document.ts';
import type { DocumentSpec } from './document.ts';
import { unusable } from './errors.ts';
import { crlBytes } from './intel.ts';
import { DEFAULT_SERVICES } from './service-url.ts';
import type { CollateralSource } from './source.ts';

/** What AMD must be asked about one report. */
export interface SnpQuestion {
  readonly product: SnpProduct;
  readonly signer: SnpSigner;
  /** The significant bytes: 64, 8 on Turin. */
  readonly chipId: Uint8Array;
  readonly tcb: Tcb;
}

const MAX_CERTIFICATE_BYTES = 64 * 1024;
/** The service writes different types over the years; an error page is HTML or JSON. */
const BINARY_TYPES = /^(?!text\/html|application\/json)/i;

/**
 * Reads the question out of a report, which is not verified here. Reports before version 3 do not name their CPU; there
 * `product` must be given (a VCEK or VLEK at hand names it). Throws ConfigError E_CONFIG, or AttestationError.
 */
export function snpQuestionOf(report: SnpReport, product?: SnpProduct): SnpQuestion {
  const named = report.cpu === null ? null : productOfCpu(report.cpu.family, report.cpu.model);
  const known = named ?? product;
  if (known === undefined) {
    throw new ConfigError('E_CONFIG', `the report of version ${report.version} does not say which processor made it, expected Milan, Genoa or Turin to be named`, {
      hint: 'pass the VCEK along with the report: it names the processor',
    });
  }
  return { product: known, signer: report.signer, chipId: report.chipId.slice(0, CHIP_ID_BYTES[known]), tcb: tcbOf(report.reportedTcb, known, 'reported') };
}

/** Certificate chain and CRL of the authority above a VCEK or VLEK. */
export function snpAuthorityDocuments({ product, signer }: Pick<SnpQuestion, 'product' | 'signer'>): [chain: DocumentSpec, crl: DocumentSpec] {
  const kind = signer.toLowerCase();
  const base = `${DEFAULT_SERVICES.amdKds}/${kind}/v1/${product}`;
  const name = `amd-${kind}-${product.toLowerCase()}`;
  return [chainDocument(`${name}-cert-chain`, `certificate chain of AMD's ${signer} authority for ${product}`, `${base}/cert_chain`),
    crlDocument(`${name}-crl`, `CRL of AMD's ${signer} authority for ${product}`, `${base}/crl`)];
}

/** The VCEK of one chip at one TCB. Throws ConfigError E_CONFIG when the platform hides its chip id. */
export function vcekDocument({ product, chipId, tcb }: SnpQuestion): DocumentSpec {
  if (isZero(chipId)) {
    throw new ConfigError('E_CONFIG', 'the report does not name its chip, so AMD cannot be asked for its key', { hint: 'pass the VCEK along with the report' });
  }
  const hardwareId = toHex(chipId);
  const fmc = product === 'Turin' ? `fmcSPL=${tcb.fmc}&` : '';
  const query = `${fmc}blSPL=${tcb.bootloader}&teeSPL=${tcb.tee}&snpSPL=${tcb.snp}&ucodeSPL=${tcb.microcode}`;
  const what = `VCEK of the ${product} chip ${hardwareId.slice(0, 16)}… at ${tcbText(tcb, product)}`;
  const parts = [tcb.fmc, tcb.bootloader, tcb.tee, tcb.snp, tcb.microcode].join('.');
  return {
    id: `amd-vcek-${product.toLowerCase()}-${hardwareId}-${parts}`, what, serial: true, mediaTypes: BINARY_TYPES,
    request: {
      url: `${DEFAULT_SERVICES.amdKds}/vcek/v1/${product}/${hardwareId}?${query}`, method: 'GET',
      headers: { accept: 'application/pkix-cert, application/octet-stream' }, maxBytes: MAX_CERTIFICATE_BYTES,
    },
    decode: (answer) => ({ vek: answer.body[0] === 0x30 ? pemOf(answer.body) : strictPem(textOf(answer, what), what) }),
    expiresAtMs(content) {
      const [certificate, ...more] = chainField(content, 'vek', what);
      if (certificate === undefined || more.length > 0) throw unusable(`${what}: it is not one certificate`);
      const facts = parsing(what, () => vekFactsOf(certificate));
      const isAsked = facts.kind === 'VCEK' && facts.product === product && facts.hardwareId !== null && equalBytes(facts.hardwareId, chipId)
        && tcbText(facts.tcb, product) === tcbText(tcb, product);
      if (!isAsked) throw unusable(`${what}: the certificate is for another chip or TCB`);
      return certificate.notAfter;
    },
  };
}

function chainDocument(id: string, what: string, url: string): DocumentSpec {
  return {
    id, what, serial: true, mediaTypes: BINARY_TYPES,
    request: { url, method: 'GET', headers: { accept: 'application/x-pem-file, text/plain, application/octet-stream' }, maxBytes: MAX_CERTIFICATE_BYTES },
    decode: (answer) => ({ cert_chain: strictPem(textOf(answer, what), what) }),
    expiresAtMs(content) {
      const chain = chainField(content, 'cert_chain', what, 2);
      if (chain.length !== 2) throw unusable(`${what}: it has ${chain.length} certificates, expected 2`);
      return earliestEnd(chain);
    },
  };
}

function crlDocument(id: string, what: string, url: string): DocumentSpec {
  return {
    id, what, serial: true, mediaTypes: BINARY_TYPES,
    request: { url, method: 'GET', headers: { accept: 'application/pkix-crl, application/octet-stream' }, maxBytes: MAX_CRL_BYTES },
    decode: (answer) => ({ crl: toHex(crlBytes(answer, what)) }),
    expiresAtMs: (content) => parsing(what, () => parseCrl(hexField(content, 'crl', what))).nextUpdate,
  };
}

/**
 * Gets what is needed to verify one report. `vek` is the PEM of the VCEK or VLEK that came with it, if one did; a VLEK
 * must have come. UNTRUSTED until the SNP verifier has judged it. Errors as of `CollateralSource.get`, and E_CONFIG for a
 * report signed by a VLEK that is not at hand.
 */
export async function assembleSnpCollateral(
  source: CollateralSource, question: SnpQuestion, vek?: string, signal?: AbortSignal,
): Promise<SnpCollateralTexts> {
  if (vek === undefined && question.signer === 'VLEK') {
    throw new ConfigError('E_CONFIG', 'the report is signed by a VLEK, which its cloud provider keeps and AMD does not give out', { hint: 'pass the VLEK along with the report' });
  }
  const authority = snpAuthorityDocuments(question);
  const [chain, crl, chipKey] = await source.get(vek === undefined ? [...authority, vcekDocument(question)] : authority, signal);
  if (chain === undefined || crl === undefined) throw unusable('the collateral of the report');
  const of = (content: Readonly<Record<string, string>>, name: string): string => field(content, name, 'the collateral of the report');
  return { vek: vek ?? of(chipKey ?? {}, 'vek'), cert_chain: of(chain, 'cert_chain'), crl: of(crl, 'crl') };
}

/** Product that the PEM of a VCEK or VLEK names, for reports that do not. Throws AttestationError. */
export function productOfVek(vek: string): SnpProduct | undefined {
  const [der] = certificatesOfPem(vek, 'VCEK or VLEK', 1);
  return der === undefined ? undefined : vekFactsOf(parseX509(der)).product;
}
