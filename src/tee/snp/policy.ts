// What a verifier demands of an SEV-SNP guest beyond genuine evidence. The defaults are the strict ones: whatever opens a
// guest to its host has to be allowed by name, and where nobody can know the wanted value the check stays unmade.
import type { SnpFirmware, SnpSigner } from './parse-report.ts';
import type { SnpProduct, Tcb } from './products.ts';

/** Bits of GUEST_POLICY (AMD 56860), which the guest's owner fixes at launch. */
export const GUEST_BIT = {
  smt: 16n, reservedOne: 17n, migrationAgent: 18n, debug: 19n, singleSocket: 20n, cxl: 21n, aes256Xts: 22n, raplDisabled: 23n,
  ciphertextHiding: 24n, pageSwapDisabled: 25n,
} as const;
/** The first bit without a meaning. */
export const GUEST_BITS_END = 26n;

/** Protections that a guest policy can demand of its host. */
export type GuestProtection = 'singleSocket' | 'aes256Xts' | 'raplDisabled' | 'ciphertextHiding' | 'pageSwapDisabled';

/** Bits of PLATFORM_INFO. */
export const PLATFORM_BIT = { smt: 0n, tsme: 1n, ecc: 2n, raplDisabled: 3n, ciphertextHiding: 4n, aliasCheck: 5n, tio: 7n } as const;

export interface SnpPolicy {
  /** Milan is not in the default: its root seed has been extracted (2026), so its reports can be forged by whoever holds it. */
  readonly products: readonly SnpProduct[];
  /** A VLEK names a cloud provider and no chip, so that hosts cannot be told apart: not in the default. */
  readonly signers: readonly SnpSigner[];
  /** The least TCB for each product, applied to reported, committed, current and launch TCB. A product without one leaves the check unmade. */
  readonly minimumTcb: Readonly<Partial<Record<SnpProduct, Tcb>>>;
  /** The least firmware, current and committed; null for any (the TCB has a version number of the firmware too). */
  readonly minimumFirmware: SnpFirmware | null;
  /** Bits that must be set in both mitigation vectors; a report before version 5 has none of them. */
  readonly requiredMitigations: bigint;
  readonly allowDebug: boolean;
  readonly allowMigrationAgent: boolean;
  /**
   * Sibling threads of other guests or of the host may share a core with the guest. Hosts have SMT on unless their owner turned
   * it off, so that most guests need it; it is a choice all the same, and stays one that somebody has made and written down.
   */
  readonly allowSmt: boolean;
  readonly allowCxl: boolean;
  readonly requiredProtections: readonly GuestProtection[];
  /** The least firmware ABI that the guest policy demands. */
  readonly minimumAbi: { readonly major: number; readonly minor: number };
  /** True: the firmware must state that it has checked memory for aliases (BadRAM). */
  readonly requireAliasCheck: boolean;
  /** Privilege levels that may have asked for the report. */
  readonly vmpls: readonly number[];
  /** Allowed SHA-384 digests (48 bytes) of ID and author keys; null for any, or none. */
  readonly idKeyDigests: readonly Uint8Array[] | null;
  readonly authorKeyDigests: readonly Uint8Array[] | null;
  /** HOST_DATA, 32 bytes; null for any. */
  readonly hostData: Uint8Array | null;
  /** Allowed chips (64 bytes as in the report); null for any. */
  readonly chipIds: readonly Uint8Array[] | null;
  /** Allowed launch digests (48 bytes) and image hashes (32 bytes, image-hash.ts); every list that is given must have it, and an empty one has none. */
  readonly measurements: readonly Uint8Array[] | null;
  readonly imageHashes: readonly Uint8Array[] | null;
  /** True: the image is not to be judged. Ignored where `measurements` or `imageHashes` are given. */
  readonly anyMeasurement: boolean;
}

export const STRICT_SNP_POLICY: SnpPolicy = {
  products: ['Genoa', 'Turin'],
  signers: ['VCEK'],
  minimumTcb: {},
  minimumFirmware: null,
  requiredMitigations: 0n,
  allowDebug: false,
  allowMigrationAgent: false,
  allowSmt: false,
  allowCxl: false,
  requiredProtections: [],
  minimumAbi: { major: 0, minor: 0 },
  requireAliasCheck: true,
  vmpls: [0],
  idKeyDigests: null,
  authorKeyDigests: null,
  hostData: null,
  chipIds: null,
  measurements: null,
  imageHashes: null,
  anyMeasurement: false,
};
