// What an Intel quote says (Intel TDX DCAP quoting library API, appendix 3; SGX ECDSA quote library API, appendix A).
// Types only; parse-quote.ts makes them.

/** An SGX enclave report of 384 bytes: the body of an SGX quote, and the quoting enclave's own. */
export interface EnclaveReport {
  /** The whole report, which is what a signature covers. */
  readonly raw: Uint8Array;
  /** 16 bytes. */
  readonly cpuSvn: Uint8Array;
  /** 4 bytes as they stand in the report (little-endian). */
  readonly miscSelect: Uint8Array;
  /** 16 bytes: 8 of flags, 8 of XFRM. */
  readonly attributes: Uint8Array;
  /** 32 bytes each. */
  readonly mrEnclave: Uint8Array;
  readonly mrSigner: Uint8Array;
  readonly isvProdId: number;
  readonly isvSvn: number;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
}

/** A trust domain report: TD 1.0 (584 bytes) or TD 1.5 (648 bytes). */
export interface TdReport {
  /** 16 bytes. Byte 0 is the SVN of the TDX module, byte 1 its major version. */
  readonly teeTcbSvn: Uint8Array;
  /** 48 bytes each. */
  readonly mrSeam: Uint8Array;
  readonly mrSignerSeam: Uint8Array;
  /** 8 bytes each. */
  readonly seamAttributes: Uint8Array;
  readonly tdAttributes: Uint8Array;
  readonly xfam: Uint8Array;
  /** 48 bytes each. */
  readonly mrTd: Uint8Array;
  readonly mrConfigId: Uint8Array;
  readonly mrOwner: Uint8Array;
  readonly mrOwnerConfig: Uint8Array;
  readonly rtmr0: Uint8Array;
  readonly rtmr1: Uint8Array;
  readonly rtmr2: Uint8Array;
  readonly rtmr3: Uint8Array;
  /** 64 bytes. */
  readonly reportData: Uint8Array;
  /** TD 1.5 only, null in TD 1.0: the TCB of the module now loaded (16 bytes), and the service TD's measurement (48 bytes). */
  readonly later: { readonly teeTcbSvn2: Uint8Array; readonly mrServiceTd: Uint8Array } | null;
}

export type QuoteBody =
  | { readonly tee: 'sgx'; readonly report: EnclaveReport }
  | { readonly tee: 'tdx'; readonly report: TdReport };

export interface Quote {
  readonly version: 3 | 4 | 5;
  readonly body: QuoteBody;
  /** Header and body: what the attestation key has signed. */
  readonly signedBytes: Uint8Array;
  /** ECDSA P-256, r and s of 32 bytes each. */
  readonly signature: Uint8Array;
  /** Attestation key: x and y of 32 bytes each. */
  readonly attestationKey: Uint8Array;
  readonly qeReport: EnclaveReport;
  /** By the PCK key, r and s of 32 bytes each. */
  readonly qeReportSignature: Uint8Array;
  /** 0 to 1024 bytes. */
  readonly qeAuthData: Uint8Array;
  /** PEM text of the PCK chain, leaf first. */
  readonly pckChain: Uint8Array;
  /** Zero bytes after the quote, which nothing signs. */
  readonly paddingBytes: number;
}
