// Parses Intel quotes: version 3 (SGX), 4 and 5 (SGX, TD 1.0, TD 1.5), as Intel's quote verification library reads them,
// and stricter: every inner size must be used up exactly, and only zero bytes may follow. Refuses other versions, TEE and
// key types, body types that do not fit the TEE, other QE vendors, and certification data other than a PCK chain.
import { equalBytes, isZero, toHex } from '../../core/bytes.ts';
import type { AttestationError } from '../../core/errors.ts';
import { malformed, refused } from '../refusal.ts';
import { ByteReader } from './byte-reader.ts';
import type { EnclaveReport, Quote, QuoteBody, TdReport } from './quote.ts';

/** The largest quote that a certificate may carry (WIRE-2026-04.md section 7.1). */
export const MAX_QUOTE_BYTES = 32_768;
const HEADER_BYTES = 48;
const SGX_BODY_BYTES = 384;
const TD10_BODY_BYTES = 584;
const TD15_BODY_BYTES = 648;
const SIGNATURE_BYTES = 64;
const KEY_BYTES = 64;
const MAX_AUTH_DATA_BYTES = 1024;

const ECDSA_P256_KEY_TYPE = 2;
const TEE_SGX = 0x00;
const TEE_TDX = 0x81;
const BODY_SGX = 1;
const BODY_TD10 = 2;
const BODY_TD15 = 3;
const CERTIFICATION_PCK_CHAIN = 5;
const CERTIFICATION_QE_REPORT = 6;
/** Intel's quoting enclave: 939a7233-f79c-4ca9-940a-0db3957f0607. */
export const INTEL_QE_VENDOR = Uint8Array.from(Buffer.from('939a7233f79c4ca9940a0db3957f0607', 'hex'));

/** Parses a quote of at most MAX_QUOTE_BYTES; values are views into it. Throws AttestationError, nothing else. */
export function parseQuote(bytes: Uint8Array): Quote {
  if (bytes.length > MAX_QUOTE_BYTES) throw malformed(`the quote has ${bytes.length} bytes, expected at most ${MAX_QUOTE_BYTES}`);
  const reader = new ByteReader(bytes, 'the quote');
  const { version, tee } = readHeader(reader);
  const body = readBody(reader, version, tee);
  const signedBytes = bytes.subarray(0, reader.position);
  const signed = new ByteReader(reader.bytes(reader.u32('size of the signature data'), 'signature data'), 'the signature data');
  const padding = reader.rest();
  if (!isZero(padding)) throw malformed(`the quote is followed by ${padding.length} bytes that are not all zero`);
  const signature = signed.bytes(SIGNATURE_BYTES, 'quote signature');
  const attestationKey = signed.bytes(KEY_BYTES, 'attestation key');
  const certified = version === 3 ? readCertified(signed) : readNestedCertified(signed);
  signed.end();
  return { version, body, signedBytes, signature, attestationKey, ...certified, paddingBytes: padding.length };
}

function readHeader(reader: ByteReader): { version: Quote['version']; tee: QuoteBody['tee'] } {
  const header = new ByteReader(reader.bytes(HEADER_BYTES, 'header'), 'the quote header');
  const version = header.u16('version');
  if (version !== 3 && version !== 4 && version !== 5) throw unsupported('quote-version', `quote version ${version}`, '3, 4 or 5');
  const keyType = header.u16('attestation key type');
  if (keyType !== ECDSA_P256_KEY_TYPE) throw unsupported('quote-key-type', `attestation key type ${keyType}`, `${ECDSA_P256_KEY_TYPE} (ECDSA P-256)`);
  const teeType = header.u32('TEE type');
  // Version 3 calls these bytes reserved; Intel's library reads them as the TEE type of SGX there.
  if (teeType !== TEE_SGX && (teeType !== TEE_TDX || version === 3)) {
    throw unsupported('quote-tee-type', `TEE type 0x${teeType.toString(16)} in a version ${version} quote`, version === 3 ? '0 (SGX)' : '0 (SGX) or 0x81 (TDX)');
  }
  header.bytes(4, 'SVNs of QE and PCE');
  const vendor = header.bytes(INTEL_QE_VENDOR.length, 'QE vendor');
  if (!equalBytes(vendor, INTEL_QE_VENDOR)) throw unsupported('quote-qe-vendor', `QE vendor ${toHex(vendor)}`, toHex(INTEL_QE_VENDOR));
  return { version, tee: teeType === TEE_SGX ? 'sgx' : 'tdx' };
}

/** Version 5 states type and size of its body; versions 3 and 4 imply them. */
function readBody(reader: ByteReader, version: Quote['version'], tee: QuoteBody['tee']): QuoteBody {
  if (version !== 5) return tee === 'sgx' ? sgxBody(reader) : tdxBody(reader, false);
  const type = reader.u16('body type');
  const size = reader.u32('body size');
  const wanted = new Map([[BODY_SGX, SGX_BODY_BYTES], [BODY_TD10, TD10_BODY_BYTES], [BODY_TD15, TD15_BODY_BYTES]]).get(type);
  if (wanted === undefined) throw unsupported('quote-body-type', `body type ${type}`, '1 (SGX), 2 (TD 1.0) or 3 (TD 1.5)');
  if (size !== wanted) throw malformed(`the body of type ${type} claims ${size} bytes, expected ${wanted}`);
  if ((type === BODY_SGX) !== (tee === 'sgx')) throw unsupported('quote-body-type', `body type ${type} in a quote of ${tee.toUpperCase()}`, 'a body of the same TEE');
  return tee === 'sgx' ? sgxBody(reader) : tdxBody(reader, type === BODY_TD15);
}

