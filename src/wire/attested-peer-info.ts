// The frame with which a router tells the program behind it whom it is connected to, on the loopback leg only:
// WIRE.md section 6 (layout 1) and WIRE-2026-04.md section 7.6 (layout 2).
// Refuses frames over 16536 bytes, other layouts and families, keys that are not 32 bytes, bad ports and left-over bytes.
import { NetworkError } from '../core/errors.ts';
import { TlReader } from './tl/reader.ts';
import { TlWriter, wrong } from './tl/writer.ts';

/** Largest body, without the length prefix. */
export const MAX_PEER_INFO_BYTES = 16536;
export const PEER_INFO_PREFIX_BYTES = 4;

export interface TdxPeerReport {
  readonly family: 'tdx';
  /** MRTD, MRCONFIGID, MROWNER, MROWNERCONFIG, RTMR0…3: eight times 48 bytes in this order. */
  readonly measurements: Uint8Array;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
}

export interface SgxPeerReport {
  readonly family: 'sgx';
  /** 32 bytes. */
  readonly mrEnclave: Uint8Array;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
}

export interface SevPeerReport {
  readonly family: 'sev-snp';
  /** 48 bytes. */
  readonly measurement: Uint8Array;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
}

export interface Endpoint {
  /** Address as text. */
  readonly ip: string;
  /** 0…65535. */
  readonly port: number;
}

