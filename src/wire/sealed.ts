// What is said on the wire about sealing prompts to one node (SPEC.md section 10), free of constructors: a node's key and what
// vouches for it, the fields that travel beside a sealed request, and what a client learns of a node that it has verified.
import type { FreshAnswer } from '../tee/fresh-attestation.ts';
import type { EvidenceKind } from '../tee/peer.ts';

/** A node's key record; nothing of it is verified on the way. */
export interface SignedRecord {
  /** Key record (SPEC.md section 4). */
  readonly record: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** A key record and what it is believed by. */
export interface SealKey extends SignedRecord {
  /** DER of the node's attested certificate: its evidence is in it. */
  readonly certificate: Uint8Array;
  /** Evidence made for this record. */
  readonly evidence: FreshAnswer;
}

/** A node that a proxy offers for a sealed request, in the proxy's own words. */
export interface SealOffer extends SignedRecord {
  /** Price in thousandths. */
  readonly coefficient: number;
  /** Requests that run there now, and that fit. */
  readonly running: number;
  readonly capacity: number;
}

/** What travels beside a sealed request from the client; the request's id is the session's (SPEC.md section 5). */
export interface SealedFields {
  /** 16 bytes; names the node too. */
  readonly keyId: Uint8Array;
  readonly suite: { readonly kem: number; readonly kdf: number; readonly aead: number };
  readonly paramsVersion: number;
  readonly model: string;
  /** Of all answers together. */
  readonly maxTokens: number;
  /** Thousandths. */
  readonly maxCoefficient: number;
  readonly timeoutMs: number;
  /** Milliseconds since the Unix epoch, by the client's clock. */
  readonly timestampMs: number;
}

/** What only the two ends can read. */
export interface SealedBytes {
  /** Encapsulated key. */
  readonly enc: Uint8Array;
  readonly sealed: Uint8Array;
}

/** A sealed request as a proxy, and then the node, gets it. */
export interface SealedRun extends SealedFields, SealedBytes {
  /** Chosen by the client, 32 bytes. */
  readonly requestId: Uint8Array;
  /** The client's contract, as this proxy has told the client. */
  readonly clientContract: string;
}

/** Largest of each that is taken from a peer. */
export const MAX_CERTIFICATE_BYTES = 65_536;
export const MAX_ENC_BYTES = 2_048;
/** Nodes that one answer offers at most. */
export const MAX_OFFERS = 16;

/** Begins the text of error 621 with which a node refuses a sealed request that is not as it was sealed, or that it has had before. */
export const SEALED_REFUSED = 'worker: sealed request refused';

/** Which nodes a request may be sealed to; without members: any. */
export interface NodeTarget {
  /** Hexadecimal of the node's TLS key or image hash, or a beginning of at least 8 characters of it. */
  readonly node?: string;
  readonly tee?: 'tdx' | 'snp' | 'any-tee';
}

/** What a client has verified about a node. */
export interface VerifiedNode {
  readonly evidence: EvidenceKind;
  /** 32 bytes. */
  readonly imageHash: Uint8Array;
  /** 32 bytes. */
  readonly tlsPublicKey: Uint8Array;
  /** DER of its attested certificate: kept beside a receipt, so that it can be judged again without the node. */
  readonly certificate: Uint8Array;
}

/** A verified node that a request may be sealed to now. */
export interface SealTarget {
  readonly node: VerifiedNode;
  /** Full name: `name@commit:hash`. */
  readonly model: string;
  /** "X-Wing, AES-128-GCM". */
  readonly suite: string;
  /** Price in thousandths, requests that run and that fit, as the proxy says. */
  readonly coefficient: number;
  readonly running: number;
  readonly capacity: number;
  /** Unix seconds: until then requests may be sealed to it. */
  readonly notAfter: number;
}

/** What shows who answered, for an answer that was sealed. */
export type AnswerProof =
  /** The node itself, verified by the client. `receipt`: encoded receipt (SPEC.md section 9), null where the node made none. */
  | { readonly scheme: 'cocoon-1'; readonly receipt: Uint8Array | null; readonly node: VerifiedNode }
  /** The network's own scheme: any attested node of the network may have read it. */
  | { readonly scheme: 'v1'; readonly receipt: null; readonly node: null };
