// The proxy's end of a worker↔proxy connection (WIRE.md sections 10, 11 and 17).
// None → Compare → (CompareExt) → Finishing → Ready; a query out of turn is answered with an error and closes. The worker is
// challenged for fresh evidence behind the answer to its first query, and told nothing more before it has passed.
// Refuses workers whose parameters are out of range; answers out of order, duplicate heads and missing final info fail
// their request only; a connection that ends fails every running request at once.
import { asCocoonError, AttestationError, CocoonError, NetworkError, RemoteError } from '../core/errors.ts';
import type { VerifiedPeer } from '../tee/peer.ts';
import type { AnswerSink } from './answer.ts';
import { readWorkerAnswer } from './answer-codec.ts';
import { createAsking } from './asking.ts';
import type { Asking } from './asking.ts';
import type { Connection, TlPacket } from './connection.ts';
import { challengePeer, MAX_FRESH_FRAME_BYTES, Responder } from './fresh-attestation.ts';
import { MAX_FRAME_BYTES } from './framing.ts';
import type { PaymentStatus, ProxyIdentity, WorkerRequestPayment } from './peer-info.ts';
import { counter, toPaymentFields, toProxyParams, toSignedPayment } from './peer-info-codec.ts';
import { failureOf, NOT_READY, PROTOCOL_VIOLATION } from './remote-codes.ts';
import { fromSealKey } from './sealed-codec.ts';
import type { SealKey } from './sealed.ts';
import {
  bounded, closeController, DEFAULT_HANDSHAKE_MS, DEFAULT_MAX_QUEUED_BYTES, defaultRandom, incomplete, lostPromise, sendOver, wrongConstructor,
} from './session-common.ts';
import { systemTimers } from './timers.ts';
import type { Timers } from './timers.ts';
import type {
  CocoonSealKey, TlFunction, TlObject, WorkerCompareBalanceWithProxy, WorkerConnectToProxy, WorkerExtendedCompareBalanceWithProxy,
} from './tl/types.ts';
import { capabilitiesOf, PROXY_VERSIONS } from './versions.ts';
import type { Capabilities, VersionRange } from './versions.ts';
import { checkCoefficient, checkParams } from './worker-params.ts';
import type { WorkerHello } from './worker-params.ts';
import { relay, runMessage } from './worker-run.ts';
import type { RunOutcome, RunRequest } from './worker-run.ts';
import { MAX_EXPLANATION_BYTES } from './worker-session.ts';
import type { WorkerBalance } from './worker-session.ts';

export type { WorkerHello } from './worker-params.ts';
export type { RunOutcome, RunRequest } from './worker-run.ts';

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
   * and protocol errors. Never rejects once `AdmittedWorker.ready` was called; before, E_INTERNAL.
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
  /** A measured round trip of the connection, at once when it is ready and then about every 15 seconds; from version 5 on. */
  roundTrip?(ms: number): void;
  /** Why this worker was or was not chosen, as JSON text; from version 7 on. Tells nothing about any other worker but ranks and medians. */
  explain?(): string;
  /** The worker's key for sealed requests; from version 8 on. Throws RemoteError to refuse it; the connection stays. */
  sealKey?(key: SealKey): void;
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

const DEFAULT_STEP_MS = 60_000;
const DEFAULT_CANCEL_GRACE_MS = 5_000;
/** Between two measurements of the round trip. */
const ROUND_TRIP_EVERY_MS = 15_000;
/** A worker may ask for an explanation this often: each one looks at all nodes of its model. */
const EXPLAIN_EVERY_MS = 1_000;
/** A worker makes a new key twice an hour, and may have to tell it again. */
const PUBLISH_EVERY_MS = 1_000;
/** What the comparison says when the extended one is to follow; any number but 0 does. */
const NOT_AGREED = 1;

/** Takes a fresh connection of a worker over. Everything it does from then on goes through `gate`. */
export function acceptWorker(connection: Connection, gate: WorkerGate, options: WorkerAcceptorOptions): WorkerLink {
  return new WorkerAcceptor(connection, gate, options);
}

