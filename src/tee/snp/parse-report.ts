// Parses the SEV-SNP ATTESTATION_REPORT (AMD 56860 table "ATTESTATION_REPORT", WIRE-2026-04.md section 7.2), versions 2 to 5.
// Refuses other versions and lengths, signature algorithms other than ECDSA P-384 with SHA-384, and reserved bytes or
// padding that are not zero. Nothing is verified or judged here.
import { isZero, toHex } from '../../core/bytes.ts';
import { malformed } from '../refusal.ts';
import { TCB_BYTES } from './products.ts';

export const SNP_REPORT_BYTES = 1184;
/** The signature covers what precedes it. */
export const SNP_SIGNED_BYTES = 672;

const MIN_VERSION = 2;
const MAX_VERSION = 5;
/** From this version on the report names the CPU. */
const VERSION_WITH_CPU = 3;
/** From this version on it has the mitigation vectors. */
const VERSION_WITH_MITIGATIONS = 5;
const ECDSA_P384_SHA384 = 1;
/** R and S: 48 significant bytes each, little-endian, in fields of 72. */
const SCALAR_BYTES = 48;
const SCALAR_FIELD_BYTES = 72;

const OFFSET = {
  version: 0, guestSvn: 4, policy: 8, familyId: 16, imageId: 32, vmpl: 48, signatureAlgorithm: 52, currentTcb: 56, platformInfo: 64,
  keyInfo: 72, reserved1: 76, reportData: 80, measurement: 144, hostData: 192, idKeyDigest: 224, authorKeyDigest: 272, reportId: 320,
  reportIdMa: 352, reportedTcb: 384, cpu: 392, reserved2: 395, chipId: 416, committedTcb: 480, currentVersion: 488, reserved3: 491,
  committedVersion: 492, reserved4: 495, launchTcb: 496, launchMitigations: 504, currentMitigations: 512, reserved5: 520,
  signature: SNP_SIGNED_BYTES, padding: SNP_SIGNED_BYTES + 2 * SCALAR_FIELD_BYTES,
} as const;

/** Which key has signed a report. */
export type SnpSigner = 'VCEK' | 'VLEK';
const SIGNERS = new Map<number, SnpSigner>([[0, 'VCEK'], [1, 'VLEK']]);

/** Firmware version as AMD writes it: API major, API minor, build. */
export interface SnpFirmware {
  readonly major: number;
  readonly minor: number;
  readonly build: number;
}

export interface SnpCpu {
  readonly family: number;
  readonly model: number;
  readonly stepping: number;
}

export interface SnpReport {
  /** The 672 signed bytes. */
  readonly signedBytes: Uint8Array;
  /** r and s, 48 bytes each, big-endian. */
  readonly signature: Uint8Array;
  readonly version: number;
  readonly guestSvn: number;
  /** GUEST_POLICY, bits as AMD numbers them. */
  readonly policy: bigint;
  /** 16 bytes each, chosen by the owner of the guest in its ID block. */
  readonly familyId: Uint8Array;
  readonly imageId: Uint8Array;
  readonly vmpl: number;
  /** PLATFORM_INFO, bits as AMD numbers them. */
  readonly platformInfo: bigint;
  readonly signer: SnpSigner;
  /** True when the platform hides chip ids from its guests. */
  readonly chipKeyMasked: boolean;
  /** True when the ID key is certified by an author key. */
  readonly authorKeyEnabled: boolean;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
  /** The launch digest: 48 bytes. */
  readonly measurement: Uint8Array;
  /** 32 bytes. */
  readonly hostData: Uint8Array;
  /** SHA-384 of the ID key and the author key, 48 bytes each; zero where the guest was launched without. */
  readonly idKeyDigest: Uint8Array;
  readonly authorKeyDigest: Uint8Array;
  /** 32 bytes: names the guest for its life. */
  readonly reportId: Uint8Array;
  /** 32 bytes: report id of the migration agent, all 0xff without one. */
  readonly reportIdMa: Uint8Array;
  /** 8 bytes each; read them with `tcbOf`, their layout depends on the product. */
  readonly currentTcb: Uint8Array;
  readonly reportedTcb: Uint8Array;
  readonly committedTcb: Uint8Array;
  readonly launchTcb: Uint8Array;
  /** Null before version 3. */
  readonly cpu: SnpCpu | null;
  /** 64 bytes. */
  readonly chipId: Uint8Array;
  readonly currentFirmware: SnpFirmware;
  readonly committedFirmware: SnpFirmware;
  /** Null before version 5. */
  readonly launchMitigations: bigint | null;
  readonly currentMitigations: bigint | null;
}

