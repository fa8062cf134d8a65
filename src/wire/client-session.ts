// The client's end of a client↔proxy connection (WIRE.md sections 9 and 11, WIRE-2026-04.md sections 1 and 10).
// connect → challenge → port checks the proxy → auth → Ready. Refuses a proxy without fresh evidence where its version has
// it, a proxy that the port refuses, a version that was not offered,
// answers out of order and final messages without final info; a connection that ends fails every running request at once.
import { abortError } from '../core/deadline.ts';
import { asCocoonError, CocoonError, NetworkError, RemoteError } from '../core/errors.ts';
import type { FinalInfo, HttpHead, TokensUsed } from './answer.ts';
import { readClientAnswer } from './answer-codec.ts';
import { createAsking, nextHopSeconds } from './asking.ts';
import type { Asked } from './asking.ts';
import type { Connection, TlPacket } from './connection.ts';
import { challengePeer } from './fresh-attestation.ts';
import { MAX_FRAME_BYTES } from './framing.ts';
import type { PaymentStatus, ProxyIdentity, RequestPayment, WorkerInstance } from './peer-info.ts';
import {
  BASE_FLAG, fromPaymentFields, fromProxyParams, fromSignedPayment, fromWorkerTypeV2, counter, NO_COEFFICIENT,
} from './peer-info-codec.ts';
import {
  ask, bounded, closeController, DEFAULT_HANDSHAKE_MS, DEFAULT_MAX_QUEUED_BYTES, DEFAULT_STATUS_MS, defaultRandom, incomplete, incompleteAnswer, lostPromise,
  pollPayments, sendOver,
} from './session-common.ts';
import { systemTimers } from './timers.ts';
import type { Timers } from './timers.ts';
import { fromSealKey, fromSealOffers, toClientRun } from './sealed-codec.ts';
import type { AnswerProof, NodeTarget, SealedBytes, SealedFields, SealKey, SealOffer, SealTarget } from './sealed.ts';
import type { ClientConnectedToProxy } from './tl/types.ts';
import { acceptedVersion, capabilitiesOf, CLIENT_VERSIONS, VERSION_FLAG } from './versions.ts';
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
  /** Limit for the connect query, the challenge and the status queries; default 30 s and 60 s. */
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
  /** Which nodes the request may be sealed to; only sessions that seal heed it. */
  readonly target?: NodeTarget;
}

/** `end` is the only sign of a complete answer; everything else that ends the stream is thrown. */
export type AnswerEvent =
  | { readonly kind: 'head'; readonly head: HttpHead }
  | { readonly kind: 'part'; readonly bytes: Uint8Array }
  /** `proof`: of an answer that came sealed. */
  | { readonly kind: 'end'; readonly info: FinalInfo; readonly proof?: AnswerProof };

/** A model as the proxy lists it. `workers` is null where the proxy only gave the summary of the first version. */
export interface ModelListing {
  readonly model: string;
  readonly activeWorkers: number;
  /** Lowest price now offered, in thousandths; null when there is no worker. */
  readonly minCoefficient: number | null;
  readonly workers: readonly WorkerInstance[] | null;
}

/** A request that is sealed to one node already, but for its id. */
export interface SealedAsk {
  /** Seals for this id (32 bytes); called once, when the request is sent. */
  seal(requestId: Uint8Array): SealedFields & SealedBytes;
  /** Bytes of `sealed` that `seal` will give, and tokens of all answers together: what the request may cost. */
  readonly sealedBytes: number;
  readonly maxTokens: number;
  readonly maxCoefficient: number;
  /** The answer comes while it is made: only for what the proxy learns of its nodes' speeds. */
  readonly streamed: boolean;
  /** Own deadline for the whole answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Asked at the end of the answer: what the node itself has counted, authenticated; null where that is not known. */
  counted(): TokensUsed | null;
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
   * enough), E_TOO_LARGE and E_BUSY (not sent), AttestationError (the proxy no longer passes; incomplete), or the signal's reason (E_CLOSED when it is not an error of ours).
   * Leaving the loop early cancels the request.
   */
  ask(request: AskRequest): AsyncGenerator<AnswerEvent, void, undefined>;
  /** `client.getWorkerTypesV2`, or the first version where the proxy does not know it. */
  models(signal?: AbortSignal): Promise<ModelListing[]>;
  /** Verified nodes of a model that a request may be sealed to, in the proxy's order of preference; none in a session that does not seal. */
  sealTargets(model: string, signal?: AbortSignal): Promise<readonly SealTarget[]>;
  /** Asks for the payment status now; the port gets it too. */
  updatePaymentStatus(): Promise<PaymentStatus>;
  close(reason?: CocoonError): void;
}

