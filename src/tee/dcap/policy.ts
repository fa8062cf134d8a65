// What a policy demands of TDX and SGX evidence once it is known to be genuine. Every field has a strict default; the
// text form and its schema are in ../policy-file.ts. Refuses policies that could not be meant.
import { ConfigError } from '../../core/errors.ts';
import { FORBIDDEN_IMAGE_HASHES } from '../image-hash.ts';
import type { TcbStatus } from './collateral.ts';

/** An advisory that is known and tolerated, for ever or up to a time in milliseconds since the Unix epoch. */
export interface AllowedAdvisory {
  readonly id: string;
  readonly untilMs: number | null;
}

/** Statuses that a policy can name. `Revoked` is not one of them. */
export type AllowableStatus = Exclude<TcbStatus, 'Revoked'>;

export interface TcbPolicy {
  /** Default: UpToDate only. */
  readonly statuses: readonly AllowableStatus[];
  /** With any other status than UpToDate, every advisory must be one of these. Default: none. */
  readonly advisories: readonly AllowedAdvisory[];
  /** How long after Intel published a better level an outdated one is tolerated, where its status is named. Default: 0. */
  readonly graceDays: number;
  /** Smallest tcbEvaluationDataNumber of TCB info and QE identity. Default: 17, in force since November 2024. */
  readonly minEvaluationDataNumber: number;
  /** Largest age of TCB info, QE identity and PCK revocation list in days; null leaves it to their own nextUpdate (30 days). Default: null. */
  readonly maxCollateralAgeDays: number | null;
  /** Platforms by their PPID (16 bytes, hexadecimal); null for any. Default: null. */
  readonly hosts: readonly string[] | null;
}

/** Registers of 48 bytes in lower-case hexadecimal that a TD may have; those that are absent are not compared. */
export type TdxRegister = 'mrTd' | 'mrConfigId' | 'mrOwner' | 'mrOwnerConfig' | 'rtmr0' | 'rtmr1' | 'rtmr2' | 'rtmr3' | 'mrSeam';
export type TdxMeasurement = Readonly<Partial<Record<TdxRegister, string>>>;

export interface TdxPolicy {
  readonly tcb: TcbPolicy;
  /** One of these must match in every register that it names. Default: none. */
  readonly measurements: readonly TdxMeasurement[];
  /** Or the image hash (WIRE.md section 4) must be one of these, in lower-case hexadecimal. Default: none. */
  readonly imageHashes: readonly string[];
  /** True says that the image is not to be judged. Without it, and without any measurement above, a verdict is incomplete. Default: false. */
  readonly anyMeasurement: boolean;
  /** Default: false. A debuggable TD keeps nothing secret from its host. */
  readonly allowDebug: boolean;
  /** Default: false. A migratable TD trusts a migration TD. */
  readonly allowMigratable: boolean;
  /** Default: true. Azure clears SEPT_VE_DISABLE and handles the exceptions in its paravisor. */
  readonly requireSeptVeDisable: boolean;
  /** TD attributes beyond DEBUG, MIGRATABLE and SEPT_VE_DISABLE that may be set. Default: PKS, KL, PERFMON. */
  readonly attributesAllowed: bigint;
  /** XFAM bits that may be set; 0x3 (x87 and SSE) always must be. Default: 0x6dbe7, those that the TDX module can allow. */
  readonly xfamAllowed: bigint;
  /** MRSERVICETD values (hexadecimal) that a TD 1.5 may have besides zero. Default: none. */
  readonly serviceTds: readonly string[];
}

/** An enclave by its own measurement, or by its signer, product and least version. */
export type SgxMeasurement =
  | { readonly mrEnclave: string }
  | { readonly mrSigner: string; readonly isvProdId: number; readonly minIsvSvn: number };

export interface SgxPolicy {
  readonly tcb: TcbPolicy;
  /** One of these must match. Default: none. */
  readonly measurements: readonly SgxMeasurement[];
  /** As in TdxPolicy. Default: false. */
  readonly anyMeasurement: boolean;
  /** Default: false. */
  readonly allowDebug: boolean;
  /** Flags beyond DEBUG that may be set. Default: INIT, MODE64BIT, KSS, AEXNOTIFY; not the keys of provisioning and launch. */
  readonly attributesAllowed: bigint;
  /** Least version of the TCB info. Default: 3, what Intel gives out; version 2 is from services that Intel has ended. */
  readonly minTcbInfoVersion: number;
}

export interface DcapPolicy {
  /** Null refuses the kind of evidence. */
  readonly tdx: TdxPolicy | null;
  readonly sgx: SgxPolicy | null;
}

export const DEFAULT_TCB_POLICY: TcbPolicy = {
  statuses: ['UpToDate'], advisories: [], graceDays: 0, minEvaluationDataNumber: 17, maxCollateralAgeDays: null, hosts: null,
};

export const DEFAULT_TDX_POLICY: TdxPolicy = {
  tcb: DEFAULT_TCB_POLICY, measurements: [], imageHashes: [], anyMeasurement: false,
  allowDebug: false, allowMigratable: false, requireSeptVeDisable: true,
  attributesAllowed: (1n << 30n) | (1n << 31n) | (1n << 63n), xfamAllowed: 0x6dbe7n, serviceTds: [],
};

export const DEFAULT_SGX_POLICY: SgxPolicy = {
  tcb: DEFAULT_TCB_POLICY, measurements: [], anyMeasurement: false, allowDebug: false, attributesAllowed: 0x485n, minTcbInfoVersion: 3,
};

/** Throws ConfigError E_CONFIG for an allow-list with the hash of nothing, or both an allow-list and `anyMeasurement`. */
export function checkDcapPolicy({ tdx, sgx }: DcapPolicy): void {
  for (const hash of tdx?.imageHashes ?? []) {
    const nothing = FORBIDDEN_IMAGE_HASHES.get(hash);
    if (nothing !== undefined) throw new ConfigError('E_CONFIG', `the image hash ${hash} must never be listed: it stands for ${nothing}`);
  }
  if (tdx?.measurements.some((measurement) => Object.values(measurement).length === 0)) {
    throw new ConfigError('E_CONFIG', 'a TDX measurement without any register would match every image, expected at least one register');
  }
  const lists = [['TDX', tdx, (tdx?.measurements.length ?? 0) + (tdx?.imageHashes.length ?? 0)], ['SGX', sgx, sgx?.measurements.length ?? 0]] as const;
  for (const [name, policy, count] of lists) {
    if (policy?.anyMeasurement && count > 0) throw new ConfigError('E_CONFIG', `the ${name} policy names measurements and accepts any, expected one or the other`);
  }
}

