// The opaque data of an SPDM response: what NVIDIA's devices say about themselves, as fields of type, size and value, signed
// with the measurements. Refuses repeated fields, sizes that do not add up and values that are not of their form.
import { toHex } from '../../core/bytes.ts';
import { ByteReader } from '../dcap/byte-reader.ts';
import { malformed } from '../refusal.ts';

const MAX_FIELDS = 64;

/** Field types (NVIDIA attestation SDK). Types that are not listed are kept and not interpreted. */
const TYPE = {
  driverVersion: 3, vbiosVersion: 6, nvdec: 11, chipSku: 15, project: 17, projectSku: 18, fwid: 20, protectedPcie: 21, pdi: 22,
  switchGpuPdis: 26, chipName: 35, featureFlag: 36,
} as const;

/** Values by field type. */
export type OpaqueFields = ReadonlyMap<number, Uint8Array>;

/** Reads all fields. Throws AttestationError E_EVIDENCE_MALFORMED. */
export function readOpaque(bytes: Uint8Array): OpaqueFields {
  const reader = new ByteReader(bytes, 'the opaque data');
  const fields = new Map<number, Uint8Array>();
  while (reader.left > 0) {
    const type = reader.u16('type of an opaque field');
    const value = reader.bytes(reader.u16(`size of the opaque field ${type}`), `opaque field ${type}`);
    if (fields.has(type)) throw malformed(`the opaque field ${type} is there twice, expected once`);
    if (fields.size === MAX_FIELDS) throw malformed(`the opaque data has more than ${MAX_FIELDS} fields`);
    fields.set(type, value);
  }
  return fields;
}

const DISABLED = 0x55;
const ENABLED = 0xaa;
const PDI_BYTES = 8;
const FWID_BYTES = 48;
const FEATURES = ['single', 'multi', 'protected-pcie'] as const;
/** How GPUs are attached: alone, several over encrypted NVLink, several over NVLink in the clear with attested switches. */
export type GpuMode = (typeof FEATURES)[number];

/** What every device says. */
export interface DeviceClaims {
  /** Upper case, for example `96.00.5E.00.01`. */
  readonly vbiosVersion: string;
  /** SHA-384 of the firmware that holds the signing key; null with drivers that do not report it. */
  readonly fwid: Uint8Array | null;
}

export interface GpuClaims extends DeviceClaims {
  readonly driverVersion: string;
  /** Board: parts of the id of its VBIOS manifest. */
  readonly project: string;
  readonly projectSku: string;
  readonly chipSku: string;
  /** Part of the id of a Blackwell's driver manifest, for example `GB100`; null where it does not say. */
  readonly chipName: string | null;
  /** True when the video decoder is off and its measurement is not compared. */
  readonly nvdecDisabled: boolean;
  readonly mode: GpuMode;
  /** Switches that it is linked to, as hexadecimal PDIs in the order of a switch's own; none where it does not say. */
  readonly switchPdis: readonly string[];
}

export interface SwitchClaims extends DeviceClaims {
  /** Hexadecimal, 8 bytes. */
  readonly pdi: string;
  /** GPUs that it is linked to. */
  readonly gpuPdis: readonly string[];
}

/** Reads what a GPU says. Throws AttestationError E_EVIDENCE_MALFORMED when a needed field is absent or ill-formed. */
export function gpuClaimsOf(fields: OpaqueFields): GpuClaims {
  const flag = fields.get(TYPE.featureFlag);
  const pcie = fields.has(TYPE.protectedPcie) && isEnabled(fields, TYPE.protectedPcie, 'protected PCIe status');
  // Drivers before the feature flag know the two modes that the PCIe status tells apart.
  const mode = flag === undefined ? FEATURES[pcie ? 2 : 0] : FEATURES[littleEndian(flag, 2, 'feature flag')];
  if (mode === undefined) throw malformed(`the feature flag of the GPU is ${toHex(flag ?? new Uint8Array())}, expected 0 to ${FEATURES.length - 1}`);
  if ((mode === 'protected-pcie') !== pcie) throw malformed(`the GPU claims the mode ${mode} and protected PCIe ${pcie ? 'on' : 'off'}, expected the same of both`);
  const driverVersion = text(fields, TYPE.driverVersion, 'driver version', /^\d{1,5}(?:\.\d{1,5}){1,3}$/);
  return {
    driverVersion,
    vbiosVersion: binaryVersion(required(fields, TYPE.vbiosVersion, 'VBIOS version')),
    fwid: fwidOf(fields),
    project: text(fields, TYPE.project, 'project', SKU),
    projectSku: text(fields, TYPE.projectSku, 'project SKU', SKU),
    chipSku: text(fields, TYPE.chipSku, 'chip SKU', SKU),
    chipName: fields.has(TYPE.chipName) ? text(fields, TYPE.chipName, 'chip name', /^[A-Z0-9]{0,16}$/) || null : null,
    nvdecDisabled: fields.has(TYPE.nvdec) && !isEnabled(fields, TYPE.nvdec, 'NVDEC status'),
    mode,
    switchPdis: pdisOf(fields.get(TYPE.pdi), true),
  };
}

