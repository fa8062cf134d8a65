// Makes Intel DCAP evidence for tests: a PKI shaped like Intel's, collateral, and quotes of versions 3, 4 and 5, with any
// field replaced and everything signed for real. A forge without overrides is accepted by a default policy.
import { createHash, sign } from 'node:crypto';
import { derElement, derOctetString, derOid, derSequence, derUnsigned } from '../../src/tee/der-write.ts';
import { commonName, makeCertificate, makeCrl, makeKey, pem } from '../tee/x509/forge.ts';
import type { CertificateOverrides, CrlFields, TestKey } from '../tee/x509/forge.ts';

export const NOW_MS = Date.UTC(2026, 0, 1);
export const DAY_MS = 86_400_000;
export const FMSPC = 'a0b0c0d0e0f0';
const QE_VENDOR = Buffer.from('939a7233f79c4ca9940a0db3957f0607', 'hex');
const QE_MRSIGNER = Buffer.from('dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5', 'hex');
const SGX_OID = '1.2.840.113741.1.13.1';

export type Body = 'sgx' | 'td10' | 'td15';
export interface EnclaveFields {
  cpuSvn: Uint8Array; miscSelect: Uint8Array; attributes: Uint8Array; mrEnclave: Uint8Array; mrSigner: Uint8Array;
  isvProdId: number; isvSvn: number; reportData: Uint8Array;
}
export interface TdFields {
  teeTcbSvn: Uint8Array; mrSeam: Uint8Array; mrSignerSeam: Uint8Array; seamAttributes: Uint8Array; tdAttributes: Uint8Array; xfam: Uint8Array;
  mrTd: Uint8Array; mrConfigId: Uint8Array; mrOwner: Uint8Array; mrOwnerConfig: Uint8Array;
  rtmr0: Uint8Array; rtmr1: Uint8Array; rtmr2: Uint8Array; rtmr3: Uint8Array; reportData: Uint8Array;
  teeTcbSvn2: Uint8Array; mrServiceTd: Uint8Array;
}
export interface PckFields { components: readonly number[]; pceSvn: number; fmspc: string; pceId: string; ppid: string; extension?: Uint8Array; afterTcb?: Uint8Array }
/** JSON that is about to be signed. Loosely typed on purpose: tests put anything into it. */
export type Json = Record<string, unknown>;

export interface Pki { readonly root: TestKey; readonly intermediate: TestKey; readonly pck: TestKey; readonly signer: TestKey; readonly attestation: TestKey; readonly stranger: TestKey }
export const makePki = (): Pki => ({ root: makeKey(), intermediate: makeKey(), pck: makeKey(), signer: makeKey(), attestation: makeKey(), stranger: makeKey() });

export interface ForgeOptions {
  readonly pki?: Pki;
  readonly version?: number;
  readonly body?: Body;
  readonly header?: { readonly keyType?: number; readonly teeType?: number; readonly vendor?: Uint8Array };
  readonly bodyType?: number;
  readonly bodySize?: number;
  readonly enclave?: Partial<EnclaveFields>;
  readonly td?: Partial<TdFields>;
  readonly qe?: Partial<EnclaveFields>;
  readonly authData?: Uint8Array;
  readonly outerType?: number;
  readonly innerType?: number;
  readonly padding?: Uint8Array;
  readonly signQuoteWith?: TestKey;
  readonly signQeWith?: TestKey;
  readonly pckFields?: Partial<PckFields>;
  readonly certificates?: { readonly root?: CertificateOverrides; readonly intermediate?: CertificateOverrides; readonly pck?: CertificateOverrides; readonly signer?: CertificateOverrides };
  /** Rewrites the PCK chain (leaf first) before it is written as PEM. */
  readonly chain?: (chain: readonly Uint8Array[]) => readonly Uint8Array[];
  /** Bytes after the PEM text of the PCK chain. */
  readonly pckSuffix?: Uint8Array;
  readonly rootCrl?: Partial<CrlFields>;
  readonly pckCrl?: Partial<CrlFields>;
  readonly tcbInfo?: (info: Json) => void;
  readonly qeIdentity?: (identity: Json) => void;
  readonly signTextWith?: TestKey;
  /** True: TCB info and QE identity are signed by the PCK key, with its chain. */
  readonly textByPck?: boolean;
  readonly collateral?: (collateral: Json) => void;
}

export interface Forged { readonly quote: Uint8Array; readonly collateral: Json; readonly root: Uint8Array; readonly nowMs: number }