class WorkerAcceptor implements WorkerLink {
  readonly #connection: Connection;
  readonly #gate: WorkerGate;
  readonly #options: WorkerAcceptorOptions;
  readonly #timers: Timers;
  readonly #closing: AbortController;
  readonly #responder: Responder;
  /** Settled when the worker's fresh evidence has passed or failed; the next step waits for it. */
  #challenged: Promise<void> = Promise.resolve();
  #phase: WorkerLink['state'] = 'connect';
  /** A step is being answered; the next one may only come after. */
  #busy = false;
  #capabilities: Capabilities | null = null;
  #worker: AdmittedWorker | null = null;
  #asking: Asking | null = null;
  /** The proxy is told of readiness after the answer of the last step has left; changes until then are kept here. */
  #disabled = true;
  #announced = false;
  #explainFromMs = 0;
  #publishFromMs = 0;
  #stopStepTimer: () => void = () => undefined;

  constructor(connection: Connection, gate: WorkerGate, options: WorkerAcceptorOptions) {
    this.#connection = connection;
    this.#gate = gate;
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#closing = closeController(connection);
    this.#responder = new Responder(connection);
    void connection.closed.then((reason) => {
      this.#phase = 'closed';
      this.#stopStepTimer();
      this.#asking?.closeAll(incomplete(reason));
    });
    this.#startStepTimer();
    connection.handle({
      onQuery: async (query) => this.#onQuery(query),
      onPacket: (packet) => this.#onPacket(packet),
      onBadQuery: lostPromise,
    });
  }

  get remoteAddress(): string {
    return this.#connection.remoteAddress;
  }

  get peer(): VerifiedPeer {
    return this.#connection.peer;
  }

  get state(): WorkerLink['state'] {
    return this.#phase;
  }

  get capabilities(): Capabilities | null {
    return this.#capabilities;
  }

  get runningRequests(): number {
    return this.#asking?.running ?? 0;
  }

  get closed(): Promise<CocoonError | null> {
    return this.#connection.closed;
  }