/** Reads what a switch says. Throws as `gpuClaimsOf`. */
export function switchClaimsOf(fields: OpaqueFields): SwitchClaims {
  const pdi = required(fields, TYPE.pdi, 'PDI');
  if (pdi.length !== PDI_BYTES) throw malformed(`the PDI of the switch has ${pdi.length} bytes, expected ${PDI_BYTES}`);
  return {
    vbiosVersion: text(fields, TYPE.vbiosVersion, 'BIOS version', /^[0-9A-Fa-f]{2}(?:\.[0-9A-Fa-f]{2}){4}$/).toUpperCase(),
    fwid: fwidOf(fields),
    pdi: toHex(pdi),
    gpuPdis: pdisOf(required(fields, TYPE.switchGpuPdis, 'PDIs of GPUs'), false),
  };
}

const SKU = /^[0-9A-Za-z]{1,8}$/;

function required(fields: OpaqueFields, type: number, what: string): Uint8Array {
  const value = fields.get(type);
  if (value === undefined) throw malformed(`the ${what} (opaque field ${type}) of the device is absent`);
  return value;
}

/** Latin-1 text without the zero bytes behind it. */
export function paddedText(bytes: Uint8Array): string {
  const last = bytes.findLastIndex((byte) => byte !== 0);
  return Buffer.from(bytes.subarray(0, last + 1)).toString('latin1');
}

/** ASCII text, padded with zero bytes. */
function text(fields: OpaqueFields, type: number, what: string, form: RegExp): string {
  const value = paddedText(required(fields, type, what));
  if (!form.test(value)) throw malformed(`the ${what} of the device is ${JSON.stringify(value.slice(0, 32))}, expected text of the form ${form.source}`);
  return value;
}

function littleEndian(bytes: Uint8Array, length: number, what: string): number {
  if (bytes.length !== length) throw malformed(`the ${what} of the device has ${bytes.length} bytes, expected ${length}`);
  return bytes.reduceRight((value, byte) => value * 256 + byte, 0);
}

/** Eight bytes, little-endian: four of the version from the highest down, then the fifth. */
function binaryVersion(bytes: Uint8Array): string {
  const [d, c, b, a, e, ...rest] = bytes;
  if (bytes.length !== 8 || rest.some((byte) => byte !== 0)) throw malformed(`the VBIOS version of the GPU is ${toHex(bytes.subarray(0, 16))}, expected 8 bytes ending in three zeros`);
  return [a, b, c, d, e].map((byte = 0) => byte.toString(16).padStart(2, '0').toUpperCase()).join('.');
}

/** One byte with two values that no single bit turns into one another. */
function isEnabled(fields: OpaqueFields, type: number, what: string): boolean {
  const value = littleEndian(required(fields, type, what), 1, what);
  if (value !== ENABLED && value !== DISABLED) throw malformed(`the ${what} of the device is 0x${value.toString(16)}, expected 0x55 or 0xaa`);
  return value === ENABLED;
}

function fwidOf(fields: OpaqueFields): Uint8Array | null {
  const fwid = fields.get(TYPE.fwid);
  if (fwid !== undefined && fwid.length !== FWID_BYTES) throw malformed(`the FWID of the device has ${fwid.length} bytes, expected ${FWID_BYTES}`);
  return fwid ?? null;
}

/** PDIs of 8 bytes without repetition; zeros stand for unused links. A GPU writes a switch's PDI the other way round. */
function pdisOf(bytes: Uint8Array | undefined, reversed: boolean): string[] {
  if (bytes === undefined) return [];
  if (bytes.length % PDI_BYTES !== 0) throw malformed(`the PDIs of the device have ${bytes.length} bytes, expected a multiple of ${PDI_BYTES}`);
  const pdis = new Set<string>();
  for (let start = 0; start < bytes.length; start += PDI_BYTES) {
    const pdi = Uint8Array.from(bytes.subarray(start, start + PDI_BYTES));
    if (pdi.some((byte) => byte !== 0)) pdis.add(toHex(reversed ? pdi.reverse() : pdi));
  }
  return [...pdis];
}