const repeat = (length: number, byte: number): Uint8Array => new Uint8Array(length).fill(byte);
export const svns = (...first: readonly number[]): Uint8Array => Uint8Array.from({ length: 16 }, (_, index) => first[index] ?? 0);
const GOOD_SGX = [3, 3, 2, 2, 4, 1, 0, 5];
const GOOD_TDX = [6, 1, 3];
export const PCESVN = 13;
const iso = (ms: number): string => new Date(ms).toISOString().replace('.000Z', 'Z');

/** Evidence and collateral of one platform at NOW_MS. */
export function forge(options: ForgeOptions = {}): Forged {
  const pki = options.pki ?? sharedPki();
  const body = options.body ?? 'td10';
  const tdx = body !== 'sgx';
  const names = { root: commonName('Test SGX Root CA'), intermediate: commonName('Test SGX PCK Platform CA'), pck: commonName('Test SGX PCK Certificate'), signer: commonName('Test SGX TCB Signing') };
  const c = options.certificates ?? {};
  const root = c.root === undefined ? rootOf(pki, names.root) : makeRoot(pki, names.root, c.root);
  const intermediate = makeCertificate({ key: pki.intermediate, signer: pki.root, subject: names.intermediate, issuer: names.root, serial: 1002, isCa: true, pathLength: 0, ...c.intermediate });
  const signer = makeCertificate({ key: pki.signer, signer: pki.root, subject: names.signer, issuer: names.root, serial: 1003, ...c.signer });
  const pck = makeCertificate({
    key: pki.pck, signer: pki.intermediate, subject: names.pck, issuer: names.intermediate, serial: 1004,
    extensions: [{ oid: SGX_OID, value: sgxExtension({ components: GOOD_SGX, pceSvn: PCESVN, fmspc: FMSPC, pceId: '0000', ppid: '00112233445566778899aabbccddeeff', ...options.pckFields }) }], ...c.pck,
  });
  const chain = [pck, intermediate, root];
  const window = { thisUpdate: NOW_MS - DAY_MS, nextUpdate: NOW_MS + 29 * DAY_MS };
  const tcbInfo = baseTcbInfo(tdx);
  options.tcbInfo?.(tcbInfo);
  const qeIdentity = baseQeIdentity(tdx);
  options.qeIdentity?.(qeIdentity);
  const textKey = options.signTextWith ?? (options.textByPck === true ? pki.pck : pki.signer);
  const textChain = options.textByPck === true ? pem(...chain) : pem(signer, root);
  const [tcbText, qeText] = [JSON.stringify(tcbInfo), JSON.stringify(qeIdentity)];
  const collateral: Json = {
    pck_crl_issuer_chain: pem(intermediate, root), tcb_info_issuer_chain: textChain, qe_identity_issuer_chain: textChain,
    root_ca_crl: hex(makeCrl({ issuer: names.root, signer: pki.root, ...window, ...options.rootCrl })),
    pck_crl: hex(makeCrl({ issuer: names.intermediate, signer: pki.intermediate, ...window, ...options.pckCrl })),
    tcb_info: tcbText, tcb_info_signature: hex(rawSignature(textKey, Buffer.from(tcbText))),
    qe_identity: qeText, qe_identity_signature: hex(rawSignature(textKey, Buffer.from(qeText))),
  };
  options.collateral?.(collateral);
  const pckText = Buffer.concat([Buffer.from(pem(...(options.chain?.(chain) ?? chain))), options.pckSuffix ?? Buffer.alloc(0)]);
  return { quote: makeQuote(options, pki, body, pckText), collateral, root, nowMs: NOW_MS };
}

const makeRoot = (pki: Pki, name: Uint8Array, changes: CertificateOverrides): Uint8Array =>
  makeCertificate({ key: pki.root, signer: pki.root, subject: name, issuer: name, serial: 1001, isCa: true, pathLength: 1, ...changes });

const roots = new WeakMap<Pki, Uint8Array>();
/** The same bytes for every forge of one PKI, so that evidence of one and collateral of another fit together. */
function rootOf(pki: Pki, name: Uint8Array): Uint8Array {
  const root = roots.get(pki) ?? makeRoot(pki, name, {});
  roots.set(pki, root);
  return root;
}

let shared: Pki | undefined;
/** One PKI for all forges of a process that do not bring their own. */
export function sharedPki(): Pki {
  shared ??= makePki();
  return shared;
}

