// Makes SEV-SNP evidence under a root of its own: chip keys with AMD's extensions, reports of every version signed by them,
// revocation lists. A forged machine is genuine unless a field says otherwise.
import { sign } from 'node:crypto';
import { parseSnpCollateral } from '../../src/tee/snp/bundle.ts';
import type { SnpCollateralTexts } from '../../src/tee/snp/bundle.ts';
import type { SnpInput } from '../../src/tee/snp/judge.ts';
import { STRICT_SNP_POLICY } from '../../src/tee/snp/policy.ts';
import type { SnpPolicy } from '../../src/tee/snp/policy.ts';
import type { SnpProduct, SnpRoots, Tcb } from '../../src/tee/snp/products.ts';
import { TAG } from '../../src/tee/der.ts';
import { derElement, derUnsigned } from '../../src/tee/der-write.ts';
import { CA_EXTENSIONS, ecKey, makeCrl, makeX509, pemOf, rsaKey, spkiHash } from './tee-pki.ts';
import type { PkiExtension, PkiKey } from './tee-pki.ts';

export const SNP_NOW = Date.UTC(2026, 10, 22, 12);
const DAY = 86_400_000;

export interface SnpAuthorities {
  readonly ark: PkiKey;
  readonly ask: PkiKey;
  readonly vek: PkiKey;
}

const makeAuthorities = (): SnpAuthorities => ({ ark: ecKey(), ask: ecKey(), vek: ecKey() });
/** Elliptic curves in place of RSA keep tests fast; the chain check is the same. */
export const AUTHORITIES = makeAuthorities();
export const OTHER_AUTHORITIES = makeAuthorities();
/** As AMD's: RSA with 4096 bits above the chip key. Takes seconds to make. */
export const rsaAuthorities = (): SnpAuthorities => ({ ark: rsaKey(), ask: rsaKey(), vek: ecKey() });

export const rootsOf = ({ ark }: SnpAuthorities, product: SnpProduct): SnpRoots =>
  ({ Milan: '', Genoa: '', Turin: '', [product]: spkiHash('sha384', ark) });

export const GOOD_TCB: Readonly<Record<SnpProduct, Tcb>> = {
  Milan: { fmc: 0, bootloader: 4, tee: 0, snp: 24, microcode: 219 },
  Genoa: { fmc: 0, bootloader: 10, tee: 0, snp: 23, microcode: 84 },
  Turin: { fmc: 1, bootloader: 1, tee: 1, snp: 4, microcode: 72 },
};

/** 8 bytes, laid out as on the product. */
export function tcbBytes(tcb: Tcb, product: SnpProduct): Uint8Array {
  return product === 'Turin'
    ? Uint8Array.of(tcb.fmc, tcb.bootloader, tcb.tee, tcb.snp, 0, 0, 0, tcb.microcode)
    : Uint8Array.of(tcb.bootloader, tcb.tee, 0, 0, 0, 0, tcb.snp, tcb.microcode);
}

const CHIP_ID = Uint8Array.from({ length: 64 }, (_, index) => index + 1);
export const chipIdOf = (product: SnpProduct): Uint8Array => (product === 'Turin' ? Uint8Array.from(CHIP_ID, (byte, index) => (index < 8 ? byte : 0)) : CHIP_ID);

const CPU: Readonly<Record<SnpProduct, readonly [number, number, number]>> = { Milan: [0x19, 1, 1], Genoa: [0x19, 0x11, 1], Turin: [0x1a, 2, 1] };

/** A field of the report by offset, written over the genuine ones before it is signed. */
export type Patch = readonly [offset: number, bytes: Uint8Array];

export interface SnpForgery {
  readonly product?: SnpProduct;
  readonly version?: number;
  readonly signer?: 'VCEK' | 'VLEK';
  readonly authorities?: SnpAuthorities;
  /** TCB of the report; the chip key has it, too, unless `vekTcb` is given. */
  readonly tcb?: Tcb;
  readonly vekTcb?: Tcb;
  readonly policy?: bigint;
  readonly patches?: readonly Patch[];
  readonly productName?: string;
  /** Replace or remove (null) extensions of the chip key, by OID. */
  readonly extensions?: Readonly<Record<string, Uint8Array | null>>;
  readonly names?: { readonly vek?: string; readonly ask?: string; readonly ark?: string };
  readonly vekNotAfter?: number;
  readonly crl?: { readonly thisUpdate?: number; readonly nextUpdate?: number; readonly revoked?: readonly number[]; readonly key?: PkiKey; readonly issuer?: string };
}

const u32 = (value: number): Uint8Array => Uint8Array.of(value & 255, value >> 8 & 255, value >> 16 & 255, value >>> 24);
export const u64 = (value: bigint): Uint8Array => Uint8Array.from({ length: 8 }, (_, index) => Number(value >> BigInt(8 * index) & 255n));

export const MEASUREMENT = Uint8Array.from({ length: 48 }, (_, index) => 0xa0 ^ index);
export const REPORT_DATA = Uint8Array.from({ length: 64 }, (_, index) => 0x55 ^ index);
/** SMT and migration off; bit 17 set. */
export const GUEST_POLICY = 1n << 17n;

