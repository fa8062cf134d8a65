// The answer to a sealed request (SPEC.md sections 7 and 9): an AnswerSink that seals what it is given and passes it on as opaque
// parts, with the node's own count and a receipt in the last one. What the proxy sees of it is a status of failure, sizes and times.
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createAnswerSealer } from '../seal/answer.ts';
import { encodeAnswerReceipt, receiptRequestId, signAnswerReceipt } from '../seal/receipt.ts';
import type { Address } from '@ton/core';
import type { Signer } from '../chain/ed25519.ts';
import type { AnswerChunk } from '../seal/answer.ts';
import type { AnswerSink, FinalInfo, HttpHead, TokensUsed } from '../wire/answer.ts';
import type { OpenedRun } from './sealed-keys.ts';

/** What receipts say of the network. */
export interface ReceiptTerms {
  /** Id of the TON network, and the bond contract of the node's owner; 0 and the zero address where there are no contracts. */
  readonly globalId: number;
  readonly bond: Address;
  /** Price of an adjusted token and the version of the parameters that say so; 0 where nobody pays. */
  readonly pricePerTokenNano: bigint;
  readonly paramsVersion: number;
}

export interface SealedAnswerOptions {
  readonly opened: OpenedRun;
  /** SHA-256 of the request's HTTP payload, 32 bytes. */
  readonly requestHash: Uint8Array;
  /** Thousandths, as applied. */
  readonly coefficient: number;
  readonly terms: ReceiptTerms;
  readonly signer: Signer;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

const NO_BYTES = new Uint8Array(0);
const OK = 200;

/** Seals what is written to it into `sink`. */
export function sealedSink(sink: AnswerSink, options: SealedAnswerOptions): AnswerSink {
  return new SealedSink(sink, options);
}

class SealedSink implements AnswerSink {
  readonly #sink: AnswerSink;
  readonly #options: SealedAnswerOptions;
  readonly #sealer: ReturnType<typeof createAnswerSealer>;
  readonly #hash = createHash('sha256');
  /** Waits for the first of the body, so that both leave together. */
  #held: HttpHead | null = null;
  #begun = false;

  constructor(sink: AnswerSink, options: SealedAnswerOptions) {
    this.#sink = sink;
    this.#options = options;
    this.#sealer = createAnswerSealer(options.opened.answer);
  }

  async head(head: HttpHead): Promise<void> {
    this.#held = head;
    if (head.payload.byteLength > 0) await this.part(head.payload);
  }

  part(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    return this.#held === null ? this.#sink.part(this.#sealer.seal({ kind: 'body', bytes })) : this.#begin(this.#held, { kind: 'body', bytes });
  }

  async end(info: FinalInfo, bytes: Uint8Array = NO_BYTES): Promise<void> {
    if (this.#held !== null) await this.#begin(this.#held);
    else await nextTurn(); // what was said before leaves first: a receipt takes longer than all else here
    this.#hash.update(bytes);
    const body = bytes.byteLength === 0 ? NO_BYTES : this.#sealer.seal({ kind: 'body', bytes });
    const last = this.#sealer.seal({ kind: 'end', usage: info.tokens, receipt: this.#receipt(info.tokens) });
    await this.#sink.end(info, Buffer.concat([body, last]));
  }

  async fail(code: number, message: string, info?: FinalInfo): Promise<void> {
    if (!this.#begun || info === undefined) return this.#sink.fail(code, message, info);
    // The text is the client's alone, and so is a count that nobody on the way can change.
    await this.#sink.part(this.#sealer.seal({ kind: 'failure', code: code >>> 0, message, usage: info.tokens })).catch(() => undefined); // told below all the same
    await this.#sink.fail(code, 'worker: the answer was cut short', info);
  }

  #begin(head: HttpHead, first?: AnswerChunk): Promise<void> {
    this.#held = null;
    this.#begun = true;
    const { status, reason, headers } = head;
    const sealed = this.#sealer.seal({ kind: 'head', status, reason, headers });
    const payload = first === undefined ? sealed : Buffer.concat([sealed, this.#sealer.seal(first)]);
    return this.#sink.head({ httpVersion: 'HTTP/1.1', status: outerStatus(status), reason: '', headers: [], payload });
  }

  #receipt(usage: TokensUsed): Uint8Array {
    const { opened, requestHash, coefficient, terms, signer, now } = this.#options;
    const { globalId, bond, pricePerTokenNano, paramsVersion } = terms;
    return encodeAnswerReceipt(signAnswerReceipt({
      core: {
        globalId, bond, requestId: receiptRequestId(opened.routing, opened.enc), requestHash,
        responseHash: new Uint8Array(this.#hash.digest()), tokens: usage.total, time: Math.floor(now() / 1000),
      },
      record: opened.record, usage, coefficient, pricePerTokenNano, paramsVersion, proxyPublicKey: opened.routing.proxyPublicKey,
    }, signer));
  }
}

/** All that the proxy is shown: whether another node may do better. */
const outerStatus = (status: number): number => (status >= 500 || status === 429 || status === 408 ? status : OK);
