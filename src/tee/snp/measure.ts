// The expected launch digest of an SEV-SNP guest under QEMU/KVM (AMD 56860 "PAGE_INFO", QEMU's SEV code): firmware, metadata
// pages, optionally the hashes of kernel, initrd and command line, one VMSA a vCPU. Without kernel hashes the digest covers
// the firmware only: whatever it boots has the same one. Refuses kernels for firmware that does not check them.
import { createHash } from 'node:crypto';
import { guidBytes, PAGE_BYTES } from '../firmware-table.ts';
import { malformed } from '../refusal.ts';
import type { Ovmf, OvmfSection } from './ovmf.ts';

const DIGEST_BYTES = 48;
const PAGE_INFO_BYTES = 112;
const PAGE = { normal: 1, vmsa: 2, zero: 3, secrets: 5, cpuid: 6 } as const;
const VMSA_ADDRESS = 0xffff_ffff_f000n;
const END_OF_FIRMWARE = 2 ** 32;
const MAX_VCPUS = 1024;
/** First instruction of the first vCPU. */
const RESET_VECTOR = 0xffff_fff0;

/** CPUID function 1, EAX, of QEMU's CPU models (all versions of a model agree). */
export const VCPU_SIGNATURES: Readonly<Record<string, number>> = {
  EPYC: signatureOf(23, 1, 2), 'EPYC-Rome': signatureOf(23, 49, 0), 'EPYC-Milan': signatureOf(25, 1, 1), 'EPYC-Genoa': signatureOf(25, 17, 0),
};

/** EAX of CPUID function 1 for a family above 15. */
export function signatureOf(family: number, model: number, stepping: number): number {
  return (family - 15) << 20 | model >> 4 << 16 | 15 << 8 | (model & 15) << 4 | stepping;
}

export interface SnpBoot {
  readonly kernel: Uint8Array;
  /** Empty without one. */
  readonly initrd: Uint8Array;
  /** As given to QEMU, without its final zero byte. */
  readonly commandLine: string;
}

export interface SnpLaunch {
  readonly firmware: Omit<Ovmf, 'image'>;
  /** The digest after the firmware's own pages: `snpFirmwareDigest` of its image. */
  readonly firmwareDigest: Uint8Array;
  /** Present when QEMU runs with kernel-hashes=on. */
  readonly boot: SnpBoot | null;
  readonly vcpus: number;
  /** From VCPU_SIGNATURES, or `signatureOf`. */
  readonly vcpuSignature: number;
  /** SEV_FEATURES of the VMSA; 1 (SNP active) unless the host sets more. */
  readonly guestFeatures?: bigint;
  /** False for hosts before KVM_SEV_INIT2 (upstream Linux 6.11), which measure zeros in place of the reset state of the FPU. */
  readonly fpuReset?: boolean;
}

/** The 48 bytes of MEASUREMENT. Throws AttestationError for firmware without room for the hashes, RangeError for wrong vCPUs. */
export function snpLaunchDigest({ firmware, firmwareDigest, boot, vcpus, vcpuSignature, guestFeatures = 1n, fpuReset = true }: SnpLaunch): Uint8Array {
  if (!Number.isSafeInteger(vcpus) || vcpus < 1 || vcpus > MAX_VCPUS) throw new RangeError(`expected 1 to ${MAX_VCPUS} vCPUs, got ${vcpus}`);
  if (boot !== null && (firmware.hashTableAddress === null || !firmware.sections.some(({ kind }) => kind === 'kernelHashes'))) {
    throw malformed('the firmware has no page for kernel hashes, expected one that checks them (AmdSev build of OVMF)');
  }
  const launch = new Launch(firmwareDigest);
  for (const section of firmware.sections) measureSection(launch, section, firmware, boot);
  const first = vmsa(RESET_VECTOR, vcpuSignature, guestFeatures, fpuReset);
  const others = vmsa(firmware.resetAddress, vcpuSignature, guestFeatures, fpuReset);
  for (let vcpu = 0; vcpu < vcpus; vcpu += 1) launch.page(PAGE.vmsa, VMSA_ADDRESS, vcpu === 0 ? first : others);
  return launch.digest;
}

/** The 48 bytes of the digest once the firmware is measured: its pages end at 4 GiB. */
export function snpFirmwareDigest(image: Uint8Array): Uint8Array {
  const launch = new Launch(new Uint8Array(DIGEST_BYTES));
  launch.pages(image, END_OF_FIRMWARE - image.length);
  return launch.digest;
}

function measureSection(launch: Launch, { kind, address, bytes }: OvmfSection, { hashTableAddress }: Omit<Ovmf, 'image'>, boot: SnpBoot | null): void {
  switch (kind) {
    case 'secrets': launch.empty(PAGE.secrets, address, bytes); return;
    case 'cpuid': launch.empty(PAGE.cpuid, address, bytes); return;
    case 'kernelHashes':
      if (boot === null || hashTableAddress === null) break;
      launch.pages(hashPage(boot, hashTableAddress, address, bytes), address);
      return;
    default:
  }
  launch.empty(PAGE.zero, address, bytes);
}

/** The chain of SHA-384 over PAGE_INFO records. */
class Launch {
  digest: Uint8Array;
  readonly #info = Buffer.alloc(PAGE_INFO_BYTES);