  requestPayment(payment: WorkerRequestPayment): Promise<void> {
    const { signed_payment, db_tokens, max_tokens } = toPaymentFields(payment);
    return this.#connection.send({
      _: 'proxy.workerRequestPayment', request_id: payment.requestId, signed_payment, db_tokens, max_tokens,
      request_tokens: payment.requestTokens, request_client_owner: payment.clientOwner,
    }, { lazy: true });
  }

  close(reason?: CocoonError): void {
    const error = incomplete(reason ?? null);
    this.#closing.abort(error); // at once, not when the last bytes have left
    this.#asking?.closeAll(error);
    this.#connection.close(reason);
  }

  async run(request: RunRequest, sink: AnswerSink, signal: AbortSignal): Promise<RunOutcome> {
    const capabilities = this.#capabilities;
    if (capabilities === null || this.#asking === null) throw new CocoonError('E_INTERNAL', 'request was sent to a worker that is not ready');
    const asked = this.#asking.start((id) => runMessage(request, id, capabilities), request.timeoutMs, signal);
    const kind = await relay(asked, sink, signal);
    return { id: asked.id, kind, info: await asked.settled };
  }

  #startStepTimer(): void {
    const timeoutMs = this.#options.stepTimeoutMs ?? DEFAULT_STEP_MS;
    this.#stopStepTimer();
    this.#stopStepTimer = this.#timers.after(timeoutMs, () =>
      this.close(new NetworkError('E_TIMEOUT', `worker did not go on with the handshake within ${timeoutMs} ms`)));
  }

  async #onQuery(query: TlFunction): Promise<TlObject> {
    switch (query._) {
      case 'worker.connectToProxy': return this.#step('connect', async () => this.#connect(query));
      case 'worker.compareBalanceWithProxy': return this.#step('compare', async (worker) => this.#compare(worker(), query));
      case 'worker.extendedCompareBalanceWithProxy':
        return this.#step('compare-extended', async (worker) => this.#compareExtended(worker(), query));
      case 'worker.proxyHandshakeComplete': return this.#step('finishing', async (worker) => this.#complete(worker(), query.is_disabled));
      case 'attest.challenge':
        if (this.#capabilities?.freshAttestation !== true) throw lostPromise();
        return this.#responder.answer(query, this.#options.stepTimeoutMs ?? DEFAULT_HANDSHAKE_MS, this.#closing.signal);
      case 'worker.updatePaymentStatus':
        if (this.#phase !== 'ready' || this.#worker === null) throw new RemoteError(PROTOCOL_VIOLATION, 'worker request from non-ready connection');
        return { _: 'worker.paymentStatus', ...toPaymentFields(await this.#worker.paymentStatus()) };
      case 'cocoon.explainChoice': return this.#explain();
      case 'cocoon.publishSealKey': return this.#publish(query.key);
      default:
        if (query._.startsWith('client.')) throw new RemoteError(PROTOCOL_VIOLATION, 'client request from non client');
        throw lostPromise();
    }
  }

  #explain(): TlObject {
    if (this.#capabilities?.choiceExplanation !== true || this.#worker?.explain === undefined) throw lostPromise();
    if (this.#phase !== 'ready') throw new RemoteError(PROTOCOL_VIOLATION, 'worker request from non-ready connection');
    const nowMs = performance.now();
    if (nowMs < this.#explainFromMs) throw new RemoteError(NOT_READY, 'explanations are given once a second');
    this.#explainFromMs = nowMs + EXPLAIN_EVERY_MS;
    const json = new TextEncoder().encode(this.#worker.explain());
    if (json.length > MAX_EXPLANATION_BYTES) throw new CocoonError('E_INTERNAL', `explanation has ${json.length} bytes, expected at most ${MAX_EXPLANATION_BYTES}`);
    return { _: 'cocoon.choiceExplanation', json };
  }

  #publish(key: CocoonSealKey): TlObject {
    if (this.#capabilities?.sealing !== true || this.#worker?.sealKey === undefined) throw lostPromise();
    if (this.#phase !== 'ready') throw new RemoteError(PROTOCOL_VIOLATION, 'worker request from non-ready connection');
    const nowMs = performance.now();
    if (nowMs < this.#publishFromMs) throw new RemoteError(NOT_READY, 'keys are taken once a second');
    this.#publishFromMs = nowMs + PUBLISH_EVERY_MS;
    this.#worker.sealKey(fromSealKey(key));
    return { _: 'cocoon.sealKeyAccepted' };
  }

  /** A step of the handshake, allowed in one state only: whatever goes wrong is told to the worker, then the connection closes. */
  async #step(state: WorkerLink['state'], run: (worker: () => AdmittedWorker) => Promise<TlObject>): Promise<TlObject> {
    try {
      if (this.#phase !== state || this.#busy) throw wrongConstructor();
      this.#busy = true;
      this.#stopStepTimer();
      const answer = await run(() => {
        if (this.#worker === null) throw wrongConstructor();
        return this.#worker;
      });
      if (!this.#closing.signal.aborted && this.#phase !== 'ready') this.#startStepTimer();
      return answer;
    } catch (error) {
      const { code, message } = failureOf(error);
      const refusal = new RemoteError(code, message, { cause: error });
      this.close(error instanceof AttestationError ? error : refusal);
      throw refusal;
    } finally {
      this.#busy = false;
    }
  }

  async #connect({ params }: WorkerConnectToProxy): Promise<TlObject> {
    this.#gate.checkImage(this.peer);
    const { isTest, versions = PROXY_VERSIONS } = this.#options;
    const hello = checkParams(params, { isTest, versions, checkModel: (model) => this.#gate.checkModel(model) });
    const worker = await this.#bounded(async () => this.#gate.admit(hello, this));
    this.#worker = worker;
    this.#capabilities = capabilitiesOf(hello.version);
    this.#phase = 'compare';
    this.#challenged = this.#challenge(hello.version, this.#capabilities);
    this.#challenged.catch(() => undefined); // for the next step; the step timer ends a worker that takes none
    return {
      _: 'worker.connectedToProxy', params: toProxyParams(worker.proxy, hello.version), worker_sc_address: worker.workerContractAddress,
    };
  }

  async #challenge(version: number, capabilities: Capabilities): Promise<void> {
    await new Promise((resolve) => { setImmediate(resolve); }); // the challenge must not overtake the answer before it
    if (capabilities.freshAttestation && this.peer.freshness !== undefined) this.#connection.setMaxFrameBytes(MAX_FRESH_FRAME_BYTES);
    const { random = defaultRandom, stepTimeoutMs: timeoutMs = DEFAULT_HANDSHAKE_MS } = this.#options;
    await challengePeer(this.#connection, { version, capabilities, random, timeoutMs, signal: this.#closing.signal });
  }

  async #compare(worker: AdmittedWorker, query: WorkerCompareBalanceWithProxy): Promise<TlObject> {
    await this.#bounded(() => this.#challenged);
    const claim: WorkerBalance = {
      chainTokens: counter('tokens_committed_to_blockchain', query.tokens_committed_to_blockchain),
      dbTokens: counter('tokens_committed_to_db', query.tokens_committed_to_db),
      maxTokens: counter('max_tokens', query.max_tokens),
    };
    const { status, agreed } = await this.#bounded(async () => worker.compareBalance(claim));
    this.#phase = agreed ? 'finishing' : 'compare-extended';
    return {
      _: 'worker.compareBalanceWithProxyResult', signed_payment: toSignedPayment(status.signedPayment),
      tokens_committed_to_db: status.dbTokens, max_tokens: status.maxTokens, error_code: agreed ? 0 : NOT_AGREED,
    };
  }

  async #compareExtended(worker: AdmittedWorker, query: WorkerExtendedCompareBalanceWithProxy): Promise<TlObject> {
    const dbTokens = counter('tokens_committed_to_db', query.tokens_committed_to_db);
    await this.#bounded(async () => worker.extendedCompare(dbTokens, query.other));
    this.#phase = 'finishing';
    return { _: 'worker.extendedCompareBalanceWithProxyResult', error_code: 0 };
  }

  async #complete(worker: AdmittedWorker, disabled: boolean): Promise<TlObject> {
    const { random = defaultRandom } = this.#options;
    this.#asking = createAsking({
      timers: this.#timers,
      random,
      send: sendOver(this.#connection),
      cancelMessage: this.#capabilities?.cancellation === true ? (request_id) => ({ _: 'proxy.cancelQuery', request_id }) : null,
      maxQueuedBytes: this.#options.maxQueuedBytes ?? DEFAULT_MAX_QUEUED_BYTES,
      graceMs: this.#options.cancelGraceMs ?? DEFAULT_CANCEL_GRACE_MS,
    });
    this.#connection.setMaxFrameBytes(MAX_FRAME_BYTES);
    this.#disabled = disabled;
    this.#phase = 'ready';
    setImmediate(() => this.#announce(worker)); // a request must not overtake this answer
    return { _: 'worker.proxyHandshakeCompleted' };
  }

  #announce(worker: AdmittedWorker): void {
    if (this.#phase !== 'ready') return;
    this.#announced = true;
    try {
      worker.ready(this.#disabled);
    } catch (error) {
      this.close(asCocoonError(error));
      return;
    }
    // Only the dialling side pings in the network's programs (WIRE.md section 7); ours answers both.
    if (this.#capabilities?.cancellation === true && worker.roundTrip !== undefined) void this.#measure((ms) => worker.roundTrip?.(ms));
  }

  async #measure(tell: (ms: number) => void): Promise<void> {
    await this.#connection.ping().then(tell).catch(() => undefined); // a busy connection is measured the next time
    if (this.#phase === 'ready') this.#stopStepTimer = this.#timers.after(ROUND_TRIP_EVERY_MS, () => void this.#measure(tell));
  }

  #bounded<T>(work: () => Promise<T>): Promise<T> {
    const timeoutMs = this.#options.stepTimeoutMs ?? DEFAULT_STEP_MS;
    return bounded(work, {
      timers: this.#timers, closed: this.#closing.signal, timeoutMs, late: () => new NetworkError('E_TIMEOUT', `proxy was not ready within ${timeoutMs} ms`),
    });
  }

  /** A throw makes the connection close with it. */
  #onPacket(packet: TlPacket): void {
    if (this.#phase !== 'ready' || this.#worker === null) return;
    const piece = readWorkerAnswer(packet);
    if (piece !== null) {
      this.#asking?.deliver(piece);
    } else if (packet._ === 'worker.enabledDisabled') {
      this.#disabled = packet.disabled !== 0;
      if (this.#announced) this.#worker.enabled(this.#disabled);
    } else if (packet._ === 'worker.newCoefficient') {
      this.#worker.coefficient(checkCoefficient(packet.new_coefficient));
    }
  }
}
