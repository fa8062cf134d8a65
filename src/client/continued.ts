// A streamed answer that goes on at another node when it breaks: the new node gets what has been received as the beginning of its
// answer, and what it adds is passed on under the first one's id. Text is passed on once and in order; the end (finish reason,
// usage, [DONE]) only when the last node's final message is there. The answer says where it was taken up again.
// Continues only at nodes that say they go on behind an assistant's last message, and only answers that are nothing but text.
import { abortError } from '../core/deadline.ts';
import { asCocoonError, EngineError, NetworkError } from '../core/errors.ts';
import { countsComment, DONE, sseBytes, sseEvent } from '../openai/sse.ts';
import { toUsage } from '../openai/usage.ts';
import { isEnd } from './answer-body.ts';
import { readChunks } from './chunk-stream.ts';
import { faultOf, mayTryAgain } from './faults.ts';
import type { CocoonError } from '../core/errors.ts';
import type { UsageCounts } from '../openai/usage.ts';
import type { HttpHead } from '../wire/answer.ts';
import type { AnswerBody, AnswerEnd } from './answer-body.ts';
import type { ChunkObject, ChunkStream, StreamPiece } from './chunk-stream.ts';
import type { Fault } from './faults.ts';
import type { ForwardedAnswer, Forwarder, ForwardRequest } from './forward.ts';

/** What of a request changes when its answer is taken up by another node. */
export type Resumed = Pick<ForwardRequest, 'payload' | 'maxTokens' | 'cost'>;

/** The request that goes on behind `received`, of which `tokens` are known to have been generated; null when nothing is left to ask for. */
export type Resume = (received: string, tokens: number) => Resumed | null;

/** Where an answer broke and was taken up again. */
export interface Continuation {
  /** The proxy of the part before, and whose trouble it was. */
  readonly proxy: string;
  readonly fault: Fault;
  readonly code: string;
  /** Characters (UTF-16 units) of the answer until there. */
  readonly after: number;
  /** What the node before had counted; null where it was not told. */
  readonly usage: UsageCounts | null;
}

export interface ContinuedAnswer {
  readonly first: ForwardedAnswer;
  readonly body: AnswerBody;
  readonly continued: readonly Continuation[];
}

/** Header of a node that goes on behind an assistant's last message instead of beginning a new one. */
export const CONTINUES_HEADER = 'x-cocoon-continues';
const MAX_CONTINUATIONS = 8;

/** `first`: the beginning of a streamed answer to `request`. `resume` null: only its end is watched. `counts`: what is counted so far is passed on too. */
export function continuedAnswer(forwarder: Forwarder, first: ForwardedAnswer, request: ForwardRequest, resume: Resume | null, counts = false): ContinuedAnswer {
  const body = new ContinuedBody(forwarder, first, request, resume, counts);
  return { first, body, continued: body.continued };
}

class ContinuedBody implements AnswerBody {
  readonly continued: Continuation[] = [];
  readonly #forwarder: Forwarder;
  readonly #request: ForwardRequest;
  readonly #resume: Resume | null;
  readonly #counts: boolean;
  readonly #endsAt: number;
  #current: ForwardedAnswer;
  #chunks: ChunkStream = readChunks();
  /** Members of the first chunk that name the answer. */
  #identity: ChunkObject | null = null;
  #received = '';
  /** Pieces of text of this part: a lower bound of its tokens. */
  #pieces = 0;
  #tokensBefore = 0;
  #usage: UsageCounts | null = null;
  #plain = true;
  /** Events that would make the answer look complete. */
  #held: string[] = [];
  #finished: string | null = null;
  #end: AnswerEnd | null = null;
  /** The next chunk is the first one of another node. */
  #joining = false;

  constructor(forwarder: Forwarder, first: ForwardedAnswer, request: ForwardRequest, resume: Resume | null, counts: boolean) {
    this.#counts = counts;
    this.#forwarder = forwarder;
    this.#current = first;
    this.#request = request;
    this.#resume = resume;
    this.#endsAt = performance.now() + request.timeoutMs;
  }

