// Asks canary questions: when the policy says so, over the same connections and in the same form as clients' requests, paid
// from the account that the proxy's owner keeps for it. One task at a time; off while there is no such account.
import { z } from 'zod';
import { NetworkError, asCocoonError } from '../core/errors.ts';
import { createSseParser } from '../openai/sse-parser.ts';
import { adjustTokens } from '../openai/token-price.ts';
import { readUsage } from '../openai/usage.ts';
import { encodeBoxed } from '../wire/tl/codec.ts';
import { Attempt } from './attempt.ts';
import { runCanary } from './routing/canaries.ts';
import { settle } from './settlements.ts';
import type { AnswerSink } from '../wire/answer.ts';
import type { Accounts, ClientAccount } from './accounts.ts';
import type { ProxyDeps } from './deps.ts';
import type { Node } from './nodes.ts';
import type { CanaryPolicy, CanaryQuestion, CanaryRunner } from './routing/canaries.ts';
import type { SeededAnswer, SeededToken } from './routing/compare-answers.ts';

export interface Canaries {
  /** A client's request for `model` was answered: now and then a question follows it. Returns at once. */
  routed(model: string): void;
  /** Asks nothing more and gives up what is asked. */
  close(): void;
}

const TIMEOUT_MS = 60_000;
/** Longest answer that is kept; questions ask for less than a hundred tokens. */
const MAX_ANSWER_LENGTH = 64 * 1024;
const BAD_REQUEST = 400;

export function createCanaries(deps: ProxyDeps, policy: CanaryPolicy): Canaries {
  const closing = new AbortController();
  const runner = canaryRunner(deps);
  let busy = false;

  const askNext = async (model: string): Promise<void> => {
    const task = policy.next(model, deps.nodes.of(model) ?? [], deps.clock.now());
    if (task === null) return;
    const testimonies = await runCanary(task, runner, closing.signal);
    if (closing.signal.aborted) return; // what was cut short says nothing about a node
    for (const observation of policy.conclude(task, testimonies, deps.clock.now())) deps.chooser.observed(observation);
  };

  return {
    routed(model) {
      policy.routed();
      if (busy || closing.signal.aborted || deps.accounts.canary() === null) return;
      busy = true;
      void deps.pending.add(askNext(model)
        .catch((error: unknown) => deps.log.warn('canary question failed', { error: asCocoonError(error).message }))
        .finally(() => { busy = false; }));
    },
    close: () => closing.abort(new NetworkError('E_CLOSED', 'the proxy is stopping')),
  };
}

/** Asks one node and books what the answer cost to the canary account. */
export function canaryRunner(deps: ProxyDeps): CanaryRunner {
  /** Nodes that refuse log probabilities. */
  const withoutLogprobs = new WeakSet<Node>();
  return {
    async ask(id, question, signal) {
      const node = deps.nodes.get(id);
      const account = deps.accounts.canary();
      if (node === null || account === null) throw new NetworkError('E_CLOSED', 'the node or the canary account is gone');
      const asked = { deps, node, account, question, signal };
      if (!withoutLogprobs.has(node)) {
        const answer = await askOnce(asked, true);
        if (answer.status !== BAD_REQUEST) return answer;
        withoutLogprobs.add(node);
      }
      const plain = await askOnce(asked, false);
      if (plain.status === BAD_REQUEST) throw new NetworkError('E_PROTOCOL', 'the node refuses plain questions');
      return plain;
    },
  };
}

interface Asked {
  readonly deps: ProxyDeps;
  readonly node: Node;
  readonly account: ClientAccount;
  readonly question: CanaryQuestion;
  readonly signal: AbortSignal;
}

