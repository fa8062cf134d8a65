// Intel's collateral (PCS API v4, or a PCCS that repeats it): TCB info, QE identity, both CRLs. Gives the QuoteCollateralV3
// JSON shape that src/tee/dcap verifies. Refuses answers that are another document than the one asked for.
import { toHex } from '../../core/bytes.ts';
import { parsePckFacts } from '../dcap/pck.ts';
import type { Quote } from '../dcap/quote.ts';
import { malformed } from '../refusal.ts';
import { parseX509 } from '../x509/certificate.ts';
import { MAX_CRL_BYTES, parseCrl } from '../x509/crl.ts';
import { certificatesOfPem } from '../x509/pem.ts';
import { chainField, earliestEnd, field, hexField, jsonObject, parsing, strictPem, textOf } from './document.ts';
import type { DocumentContent, DocumentSpec } from './document.ts';
import { unusable } from './errors.ts';
import type { HttpAnswer } from './http.ts';
import { DEFAULT_SERVICES, serviceUrl } from './service-url.ts';
import type { CollateralSource } from './source.ts';

/** `early`: TCB info of a recovery event as soon as Intel publishes it; `standard`: when its grace period for platforms is over. */
export type TcbUpdate = 'standard' | 'early';

/** What Intel must be asked about one quote. */
export interface DcapQuestion {
  readonly tee: 'sgx' | 'tdx';
  /** 12 lower-case hexadecimal digits. */
  readonly fmspc: string;
  /** Which of Intel's authorities has issued the PCK certificate. */
  readonly ca: 'processor' | 'platform';
}

export interface IntelService {
  /** Address of a PCCS; default: Intel itself. http on loopback only. */
  readonly pccs?: string;
  /** Default: standard. */
  readonly update?: TcbUpdate;
}

/** QuoteCollateralV3. UNTRUSTED: CRLs as DER in hexadecimal, signed JSON as text, chains as PEM (leaf first). */
export interface DcapCollateralTexts {
  readonly pck_crl_issuer_chain: string;
  readonly root_ca_crl: string;
  readonly pck_crl: string;
  readonly tcb_info_issuer_chain: string;
  readonly tcb_info: string;
  readonly tcb_info_signature: string;
  readonly qe_identity_issuer_chain: string;
  readonly qe_identity: string;
  readonly qe_identity_signature: string;
}

const MAX_PCK_CHAIN = 4;
const MAX_JSON_BYTES = 1024 * 1024;
const JSON_TYPES = /^application\/([a-z.+-]+\+)?json\b/i;
/** Types of CRLs and, where a PCCS writes them as text, whatever it calls them: the content decides. */
const CRL_TYPES = /^(?:$|(?:application\/(?:pkix-crl|octet-stream|x-pem-file|x-pkcs7-crl|x-x509-ca-cert)|binary\/octet-stream|text\/(?:plain|html))(?:$|\s*;))/i;
/** Common names of the two authorities end in this, those of test PKIs too. */
const CA_NAME = /SGX PCK (Processor|Platform) CA$/;

/** Reads the question out of a quote's PCK certificate, which is not verified here. Throws AttestationError. */
export function dcapQuestionOf(quote: Quote): DcapQuestion {
  const [der] = certificatesOfPem(quote.pckChain, 'PCK chain', MAX_PCK_CHAIN);
  if (der === undefined) throw malformed('the PCK chain has no certificate');
  const leaf = parseX509(der, 'PCK certificate');
  const { commonName } = leaf.issuer;
  const authority = CA_NAME.exec(commonName)?.[1];
  if (authority === undefined) {
    throw malformed(`the PCK certificate is issued by ${JSON.stringify(commonName.slice(0, 64))}, expected Intel's SGX PCK Processor CA or Platform CA`);
  }
  const ca = authority === 'Processor' ? 'processor' : 'platform';
  return { tee: quote.body.tee, fmspc: toHex(parsePckFacts(leaf).fmspc), ca };
}

