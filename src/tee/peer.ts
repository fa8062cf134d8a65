// What a verified certificate says about the peer. Shared by the TLS layer (which asks) and the verifier (which answers).

/** `none`: a certificate without evidence, allowed from clients only. `simulated`: a local network's own, accepted on that network only. */
export type EvidenceKind = 'none' | 'simulated' | 'fake_tdx' | 'tdx' | 'sev-snp';

export type Role = 'proxy' | 'worker';

/** One check that the peer passed. A check that fails is an AttestationError, so there are no failed ones to list. */
export interface PassedCheck {
  /** Stable name, for example `key-binding`. */
  readonly name: string;
  /** What was seen, in words for a person. */
  readonly detail: string;
}

export interface VerifiedPeer {
  readonly evidence: EvidenceKind;
  /** Raw Ed25519 TLS public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Image hash as the root contract lists it, 32 bytes; 32 zero bytes when `evidence` is `none`. */
  readonly imageHash: Uint8Array;
  /** The role that the evidence was accepted for; absent when `evidence` is `none` or `fake_tdx`. */
  readonly role?: Role;
  /** Every check that was made, in order. */
  readonly checks?: readonly PassedCheck[];
}

/**
 * Decides on a peer's leaf certificate (DER) before any application byte flows. Zero bytes mean that the peer sent none.
 * Throws AttestationError; there is no other way to refuse.
 */
export type VerifyPeer = (certificateDer: Uint8Array) => VerifiedPeer;