  async next(): Promise<Uint8Array | AnswerEnd> {
    for (;;) {
      if (this.#end !== null) return this.#end;
      try {
        const piece = await this.#current.body.next();
        const text = isEnd(piece) ? this.#complete(piece) : this.#take(this.#chunks.push(piece));
        if (text !== '') return sseBytes(text);
      } catch (thrown) {
        await this.#goOn(asCocoonError(thrown));
      }
    }
  }

  async leave(): Promise<void> {
    await this.#current.body.leave();
  }

  /** Text of the events to pass on now. */
  #take(pieces: readonly StreamPiece[]): string {
    let out = '';
    for (const piece of pieces) {
      if (piece.kind === 'failure') {
        // What came before it in these bytes has been counted as received: it leaves first.
        if (out === '') throw piece.error;
        this.#chunks = failing(piece.error);
        return out;
      }
      if (piece.kind === 'counts') {
        this.#usage = piece.usage;
        if (this.#counts) out += countsComment(this.#sum(piece.usage));
        continue;
      }
      const event = piece.kind === 'done' ? sseEvent(DONE) : this.#chunk(piece);
      if (piece.kind === 'done' || this.#finished !== null) this.#held.push(event);
      else out += event;
    }
    return out;
  }

  /** One event of the answer; empty for one that only says again what the first node has said. */
  #chunk({ data, value, text, finishReason, usage, plain }: StreamPiece & { readonly kind: 'chunk' }): string {
    this.#plain &&= plain;
    this.#received += text;
    if (text !== '') this.#pieces += 1;
    this.#usage = usage ?? this.#usage;
    if (this.#resume !== null) this.#finished = finishReason ?? this.#finished;
    if (value === null) return sseEvent(data);
    this.#identity ??= value;
    if (this.continued.length === 0) return sseEvent(data);
    if (text === '' && finishReason === null && usage === null) return '';
    return sseEvent(JSON.stringify(this.#asFirst(value, usage, finishReason !== null)));
  }

  /** A chunk of a later node as one of the answer that the first has begun. */
  #asFirst(value: ChunkObject, usage: UsageCounts | null, isLast: boolean): ChunkObject {
    const { id, created, model, system_fingerprint: print } = this.#identity ?? value;
    const joining = this.#joining;
    this.#joining = false;
    return {
      ...value, id, created, model, ...(print !== undefined && { system_fingerprint: print }),
      ...(Array.isArray(value.choices) && { choices: value.choices.map(withoutRole) }),
      ...(usage !== null && { usage: toUsage(this.#sum(usage)) }),
      ...((joining || isLast) && { cocoon: { continued: this.continued } }),
    };
  }

  /** What all nodes of this answer have counted; where one that broke never told, its work is not in it. */
  #sum(last: UsageCounts): UsageCounts {
    return this.continued.reduce((sum, { usage }) => (usage === null ? sum : {
      promptTokens: sum.promptTokens + usage.promptTokens, cachedTokens: sum.cachedTokens + usage.cachedTokens,
      completionTokens: sum.completionTokens + usage.completionTokens, reasoningTokens: sum.reasoningTokens + usage.reasoningTokens,
    }), last);
  }

  /** The final message is here: what was held back may go. */
  #complete(end: AnswerEnd): string {
    this.#chunks.end();
    if (this.#resume !== null && this.#finished === null) throw new EngineError('E_ENGINE', 'the answer ended without its finish reason');
    this.#end = end;
    return this.#held.splice(0).join('');
  }

  /** Takes the answer to another node, or throws `error`. */
  async #goOn(error: CocoonError): Promise<void> {
    const { signal } = this.#request;
    await this.#current.body.leave();
    if (signal.aborted) throw abortError(signal);
    const leftMs = Math.round(this.#endsAt - performance.now());
    if (this.#resume === null || !this.#plain || this.#finished === 'length' || this.continued.length >= MAX_CONTINUATIONS || leftMs < 1 || !mayTryAgain(error)) throw error;
    // Without counts: each piece took at least one.
    const tokens = this.#tokensBefore + (this.#usage?.completionTokens ?? this.#pieces);
    const resumed = this.#received === '' ? this.#request : this.#resume(this.#received, tokens);
    if (resumed === null) throw error;
    const { payload, maxTokens, cost } = resumed;
    let next: ForwardedAnswer;
    try {
      const avoid = faultOf(error) === 'proxy' ? { avoid: this.#current.proxy.address } : {};
      next = await this.#forwarder.forward({ ...this.#request, payload, maxTokens, timeoutMs: leftMs, ...(cost !== undefined && { cost }), ...avoid });
    } catch {
      throw signal.aborted ? abortError(signal) : error; // why it broke says more than why nobody takes it up
    }
    if (next.head.status !== 200 || (this.#received !== '' && !continues(next.head))) {
      await next.body.leave();
      throw error;
    }
    this.continued.push({ proxy: this.#current.proxy.address, fault: faultOf(error), code: error.code, after: this.#received.length, usage: this.#usage });
    this.#current = next;
    this.#chunks = readChunks();
    this.#tokensBefore = tokens;
    this.#pieces = 0;
    this.#usage = null;
    this.#held = [];
    this.#finished = null;
    this.#joining = true;
  }
}

const continues = ({ headers }: HttpHead): boolean => headers.some(({ name, value }) => name.toLowerCase() === CONTINUES_HEADER && value === '1');

const failing = (error: CocoonError): ChunkStream => ({
  push() {
    throw error;
  },
  end() {
    throw error;
  },
});

function withoutRole(choice: unknown): unknown {
  if (typeof choice !== 'object' || choice === null || !('delta' in choice) || typeof choice.delta !== 'object' || choice.delta === null) return choice;
  const { role: _role, ...delta } = choice.delta as ChunkObject;
  return { ...choice, delta };
}

/** The event that says in OpenAI's form that an answer is not complete, for readers of events; the connection is cut behind it. */
export const failureEvent = (body: object): Uint8Array => sseBytes(sseEvent(JSON.stringify(body)));

/** For an answer of which nobody knows whether it is complete. */
export const incompleteAnswer = (): NetworkError => new NetworkError('E_CLOSED', 'the answer ended before it was complete');
