// POST /v1/chat/completions and /v1/completions of the local endpoint: the application's body goes to a node byte for byte, but
// for the limit of tokens that is paid for; the answer comes back as the node gives it. Headers of the application go nowhere.
import { createHash, randomBytes } from 'node:crypto';
import { badRequest } from '../../openai/errors.ts';
import { openJsonObject } from '../../openai/json-edit.ts';
import { adjustTokens } from '../../openai/token-price.ts';
import { AnswerError, NO_INFO } from '../../wire/answer.ts';
import { forward } from '../forward.ts';
import type { HttpReply, HttpRequest } from '../../http/routes.ts';
import type { JsonObjectText } from '../../openai/json-edit.ts';
import type { FinalInfo, TokensUsed } from '../../wire/answer.ts';
import type { ForwardedAnswer } from '../forward.ts';
import type { SessionPool } from '../session-pool.ts';
import type { Callers } from './callers.ts';

/** Price of the network now. */
export interface EndpointPrice {
  /** nanoTON of an adjusted token; 0n where nobody pays. */
  readonly perTokenNano: bigint;
  /** The largest of the network's multipliers, 10000 for ×1. */
  readonly largestMultiplier: number;
}

export interface InferenceOptions {
  readonly pool: Pick<SessionPool, 'acquire'>;
  readonly callers: Callers;
  readonly price: () => EndpointPrice;
  /** Highest price accepted, in thousandths of the network's. */
  readonly maxCoefficient: number;
  /** Limit of an answer where the request has none, and the most that it may ask for. */
  readonly defaultMaxTokens: number;
  readonly maxTokens: number;
  readonly timeoutMs: number;
  /** Hears of each request's end. */
  readonly onEnd?: (end: RequestEnd) => void;
}

export interface RequestEnd {
  readonly outcome: 'complete' | 'failed' | 'cancelled';
  readonly model: string;
  readonly charged: TokensUsed | null;
  readonly costNano: bigint;
  /** From the request to its first byte and to its end, milliseconds; null where there was none. */
  readonly firstByteMs: number | null;
  readonly totalMs: number;
}

type Members = JsonObjectText['members'];

const LIMITS = ['max_completion_tokens', 'max_tokens'] as const;
const CHAT = '/v1/chat/completions';
const CONVERSATION_HEADER = 'X-Cocoon-Conversation';
const CONVERSATION = /^[\x20-\x7e]{1,64}$/;
/** What of a node's answer the application sees. */
const PASSED_ON = /^(content-type|cache-control|retry-after|x-cocoon-[a-z-]+)$/;

/** The handler of both paths. */
export function inferenceHandler(options: InferenceOptions): (request: HttpRequest) => Promise<HttpReply> {
  // Conversations are told apart by a key that means nothing to anybody else, and is another one after a restart.
  const conversationKey = randomBytes(32);
  return async (request) => {
    const startedMs = performance.now();
    const caller = options.callers.admit(request);
    const body = openJsonObject(textOf(request.bytes));
    const { model } = body.members;
    if (typeof model !== 'string' || model === '') throw badRequest('member \'model\' is missing or not a text', { param: 'model', code: 'invalid_value' });
    const maxTokens = limitOf(body.members, options);
    const payload = new TextEncoder().encode(withLimit(body, maxTokens, request.path));
    const mostNano = mostCost(options, maxTokens, payload.byteLength);
    const reserved = caller.reserve(mostNano);
    const end: Ending = once((outcome, info, firstByteMs) => {
      // What an answer that broke off was billed may never be told; a budget then counts the most that it can be.
      const unknown = firstByteMs === null ? 0n : mostNano;
      const costNano = info === null ? unknown : info.tokens.total * options.price().perTokenNano;
      reserved.settle(costNano);
      options.onEnd?.({ outcome, model, charged: info?.tokens ?? null, costNano, firstByteMs, totalMs: performance.now() - startedMs });
    });
    let answer: ForwardedAnswer;
    try {
      answer = await forward(options.pool, {
        path: request.path, payload, model, maxTokens, maxCoefficient: options.maxCoefficient, timeoutMs: options.timeoutMs, signal: request.signal,
        headers: [{ name: CONVERSATION_HEADER, value: conversationOf(request, body.members, conversationKey) }],
      });
    } catch (error) {
      end(request.signal.aborted ? 'cancelled' : 'failed', null, null);
      throw error;
    }
    return replyOf(answer, request.signal, end, performance.now() - startedMs);
  };
}

