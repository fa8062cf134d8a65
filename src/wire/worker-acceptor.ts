// The proxy's end of a worker↔proxy connection (WIRE.md sections 10, 11 and 17).
// None → Compare → (CompareExt) → Finishing → Ready; a query out of turn is answered with an error and closes.
// Refuses workers whose parameters are out of range; answers out of order, duplicate heads and missing final info fail
// their request only; a connection that ends fails every running request at once.
import type { CocoonError } from '../core/errors.ts';
import type { VerifiedPeer } from '../tee/peer.ts';
import type { AnswerSink, FinalInfo } from './answer.ts';
import type { PaymentStatus, ProxyIdentity, WorkerRequestPayment } from './peer-info.ts';
import type { Timers } from './timers.ts';
import type { Capabilities, VersionRange } from './versions.ts';
import type { WorkerBalance } from './worker-session.ts';

/** What a worker says in `worker.connectToProxy`, after the checks that need no port. */
export interface WorkerHello {
  readonly ownerAddress: string;
  /** Full name: `name@commit:verity`. */
  readonly model: string;
  /** Price in thousandths. */
  readonly coefficient: number;
  readonly proxyCount: number;
  readonly maxActiveRequests: number;
  readonly version: number;
  /** JSON text of the worker about its machine, not verified; null where none was sent. */
  readonly machineDescription: string | null;
}

export interface RunRequest {
  /** Boxed `http.request`, passed on unchanged. */
  readonly query: Uint8Array;
  readonly signedPayment: Uint8Array | null;
  /** The worker's own announced price, in thousandths. */
  readonly coefficient: number;
  /** Own deadline for the whole answer. The worker is told 0.95 of it. */
  readonly timeoutMs: number;
  readonly enableDebug: boolean;
  /** 32 bytes, for workers of version 3 on; zeroes when absent. */
  readonly privateKey?: Uint8Array;
}

/** How a request ended. The promise that carries it resolves when the worker's slot is free again. */
export interface RunOutcome {
  /** Of this hop, 32 bytes. */
  readonly id: Uint8Array;
  readonly kind: 'ended' | 'failed' | 'cancelled';
  /** What the worker reported last; null where it reported nothing. */
  readonly info: FinalInfo | null;
}

/** The proxy's hold on one worker connection. */
export interface WorkerLink {
  /** "ip:port". */
  readonly remoteAddress: string;
  readonly peer: VerifiedPeer;
  readonly state: 'connect' | 'compare' | 'compare-extended' | 'finishing' | 'ready' | 'closed';
  /** Null until a version was chosen. */
  readonly capabilities: Capabilities | null;
  readonly runningRequests: number;
  readonly closed: Promise<CocoonError | null>;
  /**
   * Sends the request and feeds `sink`, which gets its `end` or `fail` exactly once: `fail` at once on abort, time-out, close
   * and protocol errors. Never rejects. Only when Ready.
   */
  run(request: RunRequest, sink: AnswerSink, signal: AbortSignal): Promise<RunOutcome>;
  /** `proxy.workerRequestPayment`. Rejects with E_CLOSED. */
  requestPayment(payment: WorkerRequestPayment): Promise<void>;
  close(reason?: CocoonError): void;
}

/** A worker that was admitted: what `worker.connectedToProxy` says, and who answers from then on. */
export interface AdmittedWorker {
  readonly proxy: ProxyIdentity;
  readonly workerContractAddress: string;
  /** `agreed` false demands the extended comparison. A claim larger than known is for the port to judge, never a crash. */
  compareBalance(claim: WorkerBalance): Promise<{ readonly status: PaymentStatus; readonly agreed: boolean }>;
  /** RemoteError refuses and closes. */
  extendedCompare(dbTokens: bigint, other: Uint8Array): Promise<void>;
  /** The handshake is complete: requests may be sent. */
  ready(disabled: boolean): void;
  enabled(disabled: boolean): void;
  /** A new price in thousandths, already checked to be within 0 to 10^9 − 1. */
  coefficient(coefficient: number): void;
  paymentStatus(): PaymentStatus | Promise<PaymentStatus>;
}

/** The decisions that the acceptor leaves to the proxy. RemoteError gives the peer its code and text; then the connection closes. */
export interface WorkerGate {
  /** Throws RemoteError 621 "invalid worker image hash …". */
  checkImage(peer: VerifiedPeer): void;
  /** Throws RemoteError when this full model name is not allowed. */
  checkModel(model: string): void;
  admit(hello: WorkerHello, link: WorkerLink): Promise<AdmittedWorker>;
}

export interface WorkerAcceptorOptions {
  readonly isTest: boolean;
  readonly versions?: VersionRange;
  readonly timers?: Timers;
  /** `size` random bytes; default crypto.randomBytes. */
  random?(size: number): Uint8Array;
  /** How long the worker may take between two steps of the handshake; default 60 s. */
  readonly stepTimeoutMs?: number;
  /** Limit of what one request may have received and its sink not yet taken, in bytes; default 4 MiB. */
  readonly maxQueuedBytes?: number;
  /** How long a cancelled request waits for the worker to confirm before its slot counts as free; default 5 s. */
  readonly cancelGraceMs?: number;
}
