// The worker's end of a worker↔proxy connection (WIRE.md sections 10 and 11, WIRE-2026-04.md sections 1 and 10).
// connect → challenge → port checks the proxy → compare balances (extended when the proxy asks) → complete → Ready.
// Refuses a proxy without fresh evidence where its version has it, a proxy that the port refuses, a version that was not offered, and more requests than announced.
import { asCocoonError, NetworkError, RemoteError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import type { AnswerSink } from './answer.ts';
import { workerAnswers } from './answer-codec.ts';
import type { Connection, TlPacket } from './connection.ts';
import { challengePeer, Responder } from './fresh-attestation.ts';
import { MAX_FRAME_BYTES } from './framing.ts';
import type { PaymentStatus, ProxyIdentity, WorkerRequestPayment } from './peer-info.ts';
import { BASE_FLAG, counter, fromPaymentFields, fromProxyParams, fromSignedPayment } from './peer-info-codec.ts';
import { ERROR } from './remote-codes.ts';
import { createServing } from './serving.ts';
import type { Serving } from './serving.ts';
import {
  ask, bounded, closeController, DEFAULT_HANDSHAKE_MS, DEFAULT_MAX_REQUEST_MS, DEFAULT_STATUS_MS, defaultRandom, incomplete, keyOrNull, lostPromise,
  pollPayments, sendOver,
} from './session-common.ts';
import { systemTimers } from './timers.ts';
import type { Timers } from './timers.ts';
import { fromWorkerRun, toSealKey } from './sealed-codec.ts';
import type { SealedRun, SealKey } from './sealed.ts';
import type { ProxyRunQuery, ProxyRunQueryEx, ProxyRunSealed } from './tl/types.ts';
import { acceptedVersion, capabilitiesOf, VERSION_FLAG, WORKER_VERSIONS } from './versions.ts';
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
  /** BoC of the highest payment that this proxy has signed; shown to it when it knows less. Absent or null: there is none. */
  readonly payment?: Uint8Array | null;
}

export interface WorkerRequest {
  /** Of this hop, 32 bytes. */
  readonly id: Uint8Array;
  /** Boxed `http.request`, not parsed; empty for a sealed request. */
  readonly query: Uint8Array;
  /** Sealed to a key of this worker, which alone says what is asked; absent for a request in the clear. */
  readonly sealed?: SealedRun;
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
  /** Why the proxy did or did not choose this worker: JSON text of at most MAX_EXPLANATION_BYTES. Null below version 7. Rejects as other queries. */
  explainChoice(): Promise<string | null>;
  /** Makes a key for sealed requests known to the proxy. False below version 8. Rejects as other queries: RemoteError when the proxy refuses it. */
  publishSealKey(key: SealKey): Promise<boolean>;
  close(reason?: CocoonError): void;
}

const NO_BYTES = new Uint8Array(0);
/** A proxy's explanation of its choices is a page of text. */
export const MAX_EXPLANATION_BYTES = 16 * 1024;

/**
 * Makes the handshake over a fresh connection and takes the connection over. Rejects with the port's error, RemoteError (the proxy
 * refused), E_TIMEOUT, E_PROTOCOL or E_CLOSED; the connection is then closed. Requests may come just before it resolves.
 */
export async function openWorkerSession(connection: Connection, port: WorkerSessionPort, options: WorkerSessionOptions): Promise<WorkerSession> {
  const { timers = systemTimers, random = defaultRandom, versions = WORKER_VERSIONS } = options;
  const closed = closeController(connection).signal;
  let receive: (packet: TlPacket) => void = () => undefined; // nothing is expected before the handshake is complete
  const timeoutMs = options.handshakeTimeoutMs ?? DEFAULT_HANDSHAKE_MS;
  const responder = new Responder(connection);
  connection.handle({
    onQuery: async (query) => {
      if (query._ === 'attest.challenge') return responder.answer(query, timeoutMs, closed);
      if (query._ === 'worker.changeModel') throw new RemoteError(ERROR, 'this worker serves one model');
      throw lostPromise();
    },
    onPacket: async (packet) => receive(packet),
  });
  try {
    const offer = await connectToProxy(connection, versions, options);
    await challengePeer(connection, { version: offer.version, capabilities: capabilitiesOf(offer.version), random, timeoutMs, signal: closed });
    const within = { timers, closed, timeoutMs, late: () => new NetworkError('E_TIMEOUT', `proxy could not be checked within ${timeoutMs} ms`) };
    const balance = await bounded(async (signal) => port.checkProxy(offer, signal), within);
    await compareBalances(connection, balance, timeoutMs, async (status, agreed) => bounded(async () => port.compared(status, agreed), within));
    const serving = serve(connection, timers, options);
    // The proxy may send the first request right behind its answer.
    receive = receiver(connection, port, serving, capabilitiesOf(offer.version));
    connection.setMaxFrameBytes(MAX_FRAME_BYTES);
    const disabled = options.isDisabled();
    await ask(connection, { _: 'worker.proxyHandshakeComplete', is_disabled: disabled }, 'worker.proxyHandshakeCompleted', { timeoutMs });
    return readySession(connection, port, offer, serving, disabled, { ...options, timers, random });
  } catch (error) {
    const known = asCocoonError(error);
    connection.close(known);
    throw known;
  }
}

