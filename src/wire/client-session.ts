// The client's end of a client↔proxy connection (WIRE.md sections 9 and 11, WIRE-2026-04.md sections 1 and 10).
// connect → port checks the proxy → auth → Ready. Refuses a proxy that the port refuses, a version that was not offered,
// answers out of order and final messages without final info; a connection that ends fails every running request at once.
import type { CocoonError } from '../core/errors.ts';
import type { FinalInfo, HttpHead } from './answer.ts';
import type { PaymentStatus, ProxyIdentity, RequestPayment, WorkerInstance } from './peer-info.ts';
import type { Timers } from './timers.ts';
import type { Capabilities, VersionRange } from './versions.ts';

export type AuthChallenge =
  | { readonly kind: 'short'; readonly secretHash: Uint8Array; readonly nonce: bigint }
  | { readonly kind: 'long'; readonly nonce: bigint };

/** What the proxy says in `client.connectedToProxy`. Nothing of it is verified yet. */
export interface ProxyOffer {
  readonly proxy: ProxyIdentity;
  /** The client contract as the proxy derives it, text. */
  readonly clientContractAddress: string;
  readonly auth: AuthChallenge;
  readonly signedPayment: Uint8Array | null;
  readonly version: number;
}

/** `short` sends the secret itself to the proxy; `long` says that the registration with the nonce was sent on chain. */
export type AuthAnswer = { readonly kind: 'short'; readonly secret: Uint8Array } | { readonly kind: 'long' };

/** The decisions that the session leaves to its owner. */
export interface ClientSessionPort {
  /** Checks the offer and throws to refuse it; the answer says how to authenticate. `signal` fires when the connection ends. */
  checkProxy(offer: ProxyOffer, signal: AbortSignal): Promise<AuthAnswer>;
  /** After authentication and every 10 to 20 seconds. Throwing closes the connection. */
  paymentStatus(status: PaymentStatus): void;
  /** After each finished request. Throwing closes the connection. */
  requestPayment(payment: RequestPayment): void;
}

export interface ClientSessionOptions {
  /** The client's wallet contract, text. */
  readonly ownerAddress: string;
  readonly isTest: boolean;
  /** Version of the root configuration that the proxy must know at least; asked for at each use. */
  minConfigVersion(): number;
  readonly versions?: VersionRange;
  readonly timers?: Timers;
  /** `size` random bytes; default crypto.randomBytes. */
  random?(size: number): Uint8Array;
  /** Limit of what one request may have received and not yet read, in bytes; default 4 MiB. */
  readonly maxQueuedBytes?: number;
  /** Limit for the connect query and the status queries; default 30 s and 60 s. */
  readonly connectTimeoutMs?: number;
  readonly statusTimeoutMs?: number;
  /** Limit for a long authentication, which waits for the chain; default 300 s. */
  readonly longAuthTimeoutMs?: number;
}

export interface AskRequest {
  /** Base name of the model, without `@commit:verity`. */
  readonly model: string;
  /** Boxed `http.request`. */
  readonly query: Uint8Array;
  /** Highest price accepted, in thousandths. */
  readonly maxCoefficient: number;
  readonly maxTokens: number;
  /** Own deadline for the whole answer. The proxy is told 0.95 of it. */
  readonly timeoutMs: number;
  readonly enableDebug?: boolean;
  /** 32 bytes; sent from version 3 on, zeroes when absent. */
  readonly publicKey?: Uint8Array;
  /** Aborting cancels the request, at the proxy and the worker too where the version allows it. */
  readonly signal?: AbortSignal;
}

/** `end` is the only sign of a complete answer; everything else that ends the stream is thrown. */
export type AnswerEvent =
  | { readonly kind: 'head'; readonly head: HttpHead }
  | { readonly kind: 'part'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly info: FinalInfo };

/** A model as the proxy lists it. `workers` is null where the proxy only gave the summary of the first version. */
export interface ModelListing {
  readonly model: string;
  readonly activeWorkers: number;
  /** Lowest price now offered, in thousandths; null when there is no worker. */
  readonly minCoefficient: number | null;
  readonly workers: readonly WorkerInstance[] | null;
}

export interface ClientSession {
  readonly version: number;
  readonly capabilities: Capabilities;
  readonly offer: ProxyOffer;
  readonly runningRequests: number;
  /** As Connection.closed. */
  readonly closed: Promise<CocoonError | null>;
  /**
   * Sends the request when iteration starts; events in order: one head, parts, one end. Throws AnswerError (the peer's error),
   * E_TIMEOUT (own deadline), E_CLOSED (incomplete: the connection ended), E_PROTOCOL (out of order), E_BACKLOG (not read fast
   * enough), E_INTERRUPTED (aborted). Leaving the loop early cancels the request.
   */
  ask(request: AskRequest): AsyncGenerator<AnswerEvent, void, undefined>;
  /** `client.getWorkerTypesV2`, or the first version where the proxy does not know it. */
  models(signal?: AbortSignal): Promise<ModelListing[]>;
  /** Asks for the payment status now; the port gets it too. */
  updatePaymentStatus(): Promise<PaymentStatus>;
  close(reason?: CocoonError): void;
}