  constructor(start: Uint8Array) {
    if (start.length !== DIGEST_BYTES) throw new RangeError(`expected a digest of ${DIGEST_BYTES} bytes, got ${start.length}`);
    this.digest = start;
  }

  /** Whole pages with content. */
  pages(content: Uint8Array, address: number): void {
    for (let offset = 0; offset < content.length; offset += PAGE_BYTES) this.page(PAGE.normal, BigInt(address + offset), content.subarray(offset, offset + PAGE_BYTES));
  }

  /** Pages of which only address and kind are measured. */
  empty(kind: number, address: number, bytes: number): void {
    for (let offset = 0; offset < bytes; offset += PAGE_BYTES) this.page(kind, BigInt(address + offset), null);
  }

  /** `DIGEST_CUR, CONTENTS, LENGTH, PAGE_TYPE, IMI, permissions of VMPL 3 to 1, GPA`; permissions and IMI are zero. */
  page(kind: number, address: bigint, content: Uint8Array | null): void {
    const info = this.#info.fill(0);
    info.set(this.digest);
    if (content !== null) info.set(createHash('sha384').update(content).digest(), DIGEST_BYTES);
    info.writeUInt16LE(PAGE_INFO_BYTES, 96);
    info.writeUInt8(kind, 98);
    info.writeBigUInt64LE(address, 104);
    this.digest = new Uint8Array(createHash('sha384').update(info).digest());
  }
}

const HASH_GUID = {
  table: guidBytes('9438d606-4f22-4cc9-b479-a793d411fd21'), commandLine: guidBytes('97d02dd8-bd20-4c94-aa78-e7714d36ab2a'),
  initrd: guidBytes('44baf731-3a2f-4bd7-9af1-41e29169781d'), kernel: guidBytes('4de79437-abd2-427f-b835-d5b172d2045b'),
} as const;
/** GUID and length in front of each hash, and of the table. */
const HASH_HEADER_BYTES = 18;
const TABLE_ALIGNMENT = 16;

/** The pages with QEMU's table of hashes: command line (with its zero byte), initrd, kernel. */
function hashPage({ kernel, initrd, commandLine }: SnpBoot, tableAddress: number, address: number, bytes: number): Uint8Array {
  const sha256 = (data: Uint8Array): Uint8Array => createHash('sha256').update(data).digest();
  const entry = (guid: Uint8Array, content: Uint8Array): Uint8Array => {
    const header = Buffer.alloc(HASH_HEADER_BYTES);
    header.set(guid);
    header.writeUInt16LE(HASH_HEADER_BYTES + content.length, guid.length);
    return Buffer.concat([header, content]);
  };
  const table = entry(HASH_GUID.table, Buffer.concat([
    entry(HASH_GUID.commandLine, sha256(Buffer.from(`${commandLine}\0`))), entry(HASH_GUID.initrd, sha256(initrd)), entry(HASH_GUID.kernel, sha256(kernel)),
  ]));
  const offset = tableAddress - address;
  if (offset < 0 || offset + Math.ceil(table.length / TABLE_ALIGNMENT) * TABLE_ALIGNMENT > bytes) throw malformed('the table of kernel hashes does not stand in its section of the firmware');
  const pages = new Uint8Array(bytes);
  pages.set(table, offset);
  return pages;
}

/** A segment register at reset: selector, attributes, limit, base. */
type Segment = readonly [offset: number, selector: number, attributes: number, limit: number, base: number];

/** Initial state of a vCPU as KVM saves it: APM volume 2, table B-4, with what QEMU sets before launch. */
function vmsa(start: number, signature: number, features: bigint, fpuReset: boolean): Uint8Array {
  const page = Buffer.alloc(PAGE_BYTES);
  const limit = 0xffff;
  const segments: readonly Segment[] = [
    [0x00, 0, 0x93, limit, 0], [0x10, 0xf000, 0x9b, limit, (start & 0xffff_0000) >>> 0], [0x20, 0, 0x93, limit, 0], [0x30, 0, 0x93, limit, 0], [0x40, 0, 0x93, limit, 0],
    [0x50, 0, 0x93, limit, 0], [0x60, 0, 0, limit, 0], [0x70, 0, 0x82, limit, 0], [0x80, 0, 0, limit, 0], [0x90, 0, 0x8b, limit, 0],
  ];
  for (const [offset, selector, attributes, segmentLimit, base] of segments) {
    page.writeUInt16LE(selector, offset);
    page.writeUInt16LE(attributes, offset + 2);
    page.writeUInt32LE(segmentLimit, offset + 4);
    page.writeBigUInt64LE(BigInt(base), offset + 8);
  }
  const registers: readonly (readonly [offset: number, value: bigint])[] = [
    [0xd0, 0x1000n], [0x148, 0x40n], [0x158, 0x10n], [0x160, 0x400n], [0x168, 0xffff_0ff0n], [0x170, 2n], [0x178, BigInt(start & 0xffff)], // efer, cr4, cr0, dr7, dr6, rflags, rip
    [0x268, 0x0007_0406_0007_0406n], [0x310, BigInt(signature)], [0x3b0, features], [0x3e8, 1n], // pat, rdx, sev features, xcr0
  ];
  for (const [offset, value] of registers) page.writeBigUInt64LE(value, offset);
  if (fpuReset) {
    page.writeUInt32LE(0x1f80, 0x408); // mxcsr
    page.writeUInt16LE(0x37f, 0x410); // x87 control word
  }
  return page;
}