/** The four documents that one quote needs, in the order that `assembleDcapCollateral` takes them. Throws ConfigError E_CONFIG. */
export function dcapDocuments({ tee, fmspc, ca }: DcapQuestion, { pccs, update = 'standard' }: IntelService = {}): DocumentSpec[] {
  if (!/^[0-9a-f]{12}$/.test(fmspc)) throw new RangeError(`expected an FMSPC of 12 lower-case hexadecimal digits, got ${JSON.stringify(fmspc)}`);
  const base = pccs === undefined ? DEFAULT_SERVICES.intelPcs : serviceUrl(pccs, 'the PCCS', true);
  const api = (family: string): string => `${base}/${family}/certification/v4`;
  return [
    signedDocument({
      id: `intel-${tee}-tcb-info-${fmspc}-${update}`, what: `TCB info for ${tee.toUpperCase()} of the platform ${fmspc}`,
      url: `${api(tee)}/tcb?fmspc=${fmspc.toUpperCase()}&update=${update}`, member: 'tcbInfo', chainHeaders: ['tcb-info-issuer-chain', 'sgx-tcb-info-issuer-chain'],
      wanted: { id: tee.toUpperCase(), fmspc },
    }),
    signedDocument({
      id: `intel-${tee}-qe-identity-${update}`, what: `QE identity for ${tee.toUpperCase()}`,
      url: `${api(tee)}/qe/identity?update=${update}`, member: 'enclaveIdentity', chainHeaders: ['sgx-enclave-identity-issuer-chain'],
      wanted: { id: tee === 'tdx' ? 'TD_QE' : 'QE' },
    }),
    crlDocument({ id: `intel-pck-crl-${ca}`, what: `CRL of Intel's PCK ${ca} CA`, url: `${api('sgx')}/pckcrl?ca=${ca}&encoding=der`, chainHeader: 'sgx-pck-crl-issuer-chain' }),
    crlDocument({ id: 'intel-root-crl', what: 'CRL of Intel\'s SGX root CA', url: pccs === undefined ? DEFAULT_SERVICES.intelRootCrl : `${api('sgx')}/rootcacrl` }),
  ];
}

/** Gets what is needed to verify one quote. UNTRUSTED until the DCAP verifier has judged it. Errors as of `CollateralSource.get`. */
export async function assembleDcapCollateral(
  source: CollateralSource, question: DcapQuestion, service: IntelService = {}, signal?: AbortSignal,
): Promise<DcapCollateralTexts> {
  const [tcb, qe, pckCrl, rootCrl] = await source.get(dcapDocuments(question, service), signal);
  if (tcb === undefined || qe === undefined || pckCrl === undefined || rootCrl === undefined) throw unusable('the collateral of the quote');
  const of = (content: DocumentContent, name: string): string => field(content, name, 'the collateral of the quote');
  return {
    pck_crl_issuer_chain: of(pckCrl, 'issuer_chain'), root_ca_crl: of(rootCrl, 'crl'), pck_crl: of(pckCrl, 'crl'),
    tcb_info_issuer_chain: of(tcb, 'issuer_chain'), tcb_info: of(tcb, 'text'), tcb_info_signature: of(tcb, 'signature'),
    qe_identity_issuer_chain: of(qe, 'issuer_chain'), qe_identity: of(qe, 'text'), qe_identity_signature: of(qe, 'signature'),
  };
}

const get = (url: string, accept: string, maxBytes: number): DocumentSpec['request'] => ({ url, method: 'GET', headers: { accept }, maxBytes });

/** The chain that Intel sends URL-encoded in a header. Throws E_COLLATERAL. */
function chainOfHeader({ headers }: HttpAnswer, names: readonly string[], what: string): string {
  const encoded = names.map((name) => headers.get(name)).find((value) => value !== undefined);
  if (encoded === undefined) throw unusable(`${what}: the answer has no header ${names[0]}`);
  let text: string;
  try {
    text = decodeURIComponent(encoded);
  } catch (error) {
    throw unusable(`${what}: its header ${names[0]} is not URL-encoded text`, { cause: error });
  }
  return strictPem(text, what);
}

