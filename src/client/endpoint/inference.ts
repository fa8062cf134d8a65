// Questions of applications to the network: one admitted, paid for, forwarded, taken up again when it breaks, and counted; and the
// handlers of chat and text completions and embeddings, which pass the node's own documents on. Headers of the application go nowhere.
import { randomBytes } from 'node:crypto';
import { asCocoonError } from '../../core/errors.ts';
import { sleep } from '../../core/retry.ts';
import { badRequest } from '../../openai/errors.ts';
import { openJsonObject } from '../../openai/json-edit.ts';
import { checkShape } from '../../openai/shape.ts';
import { COUNTS_HEADER } from '../../openai/sse.ts';
import { problemOf } from '../../http/routes.ts';
import { isEnd } from '../answer-body.ts';
import { continuedAnswer, failureEvent } from '../continued.ts';
import { RequestAccount } from './accounting.ts';
import { conversationOf, readCompletion, textOf } from './completion-request.ts';
import { problemBody } from './problems.ts';
import { embeddingShape } from './request-shape.ts';
import type { HttpReply, HttpRequest } from '../../http/routes.ts';
import type { HttpHead } from '../../wire/answer.ts';
import type { AnswerBody } from '../answer-body.ts';
import type { Continuation } from '../continued.ts';
import type { ForwardedAnswer, Forwarder, ForwardRequest } from '../forward.ts';
import type { EndpointPrice, RequestEnd } from './accounting.ts';
import type { Caller, Callers } from './callers.ts';
import type { CompletionRequest, TokenLimits } from './completion-request.ts';

export interface InferenceOptions extends TokenLimits {
  readonly forwarder: Forwarder;
  readonly callers: Callers;
  readonly price: () => EndpointPrice;
  /** Highest price accepted, in thousandths of the network's. */
  readonly maxCoefficient: number;
  readonly timeoutMs: number;
  /** Unix milliseconds. */
  readonly now: () => number;
  /** False: an answer that breaks is not taken up by another node. Default true. */
  readonly continueAnswers?: boolean;
  /** Hears of each request's end. */
  readonly onEnd?: (end: RequestEnd) => void;
}

/** An answer that has begun. Its reader reads `body` to its end or leaves it; both end the account. */
export interface AskedAnswer {
  readonly head: HttpHead;
  readonly proxy: ForwardedAnswer['proxy'];
  readonly body: AnswerBody;
  readonly attempts: number;
  readonly hedged: boolean;
  /** Where it was taken up by another node; grows while it is read. */
  readonly continued: readonly Continuation[];
}

export interface Asker {
  /** Throws what the network or the budget says before an answer has begun. */
  ask(http: Pick<HttpRequest, 'headers' | 'signal'>, caller: Caller, request: CompletionRequest): Promise<AskedAnswer>;
}

/** Between the word that a stream breaks off and the cut: a connection that is reset takes with it what was not read yet. */
export const BEFORE_CUT_MS = 25;
const EMBEDDINGS_PATH = '/v1/embeddings';
const CONVERSATION_HEADER = 'X-Cocoon-Conversation';
const CONVERSATION = /^[\x20-\x7e]{1,64}$/;
/** What of a node's answer the application sees. */
const PASSED_ON = /^(content-type|cache-control|retry-after|x-cocoon-[a-z-]+)$/;

export function createAsker(options: InferenceOptions): Asker {
  // Conversations are told apart by a key that means nothing to anybody else, and is another one after a restart.
  const conversationKey = randomBytes(32);
  return {
    async ask(http, caller, request) {
      const { model, path, payload, maxTokens, choices, stream, resume } = request;
      const account = new RequestAccount({ caller, price: options.price, maxCoefficient: options.maxCoefficient, model, onEnd: options.onEnd });
      const given = http.headers[CONVERSATION_HEADER.toLowerCase()];
      const conversation = typeof given === 'string' && CONVERSATION.test(given) ? given : conversationOf(request.beginning, conversationKey);
      // An application that counts by itself: a node of this package in front of this endpoint.
      const counts = stream && http.headers[COUNTS_HEADER] === '1';
      const forwarded: ForwardRequest = {
        path, payload, model, maxTokens, maxCoefficient: options.maxCoefficient, timeoutMs: options.timeoutMs, signal: http.signal, whole: !stream,
        headers: [{ name: CONVERSATION_HEADER, value: conversation }, ...(counts || (resume !== null && stream) ? [{ name: COUNTS_HEADER, value: '1' }] : [])],
        cost: () => account.cost(maxTokens * choices, payload.byteLength),
      };
      let first: ForwardedAnswer;
      try {
        first = await options.forwarder.forward(forwarded);
      } catch (error) {
        account.end(http.signal.aborted ? 'cancelled' : 'failed');
        throw error;
      }
      account.begun();
      account.hedged = first.hedged;
      const { head, proxy, attempts, hedged } = first;
      const isStream = head.status === 200 && headerOf(head, 'content-type').startsWith('text/event-stream');
      const takenUp = resume === null || options.continueAnswers === false ? null : (received: string, tokens: number) => {
        const next = resume(received, tokens);
        return next === null ? null : { ...next, cost: () => account.cost(next.maxTokens, next.payload.byteLength) };
      };
      const { body, continued } = isStream ? continuedAnswer(options.forwarder, first, forwarded, takenUp, counts) : { body: first.body, continued: [] };
      account.continued = continued;
      return { head, proxy, attempts, hedged, continued, body: counted(body, account, http.signal) };
    },
  };
}

