// What a proxy says about itself in the handshake and about payments, free of constructors (WIRE.md sections 9.1, 9.4, 10).
// Nothing here is verified: the ports of the sessions decide.

/** `proxy.params` without the version. Addresses are the texts on the wire, user-friendly base64url. */
export interface ProxyIdentity {
  /** Payment key, raw Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly ownerAddress: string;
  readonly contractAddress: string;
  readonly isTest: boolean;
}

/** Counters are cumulative tokens. `signedPayment` is a BoC (WIRE.md section 13), null for `proxy.signedPaymentEmpty`. */
export interface PaymentStatus {
  readonly signedPayment: Uint8Array | null;
  readonly dbTokens: bigint;
  readonly maxTokens: bigint;
}

/** What the proxy pushes after each finished request. */
export interface RequestPayment extends PaymentStatus {
  /** Of the same hop, 32 bytes. */
  readonly requestId: Uint8Array;
  readonly requestTokens: bigint;
}

export interface WorkerRequestPayment extends RequestPayment {
  readonly clientOwner: string;
}

/** One worker as `client.workerTypesV2` lists it. The coefficient is the price in thousandths. */
export interface WorkerInstance {
  readonly coefficient: number;
  readonly activeRequests: number;
  readonly maxActiveRequests: number;
}

/** The workers of one model. */
export interface WorkerType {
  readonly model: string;
  readonly workers: readonly WorkerInstance[];
}
