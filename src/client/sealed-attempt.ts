// One try of a request at one node, sealed (SPEC.md sections 5 and 7): what goes out only the node can read, and what comes back is
// opened and checked here. An answer is complete with its last chunk, a bill that is not above the node's own count, and a receipt
// that is for this very answer. Refuses everything else, also after some of it was passed on.
import { createHash } from 'node:crypto';
import { equalBytes } from '../core/bytes.ts';
import { NetworkError } from '../core/errors.ts';
import { createAnswerOpener } from '../seal/answer.ts';
import { SealError } from '../seal/errors.ts';
import { checkReceiptIsFor, decodeAnswerReceipt, receiptRequestId, sha256, verifyAnswerReceipt } from '../seal/receipt.ts';
import { sealedSize } from '../seal/request.ts';
import { AnswerError } from '../wire/answer.ts';
import { PROTOCOL_VIOLATION } from '../wire/remote-codes.ts';
import { SEALED_REFUSED } from '../wire/sealed.ts';
import { decodeBoxed } from '../wire/tl/codec.ts';
import type { AnswerChunk, AnswerOpener } from '../seal/answer.ts';
import type { Routing } from '../seal/request.ts';
import type { FinalInfo, HttpHead, TokensUsed } from '../wire/answer.ts';
import type { AnswerEvent, AskRequest, SealedAsk, WireSession } from '../wire/client-session.ts';
import type { SealedNode } from './sealed-nodes.ts';

/** What an attempt needs beside the request. */
export interface AttemptContext {
  readonly session: Pick<WireSession, 'askSealed' | 'offer'>;
  readonly node: SealedNode;
  readonly root: string;
  readonly paramsVersion: number;
  /** Answers that the request asks for. */
  readonly answers: number;
  readonly streamed: boolean;
  readonly timeoutMs: number;
  /** Milliseconds since the Unix epoch. */
  readonly nowMs: number;
}

/** The share of the own deadline that the node is told, so that its answer to a time-out still arrives. */
const NODE_SHARE = 0.95;
const NO_BYTES = new Uint8Array(0);
const MAX_TEXT = 500;

/** As WireSession.ask, with a proof at the end. Also throws SealError. */
export async function* sealedAttempt(context: AttemptContext, request: AskRequest): AsyncGenerator<AnswerEvent, void, undefined> {
  const answer = new SealedAnswer(context, request);
  try {
    for await (const event of context.session.askSealed(answer.ask())) {
      if (event.kind === 'end') yield answer.end(event.info);
      else yield* answer.open(event);
    }
  } catch (error) {
    throw answer.failureInstead(error);
  }
}

class SealedAnswer {
  readonly #context: AttemptContext;
  readonly #request: AskRequest;
  readonly #hash = createHash('sha256');
  #opener: AnswerOpener | null = null;
  #routing: Routing | null = null;
  #enc: Uint8Array = NO_BYTES;
  #last: Extract<AnswerChunk, { kind: 'end' | 'failure' }> | null = null;

  constructor(context: AttemptContext, request: AskRequest) {
    this.#context = context;
    this.#request = request;
  }

