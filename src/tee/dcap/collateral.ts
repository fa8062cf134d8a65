// What Intel publishes about its platforms, in the shape in which it is verified (Intel PCS API v4). Types only;
// parse-collateral.ts makes them.
import type { X509 } from '../x509/certificate.ts';
import type { Crl } from '../x509/crl.ts';

/** Statuses that TCB levels of a platform may have, from Intel's PCS API v4. */
export type TcbLevelStatus =
  | 'UpToDate' | 'SWHardeningNeeded' | 'ConfigurationNeeded' | 'ConfigurationAndSWHardeningNeeded'
  | 'OutOfDate' | 'OutOfDateConfigurationNeeded' | 'Revoked';

/** Statuses of a whole quote: a platform may also be up to date now while the guest was started before. */
export type TcbStatus = TcbLevelStatus | 'TDRelaunchAdvised' | 'TDRelaunchAdvisedConfigurationNeeded';

/** A status that this version does not know is kept as `Unrecognized`, and refused only where its level is the one that matches. */
export type ListedStatus = TcbLevelStatus | 'Unrecognized';

/** One level of a platform's TCB. Dates in milliseconds since the Unix epoch. */
export interface TcbLevel {
  /** 16 SVNs each; `tdx` is empty in TCB info for SGX. */
  readonly sgx: readonly number[];
  readonly tdx: readonly number[];
  readonly pceSvn: number;
  readonly dateMs: number;
  readonly status: ListedStatus;
  readonly advisories: readonly string[];
}

/** One level of an enclave or a TDX module, by its ISVSVN. */
export interface IsvLevel {
  readonly isvSvn: number;
  readonly dateMs: number;
  readonly status: ListedStatus;
  readonly advisories: readonly string[];
}

export interface TdxModule {
  /** 48 bytes. */
  readonly mrSigner: Uint8Array;
  /** 8 bytes. */
  readonly attributes: Uint8Array;
}

export interface TdxModuleIdentity extends TdxModule {
  /** `TDX_` and the module's major version in two upper-case hexadecimal digits. */
  readonly id: string;
  /** Highest ISVSVN first. */
  readonly levels: readonly IsvLevel[];
}

/** A window of time in milliseconds since the Unix epoch, both ends included. */
export interface Window {
  readonly issuedMs: number;
  readonly nextUpdateMs: number;
}

export interface TcbInfo extends Window {
  readonly id: 'SGX' | 'TDX';
  /** Version 2 is for SGX only. */
  readonly version: 2 | 3;
  /** 6 bytes. */
  readonly fmspc: Uint8Array;
  /** 2 bytes. */
  readonly pceId: Uint8Array;
  readonly evaluationDataNumber: number;
  /** Present for TDX only. */
  readonly module: TdxModule | null;
  readonly moduleIdentities: readonly TdxModuleIdentity[];
  /** Best level first, in the order of Intel's library. Never empty. */
  readonly levels: readonly TcbLevel[];
}

export interface QeIdentity extends Window {
  readonly id: 'QE' | 'TD_QE';
  readonly evaluationDataNumber: number;
  /** 4 bytes each, in the order of the report. */
  readonly miscSelect: Uint8Array;
  readonly miscSelectMask: Uint8Array;
  /** 16 bytes each. */
  readonly attributes: Uint8Array;
  readonly attributesMask: Uint8Array;
  /** 32 bytes. */
  readonly mrSigner: Uint8Array;
  readonly isvProdId: number;
  /** Highest ISVSVN first. */
  readonly levels: readonly IsvLevel[];
}

/** A text with the signature over its very bytes and the chain of the signer (leaf first). */
export interface SignedText<T> {
  readonly value: T;
  readonly text: Uint8Array;
  /** r and s of 32 bytes each. */
  readonly signature: Uint8Array;
  readonly chain: readonly X509[];
}

/** Everything that is needed to verify one platform's quotes, parsed and not yet believed. */
export interface Collateral {
  readonly tcbInfo: SignedText<TcbInfo>;
  readonly qeIdentity: SignedText<QeIdentity>;
  readonly rootCrl: Crl;
  readonly pckCrl: Crl;
  readonly pckCrlChain: readonly X509[];
}