/** A session over one connection; with a proxy of version 8 and up it also carries what was sealed to a node (SPEC.md section 10). */
export interface WireSession extends ClientSession {
  /** As `ask`; parts are opaque. Throws E_INTERNAL below version 8. */
  askSealed(request: SealedAsk): AsyncGenerator<AnswerEvent, void, undefined>;
  /** Nodes of a model with keys, in the proxy's order of preference, nothing of them verified; none below version 8. Rejects as other queries. */
  sealOffers(model: string, limit: number, signal?: AbortSignal): Promise<SealOffer[]>;
  /** What vouches for a key that was offered. RemoteError 651: it is over, or its node has gone. */
  sealKey(keyId: Uint8Array, signal?: AbortSignal): Promise<SealKey>;
}

const DEFAULT_LONG_AUTH_MS = 300_000;
/** How long a request given up may wait for the proxy's confirmation; only its id is kept meanwhile. */
const CANCEL_GRACE_MS = 5_000;
const MODELS_TIMEOUT_MS = 10_000;
const SEAL_TIMEOUT_MS = 10_000;
const KEY_BYTES = 32;
const ENABLE_DEBUG_FLAG = 1;
const PUBLIC_KEY_FLAG = 2;

/**
 * Makes the handshake over a fresh connection and takes the connection over. Rejects with the port's error, RemoteError (the proxy
 * refused), E_TIMEOUT, E_PROTOCOL or E_CLOSED; the connection is then closed.
 */
export async function openClientSession(connection: Connection, port: ClientSessionPort, options: ClientSessionOptions): Promise<WireSession> {
  const { timers = systemTimers, random = defaultRandom, versions = CLIENT_VERSIONS } = options;
  const closed = closeController(connection).signal;
  let receive: (packet: TlPacket) => void = () => undefined; // nothing is expected before Ready
  connection.handle({
    onQuery: async () => {
      throw lostPromise();
    },
    onPacket: async (packet) => receive(packet),
  });
  try {
    const offer = await connectToProxy(connection, versions, options);
    await challengePeer(connection, {
      version: offer.version, capabilities: capabilitiesOf(offer.version), random, timeoutMs: options.connectTimeoutMs ?? DEFAULT_HANDSHAKE_MS, signal: closed,
    });
    // The chain may have to be asked, so the port has as long as a long authentication; its own limits are tighter.
    const answer = await bounded((signal) => port.checkProxy(offer, signal), {
      timers, closed, timeoutMs: options.longAuthTimeoutMs ?? DEFAULT_LONG_AUTH_MS, late: () => new NetworkError('E_TIMEOUT', 'proxy could not be checked in time'),
    });
    port.paymentStatus(await authorize(connection, offer, answer, options));
    connection.setMaxFrameBytes(MAX_FRAME_BYTES);
    const session = readySession(connection, port, offer, { ...options, timers, random });
    receive = session.receive;
    return session.session;
  } catch (error) {
    const known = asCocoonError(error);
    connection.close(known);
    throw known;
  }
}

