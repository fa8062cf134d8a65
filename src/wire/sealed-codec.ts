// Between the TL constructors of sealing (protocol version 8) and the words of sealed.ts. Refuses numbers out of range and parts
// that are larger than they can be; what they say is the ends' to verify.
import { MAX_GPUS_BYTES } from '../tee/fresh-attestation.ts';
import { NetworkError } from '../core/errors.ts';
import { fromEvidence, toEvidence } from './fresh-attestation.ts';
import { MAX_CERTIFICATE_BYTES, MAX_ENC_BYTES, MAX_OFFERS } from './sealed.ts';
import type { SealedBytes, SealedFields, SealedRun, SealKey, SealOffer } from './sealed.ts';
import type { ClientRunSealed, CocoonSealKey, CocoonSealOffer, CocoonSealOffers, ProxyRunSealed, TlByType } from './tl/types.ts';

const MAX_RECORD_BYTES = 16_384;
const SIGNATURE_BYTES = 64;
const MAX_EVIDENCE_BYTES = 32_768 + 8_192;
const MAX_U16 = 0xffff;
/** 2^53 milliseconds are beyond any clock. */
const MAX_MS = BigInt(Number.MAX_SAFE_INTEGER);
/** Flag of `client.runSealed`: the answer comes while it is made. Only for what the proxy learns of speeds. */
const STREAMED_FLAG = 1;

type Sized = readonly [what: string, bytes: Uint8Array, max: number];

function checkSizes(sizes: readonly Sized[]): void {
  for (const [what, bytes, max] of sizes) {
    if (bytes.byteLength > max) throw new NetworkError('E_PROTOCOL', `${what} has ${bytes.byteLength} bytes, expected at most ${max}`);
  }
}

const evidenceSize = (evidence: TlByType['attest.Evidence']): number => {
  switch (evidence._) {
    case 'attest.tdx': return evidence.quote.byteLength;
    case 'attest.sevSnp': return evidence.report.byteLength + evidence.vek.byteLength;
    case 'attest.simulated': return evidence.evidence.byteLength;
  }
};

export const toSealKey = ({ certificate, evidence, record, signature }: SealKey): CocoonSealKey =>
  ({ _: 'cocoon.sealKey', certificate, evidence: toEvidence(evidence), record, signature });

/** Copies: keys are kept for longer than the frame they came in. Throws E_PROTOCOL. */
export function fromSealKey({ certificate, evidence, record, signature }: CocoonSealKey): SealKey {
  checkSizes([['certificate', certificate, MAX_CERTIFICATE_BYTES], ['key record', record, MAX_RECORD_BYTES], ['signature', signature, SIGNATURE_BYTES], ['GPU evidence', evidence.gpus, MAX_GPUS_BYTES]]);
  if (evidenceSize(evidence) > MAX_EVIDENCE_BYTES) throw new NetworkError('E_PROTOCOL', `evidence has ${evidenceSize(evidence)} bytes, expected at most ${MAX_EVIDENCE_BYTES}`);
  return { certificate: certificate.slice(), evidence: fromEvidence(evidence), record: record.slice(), signature: signature.slice() };
}

export const toSealOffers = (offers: readonly SealOffer[]): CocoonSealOffers =>
  ({ _: 'cocoon.sealOffers', offers: offers.map((offer): CocoonSealOffer => ({ _: 'cocoon.sealOffer', ...offer })) });

/** Throws E_PROTOCOL. */
export function fromSealOffers({ offers }: CocoonSealOffers): SealOffer[] {
  if (offers.length > MAX_OFFERS) throw new NetworkError('E_PROTOCOL', `proxy offers ${offers.length} nodes, expected at most ${MAX_OFFERS}`);
  return offers.map(({ record, signature, coefficient, running, capacity }) => {
    checkSizes([['key record', record, MAX_RECORD_BYTES], ['signature', signature, SIGNATURE_BYTES]]);
    if (coefficient < 0 || running < 0 || capacity < 0) throw new NetworkError('E_PROTOCOL', 'proxy offers a node with a number below 0');
    return { record: record.slice(), signature: signature.slice(), coefficient, running, capacity };
  });
}

/** The fields that both hops share. */
const toFields = ({ keyId, suite, paramsVersion, model, maxTokens, maxCoefficient, timeoutMs, timestampMs, enc, sealed }: SealedFields & SealedBytes) => ({
  key_id: keyId, kem: suite.kem, kdf: suite.kdf, aead: suite.aead, params_version: paramsVersion, model_name: model, max_tokens: maxTokens,
  max_coefficient: maxCoefficient, timeout_ms: BigInt(timeoutMs), timestamp_ms: BigInt(timestampMs), enc, sealed,
});

/** Null for a message with a number that no honest peer sends. */
function fromFields(packet: Omit<ClientRunSealed, '_' | 'flags' | 'request_id'>): (SealedFields & SealedBytes) | null {
  const { key_id: keyId, kem, kdf, aead, max_tokens: maxTokens, max_coefficient: maxCoefficient, timeout_ms: timeoutMs, timestamp_ms: timestampMs } = packet;
  const small = [kem, kdf, aead].every((id) => id >= 0 && id <= MAX_U16);
  const times = timeoutMs >= 0n && timeoutMs <= MAX_MS && timestampMs >= 0n && timestampMs <= MAX_MS;
  if (!small || !times || maxTokens < 0 || maxCoefficient < 0 || packet.params_version < 0 || packet.enc.byteLength > MAX_ENC_BYTES) return null;
  return {
    keyId, suite: { kem, kdf, aead }, paramsVersion: packet.params_version, model: packet.model_name, maxTokens, maxCoefficient,
    timeoutMs: Number(timeoutMs), timestampMs: Number(timestampMs), enc: packet.enc, sealed: packet.sealed,
  };
}

export const toClientRun = (requestId: Uint8Array, request: SealedFields & SealedBytes, streamed: boolean): ClientRunSealed =>
  ({ _: 'client.runSealed', request_id: requestId, flags: streamed ? STREAMED_FLAG : 0, ...toFields(request) });

/** What a client has sent; `bytes` are views. Null for one with a number that no honest client sends. */
export function fromClientRun(packet: ClientRunSealed, clientContract: string): { readonly run: SealedRun; readonly streamed: boolean } | null {
  const fields = fromFields(packet);
  return fields === null ? null : { run: { ...fields, requestId: packet.request_id, clientContract }, streamed: (packet.flags & STREAMED_FLAG) !== 0 };
}

/** `coefficient`, `signed_payment` and `timeout` are this hop's own, as in `proxy.runQueryEx`. */
export const toWorkerRun = (requestId: Uint8Array, run: SealedRun, hop: Pick<ProxyRunSealed, 'coefficient' | 'signed_payment' | 'timeout'>): ProxyRunSealed =>
  ({ _: 'proxy.runSealed', request_id: requestId, client_request_id: run.requestId, client_contract: run.clientContract, ...toFields(run), ...hop });

export function fromWorkerRun(packet: ProxyRunSealed): SealedRun | null {
  const fields = fromFields(packet);
  return fields === null ? null : { ...fields, requestId: packet.client_request_id, clientContract: packet.client_contract };
}
