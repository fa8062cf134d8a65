// What HPKE needs of a key encapsulation mechanism (RFC 9180 section 4): two are in this folder, X25519 and X-Wing.

/** A decapsulation key. Its secret stays inside; `erase` overwrites what can be overwritten. */
export interface KemKey {
  /** The encapsulation key, `publicKeyBytes` long. */
  readonly publicKey: Uint8Array;
  /** The shared secret (32 bytes) of an encapsulation. Throws SealError for one that no sender of this KEM makes. */
  decapsulate(enc: Uint8Array): Uint8Array;
  erase(): void;
}

export interface Encapsulation {
  /** 32 bytes. */
  readonly sharedSecret: Uint8Array;
  /** `encBytes` long; goes to the receiver. */
  readonly enc: Uint8Array;
}

export interface Kem {
  /** Number of the IANA registry of HPKE KEMs. */
  readonly id: number;
  readonly name: string;
  readonly publicKeyBytes: number;
  readonly encBytes: number;
  /** Secret bytes from which `keyOf` makes a key. */
  readonly seedBytes: number;
  /** Random bytes that one encapsulation takes. */
  readonly randomnessBytes: number;
  /** A key from its secret; of another length than `seedBytes` it is a RangeError. */
  keyOf(seed: Uint8Array): KemKey;
  /** Throws SealError for a public key that is none. `randomness` must be secret and never used twice. */
  encapsulate(publicKey: Uint8Array, randomness: Uint8Array): Encapsulation;
}
