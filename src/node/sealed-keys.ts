// A node's keys for sealed requests while it runs (SPEC.md sections 4, 5 and 8): made in memory, vouched for by evidence made for
// them, replaced twice an hour and told to every proxy, erased at the end; and what they open.
// Refuses keys that are over, requests outside their time, sent before, with anything changed on the way, or at too high a price.
import { createPrivateKey, randomBytes, sign } from 'node:crypto';
import { asCocoonError, NetworkError, RemoteError } from '../core/errors.ts';
import { sleep as realSleep } from '../core/retry.ts';
import { signerOfSeed } from '../chain/ed25519.ts';
import { SealError } from '../seal/errors.ts';
import { cpuEvidenceDigest, gpuEvidenceDigest, recordQuestion } from '../seal/evidence.ts';
import { createKeyRing, GRACE_S, ROTATION_S } from '../seal/key-ring.ts';
import { ReplayGuard } from '../seal/replay.ts';
import { openRequest } from '../seal/request.ts';
import { NOT_READY, PROTOCOL_VIOLATION } from '../wire/remote-codes.ts';
import type { Clock } from '../core/clock.ts';
import type { Log } from '../core/log.ts';
import type { Sleep } from '../core/retry.ts';
import type { Signer } from '../chain/ed25519.ts';
import type { AnswerKeys } from '../seal/answer.ts';
import type { SignedKeyRecord } from '../seal/key-record.ts';
import type { KeyRing, RingKey } from '../seal/key-ring.ts';
import type { Routing } from '../seal/request.ts';
import type { FreshAnswer } from '../tee/fresh-attestation.ts';
import type { AttestedCertificate } from '../tee/tls-identity.ts';
import { SEALED_REFUSED } from '../wire/sealed.ts';
import type { SealedRun, SealKey } from '../wire/sealed.ts';
import type { WorkerSession } from '../wire/worker-session.ts';

export interface SealingOptions {
  /** The certificate and key of connections made now; its evidence vouches for the keys. */
  identity(): AttestedCertificate;
  /** As the root contract lists it, 32 bytes. */
  readonly imageHash: Uint8Array;
  /** Full name: `name@commit:hash`, as it was checked when the model was loaded. */
  readonly model: string;
  /** Root contract, `workchain:hex`; empty on a network without one. */
  readonly root: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly sleep?: Sleep;
}

/** What came with a sealed request on its last hop. */
export interface SealedHop {
  /** Payment key of the proxy that this node is connected to, 32 bytes. */
  readonly proxyPublicKey: Uint8Array;
  /** Price that the proxy names for this request, and this node's own, in thousandths. */
  readonly coefficient: bigint;
  readonly price: number;
}

export interface OpenedRun {
  /** Boxed `http.request`. */
  readonly query: Uint8Array;
  /** Most tokens of all answers together. */
  readonly maxTokens: number;
  readonly routing: Routing;
  readonly enc: Uint8Array;
  /** For the answer. */
  readonly answer: AnswerKeys;
  /** The record that it was sealed to. */
  readonly record: SignedKeyRecord;
}

/** What everybody may know of the keys: it stands in the record that proxies pass on and in every receipt. */
export interface SealingKeys {
  /** Ed25519 key that signs this node's receipts until it is started again, 32 bytes. */
  readonly receiptKey: Uint8Array;
  /** Of the record that new requests are sealed to, 16 bytes. */
  readonly keyId: Uint8Array;
  /** Unix seconds after which that record opens nothing. */
  readonly notAfterS: number;
}

export interface NodeSealing {
  /** Signs receipts; named by every record. */
  readonly receiptSigner: Signer;
  /** As of now. */
  keys(): SealingKeys;
  /** Throws RemoteError: 651 upon which a client may seal anew, 621 for what must not be tried again. */
  open(run: SealedRun, hop: SealedHop): OpenedRun;
  /** Makes the keys known over a session, now and whenever they change, until it ends. */
  publish(session: Pick<WorkerSession, 'publishSealKey' | 'closed'>): void;
  /** Erases every key. Idempotent. */
  close(): void;
}

interface Voucher {
  readonly certificate: Uint8Array;
  readonly evidence: FreshAnswer;
}

const RETRY_MS = 60_000;
/** After a rotation: by then the record before it is over. */
const EXPIRY_MS = (GRACE_S + 5) * 1000;
const EVIDENCE_MS = 60_000;
const PUBLISH_RETRY_MS = 2_000;
const PUBLISH_ATTEMPTS = 5;
const SEED_BYTES = 32;

/** Makes the first key. Rejects with ConfigError E_COLLECT or NetworkError where this machine gives no evidence. */
export async function createSealing(options: SealingOptions): Promise<NodeSealing> {
  const seed = randomBytes(SEED_BYTES);
  const receiptSigner = signerOfSeed(seed);
  seed.fill(0);
  const ring = await createKeyRing<Voucher>({
    nowS: nowS(options.clock),
    facts: () => {
      const { certificateDer, publicKey } = options.identity();
      const { imageHash, model, root } = options;
      return { tlsPublicKey: publicKey, receiptKey: receiptSigner.publicKey, imageHash, model, root, cpuEvidence: cpuEvidenceDigest(certificateDer) };
    },
    async vouch(draft) {
      const { attest, certificateDer } = options.identity();
      if (attest === undefined) throw new SealError('this side has no evidence that could vouch for its keys');
      const evidence = await attest(recordQuestion(draft), AbortSignal.timeout(EVIDENCE_MS));
      return { gpuEvidence: gpuEvidenceDigest(evidence.gpus), voucher: { certificate: certificateDer, evidence } };
    },
    sign: (message) => new Uint8Array(sign(null, message, createPrivateKey(options.identity().privateKeyPem))),
  });
  return new Sealing(ring, receiptSigner, options);
}

