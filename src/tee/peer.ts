// What a verified certificate says about the peer. Shared by the TLS layer (which asks) and the verifier (which answers).

/** `none`: a certificate without evidence, allowed from clients only. `simulated`: a local network's own, accepted on that network only. */
export type EvidenceKind = 'none' | 'simulated' | 'fake_tdx' | 'tdx' | 'sev-snp';

export type Role = 'proxy' | 'worker';

export interface VerifiedPeer {
  readonly evidence: EvidenceKind;
  /** Raw Ed25519 TLS public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Image hash as the root contract lists it, 32 bytes; 32 zero bytes when `evidence` is `none`. */
  readonly imageHash: Uint8Array;
}

/**
 * Decides on a peer's leaf certificate (DER) before any application byte flows.
 * Throws AttestationError; there is no other way to refuse.
 */
export type VerifyPeer = (certificateDer: Uint8Array) => VerifiedPeer;