const sgxBody = (reader: ByteReader): QuoteBody => ({ tee: 'sgx', report: parseEnclaveReport(reader.bytes(SGX_BODY_BYTES, 'SGX report body')) });
const tdxBody = (reader: ByteReader, later: boolean): QuoteBody =>
  ({ tee: 'tdx', report: parseTdReport(reader.bytes(later ? TD15_BODY_BYTES : TD10_BODY_BYTES, 'TD report body'), later) });

function parseEnclaveReport(raw: Uint8Array): EnclaveReport {
  const reader = new ByteReader(raw, 'the enclave report');
  const cpuSvn = reader.bytes(16, 'CPUSVN');
  const miscSelect = reader.bytes(4, 'MISCSELECT');
  reader.bytes(28, 'reserved and extended product id');
  const attributes = reader.bytes(16, 'ATTRIBUTES');
  const mrEnclave = reader.bytes(32, 'MRENCLAVE');
  reader.bytes(32, 'reserved');
  const mrSigner = reader.bytes(32, 'MRSIGNER');
  reader.bytes(96, 'reserved and CONFIGID');
  const isvProdId = reader.u16('ISVPRODID');
  const isvSvn = reader.u16('ISVSVN');
  reader.bytes(60, 'CONFIGSVN, reserved and family id');
  const reportData = reader.bytes(64, 'REPORTDATA');
  reader.end();
  return { raw, cpuSvn, miscSelect, attributes, mrEnclave, mrSigner, isvProdId, isvSvn, reportData };
}

function parseTdReport(raw: Uint8Array, later: boolean): TdReport {
  const reader = new ByteReader(raw, 'the TD report');
  const register = (name: string): Uint8Array => reader.bytes(48, name);
  const report = {
    teeTcbSvn: reader.bytes(16, 'TEE_TCB_SVN'), mrSeam: register('MRSEAM'), mrSignerSeam: register('MRSIGNERSEAM'),
    seamAttributes: reader.bytes(8, 'SEAMATTRIBUTES'), tdAttributes: reader.bytes(8, 'TDATTRIBUTES'), xfam: reader.bytes(8, 'XFAM'),
    mrTd: register('MRTD'), mrConfigId: register('MRCONFIGID'), mrOwner: register('MROWNER'), mrOwnerConfig: register('MROWNERCONFIG'),
    rtmr0: register('RTMR0'), rtmr1: register('RTMR1'), rtmr2: register('RTMR2'), rtmr3: register('RTMR3'),
    reportData: reader.bytes(64, 'REPORTDATA'),
    later: later ? { teeTcbSvn2: reader.bytes(16, 'TEE_TCB_SVN2'), mrServiceTd: register('MRSERVICETD') } : null,
  };
  reader.end();
  return report;
}

type Certified = Pick<Quote, 'qeReport' | 'qeReportSignature' | 'qeAuthData' | 'pckChain'>;

/** Versions 4 and 5: QE report and PCK chain are the content of certification data of type 6. */
function readNestedCertified(signed: ByteReader): Certified {
  const type = signed.u16('certification data type');
  const size = signed.u32('certification data size');
  if (type !== CERTIFICATION_QE_REPORT) {
    throw unsupported('quote-certification-data', `outer certification data of type ${type}`, `${CERTIFICATION_QE_REPORT} (QE report)`);
  }
  const inner = new ByteReader(signed.bytes(size, 'certification data'), 'the certification data');
  const certified = readCertified(inner);
  inner.end();
  return certified;
}

function readCertified(reader: ByteReader): Certified {
  const qeReport = parseEnclaveReport(reader.bytes(SGX_BODY_BYTES, 'QE report'));
  const qeReportSignature = reader.bytes(SIGNATURE_BYTES, 'QE report signature');
  const authBytes = reader.u16('size of the QE authentication data');
  if (authBytes > MAX_AUTH_DATA_BYTES) throw malformed(`the QE authentication data claims ${authBytes} bytes, expected at most ${MAX_AUTH_DATA_BYTES}`);
  const qeAuthData = reader.bytes(authBytes, 'QE authentication data');
  const type = reader.u16('PCK certification data type');
  const pckChain = reader.bytes(reader.u32('size of the PCK certification data'), 'PCK certification data');
  if (type !== CERTIFICATION_PCK_CHAIN) {
    throw unsupported('quote-certification-data', `PCK certification data of type ${type}`, `${CERTIFICATION_PCK_CHAIN} (the PCK chain itself)`);
  }
  return { qeReport, qeReportSignature, qeAuthData, pckChain };
}

function unsupported(check: string, seen: string, wanted: string): AttestationError {
  return refused({ check, seen, wanted, meaning: 'it is not a quote that Intel\'s quoting enclaves make' });
}