/** Resolves with `status` 400 and nothing else when the node refuses the question's form; rejects when there is no whole answer. */
async function askOnce({ deps, node, account, question, signal }: Asked, logprobs: boolean): Promise<SeededAnswer & { readonly status: number }> {
  const body = Buffer.from(JSON.stringify({
    model: question.model, messages: [{ role: 'user', content: question.prompt }], stream: true, stream_options: { include_usage: true },
    max_tokens: question.maxTokens, max_completion_tokens: question.maxTokens, temperature: 0, seed: question.seed,
    ...(logprobs && { logprobs: true, top_logprobs: question.topLogprobs }),
  }));
  const query = encodeBoxed({
    _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1',
    headers: [{ _: 'http.header', name: 'Content-Type', value: 'application/json' }, { _: 'http.header', name: 'Content-Length', value: String(body.length) }],
    payload: body,
  });
  const { coefficient } = node;
  const multipliers = deps.accounts.multipliers();
  const reserved = adjustTokens(question.maxTokens + query.byteLength, coefficient, Math.max(...Object.values(multipliers) as number[]));
  const reservation: ReturnType<Accounts['reserve']> = deps.accounts.reserve(account, reserved);
  const reader = new AnswerReader();
  const attempt = new Attempt({
    node, terms: { reserved, coefficient, multipliers, maxTokens: question.maxTokens, bodyBytes: body.length }, sink: reader.sink, signal,
    headOf: (head) => head, infoOf: (info) => info, firstByte: () => undefined,
  });
  node.running += 1;
  const outcome = attempt.run({ query, signedPayment: node.account.status().signedPayment, coefficient, timeoutMs: TIMEOUT_MS, enableDebug: false })
    .finally(() => { node.running -= 1; });
  const failure = await attempt.verdict;
  if (failure !== null) {
    reservation.release();
    if (failure.kind === 'request') return { status: BAD_REQUEST, text: '', tokens: null, usage: null, cutOff: false };
    throw new NetworkError('E_CLOSED', `the node gave no answer: ${failure.message}`);
  }
  const ended = await outcome;
  const { tokens } = await attempt.conclude(ended);
  await settle({ client: account, asker: null, node, outcome: ended, reservation, tokens }, deps.log);
  return reader.answer();
}

const Chunk = z.object({
  choices: z.array(z.object({
    delta: z.object({ content: z.string().nullish() }).nullish(),
    logprobs: z.object({
      content: z.array(z.object({
        token: z.string(), logprob: z.number(), top_logprobs: z.array(z.object({ token: z.string(), logprob: z.number() })).nullish(),
      })).nullish(),
    }).nullish(),
    finish_reason: z.string().nullish(),
  })).max(1),
});

/** Collects one streamed answer. */
class AnswerReader {
  readonly #sse = createSseParser({ maxEventLength: MAX_ANSWER_LENGTH });
  readonly #tokens: SeededToken[] = [];
  #status = 0;
  #text = '';
  #length = 0;
  #finishReason: string | null = null;
  #usage: SeededAnswer['usage'] = null;
  #complete = false;

  readonly sink: AnswerSink = {
    head: async ({ status }) => { this.#status = status; },
    part: async (bytes) => this.#push(bytes),
    end: async (_, bytes) => {
      if (bytes !== undefined) this.#push(bytes);
      this.#complete = true;
    },
    fail: async () => undefined,
  };

  /** Throws NetworkError when the answer is not whole. */
  answer(): SeededAnswer & { readonly status: number } {
    if (!this.#complete || (this.#status === 200 && this.#finishReason === null)) throw new NetworkError('E_CLOSED', 'the answer to the canary question is incomplete');
    if (this.#status !== 200 && this.#status !== BAD_REQUEST) throw new NetworkError('E_PROTOCOL', `the canary question was answered with status ${this.#status}`);
    return {
      status: this.#status, text: this.#text, tokens: this.#tokens.length > 0 ? this.#tokens : null, usage: this.#usage, cutOff: this.#finishReason === 'length',
    };
  }

  #push(bytes: Uint8Array): void {
    if (this.#status !== 200) return;
    this.#length += bytes.byteLength;
    if (this.#length > 16 * MAX_ANSWER_LENGTH) throw new NetworkError('E_PROTOCOL', 'the answer to the canary question is too long');
    for (const { data } of this.#sse.push(bytes)) {
      if (data !== '[DONE]') this.#take(JSON.parse(data));
    }
  }

  #take(value: unknown): void {
    const { choices: [choice] } = Chunk.parse(value);
    const usage = readUsage(value);
    if (usage !== null) this.#usage = { promptTokens: usage.promptTokens, completionTokens: usage.completionTokens };
    if (choice === undefined) return;
    this.#text += choice.delta?.content ?? '';
    this.#finishReason = choice.finish_reason ?? this.#finishReason;
    for (const { token, logprob, top_logprobs: top } of choice.logprobs?.content ?? []) this.#tokens.push({ token, logprob, top: top ?? [] });
  }
}
