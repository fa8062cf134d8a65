// Between the TL constructors of handshakes and payments and the words of peer-info.ts (WIRE.md sections 9.1, 9.4, 10).
// Refuses negative token counters.
import { NetworkError } from '../core/errors.ts';
import type { PaymentStatus, ProxyIdentity, WorkerType } from './peer-info.ts';
import type { ClientWorkerType, ClientWorkerTypeV2, ProxyParams, TlByType } from './tl/types.ts';
import { VERSION_FLAG } from './versions.ts';

/** Flag bit of the parameter objects that says that the first generation of optional fields is present. */
export const BASE_FLAG = 1;

type SignedPayment = TlByType['proxy.SignedPayment'];

export const toSignedPayment = (boc: Uint8Array | null): SignedPayment =>
  boc === null ? { _: 'proxy.signedPaymentEmpty' } : { _: 'proxy.signedPayment', data: boc };

/** A copy, because payments are kept longer than the frame they came in. */
export const fromSignedPayment = (payment: SignedPayment): Uint8Array | null =>
  payment._ === 'proxy.signedPaymentEmpty' ? null : new Uint8Array(payment.data);

/** A token counter from the peer. Throws E_PROTOCOL when negative. */
export function counter(name: string, value: bigint): bigint {
  if (value < 0n) throw new NetworkError('E_PROTOCOL', `peer sent ${name} ${value}, expected 0 or more`);
  return value;
}

export const toPaymentFields = ({ signedPayment, dbTokens, maxTokens }: PaymentStatus) =>
  ({ signed_payment: toSignedPayment(signedPayment), db_tokens: dbTokens, max_tokens: maxTokens });

/** Throws E_PROTOCOL on negative counters. */
export function fromPaymentFields(
  fields: { readonly signed_payment: SignedPayment; readonly db_tokens: bigint; readonly max_tokens: bigint },
): PaymentStatus {
  return {
    signedPayment: fromSignedPayment(fields.signed_payment),
    dbTokens: counter('db_tokens', fields.db_tokens),
    maxTokens: counter('max_tokens', fields.max_tokens),
  };
}

export function toProxyParams(proxy: ProxyIdentity, version: number): ProxyParams {
  return {
    _: 'proxy.params',
    flags: BASE_FLAG | (version > 0 ? VERSION_FLAG : 0),
    proxy_public_key: proxy.publicKey,
    proxy_owner_address: proxy.ownerAddress,
    proxy_sc_address: proxy.contractAddress,
    is_test: proxy.isTest,
    ...(version > 0 && { proto_version: version }),
  };
}

/** Throws E_PROTOCOL when the proxy does not say whether it is a test proxy, or says other than `isTest`. */
export function fromProxyParams(params: ProxyParams, isTest: boolean): ProxyIdentity {
  if (params.is_test !== isTest) {
    throw new NetworkError('E_PROTOCOL', `proxy says is_test ${params.is_test ?? 'nothing'}, expected ${isTest}`);
  }
  return {
    publicKey: params.proxy_public_key,
    ownerAddress: params.proxy_owner_address,
    contractAddress: params.proxy_sc_address,
    isTest,
  };
}

export const toWorkerTypeV2 = ({ model, workers }: WorkerType): ClientWorkerTypeV2 => ({
  _: 'client.workerTypeV2',
  name: model,
  workers: workers.map(({ coefficient, activeRequests, maxActiveRequests }) => ({
    _: 'client.workerInstanceV2', flags: 0, coefficient, active_requests: activeRequests, max_active_requests: maxActiveRequests,
  })),
});

export const fromWorkerTypeV2 = ({ name, workers }: ClientWorkerTypeV2): WorkerType => ({
  model: name,
  workers: workers.map(({ coefficient, active_requests, max_active_requests }) =>
    ({ coefficient, activeRequests: active_requests, maxActiveRequests: max_active_requests })),
});

/** Largest int32: what the first version's summary says where there is no worker to take a coefficient from. */
export const NO_COEFFICIENT = 0x7fff_ffff;

/** The summary of the first version: lowest, median and highest coefficient of the workers. */
export function toWorkerType({ model, workers }: WorkerType): ClientWorkerType {
  const sorted = workers.map(({ coefficient }) => coefficient).toSorted((a, b) => a - b);
  return {
    _: 'client.workerType',
    name: model,
    active_workers: workers.length,
    coefficient_min: sorted[0] ?? NO_COEFFICIENT,
    coefficient_bucket50: sorted[Math.floor(sorted.length / 2)] ?? NO_COEFFICIENT,
    coefficient_max: sorted.at(-1) ?? NO_COEFFICIENT,
  };
}
