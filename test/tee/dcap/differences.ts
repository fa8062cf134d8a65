// Every way in which @phala/dcap-qvl 0.3.9 comes to another result than ours, with the reason and the clause that makes
// ours right. "QVL" is the design of Intel's quote verification library, by the numbers of its own steps; "RFC 5280" is
// X.509. A difference that is not in this list fails the differential test.

/** What is different: which side accepts, or that both do with another status or other advisories. */
export type Kind = 'only-theirs-accepts' | 'only-ours-accepts' | 'other-result';

export interface Difference {
  /** Feature of the case (generate.ts) that causes it. */
  readonly feature: string;
  readonly kind: Kind;
  readonly reason: string;
  readonly clause: string;
}

export const DIFFERENCES: readonly Difference[] = [
  { feature: 'crl-window', kind: 'only-theirs-accepts', reason: 'it does not look at thisUpdate and nextUpdate of CRLs', clause: 'RFC 5280 section 6.3.3; QVL: STATUS_SGX_CRL_EXPIRED' },
  { feature: 'crl-signature', kind: 'only-theirs-accepts', reason: 'it does not verify the signatures of CRLs', clause: 'RFC 5280 section 6.3.3 (g); QVL 4.1.2.4.6: the CRL is verified against its issuer' },
  { feature: 'crl-issuer', kind: 'only-theirs-accepts', reason: 'it does not compare the issuer of a CRL with that of the certificate', clause: 'QVL 4.1.2.4.6: STATUS_INVALID_PCK_CRL' },
  { feature: 'crl-garbage', kind: 'only-theirs-accepts', reason: 'it ignores CRLs that it cannot parse', clause: 'QVL: STATUS_SGX_CRL_UNSUPPORTED_FORMAT' },
  { feature: 'intermediate-not-ca', kind: 'only-theirs-accepts', reason: 'it does not look at the CA flag of intermediates', clause: 'RFC 5280 section 6.1.4 (k)' },
  { feature: 'pck-issuer-usage', kind: 'only-theirs-accepts', reason: 'it does not look at the key usage of intermediates', clause: 'RFC 5280 section 6.1.4 (n)' },
  { feature: 'pck-leaf-usage', kind: 'only-theirs-accepts', reason: 'it does not look at the key usage of the leaf', clause: 'RFC 5280 section 4.2.1.3' },
  { feature: 'role', kind: 'only-theirs-accepts', reason: 'it does not tell the roles of certificates apart', clause: 'QVL 4.1.2.4.4: the common name says SGX PCK Certificate; likewise for the TCB signer' },
  { feature: 'text-by-pck', kind: 'only-theirs-accepts', reason: 'it accepts TCB info that a PCK key signed', clause: 'QVL: the TCB signing chain ends in SGX TCB Signing under the root' },
  { feature: 'critical-extension', kind: 'only-theirs-accepts', reason: 'it ignores critical extensions that it does not know', clause: 'RFC 5280 section 4.2' },
  { feature: 'pceid', kind: 'only-theirs-accepts', reason: 'it does not compare the PCEID', clause: 'QVL 4.1.2.4.10' },
  { feature: 'module-unknown', kind: 'only-theirs-accepts', reason: 'it does not look for the TDX module\'s identity', clause: 'QVL 4.1.2.4.11: STATUS_TDX_MODULE_MISMATCH' },
  { feature: 'module-signer', kind: 'only-theirs-accepts', reason: 'it does not compare MRSIGNERSEAM', clause: 'QVL 4.1.2.4.11.1' },
  { feature: 'seam-attributes', kind: 'only-theirs-accepts', reason: 'it does not look at SEAMATTRIBUTES', clause: 'QVL 4.1.2.4.11.2' },
  { feature: 'module-level', kind: 'only-theirs-accepts', reason: 'it does not match the TDX module\'s SVN, so that a revoked or unknown one passes', clause: 'QVL 4.1.2.4.17.4.1' },
  { feature: 'module-level', kind: 'other-result', reason: 'it does not merge the status of the TDX module', clause: 'QVL 4.1.2.4.17.4.1' },
  { feature: 'module-level', kind: 'only-ours-accepts', reason: 'it compares components 0 and 1 although the module has a version, and finds no level or a revoked one', clause: 'QVL 4.1.2.4.17.3: they are skipped when TEE_TCB_SVN[1] is above 0' },
  { feature: 'module-version', kind: 'only-ours-accepts', reason: 'it compares components 0 and 1 although the module has a version', clause: 'QVL 4.1.2.4.17.3: they are skipped when TEE_TCB_SVN[1] is above 0' },
  { feature: 'module-version', kind: 'other-result', reason: 'it compares components 0 and 1 although the module has a version, and lands on a lower level', clause: 'QVL 4.1.2.4.17.3' },
  { feature: 'module-version', kind: 'only-theirs-accepts', reason: 'it compares components 0 and 1, and misses the level that is revoked', clause: 'QVL 4.1.2.4.17.3' },
  { feature: 'relaunch', kind: 'other-result', reason: 'it does not know that a TD 1.5 may only need a restart', clause: 'QVL 4.1.2.4.17.4.3' },
  { feature: 'relaunch', kind: 'only-ours-accepts', reason: 'it compares components 0 and 1 although the module has a version, and lands on a revoked level', clause: 'QVL 4.1.2.4.17.3: they are skipped when TEE_TCB_SVN[1] is above 0' },
  { feature: 'relaunch', kind: 'only-theirs-accepts', reason: 'it does not look at TEE_TCB_SVN2, so that a loaded module without identity passes', clause: 'QVL 4.1.2.4.17.4.3: STATUS_TDX_MODULE_MISMATCH' },
  { feature: 'qe-status', kind: 'other-result', reason: 'it takes the worse of two statuses, where outdated and misconfigured together are OutOfDateConfigurationNeeded', clause: 'QVL: convergence of TCB and QE status' },
  { feature: 'level-order', kind: 'other-result', reason: 'it takes levels in the order of the text', clause: 'QVL: levels are compared from the highest down' },
  { feature: 'level-order', kind: 'only-theirs-accepts', reason: 'it takes levels in the order of the text, and misses the one that matches first', clause: 'QVL: levels are compared from the highest down' },
  { feature: 'level-order', kind: 'only-ours-accepts', reason: 'it takes levels in the order of the text, and stops at a revoked one below', clause: 'QVL: levels are compared from the highest down' },
  { feature: 'level-duplicate', kind: 'only-theirs-accepts', reason: 'it accepts two levels with the same TCB', clause: 'QVL: duplicated TCB levels make the TCB info unsupported' },
  { feature: 'tcb-type', kind: 'only-theirs-accepts', reason: 'it does not look at tcbType', clause: 'QVL 4.1.2.7.4' },
  { feature: 'auth-data', kind: 'only-ours-accepts', reason: 'it hashes the authentication data as if it always had 32 bytes', clause: 'QVL 4.1.2.4.13: the actual data is hashed' },
  { feature: 'outer-type', kind: 'only-theirs-accepts', reason: 'it does not look at the type of the outer certification data', clause: 'QVL: version 4 and 5 quotes have certification data of type 6' },
  { feature: 'vendor', kind: 'only-theirs-accepts', reason: 'it does not look at the QE vendor', clause: 'QVL: Quote::validate, INTEL_QE_VENDOR_ID' },
  { feature: 'sgx-version', kind: 'only-ours-accepts', reason: 'it reads SGX quotes of version 3 only', clause: 'QVL: ALLOWED_QUOTE_VERSIONS and body type 1' },
  { feature: 'trailing', kind: 'only-theirs-accepts', reason: 'it ignores bytes after the quote', clause: 'ours: only zero bytes may follow, so that no byte of evidence is free' },
  { feature: 'chain-length', kind: 'only-theirs-accepts', reason: 'it accepts chains of another length', clause: 'QVL: STATUS_UNSUPPORTED_CERT_FORMAT unless leaf, intermediate and root' },
  { feature: 'qe-identity-mask', kind: 'only-theirs-accepts', reason: 'it masks the expected value too', clause: 'QVL 4.1.2.9.5 and 4.1.2.9.6: the masked report equals the identity' },
  { feature: 'xfam', kind: 'only-theirs-accepts', reason: 'it does not look at XFAM', clause: 'Intel TDX module specification: XFAM fixed bits; policy here' },
  { feature: 'enclave-attributes', kind: 'only-theirs-accepts', reason: 'it does not look at attributes beyond DEBUG', clause: 'policy here: no reserved bits, no provisioning or launch keys' },
  { feature: 'evaluation-number', kind: 'only-theirs-accepts', reason: 'it has no least evaluation number', clause: 'policy here: TCB downgrade by older collateral' },
];
