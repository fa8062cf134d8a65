// The proxy's end of a client↔proxy connection (WIRE.md sections 9 and 11, WIRE-2026-04.md section 10).
// Strict order connect → auth → Ready; a violation is answered with the specified error and then the connection closes.
// Refuses versions without overlap, wrong secrets, too many or too large requests and request ids that are in use.
import type { CocoonError } from '../core/errors.ts';
import type { VerifiedPeer } from '../tee/peer.ts';
import type { AnswerSink } from './answer.ts';
import type { PaymentStatus, ProxyIdentity, RequestPayment, WorkerType } from './peer-info.ts';
import type { Timers } from './timers.ts';
import type { VersionRange } from './versions.ts';

/** What a client says in `client.connectToProxy`, after the checks that need no port. */
export interface ClientHello {
  readonly ownerAddress: string;
  readonly minConfigVersion: number;
  readonly version: number;
}

/** The proxy's hold on one client connection. */
export interface ClientLink {
  /** "ip:port". */
  readonly remoteAddress: string;
  readonly peer: VerifiedPeer;
  readonly state: 'connect' | 'auth' | 'ready' | 'closed';
  readonly runningRequests: number;
  readonly closed: Promise<CocoonError | null>;
  /** `proxy.clientRequestPayment`. Rejects with E_CLOSED. */
  requestPayment(payment: RequestPayment): Promise<void>;
  close(reason?: CocoonError): void;
}

export type AuthMethod = { readonly kind: 'short'; readonly secret: Uint8Array } | { readonly kind: 'long'; readonly nonce: bigint };

export interface ClientRequest {
  /** Chosen by the client, 32 bytes. */
  readonly id: Uint8Array;
  readonly model: string;
  /** Boxed `http.request`, not parsed. */
  readonly query: Uint8Array;
  readonly maxCoefficient: number;
  readonly maxTokens: number;
  /** What the client allows for the whole answer; the acceptor aborts and answers 652 after it. */
  readonly timeoutMs: number;
  readonly minConfigVersion: number;
  readonly enableDebug: boolean;
  /** 32 bytes, null when absent or zero. */
  readonly publicKey: Uint8Array | null;
}

/** A client that was admitted: what `client.connectedToProxy` says, and who answers from then on. */
export interface AdmittedClient {
  readonly proxy: ProxyIdentity;
  readonly clientContractAddress: string;
  /** `secretHash` is SHA-256 of the client's secret, 32 bytes; null demands long authentication. */
  readonly secretHash: Uint8Array | null;
  /** Identifies this attempt, unsigned 64 bit. */
  readonly nonce: bigint;
  readonly signedPayment: Uint8Array | null;
  /** Called after a right secret, or for long authentication, which it may wait for. RemoteError refuses and closes. */
  authorize(method: AuthMethod, signal: AbortSignal): Promise<PaymentStatus>;
  paymentStatus(): PaymentStatus | Promise<PaymentStatus>;
  workerTypes(): readonly WorkerType[] | Promise<readonly WorkerType[]>;
  /** Answers one request through `sink`. Rejecting answers with that error; `signal` fires on cancellation, time-out and close. */
  run(request: ClientRequest, sink: AnswerSink, signal: AbortSignal): Promise<void>;
}

/** The decisions that the acceptor leaves to the proxy. RemoteError gives the peer its code and text; then the connection closes. */
export interface ClientGate {
  /** Throws RemoteError 0 when the text is not an address. */
  checkOwner(address: string): void;
  /** Version of the root configuration that the proxy acts on. */
  configVersion(): number;
  /** Throws RemoteError: 602 "client is closing", 651 "proxy is not participating in this iteration". */
  admit(hello: ClientHello, link: ClientLink): Promise<AdmittedClient>;
}

export interface ClientAcceptorOptions {
  readonly isTest: boolean;
  readonly versions?: VersionRange;
  readonly timers?: Timers;
  /** Default 64. */
  readonly maxRunningRequests?: number;
  /** Default 2^24 − 4096: what still fits into one frame to the worker. */
  readonly maxQueryBytes?: number;
  /** Longest timeout granted to a request; a longer one is cut to it. Default 1 hour. */
  readonly maxRequestMs?: number;
  /** How long a client may take to connect (default 30 s), to start authentication (default 600 s) and to be authorised (default 300 s). */
  readonly connectTimeoutMs?: number;
  readonly authTimeoutMs?: number;
  readonly authorizeTimeoutMs?: number;
}