async function connectToProxy(connection: Connection, versions: VersionRange, options: WorkerSessionOptions): Promise<WorkerOffer> {
  const answer = await ask(connection, {
    _: 'worker.connectToProxy',
    params: {
      _: 'worker.params', flags: BASE_FLAG | VERSION_FLAG, worker_owner_address: options.ownerAddress, model: options.model,
      coefficient: options.coefficient, is_test: options.isTest, proxy_cnt: options.proxyCount, max_active_requests: options.maxActiveRequests,
      min_proto_version: versions.min, max_proto_version: versions.max,
    },
  }, 'worker.connectedToProxy', { timeoutMs: options.handshakeTimeoutMs ?? DEFAULT_HANDSHAKE_MS });
  return {
    proxy: fromProxyParams(answer.params, options.isTest),
    workerContractAddress: answer.worker_sc_address,
    version: acceptedVersion(answer.params, versions),
  };
}

/** Compares, and once more with the details where the proxy does not agree (WIRE.md section 10, steps 2 and 3). */
async function compareBalances(
  connection: Connection, balance: WorkerBalance, timeoutMs: number, compared: (status: PaymentStatus, agreed: boolean) => Promise<void>,
): Promise<void> {
  const result = await ask(connection, {
    _: 'worker.compareBalanceWithProxy', tokens_committed_to_blockchain: balance.chainTokens,
    tokens_committed_to_db: balance.dbTokens, max_tokens: balance.maxTokens,
  }, 'worker.compareBalanceWithProxyResult', { timeoutMs });
  const agreed = result.error_code === 0;
  const { signed_payment, tokens_committed_to_db, max_tokens } = result;
  await compared(fromPaymentFields({ signed_payment, db_tokens: tokens_committed_to_db, max_tokens }), agreed);
  if (agreed) return;
  const extended = await ask(connection, {
    _: 'worker.extendedCompareBalanceWithProxy', tokens_committed_to_db: balance.dbTokens, other: balance.payment ?? NO_BYTES,
  }, 'worker.extendedCompareBalanceWithProxyResult', { timeoutMs });
  if (extended.error_code !== 0) throw new RemoteError(extended.error_code, 'extended comparison of balances failed');
}

function serve(connection: Connection, timers: Timers, options: WorkerSessionOptions): Serving {
  const serving = createServing({
    timers,
    send: sendOver(connection),
    maxRunning: options.maxActiveRequests,
    tooMany: { code: ERROR, message: 'too many active queries' },
    maxRequestMs: options.maxRequestMs ?? DEFAULT_MAX_REQUEST_MS,
  });
  void connection.closed.then((reason) => serving.closeAll(incomplete(reason)));
  return serving;
}