/** Called once for each request. `firstByteMs` is null when there was no answer. */
type Ending = (outcome: RequestEnd['outcome'], info: FinalInfo | null, firstByteMs: number | null) => void;

function replyOf({ head, body, proxy }: ForwardedAnswer, signal: AbortSignal, end: Ending, firstByteMs: number): HttpReply {
  const headers = Object.fromEntries(head.headers.map(({ name, value }) => [name.toLowerCase(), value] as const).filter(([name]) => PASSED_ON.test(name)));
  async function* stream(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const next = await body.next();
        if (next.done === true) {
          end('complete', next.value, firstByteMs);
          return;
        }
        yield next.value;
      }
    } catch (error) {
      end(signal.aborted ? 'cancelled' : 'failed', finalInfoOf(error), firstByteMs);
      throw error;
    } finally {
      // Reached first when the application left without another word.
      end('cancelled', null, firstByteMs);
      await body.return(NO_INFO);
    }
  }
  return {
    status: head.status,
    headers: { 'content-type': 'application/json', ...headers, 'x-cocoon-proxy': proxy.address, 'x-cocoon-evidence': proxy.peer.evidence },
    stream: stream(),
  };
}

/** What the proxy said with a failure. */
function finalInfoOf(error: unknown): FinalInfo | null {
  const cause = error instanceof Error && !(error instanceof AnswerError) ? error.cause : error;
  return cause instanceof AnswerError ? cause.info : null;
}

function once<A extends readonly unknown[]>(call: (...args: A) => void): (...args: A) => void {
  let done = false;
  return (...args) => {
    if (done) return;
    done = true;
    call(...args);
  };
}

function textOf(bytes: Uint8Array | undefined): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes ?? new Uint8Array(0));
  } catch {
    throw badRequest('request body is not valid JSON in UTF-8', { code: 'invalid_json' });
  }
}

function limitOf(members: Members, { defaultMaxTokens, maxTokens }: InferenceOptions): number {
  for (const name of LIMITS) {
    const value = Object.hasOwn(members, name) ? members[name] : undefined;
    if (value === undefined || value === null) continue;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > maxTokens) {
      throw badRequest(`invalid value of '${name}' in request: expected a whole number from 1 to ${maxTokens}`, { param: name, code: 'invalid_value' });
    }
    return value;
  }
  return defaultMaxTokens;
}

/** The same limit in both members, whichever an engine heeds; bodies that have it already stay as they are. */
function withLimit(body: JsonObjectText, limit: number, path: string): string {
  return body.edit({ set: { max_tokens: limit, ...((path === CHAT || Object.hasOwn(body.members, 'max_completion_tokens')) && { max_completion_tokens: limit }) } });
}

/** All that may be read and generated, at the highest price that is accepted: what the proxy puts aside too (WIRE.md section 12). */
function mostCost({ price, maxCoefficient }: InferenceOptions, maxTokens: number, payloadBytes: number): bigint {
  const { perTokenNano, largestMultiplier } = price();
  return perTokenNano === 0n ? 0n : adjustTokens(maxTokens + payloadBytes + ENVELOPE_BYTES, maxCoefficient, largestMultiplier) * perTokenNano;
}

/** Of the HTTP request around a body, at most. */
const ENVELOPE_BYTES = 512;

/** The application's own key, or one that follows from the conversation's beginning, so that later turns find their prefix cached. */
function conversationOf({ headers }: HttpRequest, members: Members, key: Uint8Array): string {
  const given = headers[CONVERSATION_HEADER.toLowerCase()];
  if (typeof given === 'string' && CONVERSATION.test(given)) return given;
  const { messages, prompt } = members;
  const beginning = Array.isArray(messages) ? messages.slice(0, messages.findIndex((message) => isUser(message)) + 1 || 1) : String(prompt ?? '').slice(0, 1_000);
  return createHash('sha256').update(key).update(JSON.stringify(beginning)).digest('base64url').slice(0, 32);
}

const isUser = (message: unknown): boolean => typeof message === 'object' && message !== null && 'role' in message && message.role === 'user';

