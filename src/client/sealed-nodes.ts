// Nodes to which this client may seal requests (SPEC.md section 4): each key record is believed only after the node's certificate and
// evidence were verified here, against the network's list of worker images, together with evidence made for this very record.
// Nothing of it is taken from a proxy. What was verified serves every session until the record is over or the lists change.
import { createHash } from 'node:crypto';
import { equalBytes, toHex } from '../core/bytes.ts';
import { asCocoonError, NetworkError } from '../core/errors.ts';
import { verifySignature } from '../chain/ed25519.ts';
import { SealError } from '../seal/errors.ts';
import { cpuEvidenceDigest, gpuEvidenceDigest, recordQuestion } from '../seal/evidence.ts';
import { decodeKeyRecord, MAX_LIFE_S, verifyKeyRecord } from '../seal/key-record.ts';
import { prepareSeal } from '../seal/request.ts';
import { loadSuite, preferredSuite, suiteName } from '../seal/suites.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { KeyRecord, OfferedSuite } from '../seal/key-record.ts';
import type { PreparedSeal } from '../seal/request.ts';
import type { Suite } from '../seal/hpke/context.ts';
import type { VerifiedPeer, VerifyPeer } from '../tee/peer.ts';
import type { SealKey, SignedRecord, VerifiedNode } from '../wire/sealed.ts';

export interface SealedNodesOptions {
  /** Verifies certificates of workers. */
  readonly verifyNode: VerifyPeer;
  /** Root contract, `workchain:hex`; empty on a network without one. */
  readonly root: string;
  readonly clock: Clock;
  readonly log: Log;
}

/** A record that was verified, ready to be sealed to. */
export interface SealedNode {
  readonly node: VerifiedNode;
  readonly record: KeyRecord;
  readonly signed: SignedRecord;
  readonly suite: OfferedSuite;
  /** False when nothing must be sealed to it any more. */
  isUsable(): boolean;
  /** An encapsulation for one attempt. */
  take(): PreparedSeal;
  /** Makes encapsulations ahead, between other work: to be called when nobody waits for a first token. */
  restock(): void;
}

/** How a proxy tells what vouches for a key. */
export type FetchKey = (keyId: Uint8Array) => Promise<SealKey>;

export interface SealedNodes {
  /** The node of a record. Throws AttestationError where it is refused, NetworkError when that cannot be known now, and what `fetch` throws. */
  verify(offer: SignedRecord, fetch: FetchKey): Promise<SealedNode>;
}

/** Between the last use of a record and its end: time for a request to reach the node. */
const MARGIN_S = 10;
const VERIFY_MS = 30_000;
const MAX_KNOWN = 4_096;
/** Encapsulations that are made ahead. */
const AHEAD = 8;

interface Known {
  readonly result: Promise<SealedNode>;
  /** By the clock: then it is forgotten. */
  untilMs: number;
}

export function createSealedNodes(options: SealedNodesOptions): SealedNodes {
  return new VerifiedNodes(options);
}

