// Where each field of a quote or report is: name, offset, length, in the order of the bytes and without gaps (Intel TDX DCAP
// quoting library API, appendix 3; AMD 56860). For showing bytes and for changing them one field at a time; parsers judge.
import { parseQuote } from './dcap/parse-quote.ts';
import { SNP_REPORT_BYTES } from './snp/parse-report.ts';

export interface ByteField {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
}

type Layout = readonly (readonly [name: string, length: number])[];

const HEADER: Layout = [
  ['version', 2], ['attestation key type', 2], ['TEE type', 4], ['QE SVN', 2], ['PCE SVN', 2], ['QE vendor', 16], ['user data', 20],
];
const BODY_TYPE: Layout = [['body type', 2], ['body size', 4]];
const REGISTERS: Layout = ['MRTD', 'MRCONFIGID', 'MROWNER', 'MROWNERCONFIG', 'RTMR0', 'RTMR1', 'RTMR2', 'RTMR3'].map((name) => [name, 48] as const);
const TD: Layout = [
  ['TEE_TCB_SVN', 16], ['MRSEAM', 48], ['MRSIGNERSEAM', 48], ['SEAMATTRIBUTES', 8], ['TDATTRIBUTES', 8], ['XFAM', 8], ...REGISTERS, ['REPORTDATA', 64],
];
const TD15: Layout = [...TD, ['TEE_TCB_SVN2', 16], ['MRSERVICETD', 48]];
const ENCLAVE: Layout = [
  ['CPUSVN', 16], ['MISCSELECT', 4], ['reserved', 12], ['ISVEXTPRODID', 16], ['ATTRIBUTES', 16], ['MRENCLAVE', 32], ['reserved 2', 32], ['MRSIGNER', 32],
  ['reserved 3', 32], ['CONFIGID', 64], ['ISVPRODID', 2], ['ISVSVN', 2], ['CONFIGSVN', 2], ['reserved 4', 42], ['ISVFAMILYID', 16], ['REPORTDATA', 64],
];
const QE_REPORT: Layout = ENCLAVE.map(([name, length]) => [`QE report ${name}`, length] as const);

function placed(layout: Layout): ByteField[] {
  let offset = 0;
  return layout.flatMap(([name, length]) => {
    const field = { name, offset, length };
    offset += length;
    return length === 0 ? [] : [field];
  });
}

/** Fields of a quote, padding included. Throws AttestationError for bytes that are no quote. */
export function fieldsOfQuote(bytes: Uint8Array): ByteField[] {
  const { version, body, qeAuthData, pckChain, paddingBytes } = parseQuote(bytes);
  const report = body.tee === 'sgx' ? ENCLAVE : body.report.later === null ? TD : TD15;
  return placed([
    ...HEADER, ...(version === 5 ? BODY_TYPE : []), ...report, ['size of the signature data', 4], ['quote signature', 64], ['attestation key', 64],
    ...(version === 3 ? [] : [['certification data type', 2], ['certification data size', 4]] as const),
    ...QE_REPORT, ['QE report signature', 64], ['size of the QE authentication data', 2], ['QE authentication data', qeAuthData.length],
    ['PCK certification data type', 2], ['PCK certification data size', 4], ['PCK chain', pckChain.length], ['padding', paddingBytes],
  ]);
}

const SNP: Layout = [
  ['VERSION', 4], ['GUEST_SVN', 4], ['POLICY', 8], ['FAMILY_ID', 16], ['IMAGE_ID', 16], ['VMPL', 4], ['SIGNATURE_ALGO', 4], ['CURRENT_TCB', 8],
  ['PLATFORM_INFO', 8], ['KEY_INFO', 4], ['reserved', 4], ['REPORT_DATA', 64], ['MEASUREMENT', 48], ['HOST_DATA', 32], ['ID_KEY_DIGEST', 48],
  ['AUTHOR_KEY_DIGEST', 48], ['REPORT_ID', 32], ['REPORT_ID_MA', 32], ['REPORTED_TCB', 8], ['CPUID', 3], ['reserved 2', 21], ['CHIP_ID', 64],
  ['COMMITTED_TCB', 8], ['CURRENT_VERSION', 3], ['reserved 3', 1], ['COMMITTED_VERSION', 3], ['reserved 4', 1], ['LAUNCH_TCB', 8],
  ['LAUNCH_MIT_VECTOR', 8], ['CURRENT_MIT_VECTOR', 8], ['reserved 5', 152], ['signature R', 48], ['signature R padding', 24], ['signature S', 48],
  ['signature S padding', 24], ['padding', 368],
];

/** Fields of a SEV-SNP report of 1184 bytes; names are those of the newest version. */
export const SNP_FIELDS: readonly ByteField[] = placed(SNP);

/** The field of this name. Throws RangeError when there is none: layouts are fixed. */
export function fieldNamed(fields: readonly ByteField[], name: string): ByteField {
  const found = fields.find((field) => field.name === name);
  if (found === undefined) throw new RangeError(`expected a field named ${name} within ${SNP_REPORT_BYTES} bytes or a quote`);
  return found;
}
