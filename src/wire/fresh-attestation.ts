// The challenge for fresh evidence on a connection (protocol version 6; the bytes and rules are in ../tee/fresh-attestation.ts):
// asking the peer and judging its answer, and answering for this side, once a connection. Refuses silence, errors, answers of
// another kind, and every peer of version 6 that does not answer; a lower version is the policy's to judge.
import { withDeadline } from '../core/deadline.ts';
import { NetworkError, RemoteError } from '../core/errors.ts';
import { FRESH_NONCE_BYTES, MAX_GPUS_BYTES } from '../tee/fresh-attestation.ts';
import type { FreshAnswer } from '../tee/fresh-attestation.ts';
import type { Connection } from './connection.ts';
import { NOT_READY, PROTOCOL_VIOLATION } from './remote-codes.ts';
import type { AttestChallenge, TlByType, TlObject } from './tl/types.ts';
import type { Capabilities } from './versions.ts';

/** An answer with the largest quote and GPU evidence, and what is around them. */
export const MAX_FRESH_FRAME_BYTES = MAX_GPUS_BYTES + 64 * 1024;

export interface ChallengeOptions {
  /** For answer and verdict together. */
  readonly timeoutMs: number;
  readonly version: number;
  readonly capabilities: Capabilities;
  random(size: number): Uint8Array;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Challenges the peer if it has evidence; nothing else may be said to it before this resolves. Throws AttestationError, or
 * NetworkError: E_TIMEOUT for silence, E_PROTOCOL for another answer, E_COLLATERAL when the answer cannot be judged;
 * RemoteError when the peer says why it cannot answer.
 */
export async function challengePeer(connection: Connection, options: ChallengeOptions): Promise<void> {
  const { peer, channel, remoteAddress } = connection;
  const { freshness } = peer;
  if (freshness === undefined) return;
  const { timeoutMs, version, capabilities, signal } = options;
  if (!capabilities.freshAttestation) return freshness.notShown(`the peer speaks version ${version} of the protocol`);
  if (channel === undefined) return freshness.notShown('the connection has no TLS session that evidence could be bound to');
  const nonce = options.random(FRESH_NONCE_BYTES);
  const late = (): NetworkError => new NetworkError('E_TIMEOUT', `${remoteAddress} did not show fresh evidence within ${timeoutMs} ms`);
  await withDeadline(async (inner) => {
    const answer = await connection.query({ _: 'attest.challenge', nonce }, { timeoutMs, signal: inner });
    await freshness.verify(answerOf(answer, remoteAddress), { nonce, exporter: channel.exporter, publicKey: peer.publicKey }, inner);
  }, { timeoutMs, signal, late });
}

function answerOf(answer: TlObject, remoteAddress: string): FreshAnswer {
  switch (answer._) {
    case 'attest.tdx': case 'attest.sevSnp': case 'attest.simulated': return fromEvidence(answer);
    default: throw new NetworkError('E_PROTOCOL', `${remoteAddress} answered ${answer._}, expected fresh evidence`);
  }
}

/** Evidence as it came, copied: it is kept for longer than the frame it came in. Sizes are the verifier's to check. */
export function fromEvidence(answer: TlByType['attest.Evidence']): FreshAnswer {
  switch (answer._) {
    case 'attest.tdx': return { evidence: { family: 'tdx', quote: answer.quote.slice() }, gpus: answer.gpus.slice() };
    case 'attest.sevSnp': return { evidence: { family: 'sev-snp', report: answer.report.slice(), vek: answer.vek.slice() }, gpus: answer.gpus.slice() };
    case 'attest.simulated': return { evidence: { family: 'simulated', evidence: answer.evidence.slice() }, gpus: answer.gpus.slice() };
  }
}

export function toEvidence({ evidence, gpus }: FreshAnswer): TlByType['attest.Evidence'] {
  switch (evidence.family) {
    case 'tdx': return { _: 'attest.tdx', quote: evidence.quote, gpus };
    case 'sev-snp': return { _: 'attest.sevSnp', report: evidence.report, vek: evidence.vek, gpus };
    case 'simulated': return { _: 'attest.simulated', evidence: evidence.evidence, gpus };
  }
}

/** Answers challenges of one connection: the first, and no other. */
export class Responder {
  readonly #connection: Connection;
  #asked = false;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Rejects with RemoteError: a second challenge, a side without evidence, or evidence that could not be had in time. */
  async answer({ nonce }: AttestChallenge, timeoutMs: number, signal: AbortSignal): Promise<TlByType['attest.Evidence']> {
    const { channel } = this.#connection;
    if (this.#asked) throw new RemoteError(PROTOCOL_VIOLATION, 'a connection has one challenge');
    this.#asked = true;
    const attest = channel?.attest ?? null;
    if (channel === undefined || attest === null) throw new RemoteError(PROTOCOL_VIOLATION, 'this side has no evidence to show');
    const late = (): RemoteError => new RemoteError(NOT_READY, 'fresh evidence was not there in time');
    return toEvidence(await withDeadline((inner) => attest({ nonce: nonce.slice(), exporter: channel.exporter }, inner), { timeoutMs, signal, late }));
  }
}