const nowS = (clock: Clock): number => Math.floor(clock.now() / 1000);

class Sealing implements NodeSealing {
  readonly receiptSigner: Signer;
  readonly #ring: KeyRing<Voucher>;
  readonly #options: SealingOptions;
  readonly #replay = new ReplayGuard();
  readonly #listeners = new Set<() => void>();
  readonly #ending = new AbortController();

  constructor(ring: KeyRing<Voucher>, receiptSigner: Signer, options: SealingOptions) {
    this.#ring = ring;
    this.receiptSigner = receiptSigner;
    this.#options = options;
    void this.#rotate();
  }

  keys(): SealingKeys {
    const { keyId, notAfter } = this.#ring.current();
    return { receiptKey: this.receiptSigner.publicKey, keyId, notAfterS: notAfter };
  }

  open(run: SealedRun, { proxyPublicKey, coefficient, price }: SealedHop): OpenedRun {
    const nowMs = this.#options.clock.now();
    const key = this.#find(run.keyId, nowMs);
    // A price that is not this node's own is not one that it asks for; one above what the client allows is for another node.
    if (coefficient > BigInt(price)) throw new RemoteError(NOT_READY, `worker: the price of this node is ${price}, the proxy names ${coefficient}`);
    if (coefficient > BigInt(run.maxCoefficient)) throw new RemoteError(NOT_READY, `worker: the price of this node is ${coefficient}, the request allows ${run.maxCoefficient}`);
    const { suite: suiteId, enc, sealed, ...fields } = run;
    const routing: Routing = { ...fields, suite: suiteId, root: this.#options.root, proxyPublicKey };
    try {
      const { suite, key: kemKey } = key.open(suiteId);
      const { request, answer } = openRequest({ suite, key: kemKey, record: key.signed.record, routing, enc, sealed, nowMs });
      this.#replay.admit(enc, nowMs);
      return { query: request, maxTokens: run.maxTokens, routing, enc: enc.slice(), answer, record: key.signed };
    } catch (error) {
      if (error instanceof SealError) throw new RemoteError(PROTOCOL_VIOLATION, `${SEALED_REFUSED}: ${error.message}`, { cause: error });
      throw error;
    }
  }

  publish(session: Pick<WorkerSession, 'publishSealKey' | 'closed'>): void {
    const ended = new AbortController();
    const tell = (): void => { void this.#tell(session, ended.signal); };
    this.#listeners.add(tell);
    void session.closed.then(() => {
      this.#listeners.delete(tell);
      ended.abort(new NetworkError('E_CLOSED', 'the session has ended'));
    });
    tell();
  }

  close(): void {
    if (this.#ending.signal.aborted) return;
    this.#ending.abort(new NetworkError('E_CLOSED', 'the node is stopping'));
    this.#listeners.clear();
    this.#ring.close();
  }

  #find(keyId: Uint8Array, nowMs: number): RingKey<Voucher> {
    try {
      return this.#ring.find(keyId, Math.floor(nowMs / 1000));
    } catch (error) {
      throw new RemoteError(NOT_READY, `worker: ${asCocoonError(error).message}`, { cause: error });
    }
  }

  #current(): SealKey {
    const { signed, voucher } = this.#ring.current();
    return { ...signed, ...voucher };
  }

  async #tell(session: Pick<WorkerSession, 'publishSealKey'>, signal: AbortSignal): Promise<void> {
    const { log, sleep = realSleep } = this.#options;
    for (let attempt = 1; attempt <= PUBLISH_ATTEMPTS && !signal.aborted && !this.#ending.signal.aborted; attempt += 1) {
      try {
        await session.publishSealKey(this.#current());
        return;
      } catch (error) {
        if (signal.aborted) return;
        log.warn('the key for sealed requests was not taken', { code: asCocoonError(error).code, reason: asCocoonError(error).message });
        await sleep(PUBLISH_RETRY_MS, signal).catch(() => undefined);
      }
    }
  }

  async #rotate(): Promise<void> {
    const { clock, log, sleep = realSleep } = this.#options;
    const { signal } = this.#ending;
    const wait = (ms: number): Promise<void> => sleep(ms, signal).catch(() => undefined);
    for (let isRetry = false; ;) {
      await wait(isRetry ? RETRY_MS : EXPIRY_MS);
      if (!isRetry && !signal.aborted) {
        this.#ring.expire(nowS(clock));
        await wait(ROTATION_S * 1000 - EXPIRY_MS);
      }
      if (signal.aborted) return;
      try {
        await this.#ring.rotate(nowS(clock));
        isRetry = false;
      } catch (error) {
        // The present key serves until its record is over; then nothing can be sealed to this node.
        log.error('no new key for sealed requests', { code: asCocoonError(error).code, reason: asCocoonError(error).message });
        isRetry = true;
        continue;
      }
      if (signal.aborted) return this.#ring.close(); // it was stopped while the key was made
      for (const tell of this.#listeners) tell();
    }
  }
}
