// AMD EPYC generations that run SEV-SNP guests: their pinned root keys, the layout of their TCB versions and of their chip
// ids (AMD 56860, AMD 57230). Refuses every other product name; steppings in the name are accepted and not judged.
import { malformed } from '../refusal.ts';

export const SNP_PRODUCTS = ['Milan', 'Genoa', 'Turin'] as const;
export type SnpProduct = (typeof SNP_PRODUCTS)[number];

/** SHA-384 of the SubjectPublicKeyInfo of each ARK (AMD root key), in hexadecimal. */
export type SnpRoots = Readonly<Record<SnpProduct, string>>;

/** The keys that AMD's key distribution service publishes for production parts. */
export const AMD_ROOTS: SnpRoots = {
  Milan: '1249f67f15cf229a4069195e1a9ce537d1765ef706a1f4a123c36be9518786515d25ecc007f366b564d2b3f31c48082e',
  Genoa: '32ab53a6ce5ec14926207396e5c475ae768a6a9831b7e860b5acf2e1c1dff222bc5a8bfc43eb5e06393189c1f246d880',
  Turin: '3475f08a9727f8ac9a1deaea5f2a2097aa59d64d05c2a678c229c873e6359d3a6926287a2a22cd5f88a385e333a2fcc5',
};

/**
 * Product of the name in a VCEK or VLEK (extension 1.3.6.1.4.1.3704.1.2). Bare names and names with a stepping
 * ("Milan-B0") both occur (WIRE-2026-04.md T13). Throws AttestationError E_EVIDENCE_MALFORMED on any other text.
 */
export function productOfName(name: string): SnpProduct {
  const bare = /^([A-Za-z]+)(?:-[A-Z][0-9])?$/.exec(name)?.[1];
  const product = SNP_PRODUCTS.find((candidate) => candidate === bare);
  if (product === undefined) throw malformed(`the product name of the chip key is ${JSON.stringify(name.slice(0, 32))}, expected one of ${SNP_PRODUCTS.join(', ')}, bare or with a stepping`);
  return product;
}

const FAMILY_ZEN3_ZEN4 = 0x19;
const FAMILY_ZEN5 = 0x1a;

/** Product of the CPUID family and model in a report of version 3 or later, or null for one that is not listed here. */
export function productOfCpu(family: number, model: number): SnpProduct | null {
  if (family === FAMILY_ZEN3_ZEN4 && model <= 0x0f) return 'Milan';
  // Genoa, and the Bergamo and Siena parts that share its keys.
  if (family === FAMILY_ZEN3_ZEN4 && ((model >= 0x10 && model <= 0x1f) || (model >= 0xa0 && model <= 0xaf))) return 'Genoa';
  if (family === FAMILY_ZEN5 && model <= 0x1f) return 'Turin';
  return null;
}

/** Bytes of a chip id that are significant; the others are zero in a Turin report. */
export const CHIP_ID_BYTES: Readonly<Record<SnpProduct, number>> = { Milan: 64, Genoa: 64, Turin: 8 };

/** The parts of a TCB version, each a security version number from 0 to 255. */
export interface Tcb {
  /** Firmware of the MPDMA co-processor; Turin only, 0 elsewhere. */
  readonly fmc: number;
  readonly bootloader: number;
  readonly tee: number;
  readonly snp: number;
  readonly microcode: number;
}

export const TCB_BYTES = 8;
export const TCB_PARTS = ['fmc', 'bootloader', 'tee', 'snp', 'microcode'] as const satisfies readonly (keyof Tcb)[];

/** Byte of each part in the 64-bit little-endian TCB_VERSION. */
const TCB_LAYOUT: Readonly<Record<SnpProduct, Readonly<Partial<Record<keyof Tcb, number>>>>> = {
  Milan: { bootloader: 0, tee: 1, snp: 6, microcode: 7 },
  Genoa: { bootloader: 0, tee: 1, snp: 6, microcode: 7 },
  Turin: { fmc: 0, bootloader: 1, tee: 2, snp: 3, microcode: 7 },
};

/** The parts of a TCB version of 8 bytes. Throws AttestationError E_EVIDENCE_MALFORMED when a reserved byte is not zero. */
export function tcbOf(bytes: Uint8Array, product: SnpProduct, what: string): Tcb {
  if (bytes.length !== TCB_BYTES) throw malformed(`the ${what} TCB version has ${bytes.length} bytes, expected ${TCB_BYTES}`);
  const layout = TCB_LAYOUT[product];
  const used = new Set(Object.values(layout));
  bytes.forEach((byte, index) => {
    if (byte !== 0 && !used.has(index)) throw malformed(`the ${what} TCB version has ${byte} in its reserved byte ${index}, expected 0 on ${product}`);
  });
  const part = (name: keyof Tcb): number => {
    const index = layout[name];
    return index === undefined ? 0 : bytes[index] ?? 0;
  };
  return { fmc: part('fmc'), bootloader: part('bootloader'), tee: part('tee'), snp: part('snp'), microcode: part('microcode') };
}

/** `bootloader 4, tee 0, snp 24, microcode 219`, with fmc where the product has one. */
export function tcbText(tcb: Tcb, product: SnpProduct): string {
  return TCB_PARTS.filter((part) => TCB_LAYOUT[product][part] !== undefined).map((part) => `${part} ${tcb[part]}`).join(', ');
}
