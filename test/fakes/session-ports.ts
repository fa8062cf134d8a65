// Ports of the four session ends with answers that tests can replace, and the values they agree on.
import { createHash } from 'node:crypto';
import type { AnswerSink, FinalInfo, HttpHead } from '../../src/wire/answer.ts';
import type { AdmittedClient, ClientAcceptorOptions, ClientGate, ClientHello, ClientRequest } from '../../src/wire/client-acceptor.ts';
import type { ClientSessionOptions, ClientSessionPort, ProxyOffer } from '../../src/wire/client-session.ts';
import type { PaymentStatus, ProxyIdentity, RequestPayment, WorkerRequestPayment } from '../../src/wire/peer-info.ts';
import type { AdmittedWorker, WorkerAcceptorOptions, WorkerGate, WorkerHello } from '../../src/wire/worker-acceptor.ts';
import type { WorkerBalance, WorkerOffer, WorkerRequest, WorkerSessionOptions, WorkerSessionPort } from '../../src/wire/worker-session.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';

export const PROXY: ProxyIdentity = {
  publicKey: new Uint8Array(32).fill(7), ownerAddress: 'proxy-owner', contractAddress: 'proxy-contract', isTest: true,
};
export const SECRET = new TextEncoder().encode('correct horse');
export const STATUS: PaymentStatus = { signedPayment: new Uint8Array([1, 2, 3]), dbTokens: 10n, maxTokens: 20n };
export const HEAD: HttpHead = {
  httpVersion: 'HTTP/1.1', status: 200, reason: 'OK', headers: [{ name: 'content-type', value: 'application/json' }], payload: new Uint8Array(0),
};
export const INFO: FinalInfo = {
  tokens: { prompt: 1n, cached: 2n, completion: 3n, reasoning: 4n, total: 10n },
  workerTimes: { startedAt: 100.5, endedAt: 101.5 }, proxyTimes: { startedAt: 100.25, endedAt: 101.75 },
};
export const QUERY = encodeBoxed({ _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1', headers: [], payload: new Uint8Array([123, 125]) });

export const text = (value: string): Uint8Array => new TextEncoder().encode(value);
export const sha256 = (bytes: Uint8Array): Uint8Array => new Uint8Array(createHash('sha256').update(bytes).digest());

/** Random bytes that can be predicted: 1, 2, 3 … each repeated. */
export function countingRandom(): (size: number) => Uint8Array {
  let count = 0;
  return (size) => new Uint8Array(size).fill(++count);
}

type Run = (request: ClientRequest, sink: AnswerSink, signal: AbortSignal) => Promise<void>;
type WorkerRun = (request: WorkerRequest, sink: AnswerSink, signal: AbortSignal) => Promise<void>;

/** A whole answer: head, two parts and the end. */
export const answerAtOnce = async (_request: unknown, sink: AnswerSink): Promise<void> => {
  await sink.head(HEAD);
  await sink.part(text('one '));
  await sink.part(text('two '));
  await sink.end(INFO, text('three'));
};

export interface FakeClientGate extends ClientGate {
  readonly hellos: ClientHello[];
  readonly requests: ClientRequest[];
  readonly client: AdmittedClient;
}

export function clientGate(overrides: Partial<AdmittedClient> & { gate?: Partial<ClientGate>; run?: Run } = {}): FakeClientGate {
  const { gate, run = answerAtOnce, ...client } = overrides;
  const requests: ClientRequest[] = [];
  const hellos: ClientHello[] = [];
  const admitted: AdmittedClient = {
    proxy: PROXY, clientContractAddress: 'client-contract', secretHash: sha256(SECRET), nonce: 0xffff_ffff_ffff_fffen, signedPayment: null,
    authorize: async () => STATUS,
    paymentStatus: () => STATUS,
    workerTypes: () => [{ model: 'm', workers: [3000, 1000, 2000].map((coefficient) => ({ coefficient, activeRequests: 1, maxActiveRequests: 8 })) }],
    ...client,
    run: async (request, sink, signal) => {
      requests.push(request);
      await run(request, sink, signal);
    },
  };
  return {
    hellos, requests, client: admitted,
    checkOwner: () => undefined,
    configVersion: () => 3,
    admit: async (hello) => {
      hellos.push(hello);
      return admitted;
    },
    ...gate,
  };
}

export const clientAcceptorOptions: ClientAcceptorOptions = { isTest: true };

export interface FakeClientPort extends ClientSessionPort {
  readonly offers: ProxyOffer[];
  readonly statuses: PaymentStatus[];
  readonly payments: RequestPayment[];
}

export function clientPort(overrides: Partial<ClientSessionPort> = {}): FakeClientPort {
  const offers: ProxyOffer[] = [];
  const statuses: PaymentStatus[] = [];
  const payments: RequestPayment[] = [];
  return {
    offers, statuses, payments,
    checkProxy: async (offer) => {
      offers.push(offer);
      return { kind: 'short', secret: SECRET };
    },
    paymentStatus: (status) => {
      statuses.push(status);
    },
    requestPayment: (payment) => {
      payments.push(payment);
    },
    ...overrides,
  };
}

export const clientOptions: ClientSessionOptions = { ownerAddress: 'client-owner', isTest: true, minConfigVersion: () => 3 };

export interface FakeWorkerGate extends WorkerGate {
  readonly hellos: WorkerHello[];
  readonly claims: WorkerBalance[];
  /** What the proxy was told, in order. */
  readonly told: string[];
  readonly worker: AdmittedWorker;
}

export function workerGate(overrides: Partial<AdmittedWorker> & { gate?: Partial<WorkerGate> } = {}): FakeWorkerGate {
  const { gate, ...worker } = overrides;
  const hellos: WorkerHello[] = [];
  const claims: WorkerBalance[] = [];
  const told: string[] = [];
  const admitted: AdmittedWorker = {
    proxy: PROXY, workerContractAddress: 'worker-contract',
    compareBalance: async (claim) => {
      claims.push(claim);
      return { status: STATUS, agreed: true };
    },
    extendedCompare: async (dbTokens) => {
      told.push(`extended ${dbTokens}`);
    },
    ready: (disabled) => {
      told.push(`ready ${disabled ? 'disabled' : 'enabled'}`);
    },
    enabled: (disabled) => {
      told.push(disabled ? 'disabled' : 'enabled');
    },
    coefficient: (coefficient) => {
      told.push(`coefficient ${coefficient}`);
    },
    paymentStatus: () => STATUS,
    ...worker,
  };
  return {
    hellos, claims, told, worker: admitted,
    checkImage: () => undefined,
    checkModel: () => undefined,
    admit: async (hello) => {
      hellos.push(hello);
      return admitted;
    },
    ...gate,
  };
}

export const workerAcceptorOptions: WorkerAcceptorOptions = { isTest: true };

export interface FakeWorkerPort extends WorkerSessionPort {
  readonly offers: WorkerOffer[];
  readonly compares: { readonly status: PaymentStatus; readonly agreed: boolean }[];
  readonly statuses: PaymentStatus[];
  readonly payments: WorkerRequestPayment[];
  readonly requests: WorkerRequest[];
}

export function workerPort(overrides: Partial<WorkerSessionPort> & { run?: WorkerRun } = {}): FakeWorkerPort {
  const { run = answerAtOnce, ...port } = overrides;
  const offers: WorkerOffer[] = [];
  const compares: { readonly status: PaymentStatus; readonly agreed: boolean }[] = [];
  const statuses: PaymentStatus[] = [];
  const payments: WorkerRequestPayment[] = [];
  const requests: WorkerRequest[] = [];
  return {
    offers, compares, statuses, payments, requests,
    checkProxy: async (offer) => {
      offers.push(offer);
      return { chainTokens: 1n, dbTokens: 2n, maxTokens: 3n };
    },
    compared: (status, agreed) => {
      compares.push({ status, agreed });
    },
    paymentStatus: (status) => {
      statuses.push(status);
    },
    requestPayment: (payment) => {
      payments.push(payment);
    },
    ...port,
    run: async (request, sink, signal) => {
      requests.push(request);
      await run(request, sink, signal);
    },
  };
}

export const workerOptions: WorkerSessionOptions = {
  ownerAddress: 'worker-owner', model: 'm@c:v', coefficient: 1234, isTest: true, proxyCount: 1, maxActiveRequests: 4, isDisabled: () => false,
};