interface PeerInfoCommon {
  /** Raw Ed25519 key of the peer's certificate, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** What a router of the b75d444 generation sends. `report` is null for a peer without evidence. */
export interface AttestedPeerInfo1 extends PeerInfoCommon {
  readonly layout: 1;
  readonly report: TdxPeerReport | SgxPeerReport | null;
  /** 48 bytes; zero when there is no report. */
  readonly collateralRootHash: Uint8Array;
}

/** What a router of the 9060ce5 generation sends; the collateral root is part of a TDX report and absent from a SEV report. */
export interface AttestedPeerInfo2 extends PeerInfoCommon {
  readonly layout: 2;
  readonly report: (TdxPeerReport & { readonly collateralRootHash: Uint8Array }) | SevPeerReport;
}

export type AttestedPeerInfo = AttestedPeerInfo1 | AttestedPeerInfo2;

/** First word of the body: whether layout 1 has a report, or that it is layout 2. */
const NO_REPORT = 0;
const REPORT = 1;
const LAYOUT_2 = 2;
/** Second word where there is a report. 1 means SGX in layout 1 and SEV in layout 2. */
const FAMILY_TDX = 0;
const FAMILY_SGX = 1;
const FAMILY_SEV = 1;

const MEASUREMENTS_BYTES = 8 * 48;
const REPORT_DATA_BYTES = 64;
const MR_ENCLAVE_BYTES = 32;
const SEV_MEASUREMENT_BYTES = 48;
const ROOT_HASH_BYTES = 48;
const PUBLIC_KEY_BYTES = 32;
const MAX_PORT = 65535;
const LABEL = 'the attested peer info';

/** Length of the whole frame, from its first four bytes. Throws NetworkError E_PROTOCOL when it would be too long. */
export function peerInfoFrameLength(prefix: Uint8Array): number {
  const length = new TlReader(prefix.subarray(0, PEER_INFO_PREFIX_BYTES)).id(LABEL);
  if (length > MAX_PEER_INFO_BYTES) {
    throw new NetworkError('E_PROTOCOL', `cannot read ${LABEL}: expected at most ${MAX_PEER_INFO_BYTES} bytes, got ${length}`);
  }
  return PEER_INFO_PREFIX_BYTES + length;
}

/** Reads one whole frame with its length prefix, nothing more. Throws NetworkError E_PROTOCOL. */
export function decodeAttestedPeerInfo(frame: Uint8Array): AttestedPeerInfo {
  const length = peerInfoFrameLength(frame);
  if (frame.byteLength !== length) {
    throw new NetworkError('E_PROTOCOL', `cannot read ${LABEL}: expected a frame of ${length} bytes, got ${frame.byteLength}`);
  }
  const reader = new TlReader(frame.subarray(PEER_INFO_PREFIX_BYTES));
  const kind = reader.int(LABEL);
  let info: AttestedPeerInfo;
  if (kind === NO_REPORT || kind === REPORT) {
    const report = kind === REPORT ? readReport1(reader) : null;
    const collateralRootHash = reader.fixed(ROOT_HASH_BYTES, `${LABEL}: collateral root`);
    info = { layout: 1, report, collateralRootHash, ...readCommon(reader) };
  } else if (kind === LAYOUT_2) {
    info = { layout: 2, report: readReport2(reader), ...readCommon(reader) };
  } else {
    throw reader.refuse(LABEL, `expected 0, 1 or 2 in its first word, got ${kind}`);
  }
  reader.end(LABEL);
  return info;
}

function readReport1(reader: TlReader): TdxPeerReport | SgxPeerReport {
  const family = reader.int(LABEL);
  if (family === FAMILY_TDX) return readTdx(reader);
  if (family !== FAMILY_SGX) throw reader.refuse(LABEL, `expected family 0 or 1, got ${family}`);
  const mrEnclave = reader.fixed(MR_ENCLAVE_BYTES, `${LABEL}: MRENCLAVE`);
  return { family: 'sgx', mrEnclave, reportData: reader.fixed(REPORT_DATA_BYTES, `${LABEL}: report data`) };
}

function readReport2(reader: TlReader): AttestedPeerInfo2['report'] {
  const family = reader.int(LABEL);
  if (family === FAMILY_TDX) {
    return { ...readTdx(reader), collateralRootHash: reader.fixed(ROOT_HASH_BYTES, `${LABEL}: collateral root`) };
  }
  if (family !== FAMILY_SEV) throw reader.refuse(LABEL, `expected family 0 or 1, got ${family}`);
  const measurement = reader.fixed(SEV_MEASUREMENT_BYTES, `${LABEL}: measurement`);
  return { family: 'sev-snp', measurement, reportData: reader.fixed(REPORT_DATA_BYTES, `${LABEL}: report data`) };
}

function readTdx(reader: TlReader): TdxPeerReport {
  const measurements = reader.fixed(MEASUREMENTS_BYTES, `${LABEL}: measurements`);
  return { family: 'tdx', measurements, reportData: reader.fixed(REPORT_DATA_BYTES, `${LABEL}: report data`) };
}

function readCommon(reader: TlReader): PeerInfoCommon {
  const publicKey = reader.bytes(`${LABEL}: public key`).slice();
  if (publicKey.byteLength !== PUBLIC_KEY_BYTES) {
    throw reader.refuse(`${LABEL}: public key`, `expected ${PUBLIC_KEY_BYTES} bytes, got ${publicKey.byteLength}`);
  }
  return { publicKey, source: readEndpoint(reader), destination: readEndpoint(reader) };
}

function readEndpoint(reader: TlReader): Endpoint {
  const ip = reader.string(`${LABEL}: address`);
  const port = reader.natural(`${LABEL}: port`);
  if (port > MAX_PORT) throw reader.refuse(`${LABEL}: port`, `expected at most ${MAX_PORT}, got ${port}`);
  return { ip, port };
}

/** The frame with its length prefix, in the layout that `info.layout` names. Throws E_INTERNAL when a field has a wrong size. */
export function encodeAttestedPeerInfo(info: AttestedPeerInfo): Uint8Array {
  const writer = new TlWriter();
  if (info.layout === 1) {
    writer.int(info.report === null ? NO_REPORT : REPORT, LABEL);
    if (info.report !== null) writeReport(writer, info.report);
    writer.fixed(info.collateralRootHash, ROOT_HASH_BYTES, `${LABEL}: collateral root`);
  } else {
    writer.int(LAYOUT_2, LABEL);
    writeReport(writer, info.report);
    if (info.report.family === 'tdx') writer.fixed(info.report.collateralRootHash, ROOT_HASH_BYTES, `${LABEL}: collateral root`);
  }
  if (info.publicKey.byteLength !== PUBLIC_KEY_BYTES) throw wrong(`${LABEL}: public key`, `${PUBLIC_KEY_BYTES} bytes`, info.publicKey);
  writer.bytes(info.publicKey, `${LABEL}: public key`);
  writeEndpoint(writer, info.source);
  writeEndpoint(writer, info.destination);
  const body = writer.take();
  if (body.byteLength > MAX_PEER_INFO_BYTES) throw wrong(LABEL, `at most ${MAX_PEER_INFO_BYTES} bytes`, body);
  const frame = new Uint8Array(PEER_INFO_PREFIX_BYTES + body.byteLength);
  new DataView(frame.buffer).setUint32(0, body.byteLength, true);
  frame.set(body, PEER_INFO_PREFIX_BYTES);
  return frame;
}

function writeReport(writer: TlWriter, report: TdxPeerReport | SgxPeerReport | SevPeerReport): void {
  switch (report.family) {
    case 'tdx':
      writer.int(FAMILY_TDX, LABEL);
      writer.fixed(report.measurements, MEASUREMENTS_BYTES, `${LABEL}: measurements`);
      break;
    case 'sgx':
      writer.int(FAMILY_SGX, LABEL);
      writer.fixed(report.mrEnclave, MR_ENCLAVE_BYTES, `${LABEL}: MRENCLAVE`);
      break;
    case 'sev-snp':
      writer.int(FAMILY_SEV, LABEL);
      writer.fixed(report.measurement, SEV_MEASUREMENT_BYTES, `${LABEL}: measurement`);
      break;
  }
  writer.fixed(report.reportData, REPORT_DATA_BYTES, `${LABEL}: report data`);
}

function writeEndpoint(writer: TlWriter, { ip, port }: Endpoint): void {
  writer.string(ip, `${LABEL}: address`);
  if (port > MAX_PORT) throw wrong(`${LABEL}: port`, `0 to ${MAX_PORT}`, port);
  writer.natural(port, `${LABEL}: port`);
}