/** The 1184 bytes. */
export function forgeReport(forgery: SnpForgery = {}): Uint8Array {
  const { product = 'Genoa', version = 5, signer = 'VCEK', authorities = AUTHORITIES, tcb = GOOD_TCB[product], policy = GUEST_POLICY, patches = [] } = forgery;
  const bytes = new Uint8Array(1184);
  const tcbs = [56, 384, 480, 496].map((offset): Patch => [offset, tcbBytes(tcb, product)]);
  const fields: readonly Patch[] = [
    [0, u32(version)], [4, u32(7)], [8, u64(policy)], [52, u32(1)], [64, u64(0x27n)], [72, u32(signer === 'VLEK' ? 4 : 0)],
    [80, REPORT_DATA], [144, MEASUREMENT], [320, new Uint8Array(32).fill(9)], [352, new Uint8Array(32).fill(255)], ...tcbs,
    ...(version >= 3 ? [[392, Uint8Array.from(CPU[product])] as const] : []),
    [416, chipIdOf(product)], [488, Uint8Array.of(40, 55, 1, 0, 40, 55, 1, 0)],
    ...(version >= 5 ? [[504, u64(0xbn)], [512, u64(0xfn)]] as const : []),
    ...patches,
  ];
  for (const [offset, value] of fields) bytes.set(value, offset);
  signReport(bytes, authorities.vek);
  return bytes;
}

/** Signs the first 672 bytes in place, as the firmware does. */
export function signReport(bytes: Uint8Array, key: PkiKey): void {
  const signature = sign('sha384', bytes.subarray(0, 672), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  bytes.set(Uint8Array.from(signature.subarray(0, 48)).reverse(), 672);
  bytes.set(Uint8Array.from(signature.subarray(48)).reverse(), 744);
}

const AMD = '1.3.6.1.4.1.3704.1';
export const derInteger = (value: number): Uint8Array => derUnsigned(Uint8Array.of(value));
export const derText = (text: string): Uint8Array => derElement(TAG.ia5String, Buffer.from(text));

function vekExtensions({ product = 'Genoa', signer = 'VCEK', tcb = GOOD_TCB[product], vekTcb = tcb, productName = product, extensions = {} }: SnpForgery): PkiExtension[] {
  const turin = product === 'Turin';
  const values: Record<string, Uint8Array | null> = {
    [`${AMD}.1`]: derInteger(turin ? 1 : 0), [`${AMD}.2`]: derText(productName),
    [`${AMD}.3.1`]: derInteger(vekTcb.bootloader), [`${AMD}.3.2`]: derInteger(vekTcb.tee), [`${AMD}.3.3`]: derInteger(vekTcb.snp),
    [`${AMD}.3.4`]: derInteger(0), [`${AMD}.3.5`]: derInteger(0), [`${AMD}.3.6`]: derInteger(0), [`${AMD}.3.7`]: derInteger(0),
    [`${AMD}.3.8`]: derInteger(vekTcb.microcode), [`${AMD}.3.9`]: turin ? derInteger(vekTcb.fmc) : null,
    [`${AMD}.4`]: signer === 'VCEK' ? chipIdOf(product).subarray(0, turin ? 8 : 64) : null,
    [`${AMD}.5`]: signer === 'VLEK' ? derText('example cloud') : null,
    ...extensions,
  };
  return Object.entries(values).flatMap(([oid, value]) => (value === null ? [] : [{ oid, value }]));
}

/** Serial numbers of the forged authorities. */
export const ASK_SERIAL = 2;

export function forgeCollateral(forgery: SnpForgery = {}): SnpCollateralTexts {
  const { product = 'Genoa', signer = 'VCEK', authorities = AUTHORITIES, names = {}, vekNotAfter = SNP_NOW + 365 * DAY, crl = {} } = forgery;
  const ark = { name: names.ark ?? `ARK-${product}`, key: authorities.ark };
  const ask = { name: names.ask ?? (signer === 'VLEK' ? `SEV-VLEK-${product}` : `SEV-${product}`), key: authorities.ask };
  const window = { notBefore: SNP_NOW - 100 * DAY, notAfter: SNP_NOW + 1000 * DAY };
  const arkDer = makeX509({ subject: ark.name, key: ark.key, serial: 1, extensions: CA_EXTENSIONS, ...window });
  const askDer = makeX509({ subject: ask.name, key: ask.key, issuer: ark, serial: ASK_SERIAL, extensions: CA_EXTENSIONS, ...window });
  const vekDer = makeX509({
    subject: names.vek ?? `SEV-${signer}`, key: authorities.vek, issuer: ask, serial: 0, extensions: vekExtensions(forgery), ...window, notAfter: vekNotAfter,
  });
  const list = makeCrl({
    issuer: crl.issuer ?? ark.name, key: crl.key ?? ark.key, thisUpdate: crl.thisUpdate ?? SNP_NOW - DAY, nextUpdate: crl.nextUpdate ?? SNP_NOW + 30 * DAY, revoked: crl.revoked ?? [],
  });
  return { vek: pemOf(vekDer), cert_chain: pemOf(askDer, arkDer), crl: Buffer.from(list).toString('hex') };
}

/** A policy under which the genuine forgery passes. */
export const FORGED_POLICY: SnpPolicy = { ...STRICT_SNP_POLICY, products: ['Milan', 'Genoa', 'Turin'], minimumTcb: GOOD_TCB, measurements: [MEASUREMENT] };

/** What judgeSnp takes: a genuine machine with the given fields replaced. */
export function forgeSnp(forgery: SnpForgery = {}, policy: Partial<SnpPolicy> = {}): SnpInput {
  const { product = 'Genoa', authorities = AUTHORITIES } = forgery;
  return {
    report: forgeReport(forgery), collateral: parseSnpCollateral(forgeCollateral(forgery)), policy: { ...FORGED_POLICY, ...policy },
    nowMs: SNP_NOW, reportData: REPORT_DATA, roots: rootsOf(authorities, product),
  };
}
