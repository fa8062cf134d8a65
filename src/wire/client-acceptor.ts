// The proxy's end of a client↔proxy connection (WIRE.md sections 9 and 11, WIRE-2026-04.md section 10).
// Strict order connect → auth → Ready; a violation is answered with the specified error and then the connection closes.
// Refuses versions without overlap, wrong secrets, too many or too large requests and request ids that are in use.
import { createHash, timingSafeEqual } from 'node:crypto';
import { NetworkError, RemoteError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import type { VerifiedPeer } from '../tee/peer.ts';
import { NO_INFO } from './answer.ts';
import type { AnswerSink } from './answer.ts';
import { clientAnswers } from './answer-codec.ts';
import type { Connection, TlPacket } from './connection.ts';
import { Responder } from './fresh-attestation.ts';
import { MAX_FRAME_BYTES } from './framing.ts';
import type { PaymentStatus, ProxyIdentity, RequestPayment, WorkerType } from './peer-info.ts';
import { BASE_FLAG, toPaymentFields, toProxyParams, toSignedPayment, toWorkerType, toWorkerTypeV2 } from './peer-info-codec.ts';
import { ERROR, failureOf, NOT_READY, PROTOCOL_VIOLATION, UNSPECIFIED } from './remote-codes.ts';
import { fromClientRun, toSealKey, toSealOffers } from './sealed-codec.ts';
import { MAX_OFFERS } from './sealed.ts';
import type { SealedRun, SealKey, SealOffer } from './sealed.ts';
import { createServing } from './serving.ts';
import type { Serving } from './serving.ts';
import {
  bounded, closeController, DEFAULT_HANDSHAKE_MS, DEFAULT_MAX_REQUEST_MS, incomplete, keyOrNull, lostPromise, sendOver, wrongConstructor,
} from './session-common.ts';
import { systemTimers } from './timers.ts';
import type { Timers } from './timers.ts';
import type {
  ClientAuthorizeWithProxyLong, ClientAuthorizeWithProxyShort, ClientConnectToProxy, ClientRunQuery, ClientRunQueryEx, ClientRunSealed, TlFunction, TlObject,
} from './tl/types.ts';
import { capabilitiesOf, chooseVersion, offeredRange, PROXY_VERSIONS } from './versions.ts';
import type { Capabilities, VersionRange } from './versions.ts';

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
  /** Boxed `http.request`, not parsed; of a sealed request the sealed bytes. */
  readonly query: Uint8Array;
  /** For the one node whose key it names; absent for a request that any node may answer. */
  readonly sealed?: { readonly run: SealedRun; readonly streamed: boolean };
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
  /** Nodes of a model that a request may be sealed to, best first, at most `limit`; from version 8 on. */
  sealOffers?(model: string, limit: number): readonly SealOffer[];
  /** What vouches for a key (16 bytes) that was offered. Throws RemoteError 651 for one that is over. */
  sealKey?(keyId: Uint8Array): SealKey;
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

const DEFAULT_MAX_RUNNING = 64;
const DEFAULT_MAX_QUERY_BYTES = MAX_FRAME_BYTES - 4096;
/** What a frame has around the query at most: constructor, model name and the fixed fields. */
const QUERY_OVERHEAD_BYTES = 4096;
const DEFAULT_AUTH_MS = 600_000;
const DEFAULT_AUTHORIZE_MS = 300_000;

/** Takes a fresh connection of a client over. Everything it does from then on goes through `gate`. */
export function acceptClient(connection: Connection, gate: ClientGate, options: ClientAcceptorOptions): ClientLink {
  return new ClientAcceptor(connection, gate, options);
}

class ClientAcceptor implements ClientLink {
  readonly #connection: Connection;
  readonly #gate: ClientGate;
  readonly #options: ClientAcceptorOptions;
  readonly #timers: Timers;
  readonly #closing: AbortController;
  readonly #serving: Serving;
  readonly #responder: Responder;
  #phase: 'connect' | 'admitting' | 'auth' | 'authorizing' | 'ready' | 'closed' = 'connect';
  #capabilities: Capabilities = capabilitiesOf(0);
  #client: AdmittedClient | null = null;
  #stopStepTimer: () => void = () => undefined;

  constructor(connection: Connection, gate: ClientGate, options: ClientAcceptorOptions) {
    this.#connection = connection;
    this.#gate = gate;
    this.#options = options;
    this.#timers = options.timers ?? systemTimers;
    this.#closing = closeController(connection);
    this.#responder = new Responder(connection);
    this.#serving = createServing({
      timers: this.#timers,
      send: sendOver(connection),
      maxRunning: options.maxRunningRequests ?? DEFAULT_MAX_RUNNING,
      tooMany: { code: NOT_READY, message: 'too many active queries' },
      maxRequestMs: options.maxRequestMs ?? DEFAULT_MAX_REQUEST_MS,
    });
    void connection.closed.then((reason) => {
      this.#phase = 'closed';
      this.#stopStepTimer();
      this.#serving.closeAll(incomplete(reason));
    });
    this.#expectWithin(options.connectTimeoutMs ?? DEFAULT_HANDSHAKE_MS, 'connect');
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

  get state(): ClientLink['state'] {
    if (this.#phase === 'admitting') return 'connect';
    return this.#phase === 'authorizing' ? 'auth' : this.#phase;
  }

  get runningRequests(): number {
    return this.#serving.running;
  }

  get closed(): Promise<CocoonError | null> {
    return this.#connection.closed;
  }

  requestPayment(payment: RequestPayment): Promise<void> {
    const { signed_payment, db_tokens, max_tokens } = toPaymentFields(payment);
    return this.#connection.send({
      _: 'proxy.clientRequestPayment', request_id: payment.requestId, signed_payment, db_tokens, max_tokens, request_tokens: payment.requestTokens,
    }, { lazy: true });
  }

  close(reason?: CocoonError): void {
    const error = incomplete(reason ?? null);
    this.#closing.abort(error); // at once, not when the last bytes have left
    this.#serving.closeAll(error);
    this.#connection.close(reason);
  }

  #expectWithin(timeoutMs: number, step: string): void {
    this.#stopStepTimer();
    this.#stopStepTimer = this.#timers.after(timeoutMs, () =>
      this.close(new NetworkError('E_TIMEOUT', `client did not ${step} within ${timeoutMs} ms`)));
  }

  async #onQuery(query: TlFunction): Promise<TlObject> {
    switch (query._) {
      case 'client.connectToProxy': return this.#step(async () => this.#connect(query));
      case 'client.authorizeWithProxyShort': case 'client.authorizeWithProxyLong': return this.#step(async () => this.#authorize(query));
      case 'attest.challenge':
        if (!this.#capabilities.freshAttestation) throw lostPromise();
        return this.#responder.answer(query, this.#options.connectTimeoutMs ?? DEFAULT_HANDSHAKE_MS, this.#closing.signal);
      case 'client.updatePaymentStatus': return { _: 'client.paymentStatus', ...toPaymentFields(await this.#ready().paymentStatus()) };
      case 'client.getWorkerTypesV2': return { _: 'client.workerTypesV2', types: (await this.#ready().workerTypes()).map(toWorkerTypeV2) };
      case 'cocoon.getSealOffers': {
        const limit = Math.min(MAX_OFFERS, Math.max(0, query.limit));
        return toSealOffers(this.#sealing().sealOffers?.(query.model_name, limit) ?? []);
      }
      case 'cocoon.getSealKey': {
        const key = this.#sealing().sealKey?.(query.key_id);
        if (key === undefined) throw lostPromise();
        return toSealKey(key);
      }
      case 'client.getWorkerTypes': return { _: 'client.workerTypes', types: (await this.#ready().workerTypes()).map(toWorkerType) };
      default:
        if (query._.startsWith('worker.')) throw new RemoteError(PROTOCOL_VIOLATION, 'worker request from non worker');
        throw lostPromise();
    }
  }

  /** A step of the handshake: whatever goes wrong is told to the client, then the connection closes. */
  async #step(run: () => Promise<TlObject>): Promise<TlObject> {
    try {
      return await run();
    } catch (error) {
      const { code, message } = failureOf(error);
      const refusal = new RemoteError(code, message, { cause: error });
      this.close(refusal);
      throw refusal;
    }
  }

  #ready(): AdmittedClient {
    if (this.#phase !== 'ready' || this.#client === null) {
      throw new RemoteError(PROTOCOL_VIOLATION, 'client request from non-ready connection');
    }
    return this.#client;
  }

  #sealing(): AdmittedClient {
    if (!this.#capabilities.sealing) throw lostPromise();
    return this.#ready();
  }

  async #connect({ params, min_config_version }: ClientConnectToProxy): Promise<TlObject> {
    if (this.#phase === 'ready') throw wrongConstructor();
    if (this.#phase !== 'connect') throw new RemoteError(UNSPECIFIED, 'expected auth message');
    this.#phase = 'admitting';
    if ((params.flags & BASE_FLAG) === 0) throw new RemoteError(ERROR, 'tool old client');
    if (params.is_test !== this.#options.isTest) throw new RemoteError(ERROR, 'test mode mismatch');
    this.#gate.checkOwner(params.client_owner_address);
    if (min_config_version > this.#gate.configVersion()) throw new RemoteError(ERROR, 'active config version is too low');
    const version = chooseVersion(offeredRange(params), this.#options.versions ?? PROXY_VERSIONS);
    const hello: ClientHello = { ownerAddress: params.client_owner_address, minConfigVersion: min_config_version, version };
    const client = await this.#bounded(this.#options.connectTimeoutMs ?? DEFAULT_HANDSHAKE_MS, async () => this.#gate.admit(hello, this));
    this.#client = client;
    this.#capabilities = capabilitiesOf(version);
    this.#phase = 'auth';
    this.#expectWithin(this.#options.authTimeoutMs ?? DEFAULT_AUTH_MS, 'authenticate');
    const nonce = BigInt.asIntN(64, client.nonce);
    return {
      _: 'client.connectedToProxy',
      params: toProxyParams(client.proxy, version),
      client_sc_address: client.clientContractAddress,
      auth: client.secretHash === null
        ? { _: 'client.proxyConnectionAuthLong', nonce } : { _: 'client.proxyConnectionAuthShort', secret_hash: client.secretHash, nonce },
      signed_payment: toSignedPayment(client.signedPayment),
    };
  }

  async #authorize(query: ClientAuthorizeWithProxyShort | ClientAuthorizeWithProxyLong): Promise<TlObject> {
    const client = this.#client;
    if (this.#phase !== 'auth' || client === null) throw wrongConstructor();
    this.#phase = 'authorizing';
    this.#stopStepTimer();
    if (query._ === 'client.authorizeWithProxyShort' && !isSecretOf(client.secretHash, query.data)) {
      throw new RemoteError(UNSPECIFIED, 'sha256 mismatch');
    }
    const method: AuthMethod = query._ === 'client.authorizeWithProxyShort'
      ? { kind: 'short', secret: query.data } : { kind: 'long', nonce: client.nonce };
    const status = await this.#bounded(this.#options.authorizeTimeoutMs ?? DEFAULT_AUTHORIZE_MS, async (signal) => client.authorize(method, signal));
    this.#phase = 'ready';
    this.#connection.setMaxFrameBytes(Math.min(MAX_FRAME_BYTES, this.#maxQueryBytes + QUERY_OVERHEAD_BYTES));
    const { signed_payment, db_tokens, max_tokens } = toPaymentFields(status);
    return { _: 'client.authorizationWithProxySuccess', signed_payment, tokens_committed_to_db: db_tokens, max_tokens };
  }

  /** A port's answer; never later than the time limit or the end of the connection. */
  #bounded<T>(timeoutMs: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    return bounded(work, {
      timers: this.#timers, closed: this.#closing.signal, timeoutMs, late: () => new NetworkError('E_TIMEOUT', `proxy was not ready within ${timeoutMs} ms`),
    });
  }

  get #maxQueryBytes(): number {
    return this.#options.maxQueryBytes ?? DEFAULT_MAX_QUERY_BYTES;
  }

  #onPacket(packet: TlPacket): void {
    if (this.#phase !== 'ready' || this.#client === null) return; // ignored silently (WIRE.md section 9.2)
    switch (packet._) {
      case 'client.runQuery': case 'client.runQueryEx':
        this.#run(this.#client, packet, packet._ === 'client.runQueryEx', (id) => plainRequest(id, packet));
        break;
      case 'client.runSealed':
        if (this.#capabilities.sealing) this.#run(this.#client, packet, true, (id, client) => sealedRequest(id, packet, client));
        break;
      case 'client.cancelQuery':
        if (this.#capabilities.cancellation) this.#serving.cancel(packet.request_id);
        break;
      default: // other packets mean nothing from a client
    }
  }

  #run(client: AdmittedClient, packet: { readonly request_id: Uint8Array }, ex: boolean, requestOf: (id: Uint8Array, client: AdmittedClient) => ClientRequest | string): void {
    const id = packet.request_id;
    if (!this.#serving.isFree(id)) {
      this.close(new NetworkError('E_PROTOCOL', 'client sent a request with the id of one that is running'));
      return;
    }
    const encoder = clientAnswers(id, { ex, times: this.#capabilities.times });
    const request = requestOf(id, client);
    const refusal = typeof request === 'string' ? request : this.#refusalOf(request);
    if (refusal !== null || typeof request === 'string') {
      this.#connection.send(encoder.error(PROTOCOL_VIOLATION, refusal ?? '', NO_INFO, false)).catch(() => undefined); // a lost connection tells the client
      return;
    }
    this.#serving.start(id, request.timeoutMs, encoder, (sink, signal) => client.run(request, sink, signal));
  }

  #refusalOf({ query, maxTokens, maxCoefficient }: ClientRequest): string | null {
    if (query.byteLength > this.#maxQueryBytes) return `query has ${query.byteLength} bytes, expected at most ${this.#maxQueryBytes}`;
    if (maxTokens < 0) return `max_tokens is ${maxTokens}, expected 0 or more`;
    return maxCoefficient < 0 ? `max_coefficient is ${maxCoefficient}, expected 0 or more` : null;
  }
}

function plainRequest(id: Uint8Array, packet: ClientRunQuery | ClientRunQueryEx): ClientRequest {
  const ex = packet._ === 'client.runQueryEx';
  return {
    id, model: packet.model_name, query: packet.query, maxCoefficient: packet.max_coefficient, maxTokens: packet.max_tokens,
    timeoutMs: packet.timeout * 1000, minConfigVersion: packet.min_config_version,
    enableDebug: ex && packet.enable_debug === true, publicKey: ex ? keyOrNull(packet.public_key) : null,
  };
}

/** Why it is refused, for one with a number out of range. */
function sealedRequest(id: Uint8Array, packet: ClientRunSealed, { clientContractAddress }: AdmittedClient): ClientRequest | string {
  const sealed = fromClientRun(packet, clientContractAddress);
  if (sealed === null) return 'sealed request has a number out of range';
  const { run } = sealed;
  return {
    id, model: run.model, query: run.sealed, sealed, maxCoefficient: run.maxCoefficient, maxTokens: run.maxTokens,
    timeoutMs: run.timeoutMs, minConfigVersion: run.paramsVersion, enableDebug: false, publicKey: null,
  };
}

/** Constant time; false where the client has no secret. */
const isSecretOf = (secretHash: Uint8Array | null, secret: Uint8Array): boolean =>
  secretHash !== null && timingSafeEqual(createHash('sha256').update(secret).digest(), secretHash);