function makeQuote(options: ForgeOptions, pki: Pki, body: Body, pckText: Uint8Array): Uint8Array {
  const version = options.version ?? (body === 'sgx' ? 3 : body === 'td10' ? 4 : 5);
  const tdx = body !== 'sgx';
  const report = tdx ? tdReport(options.td ?? {}, body === 'td15') : enclaveReport({ mrEnclave: repeat(32, 0x31), mrSigner: repeat(32, 0x32), isvProdId: 7, isvSvn: 3, ...options.enclave });
  const header = Buffer.concat([
    u16(version), u16(options.header?.keyType ?? 2), u32(options.header?.teeType ?? (tdx ? 0x81 : 0)), repeat(4, 0), options.header?.vendor ?? QE_VENDOR, repeat(20, 0),
  ]);
  const bodyType = { sgx: 1, td10: 2, td15: 3 }[body];
  const descriptor = version >= 5 ? Buffer.concat([u16(options.bodyType ?? bodyType), u32(options.bodySize ?? report.length)]) : Buffer.alloc(0);
  const signedBytes = Buffer.concat([header, descriptor, report]);
  const key = pki.attestation.spki.subarray(-64);
  const authData = options.authData ?? repeat(32, 0x41);
  const qeReport = enclaveReport({
    attributes: Uint8Array.from([0x11, ...repeat(15, 0)]), mrSigner: QE_MRSIGNER, isvProdId: 2, isvSvn: 4,
    reportData: Buffer.concat([createHash('sha256').update(key).update(authData).digest(), Buffer.alloc(32)]), ...options.qe,
  });
  const certified = Buffer.concat([
    qeReport, rawSignature(options.signQeWith ?? pki.pck, qeReport), u16(authData.length), authData, u16(options.innerType ?? 5), u32(pckText.length), pckText,
  ]);
  const nested = version === 3 ? certified : Buffer.concat([u16(options.outerType ?? 6), u32(certified.length), certified]);
  const signatureData = Buffer.concat([rawSignature(options.signQuoteWith ?? pki.attestation, signedBytes), key, nested]);
  return new Uint8Array(Buffer.concat([signedBytes, u32(signatureData.length), signatureData, options.padding ?? Buffer.alloc(0)]));
}

export function enclaveReport(fields: Partial<EnclaveFields>): Uint8Array {
  const f: EnclaveFields = {
    cpuSvn: svns(), miscSelect: repeat(4, 0), attributes: Uint8Array.from([5, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]),
    mrEnclave: repeat(32, 0), mrSigner: repeat(32, 0), isvProdId: 0, isvSvn: 0, reportData: repeat(64, 0), ...fields,
  };
  return Buffer.concat([f.cpuSvn, f.miscSelect, repeat(28, 0), f.attributes, f.mrEnclave, repeat(32, 0), f.mrSigner, repeat(96, 0), u16(f.isvProdId), u16(f.isvSvn), repeat(60, 0), f.reportData]);
}

export function tdReport(fields: Partial<TdFields>, later: boolean): Uint8Array {
  const f: TdFields = {
    teeTcbSvn: svns(...GOOD_TDX), mrSeam: repeat(48, 0x11), mrSignerSeam: repeat(48, 0), seamAttributes: repeat(8, 0),
    tdAttributes: Uint8Array.of(0, 0, 0, 0x10, 0, 0, 0, 0), xfam: Uint8Array.of(0xe7, 0x02, 0x06, 0, 0, 0, 0, 0),
    mrTd: repeat(48, 0x21), mrConfigId: repeat(48, 0), mrOwner: repeat(48, 0), mrOwnerConfig: repeat(48, 0),
    rtmr0: repeat(48, 0x22), rtmr1: repeat(48, 0x23), rtmr2: repeat(48, 0x24), rtmr3: repeat(48, 0x25), reportData: repeat(64, 0x26),
    teeTcbSvn2: svns(...GOOD_TDX), mrServiceTd: repeat(48, 0), ...fields,
  };
  return Buffer.concat([
    f.teeTcbSvn, f.mrSeam, f.mrSignerSeam, f.seamAttributes, f.tdAttributes, f.xfam, f.mrTd, f.mrConfigId, f.mrOwner, f.mrOwnerConfig,
    f.rtmr0, f.rtmr1, f.rtmr2, f.rtmr3, f.reportData, ...(later ? [f.teeTcbSvn2, f.mrServiceTd] : []),
  ]);
}

/** The SGX extension of a PCK certificate. */
export function sgxExtension(f: PckFields): Uint8Array {
  if (f.extension !== undefined) return f.extension;
  const field = (id: string, ...values: readonly Uint8Array[]): Uint8Array => derSequence(derOid(`${SGX_OID}.${id}`), ...values);
  const number = (value: number): Uint8Array => derUnsigned(Uint8Array.of(value >>> 8, value));
  const components = Array.from({ length: 16 }, (_, index) => field(`2.${index + 1}`, number(f.components[index] ?? 0)));
  return derSequence(
    field('1', derOctetString(Buffer.from(f.ppid, 'hex'))),
    field('2', derSequence(...components, field('2.17', number(f.pceSvn)), field('2.18', derOctetString(svns(...f.components)))), ...(f.afterTcb === undefined ? [] : [f.afterTcb])),
    field('3', derOctetString(Buffer.from(f.pceId, 'hex'))), field('4', derOctetString(Buffer.from(f.fmspc, 'hex'))), field('5', derElement(0x0a, Uint8Array.of(0))),
  );
}