/** What the proxy sends once the handshake is complete. A throw makes the connection close with it. */
function receiver(connection: Connection, port: WorkerSessionPort, serving: Serving, capabilities: Capabilities): (packet: TlPacket) => void {
  const start = (request: WorkerRequest, ex: boolean): void => {
    if (!serving.isFree(request.id)) {
      connection.close(new NetworkError('E_PROTOCOL', 'proxy sent a request with the id of one that is running'));
      return;
    }
    const encoder = workerAnswers(request.id, { ex, times: capabilities.times });
    serving.start(request.id, request.timeoutMs, encoder, async (sink, signal) => port.run(request, sink, signal));
  };
  return (packet) => {
    switch (packet._) {
      case 'proxy.runQuery': return start(requestOf(packet), false);
      case 'proxy.runQueryEx': return start(requestOf(packet), true);
      case 'proxy.runSealed': {
        if (!capabilities.sealing) return;
        const request = sealedRequestOf(packet);
        if (request === null) throw new NetworkError('E_PROTOCOL', 'proxy sent a sealed request with a number out of range');
        return start(request, true);
      }
      case 'proxy.cancelQuery':
        if (capabilities.cancellation) serving.cancel(packet.request_id);
        return;
      case 'proxy.workerRequestPayment':
        port.requestPayment({
          requestId: packet.request_id, requestTokens: counter('request_tokens', packet.request_tokens),
          clientOwner: packet.request_client_owner, ...fromPaymentFields(packet),
        });
        return;
      default: // other packets mean nothing to a worker
    }
  };
}

const requestOf = (packet: ProxyRunQuery | ProxyRunQueryEx): WorkerRequest => ({
  id: packet.request_id,
  query: packet.query,
  signedPayment: fromSignedPayment(packet.signed_payment),
  coefficient: packet.coefficient,
  timeoutMs: packet.timeout * 1000,
  enableDebug: packet._ === 'proxy.runQueryEx' && packet.enable_debug === true,
  privateKey: packet._ === 'proxy.runQueryEx' ? keyOrNull(packet.private_key) : null,
});

function sealedRequestOf(packet: ProxyRunSealed): WorkerRequest | null {
  const sealed = fromWorkerRun(packet);
  if (sealed === null) return null;
  return {
    id: packet.request_id, query: NO_BYTES, sealed, signedPayment: fromSignedPayment(packet.signed_payment), coefficient: packet.coefficient,
    timeoutMs: Math.min(packet.timeout * 1000, sealed.timeoutMs), enableDebug: false, privateKey: null,
  };
}

type ReadyOptions = WorkerSessionOptions & { readonly timers: Timers; random(size: number): Uint8Array };

function readySession(
  connection: Connection, port: WorkerSessionPort, offer: WorkerOffer, serving: Serving, toldDisabled: boolean, options: ReadyOptions,
): WorkerSession {
  let disabled = toldDisabled;
  const updatePaymentStatus = async (): Promise<PaymentStatus> => {
    const timeoutMs = options.statusTimeoutMs ?? DEFAULT_STATUS_MS;
    const status = fromPaymentFields(await ask(connection, { _: 'worker.updatePaymentStatus' }, 'worker.paymentStatus', { timeoutMs }));
    port.paymentStatus(status);
    return status;
  };
  pollPayments(connection, options.timers, options.random, updatePaymentStatus);
  return {
    version: offer.version,
    capabilities: capabilitiesOf(offer.version),
    offer,
    get runningRequests() {
      return serving.running;
    },
    closed: connection.closed,
    async setDisabled(value) {
      if (value === disabled) return;
      disabled = value;
      await connection.send({ _: 'worker.enabledDisabled', disabled: value ? 1 : 0 });
    },
    setCoefficient: async (coefficient) => connection.send({ _: 'worker.newCoefficient', new_coefficient: coefficient }),
    updatePaymentStatus,
    async explainChoice() {
      if (!capabilitiesOf(offer.version).choiceExplanation) return null;
      const { json } = await ask(connection, { _: 'cocoon.explainChoice' }, 'cocoon.choiceExplanation', { timeoutMs: options.statusTimeoutMs ?? DEFAULT_STATUS_MS });
      if (json.length > MAX_EXPLANATION_BYTES) throw new NetworkError('E_PROTOCOL', `the proxy's explanation has ${json.length} bytes, expected at most ${MAX_EXPLANATION_BYTES}`);
      return new TextDecoder().decode(json);
    },
    async publishSealKey(key) {
      if (!capabilitiesOf(offer.version).sealing) return false;
      await ask(connection, { _: 'cocoon.publishSealKey', key: toSealKey(key) }, 'cocoon.sealKeyAccepted', { timeoutMs: options.statusTimeoutMs ?? DEFAULT_STATUS_MS });
      return true;
    },
    close(reason) {
      serving.closeAll(incomplete(reason ?? null)); // at once, not when the last bytes have left
      connection.close(reason);
    },
  };
}
