// Fresh attestation, protocol version 6: evidence made for one question in one TLS session, on top of the certificate, whose
// report data (SHA-512 of the TLS key, WIRE.md section 4) has no room for either. It shows that whoever holds the TLS key is
// in the attested machine now, and binds the GPUs to it. This comment is the specification; versions.ts negotiates.
//
// 1. When both sides have negotiated version 6 or higher, each side whose peer is attested sends it one query,
//      attest.challenge nonce:int256 = attest.Evidence;
//    client to proxy and worker to proxy after the proxy's answer to connectToProxy, proxy to worker after its own answer to
//    it; before anything else of the handshake is said or believed. The nonce is 32 fresh random bytes.
// 2. The answer is one of
//      attest.tdx quote:bytes gpus:bytes                 quote of at most 32768 bytes
//      attest.sevSnp report:bytes vek:bytes gpus:bytes   report of 1184 bytes, PEM of VCEK or VLEK of at most 8192 bytes
//      attest.simulated evidence:bytes gpus:bytes        217 bytes, local networks only
//    of the family of the certificate. `gpus` is empty, or at most 524288 bytes of UTF-8 JSON: the object that nvidia/bundle.ts
//    reads, without `collateral`, made for the nonce gpuNonceOf(nonce, TLS key) of collect/freshness.ts.
// 3. The report data of that evidence is SHA-512 over five parts, each behind its length as u32, big-endian:
//      label      "cocoon-fresh-attestation/1", ASCII
//      nonce      32 bytes, the verifier's
//      key        32 bytes, the raw Ed25519 TLS key of the side that is attested
//      exporter   32 bytes that both sides export from the TLS 1.3 session (RFC 8446 section 7.5) under the label
//                 "EXPERIMENTAL-cocoon-fresh-attestation/1" with an empty context
//      digest     SHA-256 of `gpus`, or 32 zero bytes where it is empty
// 4. The verifier recomputes the report data, judges the evidence as it judged the certificate's, demands the same image, and
//    judges the GPUs. Whatever fails, and silence beyond the handshake's deadline, ends the connection. A side answers one
//    challenge a connection.
//
// Versions travel inside TLS, so that only the holder of a peer's TLS key can claim a lower one for it. A peer of a lower
// version is accepted or refused by the policy (`attest.freshness`); a peer of version 6 is never excused.
import { createHash } from 'node:crypto';
import { MAX_QUOTE_BYTES, MAX_VCEK_PEM_BYTES, SEV_REPORT_BYTES, SIMULATED_EVIDENCE_BYTES } from './certificate-evidence.ts';
import { malformed } from './refusal.ts';

export const FRESH_LABEL = 'cocoon-fresh-attestation/1';
export const EXPORTER_LABEL = 'EXPERIMENTAL-cocoon-fresh-attestation/1';
export const EXPORTER_BYTES = 32;
export const FRESH_NONCE_BYTES = 32;
const KEY_BYTES = 32;
const DIGEST_BYTES = 32;
/** Sixteen devices with their chains are about half of it. */
export const MAX_GPUS_BYTES = 512 * 1024;

/** What a verifier asks, and what both sides know of the connection. Each 32 bytes. */
export interface FreshQuestion {
  readonly nonce: Uint8Array;
  readonly exporter: Uint8Array;
  /** Raw Ed25519 TLS key of the side that is attested. */
  readonly publicKey: Uint8Array;
}

/** Evidence of the CPU. `vek` is PEM. */
export type FreshEvidence =
  | { readonly family: 'tdx'; readonly quote: Uint8Array }
  | { readonly family: 'sev-snp'; readonly report: Uint8Array; readonly vek: Uint8Array }
  | { readonly family: 'simulated'; readonly evidence: Uint8Array };

export interface FreshAnswer {
  readonly evidence: FreshEvidence;
  /** UTF-8 JSON of the GPUs' bundle without collateral; empty where there is none. */
  readonly gpus: Uint8Array;
}

/** Answers for this side: the key is its own. Throws ConfigError E_NO_TEE or E_COLLECT, NetworkError E_BUSY or E_COLLATERAL. */
export type Attester = (question: Pick<FreshQuestion, 'nonce' | 'exporter'>, signal: AbortSignal) => Promise<FreshAnswer>;

/** The 64 bytes of point 3. Throws RangeError unless the parts of the question have 32 bytes each. */
export function freshReportData({ nonce, exporter, publicKey }: FreshQuestion, gpus: Uint8Array): Uint8Array {
  const digest = gpus.length === 0 ? new Uint8Array(DIGEST_BYTES) : createHash('sha256').update(gpus).digest();
  const hash = createHash('sha512');
  const parts = [
    Buffer.from(FRESH_LABEL, 'latin1'), sized(nonce, FRESH_NONCE_BYTES, 'nonce'), sized(publicKey, KEY_BYTES, 'TLS key'), sized(exporter, EXPORTER_BYTES, 'exporter'), digest,
  ];
  for (const part of parts) {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(part.length);
    hash.update(length).update(part);
  }
  return new Uint8Array(hash.digest());
}

/** Throws AttestationError E_EVIDENCE_MALFORMED when a part of an answer has a size that it cannot have. */
export function checkFreshAnswer({ evidence, gpus }: FreshAnswer): void {
  const check = (bytes: Uint8Array, what: string, min: number, max: number): void => {
    if (bytes.length < min || bytes.length > max) {
      throw malformed(`the fresh ${what} has ${bytes.length} bytes, expected ${min === max ? min : `${min} to ${max}`}`);
    }
  };
  check(gpus, 'GPU evidence', 0, MAX_GPUS_BYTES);
  switch (evidence.family) {
    case 'tdx': return check(evidence.quote, 'quote', 1, MAX_QUOTE_BYTES);
    case 'simulated': return check(evidence.evidence, 'simulated evidence', SIMULATED_EVIDENCE_BYTES, SIMULATED_EVIDENCE_BYTES);
    case 'sev-snp':
      check(evidence.report, 'report', SEV_REPORT_BYTES, SEV_REPORT_BYTES);
      check(evidence.vek, 'chip key', 1, MAX_VCEK_PEM_BYTES);
  }
}

function sized(bytes: Uint8Array, length: number, what: string): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`expected a ${what} of ${length} bytes, got ${bytes.length}`);
  return bytes;
}