  ask(): SealedAsk {
    const { node, answers, streamed, timeoutMs } = this.#context;
    const { query, maxCoefficient, signal } = this.#request;
    const maxTokens = this.#request.maxTokens * answers;
    const prepared = node.take();
    return {
      sealedBytes: sealedSize(query.byteLength), maxTokens, maxCoefficient, streamed, timeoutMs, ...(signal !== undefined && { signal }),
      counted: () => this.#last?.usage ?? null,
      seal: (requestId) => {
        const { session, root, paramsVersion, nowMs } = this.#context;
        const { kem, kdf, aead } = node.suite;
        const fields = {
          keyId: node.record.keyId, suite: { kem, kdf, aead }, paramsVersion, model: this.#request.model, maxTokens, maxCoefficient,
          timeoutMs: Math.max(1, Math.round(timeoutMs * NODE_SHARE)), timestampMs: Math.round(nowMs),
        };
        this.#routing = { ...fields, requestId, root, proxyPublicKey: session.offer.proxy.publicKey, clientContract: session.offer.clientContractAddress };
        const { enc, sealed, answer } = prepared.seal(this.#routing, query);
        this.#enc = enc;
        this.#opener = createAnswerOpener(answer);
        return { ...fields, enc, sealed };
      },
    };
  }

  /** What an opaque head or part holds. */
  *open(event: Extract<AnswerEvent, { kind: 'head' | 'part' }>): Generator<AnswerEvent> {
    const bytes = event.kind === 'head' ? event.head.payload : event.bytes;
    if (this.#opener === null) throw new NetworkError('E_PROTOCOL', 'answer came before its request was sealed');
    for (const chunk of this.#opener.push(bytes)) {
      switch (chunk.kind) {
        case 'head':
          yield { kind: 'head', head: headOf(chunk, event.kind === 'head' ? event.head : null) };
          break;
        case 'body':
          this.#hash.update(chunk.bytes);
          yield { kind: 'part', bytes: chunk.bytes };
          break;
        default:
          this.#last = chunk;
      }
    }
  }

  /** The end, when the proxy says that it is one and the node has said so too. The bill was held against `counted` before. */
  end(info: FinalInfo): AnswerEvent {
    this.#opener?.end();
    const last = this.#last;
    if (last === null) throw new SealError('sealed answer ended before its final chunk: it was cut');
    if (last.kind === 'failure') throw failureOf(last, info);
    const receipt = last.receipt.byteLength === 0 ? null : this.#checkedReceipt(last.receipt, last.usage);
    return { kind: 'end', info, proof: { scheme: 'cocoon-1', receipt, node: this.#context.node.node } };
  }

  /** The node's own words about a failure, where they have come, in place of what was told on the way. */
  failureInstead(error: unknown): unknown {
    if (!(error instanceof AnswerError)) return error;
    if (this.#last?.kind === 'failure') return failureOf(this.#last, error.info);
    const isRefused = error.remoteCode === PROTOCOL_VIOLATION && error.remoteMessage.startsWith(SEALED_REFUSED);
    return isRefused ? new SealError(`the node did not get the request as it was sealed: ${error.remoteMessage.slice(0, MAX_TEXT)}`, error) : error;
  }

  #checkedReceipt(bytes: Uint8Array, usage: TokensUsed): Uint8Array {
    const { node } = this.#context;
    if (this.#routing === null) throw new SealError('receipt came before its request was sealed');
    const signed = decodeAnswerReceipt(bytes);
    verifyAnswerReceipt(signed, node.signed);
    const { receipt } = signed;
    checkReceiptIsFor(receipt, {
      requestId: receiptRequestId(this.#routing, this.#enc), requestHash: sha256(payloadOf(this.#request.query)),
      responseHash: new Uint8Array(this.#hash.digest()), total: usage.total,
    });
    if (!equalBytes(receipt.record.record, node.signed.record)) throw new SealError('receipt names another key record than the request was sealed to');
    if (!equalBytes(receipt.proxyPublicKey, this.#routing.proxyPublicKey)) throw new SealError('receipt names another proxy than the one that was asked');
    if (receipt.coefficient > this.#request.maxCoefficient) throw new SealError(`receipt says a price of ${receipt.coefficient}, the request allowed ${this.#request.maxCoefficient}`);
    return bytes;
  }
}

const failureOf = ({ code, message, usage }: Extract<AnswerChunk, { kind: 'failure' }>, info: FinalInfo | null): AnswerError =>
  new AnswerError(code, message, { ...info, tokens: usage });

/** The node's head, with the times that the proxy has added to what it could read. */
const headOf = ({ status, reason, headers }: Extract<AnswerChunk, { kind: 'head' }>, outer: HttpHead | null): HttpHead =>
  ({ httpVersion: 'HTTP/1.1', status, reason, headers: [...headers, ...outer?.headers ?? []], payload: NO_BYTES });

/** The HTTP payload of a boxed `http.request`. */
function payloadOf(query: Uint8Array): Uint8Array {
  const http = decodeBoxed(query);
  if (http._ !== 'http.request') throw new NetworkError('E_PROTOCOL', `query carries ${http._}, expected http.request`);
  return http.payload;
}
