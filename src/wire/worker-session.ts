// The worker's end of a worker↔proxy connection (WIRE.md sections 10 and 11, WIRE-2026-04.md sections 1 and 10).
// connect → port checks the proxy → compare balances (extended when the proxy asks) → complete → Ready.
// Refuses a proxy that the port refuses, a version that was not offered, and more requests than announced.
import type { CocoonError } from '../core/errors.ts';
import type { AnswerSink } from './answer.ts';
import type { PaymentStatus, ProxyIdentity, WorkerRequestPayment } from './peer-info.ts';
import type { Timers } from './timers.ts';
import type { Capabilities, VersionRange } from './versions.ts';

/** What the proxy says in `worker.connectedToProxy`. Nothing of it is verified yet. */
export interface WorkerOffer {
  readonly proxy: ProxyIdentity;
  /** The worker contract as the proxy derives it, text. */
  readonly workerContractAddress: string;
  readonly version: number;
}

/** What the worker believes it has earned at this proxy, in cumulative tokens. */
export interface WorkerBalance {
  readonly chainTokens: bigint;
  readonly dbTokens: bigint;
  readonly maxTokens: bigint;
}

export interface WorkerRequest {
  /** Of this hop, 32 bytes. */
  readonly id: Uint8Array;
  /** Boxed `http.request`, not parsed. */
  readonly query: Uint8Array;
  readonly signedPayment: Uint8Array | null;
  /** Price agreed for this request, in thousandths. */
  readonly coefficient: bigint;
  readonly timeoutMs: number;
  readonly enableDebug: boolean;
  /** 32 bytes, null when absent or zero. Never logged. */
  readonly privateKey: Uint8Array | null;
}

/** The decisions that the session leaves to the node. */
export interface WorkerSessionPort {
  /** Checks the offer and throws to refuse it; answers with the balance to compare. `signal` fires when the connection ends. */
  checkProxy(offer: WorkerOffer, signal: AbortSignal): Promise<WorkerBalance>;
  /** The proxy's side of the comparison. Throws to refuse. `agreed` is false when the extended comparison follows. */
  compared(status: PaymentStatus, agreed: boolean): void | Promise<void>;
  /** Every 10 to 20 seconds. Throwing closes the connection. */
  paymentStatus(status: PaymentStatus): void;
  /** After each finished request. Throwing closes the connection, which forces a new comparison. */
  requestPayment(payment: WorkerRequestPayment): void;
  /** Answers one request through `sink`. Rejecting answers with that error; `signal` fires on cancellation, time-out and close. */
  run(request: WorkerRequest, sink: AnswerSink, signal: AbortSignal): Promise<void>;
}

export interface WorkerSessionOptions {
  /** The owner's address, text. */
  readonly ownerAddress: string;
  /** Full name: `name@commit:verity`. */
  readonly model: string;
  /** Price in thousandths, 0 to 10^9 − 1. */
  readonly coefficient: number;
  readonly isTest: boolean;
  /** Number of proxies this worker talks to. */
  readonly proxyCount: number;
  readonly maxActiveRequests: number;
  /** Asked when the handshake completes: true when the engine is not ready to answer. */
  isDisabled(): boolean;
  readonly versions?: VersionRange;
  readonly timers?: Timers;
  /** `size` random bytes; default crypto.randomBytes. */
  random?(size: number): Uint8Array;
  /** Limit for each query of the handshake and for the status query; default 30 s and 60 s. */
  readonly handshakeTimeoutMs?: number;
  readonly statusTimeoutMs?: number;
  /** Longest time granted to a request; a longer one is cut to it. Default 1 hour. */
  readonly maxRequestMs?: number;
}

export interface WorkerSession {
  readonly version: number;
  readonly capabilities: Capabilities;
  readonly offer: WorkerOffer;
  readonly runningRequests: number;
  /** As Connection.closed. */
  readonly closed: Promise<CocoonError | null>;
  /** `worker.enabledDisabled`; sent only when it changes. Rejects with E_CLOSED. */
  setDisabled(disabled: boolean): Promise<void>;
  /** `worker.newCoefficient`, thousandths. Rejects with E_CLOSED. */
  setCoefficient(coefficient: number): Promise<void>;
  /** Asks for the payment status now; the port gets it too. */
  updatePaymentStatus(): Promise<PaymentStatus>;
  close(reason?: CocoonError): void;
}