/** Parses a report of exactly 1184 bytes; values are views into it. Throws AttestationError E_EVIDENCE_MALFORMED. */
export function parseSnpReport(bytes: Uint8Array): SnpReport {
  if (bytes.length !== SNP_REPORT_BYTES) throw malformed(`the SEV-SNP report has ${bytes.length} bytes, expected ${SNP_REPORT_BYTES}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u32 = (offset: number): number => view.getUint32(offset, true);
  const field = (offset: number, length: number): Uint8Array => bytes.subarray(offset, offset + length);
  const version = u32(OFFSET.version);
  if (version < MIN_VERSION || version > MAX_VERSION) throw malformed(`the SEV-SNP report has version ${version}, expected ${MIN_VERSION} to ${MAX_VERSION}`);
  const algorithm = u32(OFFSET.signatureAlgorithm);
  if (algorithm !== ECDSA_P384_SHA384) throw malformed(`the SEV-SNP report has signature algorithm ${algorithm}, expected ${ECDSA_P384_SHA384} (ECDSA P-384 with SHA-384)`);
  requireZeros(bytes, version);
  const mitigations = (offset: number): bigint | null => (version >= VERSION_WITH_MITIGATIONS ? view.getBigUint64(offset, true) : null);
  return {
    signedBytes: field(0, SNP_SIGNED_BYTES),
    signature: signatureOf(bytes),
    version,
    guestSvn: u32(OFFSET.guestSvn),
    policy: view.getBigUint64(OFFSET.policy, true),
    familyId: field(OFFSET.familyId, 16),
    imageId: field(OFFSET.imageId, 16),
    vmpl: u32(OFFSET.vmpl),
    platformInfo: view.getBigUint64(OFFSET.platformInfo, true),
    ...keyInfoOf(u32(OFFSET.keyInfo)),
    reportData: field(OFFSET.reportData, 64),
    measurement: field(OFFSET.measurement, 48),
    hostData: field(OFFSET.hostData, 32),
    idKeyDigest: field(OFFSET.idKeyDigest, 48),
    authorKeyDigest: field(OFFSET.authorKeyDigest, 48),
    reportId: field(OFFSET.reportId, 32),
    reportIdMa: field(OFFSET.reportIdMa, 32),
    currentTcb: field(OFFSET.currentTcb, TCB_BYTES),
    reportedTcb: field(OFFSET.reportedTcb, TCB_BYTES),
    committedTcb: field(OFFSET.committedTcb, TCB_BYTES),
    launchTcb: field(OFFSET.launchTcb, TCB_BYTES),
    cpu: version < VERSION_WITH_CPU ? null
      : { family: view.getUint8(OFFSET.cpu), model: view.getUint8(OFFSET.cpu + 1), stepping: view.getUint8(OFFSET.cpu + 2) },
    chipId: field(OFFSET.chipId, 64),
    currentFirmware: firmwareOf(view, OFFSET.currentVersion),
    committedFirmware: firmwareOf(view, OFFSET.committedVersion),
    launchMitigations: mitigations(OFFSET.launchMitigations),
    currentMitigations: mitigations(OFFSET.currentMitigations),
  };
}

/** Every byte without a meaning in this version is zero, or the report is of a kind that this parser does not know. */
function requireZeros(bytes: Uint8Array, version: number): void {
  const { cpu, reserved2, chipId, launchMitigations, reserved5, signature, padding } = OFFSET;
  const zeros: readonly (readonly [from: number, to: number])[] = [
    [OFFSET.reserved1, OFFSET.reportData],
    [version < VERSION_WITH_CPU ? cpu : reserved2, chipId],
    [OFFSET.reserved3, OFFSET.committedVersion],
    [OFFSET.reserved4, OFFSET.launchTcb],
    [version < VERSION_WITH_MITIGATIONS ? launchMitigations : reserved5, signature],
    [signature + SCALAR_BYTES, signature + SCALAR_FIELD_BYTES],
    [signature + SCALAR_FIELD_BYTES + SCALAR_BYTES, padding],
    [padding, SNP_REPORT_BYTES],
  ];
  for (const [from, to] of zeros) {
    const range = bytes.subarray(from, to);
    if (!isZero(range)) {
      const at = from + range.findIndex((byte) => byte !== 0);
      throw malformed(`the SEV-SNP report of version ${version} has ${toHex(bytes.subarray(at, at + 1))} in its reserved byte ${at}, expected 00`);
    }
  }
}

/** Bit 0: author key, bit 1: chip key masked, bits 2 to 4: signing key; the rest is reserved. */
function keyInfoOf(word: number): Pick<SnpReport, 'signer' | 'chipKeyMasked' | 'authorKeyEnabled'> {
  const signer = SIGNERS.get((word >>> 2) & 7);
  if (signer === undefined || word >>> 5 !== 0) {
    throw malformed(`the SEV-SNP report has key information 0x${word.toString(16)}, expected a report signed by a VCEK or a VLEK`);
  }
  return { signer, authorKeyEnabled: (word & 1) !== 0, chipKeyMasked: (word & 2) !== 0 };
}

/** Build, minor, major: one byte each. */
function firmwareOf(view: DataView, offset: number): SnpFirmware {
  return { build: view.getUint8(offset), minor: view.getUint8(offset + 1), major: view.getUint8(offset + 2) };
}

function signatureOf(bytes: Uint8Array): Uint8Array {
  const scalar = (offset: number): Uint8Array => Uint8Array.from(bytes.subarray(offset, offset + SCALAR_BYTES)).reverse();
  const { signature } = OFFSET;
  return Buffer.concat([scalar(signature), scalar(signature + SCALAR_FIELD_BYTES)]);
}