async function connectToProxy(connection: Connection, versions: VersionRange, options: ClientSessionOptions): Promise<ProxyOffer> {
  const answer = await ask(connection, {
    _: 'client.connectToProxy',
    params: {
      _: 'client.params', flags: BASE_FLAG | VERSION_FLAG, client_owner_address: options.ownerAddress, is_test: options.isTest,
      min_proto_version: versions.min, max_proto_version: versions.max,
    },
    min_config_version: options.minConfigVersion(),
  }, 'client.connectedToProxy', { timeoutMs: options.connectTimeoutMs ?? DEFAULT_HANDSHAKE_MS });
  return {
    proxy: fromProxyParams(answer.params, options.isTest),
    clientContractAddress: answer.client_sc_address,
    auth: challengeOf(answer),
    signedPayment: fromSignedPayment(answer.signed_payment),
    version: acceptedVersion(answer.params, versions),
  };
}

function challengeOf({ auth }: ClientConnectedToProxy): AuthChallenge {
  const nonce = BigInt.asUintN(64, auth.nonce);
  return auth._ === 'client.proxyConnectionAuthShort' ? { kind: 'short', secretHash: auth.secret_hash, nonce } : { kind: 'long', nonce };
}

async function authorize(connection: Connection, offer: ProxyOffer, answer: AuthAnswer, options: ClientSessionOptions): Promise<PaymentStatus> {
  if (answer.kind === 'short' && offer.auth.kind === 'long') {
    throw new NetworkError('E_PROTOCOL', 'proxy demands long authentication, the client has only a secret');
  }
  const result = answer.kind === 'short'
    ? await connection.query({ _: 'client.authorizeWithProxyShort', data: answer.secret }, { timeoutMs: options.connectTimeoutMs ?? DEFAULT_HANDSHAKE_MS })
    : await connection.query({ _: 'client.authorizeWithProxyLong' }, { timeoutMs: options.longAuthTimeoutMs ?? DEFAULT_LONG_AUTH_MS });
  switch (result._) {
    case 'client.authorizationWithProxySuccess':
      return fromPaymentFields({ signed_payment: result.signed_payment, db_tokens: result.tokens_committed_to_db, max_tokens: result.max_tokens });
    case 'client.authorizationWithProxyFailed': throw new RemoteError(result.error_code, result.error);
    default: throw new NetworkError('E_PROTOCOL', `proxy answered ${result._}, expected the result of the authorisation`);
  }
}

type ReadyOptions = ClientSessionOptions & { readonly timers: Timers; random(size: number): Uint8Array };

function readySession(connection: Connection, port: ClientSessionPort, offer: ProxyOffer, options: ReadyOptions) {
  const capabilities = capabilitiesOf(offer.version);
  const asking = createAsking({
    timers: options.timers,
    random: options.random,
    send: sendOver(connection),
    cancelMessage: capabilities.cancellation ? (request_id) => ({ _: 'client.cancelQuery', request_id }) : null,
    maxQueuedBytes: options.maxQueuedBytes ?? DEFAULT_MAX_QUEUED_BYTES,
    graceMs: CANCEL_GRACE_MS,
  });
  void connection.closed.then((reason) => asking.closeAll(incompleteAnswer(reason)));

  const updatePaymentStatus = async (): Promise<PaymentStatus> => {
    const timeoutMs = options.statusTimeoutMs ?? DEFAULT_STATUS_MS;
    const status = fromPaymentFields(await ask(connection, { _: 'client.updatePaymentStatus' }, 'client.paymentStatus', { timeoutMs }));
    port.paymentStatus(status);
    return status;
  };
  pollPayments(connection, options.timers, options.random, updatePaymentStatus);

  /** A throw from here makes the connection close with it. */
  const receive = (packet: TlPacket): void => {
    const piece = readClientAnswer(packet);
    if (piece !== null) {
      asking.deliver(piece);
    } else if (packet._ === 'proxy.clientRequestPayment') {
      port.requestPayment({
        requestId: packet.request_id, requestTokens: counter('request_tokens', packet.request_tokens), ...fromPaymentFields(packet),
      });
    }
  };

  const queryOptions = (signal: AbortSignal | undefined) => ({ timeoutMs: SEAL_TIMEOUT_MS, ...(signal !== undefined && { signal }) });
  const session: WireSession = {
    version: offer.version,
    capabilities,
    offer,
    get runningRequests() {
      return asking.running;
    },
    closed: connection.closed,
    async *ask(request) {
      if (request.signal?.aborted === true) throw abortError(request.signal);
      yield* eventsOf(asking.start((id) => runMessage(request, id, capabilities, options.minConfigVersion()), request.timeoutMs, request.signal));
    },
    async *askSealed(request) {
      if (!capabilities.sealing) throw new CocoonError('E_INTERNAL', `sealed request to a proxy of protocol version ${offer.version}`);
      if (request.signal?.aborted === true) throw abortError(request.signal);
      yield* eventsOf(asking.start((id) => toClientRun(id, request.seal(id), request.streamed), request.timeoutMs, request.signal));
    },
    async sealOffers(model, limit, signal) {
      if (!capabilities.sealing) return [];
      return fromSealOffers(await ask(connection, { _: 'cocoon.getSealOffers', model_name: model, limit }, 'cocoon.sealOffers', queryOptions(signal)));
    },
    sealKey: async (keyId, signal) => fromSealKey(await ask(connection, { _: 'cocoon.getSealKey', key_id: keyId }, 'cocoon.sealKey', queryOptions(signal))),
    models: (signal) => listModels(connection, signal),
    sealTargets: async () => [],
    updatePaymentStatus,
    close(reason) {
      asking.closeAll(incomplete(reason ?? null)); // at once, not when the last bytes have left
      connection.close(reason);
    },
  };
  return { session, receive };
}