/** The same body; its end ends the account. An application that goes away before it is read ends it too. */
function counted(body: AnswerBody, account: RequestAccount, signal: AbortSignal): AnswerBody {
  const leave = async (): Promise<void> => {
    await body.leave();
    account.end('cancelled');
  };
  const onAbort = (): void => { void leave(); };
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return {
    leave,
    async next() {
      try {
        const piece = await body.next();
        if (isEnd(piece)) {
          signal.removeEventListener('abort', onAbort);
          account.end('complete');
        }
        return piece;
      } catch (error) {
        account.end(signal.aborted ? 'cancelled' : 'failed');
        throw error;
      }
    },
  };
}

const headerOf = ({ headers }: HttpHead, name: string): string => headers.find((header) => header.name.toLowerCase() === name)?.value.toLowerCase() ?? '';

/** Headers of the local endpoint's own with every answer of a node. */
export function headersOf({ proxy, attempts, hedged }: Pick<AskedAnswer, 'proxy' | 'attempts' | 'hedged'>): Record<string, string> {
  return {
    'x-cocoon-proxy': proxy.address, 'x-cocoon-evidence': proxy.peer.evidence,
    ...(attempts > 1 && { 'x-cocoon-attempts': String(attempts) }), ...(hedged && { 'x-cocoon-hedged': '1' }),
  };
}

/** The node's own answer as a reply. */
function replyOf(answer: AskedAnswer, signal: AbortSignal): HttpReply {
  const { head } = answer;
  const passed = Object.fromEntries(head.headers.map(({ name, value }) => [name.toLowerCase(), value] as const).filter(([name]) => PASSED_ON.test(name)));
  const headers = { 'content-type': 'application/json', ...passed, ...headersOf(answer) };
  return { status: head.status, headers, stream: bytesOf(answer.body, signal, headers['content-type'].startsWith('text/event-stream') ? openAiFailure : null) };
}

const openAiFailure = (error: unknown): Uint8Array => failureEvent(problemBody(problemOf(error)));

/** Bytes of a body for the HTTP server. `failure`: the event for readers of a stream that breaks off; the connection is cut behind it. */
export async function* bytesOf(body: AnswerBody, signal: AbortSignal, failure: ((error: unknown) => Uint8Array) | null): AsyncGenerator<Uint8Array> {
  try {
    for (;;) {
      const piece = await body.next();
      if (isEnd(piece)) return;
      yield piece;
    }
  } catch (error) {
    if (failure !== null && !signal.aborted) {
      yield failure(asCocoonError(error));
      await sleep(BEFORE_CUT_MS);
    }
    throw error;
  } finally {
    await body.leave();
  }
}

/** The handler of chat and text completions. */
export function completionHandler(options: InferenceOptions, asker: Asker, path: Parameters<typeof readCompletion>[0]): (request: HttpRequest) => Promise<HttpReply> {
  return async (http) => {
    const caller = options.callers.admit(http);
    return replyOf(await asker.ask(http, caller, readCompletion(path, http.bytes, options)), http.signal);
  };
}

/** The handler of embeddings: nothing is generated, only what is read costs. */
export function embeddingHandler(options: InferenceOptions, asker: Asker): (request: HttpRequest) => Promise<HttpReply> {
  return async (http) => {
    const caller = options.callers.admit(http);
    const { members } = openJsonObject(textOf(http.bytes));
    const { model } = checkShape(embeddingShape, members);
    if (http.bytes === undefined) throw badRequest('request has no body', { code: 'invalid_json' });
    return replyOf(await asker.ask(http, caller, {
      path: EMBEDDINGS_PATH, model, payload: http.bytes, maxTokens: 1, choices: 1, stream: false, beginning: '', resume: null,
    }), http.signal);
  };
}