interface SignedDocument {
  readonly id: string;
  readonly what: string;
  readonly url: string;
  readonly member: 'tcbInfo' | 'enclaveIdentity';
  /** The first one that is present counts. */
  readonly chainHeaders: readonly string[];
  /** Members that tell whether it is the document that was asked for. */
  readonly wanted: Readonly<Record<string, string>>;
}

/** `{"tcbInfo":{…},"signature":"…"}`: the signature is over the member's very bytes, so they are cut out, not parsed and written anew. */
function signedDocument({ id, what, url, member, chainHeaders, wanted }: SignedDocument): DocumentSpec {
  const envelope = new RegExp(`^\\s*\\{\\s*"${member}"\\s*:\\s*(\\{[^]*\\})\\s*,\\s*"signature"\\s*:\\s*"([0-9a-fA-F]{128})"\\s*\\}\\s*$`);
  return {
    id, what, request: get(url, 'application/json', MAX_JSON_BYTES), mediaTypes: JSON_TYPES,
    decode(answer) {
      const match = envelope.exec(textOf(answer, what));
      if (match === null) throw unusable(`${what}: the answer is not {"${member}":{…},"signature":"…"} with a signature of 64 bytes`);
      const [, text = '', signature = ''] = match;
      return { text, signature: signature.toLowerCase(), issuer_chain: chainOfHeader(answer, chainHeaders, what) };
    },
    expiresAtMs(content) {
      const json = jsonObject(field(content, 'text', what), what);
      for (const [name, value] of Object.entries(wanted)) {
        const seen = json[name];
        if (typeof seen !== 'string' || (seen !== value && seen.toLowerCase() !== value)) {
          throw unusable(`${what}: its ${name} is ${JSON.stringify(seen)?.slice(0, 64)}, expected ${value}`);
        }
      }
      if (hexField(content, 'signature', what).length !== 64) throw unusable(`${what}: its signature does not have 64 bytes`);
      const nextUpdate = typeof json['nextUpdate'] === 'string' ? Date.parse(json['nextUpdate']) : Number.NaN;
      if (!Number.isFinite(nextUpdate)) throw unusable(`${what}: it has no nextUpdate`);
      return Math.min(nextUpdate, earliestEnd(chainField(content, 'issuer_chain', what, 2)));
    },
  };
}

interface CrlDocument {
  readonly id: string;
  readonly what: string;
  readonly url: string;
  readonly chainHeader?: string;
}

function crlDocument({ id, what, url, chainHeader }: CrlDocument): DocumentSpec {
  return {
    id, what, request: get(url, 'application/pkix-crl', 2 * MAX_CRL_BYTES + 1024), mediaTypes: CRL_TYPES,
    decode(answer) {
      const crl = toHex(crlBytes(answer, what));
      return chainHeader === undefined ? { crl } : { crl, issuer_chain: chainOfHeader(answer, [chainHeader], what) };
    },
    expiresAtMs(content) {
      const { nextUpdate } = parsing(what, () => parseCrl(hexField(content, 'crl', what)));
      return chainHeader === undefined ? nextUpdate : Math.min(nextUpdate, earliestEnd(chainField(content, 'issuer_chain', what, 2)));
    },
  };
}

/** DER of a CRL: services send DER, PEM, or (PCCS) DER in hexadecimal. Throws E_COLLATERAL. */
export function crlBytes(answer: HttpAnswer, what: string): Uint8Array {
  if (answer.body[0] === 0x30 && answer.body[1] !== undefined && answer.body[1] >= 0x80) return answer.body;
  const text = textOf(answer, what).trim();
  if (text.length > 0 && text.length % 2 === 0 && /^[0-9a-fA-F]+$/.test(text)) return Buffer.from(text, 'hex');
  const pem = /^-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----$/.exec(text);
  if (pem === null) throw unusable(`${what}: the answer is no CRL in DER, PEM or hexadecimal`);
  return Buffer.from((pem[1] ?? '').replace(/\s/g, ''), 'base64');
}