/** What comes of one request; leaving the loop gives it up. */
async function* eventsOf(asked: Asked): AsyncGenerator<AnswerEvent, void, undefined> {
  let ended = false;
  try {
    for (;;) {
      const event = await asked.queue.next();
      if (event.kind !== 'end') {
        yield event;
        continue;
      }
      ended = true;
      if (event.bytes.byteLength > 0) yield { kind: 'part', bytes: event.bytes };
      yield { kind: 'end', info: event.info };
      return;
    }
  } finally {
    if (!ended) asked.giveUp(new NetworkError('E_CLOSED', 'answer was not read to its end'));
  }
}

/** `client.runQueryEx`, or `client.runQuery` for a proxy of version 0. */
function runMessage(request: AskRequest, requestId: Uint8Array, capabilities: Capabilities, minConfigVersion: number): TlPacket {
  const base = {
    model_name: request.model, query: request.query, max_coefficient: request.maxCoefficient, max_tokens: request.maxTokens,
    timeout: nextHopSeconds(request.timeoutMs), request_id: requestId, min_config_version: minConfigVersion,
  };
  if (!capabilities.exAnswers) return { _: 'client.runQuery', ...base };
  return {
    _: 'client.runQueryEx', ...base,
    flags: ENABLE_DEBUG_FLAG | (capabilities.promptKeys ? PUBLIC_KEY_FLAG : 0),
    enable_debug: request.enableDebug ?? false,
    ...(capabilities.promptKeys && { public_key: request.publicKey ?? new Uint8Array(KEY_BYTES) }),
  };
}

async function listModels(connection: Connection, signal: AbortSignal | undefined): Promise<ModelListing[]> {
  const queryOptions = { timeoutMs: MODELS_TIMEOUT_MS, ...(signal !== undefined && { signal }) };
  try {
    const { types } = await ask(connection, { _: 'client.getWorkerTypesV2' }, 'client.workerTypesV2', queryOptions);
    return types.map(fromWorkerTypeV2).map(({ model, workers }) => ({
      model, activeWorkers: workers.length, workers,
      minCoefficient: workers.reduce<number | null>((lowest, { coefficient }) => Math.min(lowest ?? coefficient, coefficient), null),
    }));
  } catch (error) {
    if (!(error instanceof RemoteError)) throw error; // only a proxy that answers may be an old one
  }
  const { types } = await ask(connection, { _: 'client.getWorkerTypes' }, 'client.workerTypes', queryOptions);
  return types.map(({ name, active_workers, coefficient_min }) => ({
    model: name, activeWorkers: active_workers, workers: null,
    minCoefficient: active_workers === 0 || coefficient_min === NO_COEFFICIENT ? null : coefficient_min,
  }));
}