const componentList = (values: readonly number[]): Json[] => Array.from(svns(...values), (svn) => ({ svn }));

/** One TCB level of TCB info. */
export const level = (sgx: readonly number[], pcesvn: number, tdx: readonly number[], date: string, tcbStatus: string, advisoryIDs?: readonly string[]): Json => ({
  tcb: { sgxtcbcomponents: componentList(sgx), pcesvn, tdxtcbcomponents: componentList(tdx) }, tcbDate: `${date}T00:00:00Z`, tcbStatus,
  ...(advisoryIDs === undefined ? {} : { advisoryIDs }),
});

/** Rewrites TCB info for SGX as Intel wrote it before version 3: no id, and components as fields of their own. */
export function asVersion2(info: Json): void {
  delete info['id'];
  info['version'] = 2;
  for (const one of info['tcbLevels'] as { tcb: { sgxtcbcomponents: { svn: number }[]; pcesvn: number } }[]) {
    const fields = one.tcb.sgxtcbcomponents.map(({ svn }, index) => [`sgxtcbcomp${String(index + 1).padStart(2, '0')}svn`, svn]);
    Object.assign(one, { tcb: { ...Object.fromEntries(fields), pcesvn: one.tcb.pcesvn } });
  }
}

/** One level of a module or enclave. */
export const isvLevel = (isvsvn: number, date: string, tcbStatus: string, advisoryIDs?: readonly string[]): Json => ({
  tcb: { isvsvn }, tcbDate: `${date}T00:00:00Z`, tcbStatus, ...(advisoryIDs === undefined ? {} : { advisoryIDs }),
});

const ZERO48 = '00'.repeat(48);
const MODULE = { mrsigner: ZERO48, attributes: '0000000000000000', attributesMask: 'FFFFFFFFFFFFFFFF' };

function baseTcbInfo(tdx: boolean): Json {
  const tdxOf = (...values: readonly number[]): readonly number[] => (tdx ? values : []);
  return {
    id: tdx ? 'TDX' : 'SGX', version: 3, issueDate: iso(NOW_MS - DAY_MS), nextUpdate: iso(NOW_MS + 29 * DAY_MS), fmspc: FMSPC, pceId: '0000', tcbType: 0, tcbEvaluationDataNumber: 18,
    ...(tdx ? { tdxModule: { ...MODULE }, tdxModuleIdentities: [{ id: 'TDX_01', ...MODULE, tcbLevels: [isvLevel(6, '2024-11-13', 'UpToDate'), isvLevel(4, '2024-03-13', 'OutOfDate', ['INTEL-SA-01036']), isvLevel(2, '2023-08-09', 'Revoked')] }] } : {}),
    tcbLevels: [
      level(GOOD_SGX, PCESVN, tdxOf(5, 0, 3), '2024-11-13', 'UpToDate'),
      level([2, 2, 2, 2, 3, 1, 0, 5], PCESVN, tdxOf(5, 0, 2), '2024-03-13', 'OutOfDate', ['INTEL-SA-01103']),
      level([1, 1], 5, tdxOf(), '2018-01-04', 'Revoked'),
    ],
  };
}

function baseQeIdentity(tdx: boolean): Json {
  return {
    id: tdx ? 'TD_QE' : 'QE', version: 2, issueDate: iso(NOW_MS - DAY_MS), nextUpdate: iso(NOW_MS + 29 * DAY_MS), tcbEvaluationDataNumber: 18,
    miscselect: '00000000', miscselectMask: 'FFFFFFFF', attributes: '11000000000000000000000000000000', attributesMask: 'FBFFFFFFFFFFFFFF0000000000000000',
    mrsigner: hex(QE_MRSIGNER).toUpperCase(), isvprodid: 2,
    tcbLevels: [isvLevel(4, '2024-03-13', 'UpToDate'), isvLevel(2, '2023-08-09', 'OutOfDate', ['INTEL-SA-00960']), isvLevel(1, '2020-01-01', 'Revoked')],
  };
}

const rawSignature = (key: TestKey, message: Uint8Array): Uint8Array => sign('sha256', message, { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