class VerifiedNodes implements SealedNodes {
  readonly #options: SealedNodesOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: SealedNodesOptions) {
    this.#options = options;
  }

  verify(offer: SignedRecord, fetch: FetchKey): Promise<SealedNode> {
    const nowMs = this.#options.clock.now();
    const id = createHash('sha256').update(offer.record).update(offer.signature).digest('base64');
    const known = this.#known.get(id);
    if (known !== undefined && nowMs < known.untilMs) return known.result;
    const entry: Known = { result: this.#verify(offer, fetch, () => this.#forget(id, entry)), untilMs: Infinity };
    this.#known.set(id, entry);
    this.#prune(nowMs);
    entry.result.then(({ record }) => { entry.untilMs = (record.notAfter - MARGIN_S) * 1000; }, (error: unknown) => {
      // Not remembered: the proxy may have shown something that is not the node's, and another proxy may show what is.
      this.#forget(id, entry);
      this.#tell(offer, asCocoonError(error));
    });
    return entry.result;
  }

  #forget(id: string, entry: Known): void {
    if (this.#known.get(id) === entry) this.#known.delete(id);
  }

  #prune(nowMs: number): void {
    if (this.#known.size <= MAX_KNOWN) return;
    for (const [id, { untilMs }] of this.#known) {
      if (nowMs >= untilMs || this.#known.size > MAX_KNOWN) this.#known.delete(id);
    }
  }

  #tell({ record }: SignedRecord, error: CocoonError): void {
    this.#options.log.warn('no requests are sealed to a node', { code: error.code, reason: error.message, record: toHex(createHash('sha256').update(record).digest()).slice(0, 16) });
  }

  async #verify(offer: SignedRecord, fetch: FetchKey, forget: () => void): Promise<SealedNode> {
    const { verifyNode, clock } = this.#options;
    const said = decodeKeyRecord(offer.record);
    const nowS = Math.floor(clock.now() / 1000);
    if (nowS >= said.notAfter || said.notBefore > nowS + MAX_LIFE_S) throw new SealError(`key record is valid from ${said.notBefore} to ${said.notAfter}, and it is ${nowS}`);
    const key = await fetch(said.keyId);
    if (!equalBytes(key.record, offer.record) || !equalBytes(key.signature, offer.signature)) throw new SealError('the proxy shows another key record than it has offered');
    const signal = AbortSignal.timeout(VERIFY_MS);
    const peer = await verifyNode(key.certificate, signal);
    // What follows takes as long as collateral of GPUs does to come: lists that change meanwhile must not go unseen.
    let changed = false;
    const unlisten = peer.standing?.onChange((judgeNow) => { changed ||= judgeNow; });
    try {
      const usable = await this.#usable(offer, { key, peer, forget }, { model: said.model, nowS }, signal);
      if (changed) usable.revoke();
      return usable;
    } finally {
      unlisten?.();
    }
  }

  async #usable(
    offer: SignedRecord, { key, peer, forget }: { readonly key: SealKey; readonly peer: VerifiedPeer; forget(): void },
    { model, nowS }: { readonly model: string; readonly nowS: number }, signal: AbortSignal,
  ): Promise<Usable> {
    const { root, clock } = this.#options;
    const record = verifyKeyRecord(offer, {
      tlsPublicKey: peer.publicKey, imageHash: peer.imageHash, cpuEvidence: cpuEvidenceDigest(key.certificate), root, model, nowS, verifySignature,
    });
    await judgeEvidence(peer, key, record, signal);
    const suite = preferredSuite(record.suites);
    const loaded = suite === null ? null : await loadSuite(suite);
    if (suite === null || loaded === null) throw new SealError(`key record offers ${record.suites.map(suiteName).join('; ')}: none of these suites is known here`);
    const node: VerifiedNode = { evidence: peer.evidence, imageHash: peer.imageHash, tlsPublicKey: peer.publicKey, certificate: key.certificate };
    return new Usable({ node, record, signed: { record: offer.record, signature: offer.signature }, suite, loaded, peer, clock, forget });
  }
}

/** What was made for this record: of now, of this key, of the same image, and of the GPUs that the policy counts. */
async function judgeEvidence(peer: VerifiedPeer, { evidence }: SealKey, record: KeyRecord, signal: AbortSignal): Promise<void> {
  if (!equalBytes(record.gpuEvidence, gpuEvidenceDigest(evidence.gpus))) throw new SealError('key record names other GPU evidence than the node shows');
  if (peer.freshness === undefined) throw new SealError(`evidence of the kind ${peer.evidence} cannot vouch for a key`);
  await peer.freshness.verify(evidence, recordQuestion(record), signal);
}

interface UsableParts extends Pick<SealedNode, 'node' | 'record' | 'signed' | 'suite'> {
  readonly loaded: Suite;
  readonly peer: VerifiedPeer;
  readonly clock: Clock;
  forget(): void;
}

class Usable implements SealedNode {
  readonly node: VerifiedNode;
  readonly record: KeyRecord;
  readonly signed: SignedRecord;
  readonly suite: OfferedSuite;
  readonly #parts: UsableParts;
  readonly #ahead: PreparedSeal[] = [];
  readonly #unlisten: (() => void) | undefined;
  #revoked = false;
  #stocking = false;

  constructor(parts: UsableParts) {
    this.node = parts.node;
    this.record = parts.record;
    this.signed = parts.signed;
    this.suite = parts.suite;
    this.#parts = parts;
    // Lists that have changed may not name this image any more: it is judged anew when it is offered again.
    this.#unlisten = parts.peer.standing?.onChange((judgeNow) => {
      if (judgeNow) this.revoke();
    });
    this.restock();
  }

  /** Ends its use; it is judged anew when it is offered again. */
  revoke(): void {
    this.#revoked = true;
    this.#unlisten?.();
    this.#parts.forget();
  }

  isUsable(): boolean {
    const { clock, peer } = this.#parts;
    if (this.#revoked || clock.now() >= (this.record.notAfter - MARGIN_S) * 1000) return false;
    if (peer.standing === undefined || peer.standing.leftMs() > 0) return true;
    this.revoke();
    return false;
  }

  take(): PreparedSeal {
    return this.#ahead.pop() ?? this.#prepare();
  }

  #prepare(): PreparedSeal {
    return prepareSeal({ suite: this.#parts.loaded, publicKey: this.suite.publicKey, record: this.signed.record });
  }

  restock(): void {
    if (this.#stocking || this.#ahead.length >= AHEAD) return;
    this.#stocking = true;
    setImmediate(() => {
      this.#stocking = false;
      if (!this.isUsable()) return;
      this.#ahead.push(this.#prepare());
      this.restock();
    });
  }
}

/** The error of a session whose proxy, or none of whose nodes, can be sealed to. */
export const notSealable = (why: string): NetworkError => new NetworkError('E_NO_SEAL', `the request cannot be sealed: ${why}`, { hint: 'use another proxy, or allow plain requests with --seal prefer' });
