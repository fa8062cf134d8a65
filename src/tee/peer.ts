// What a verified certificate says about the peer, and what a connection needs to look at it again. Shared by the transport
// (which asks, closes and challenges) and the verifiers (which answer).
import type { FreshAnswer, FreshQuestion } from './fresh-attestation.ts';

/** `none`: a certificate without evidence, allowed from clients only. `simulated`: a local network's own, accepted on that network only. */
export type EvidenceKind = 'none' | 'simulated' | 'fake_tdx' | 'tdx' | 'sev-snp';

export type Role = 'proxy' | 'worker';

/** One check that the peer passed. A check that fails is an AttestationError, so there are no failed ones to list. */
export interface PassedCheck {
  /** Stable name, for example `key-binding`. */
  readonly name: string;
  /** What was seen, in words for a person. */
  readonly detail: string;
  /** True for a fact that decided nothing: a root given by the user, a property that was not shown. */
  readonly info?: true;
}

/** For how long a verdict on a peer stands, and how it is made anew for a connection that lasts longer. */
export interface PeerStanding {
  /** Milliseconds until the verdict must not be relied on any more; 0 or less when it must not now, Infinity where it never ends. */
  leftMs(): number;
  /**
   * Judges everything that the peer has shown again, by the lists, the collateral and the time of now. Rejects with
   * AttestationError when it no longer passes, with NetworkError when that cannot be known now.
   */
  renew(signal: AbortSignal): Promise<void>;
  /**
   * Calls `listener` when `leftMs` may have become less: with true when the verdict is to be made anew at once, because the lists
   * have changed; with false when the peer has shown something more. Returns how to stop listening.
   */
  onChange(listener: (judgeNow: boolean) => void): () => void;
}

/** How the peer is asked for evidence made for this one connection (fresh-attestation.ts). */
export interface PeerFreshness {
  /** Judges the answer to a challenge. Throws AttestationError, or NetworkError when collateral cannot be had. */
  verify(answer: FreshAnswer, question: FreshQuestion, signal: AbortSignal): Promise<void>;
  /** Records that the peer cannot be asked; `why` completes "freshness is not shown: ". Throws AttestationError where the policy requires it. */
  notShown(why: string): void;
}

export interface VerifiedPeer {
  readonly evidence: EvidenceKind;
  /** Raw Ed25519 TLS public key, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Image hash as the root contract lists it, 32 bytes; 32 zero bytes when `evidence` is `none`. */
  readonly imageHash: Uint8Array;
  /** The role that the evidence was accepted for; absent when `evidence` is `none` or `fake_tdx`. */
  readonly role?: Role;
  /** Every check that was made, in order; grows when freshness is asked for. */
  readonly checks?: readonly PassedCheck[];
  /** Absent where there is nothing to judge again: no evidence, or a fake. */
  readonly standing?: PeerStanding;
  /** Absent where there is nothing to ask for: no evidence, or a fake. */
  readonly freshness?: PeerFreshness;
}

/**
 * Decides on a peer's leaf certificate (DER) before any application byte flows. Zero bytes mean that the peer sent none.
 * Throws AttestationError, or NetworkError when it cannot be judged now; there is no other way to refuse.
 */
export type SyncVerifyPeer = (certificateDer: Uint8Array) => VerifiedPeer;

/** The same where collateral may have to be fetched first. `signal` fires when nobody waits for the answer any more. */
export type VerifyPeer = (certificateDer: Uint8Array, signal: AbortSignal) => VerifiedPeer | Promise<VerifiedPeer>;
