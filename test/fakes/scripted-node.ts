// A node as a script: answers OpenAI's requests as an engine that honours all of them would, from pieces of text that the test
// chooses: streams, whole documents, several answers, calls of tools, JSON, log probabilities, embeddings. Goes on behind an
// assistant's last message, and can break at a piece.
import { setTimeout as delay } from 'node:timers/promises';
import { countsComment } from '../../src/openai/sse.ts';
import type { ScriptedRequest, Script } from './scripted-proxies.ts';

export interface ScriptedNodeOptions {
  /** The whole answer, one token a piece. Default: "Hello there." in three. */
  readonly pieces?: readonly string[] | ((request: ScriptedRequest) => readonly string[]);
  readonly firstDelayMs?: number | ((request: ScriptedRequest) => number);
  readonly pieceDelayMs?: number;
  /** Throws before the piece with this number (of this request's own); null: does not. */
  readonly breakAt?: (request: ScriptedRequest, piece: number) => Error | null;
  /** Pieces that share an event. Default 1. */
  readonly together?: number;
  /** Says what was counted so far, where it is asked for: 10 tokens of prompt and one a piece. */
  readonly counts?: boolean;
  /** Bytes of each part: cuts events and characters anywhere. Default: whole events. */
  readonly cutEvery?: number;
}

interface Message { readonly role: string; readonly content: string | null; readonly tool_calls?: unknown }
interface Tool { readonly function: { readonly name: string } }

const HELLO = ['Hello', ' there', '.'];
const STREAM = { 'content-type': 'text/event-stream; charset=utf-8', 'x-cocoon-continues': '1' };
const JSON_TYPE = { 'content-type': 'application/json' };
const EMBEDDING = [0.25, -0.5, 0.75];

const refuse = (status: number, message: string, param: string | null, code: string): string =>
  JSON.stringify({ error: { message, type: status === 404 ? 'not_found_error' : 'invalid_request_error', param, code } });

export function scriptedNode(options: ScriptedNodeOptions = {}): Script {
  return async function* answer(request) {
    const { path, body } = request;
    if (body['model'] !== 'scripted') {
      yield { status: 404, headers: JSON_TYPE };
      yield refuse(404, 'the model is not served here', 'model', 'model_not_found');
      return;
    }
    if (path === '/v1/embeddings') return yield* embed(body);
    const { text: pieces, calls } = answerOf(request, options);
    yield* (body['stream'] === true ? stream(request, options, pieces, calls) : whole(request, options, pieces, calls));
  };
}

/** What is still to be said: the whole answer, less what the conversation ends with already. */
function answerOf(request: ScriptedRequest, { pieces = HELLO }: ScriptedNodeOptions): { readonly text: readonly string[]; readonly calls: readonly object[] } {
  const { body } = request;
  const messages = (body['messages'] ?? []) as readonly Message[];
  const tools = (body['tools'] ?? []) as readonly Tool[];
  if (tools.length > 0 && body['tool_choice'] !== 'none' && messages.at(-1)?.role !== 'tool') {
    const used = body['parallel_tool_calls'] === false ? tools.slice(0, 1) : tools;
    return { text: [], calls: used.map((tool, index) => ({ id: `call_${index}`, type: 'function', function: { name: tool.function.name, arguments: '{"city":"Paris"}' } })) };
  }
  const format = (body['response_format'] as { type?: string } | undefined)?.type ?? 'text';
  const all = format === 'text' ? (typeof pieces === 'function' ? pieces(request) : pieces) : ['{"answer"', ':', '42', '}'];
  const last = messages.at(-1);
  const prompt = typeof body['prompt'] === 'string' ? body['prompt'] : '';
  const said = last?.role === 'assistant' ? String(last.content) : prompt.includes('>>>') ? prompt.slice(prompt.indexOf('>>>') + 3) : '';
  const text = all.join('');
  if (said === '') return { text: all, calls: [] };
  if (!text.startsWith(said)) return { text: ['<what was received is not the answer>'], calls: [] };
  // One token a character: the pieces of another node need not be those of the first.
  return { text: Array.from(text.slice(said.length)), calls: [] };
}

const idOf = ({ proxy }: ScriptedRequest): object => ({ id: `chatcmpl-${proxy}-${Math.random().toString(36).slice(2)}`, created: 1_700_000_000, model: 'scripted' });

const logprobOf = (token: string, top: number): object => ({ token, logprob: -0.5, bytes: [...Buffer.from(token)], top_logprobs: Array.from({ length: top }, (_, index) => ({ token: `${token}${index}`, logprob: -0.5 - index, bytes: null })) });

const usageOf = ({ text }: ScriptedRequest, completion: number): object => ({ prompt_tokens: text.length, completion_tokens: completion, total_tokens: text.length + completion, prompt_tokens_details: { cached_tokens: 0 } });

async function pause(request: ScriptedRequest, { firstDelayMs = 0, pieceDelayMs = 0, breakAt }: ScriptedNodeOptions, piece: number): Promise<void> {
  const first = typeof firstDelayMs === 'function' ? firstDelayMs(request) : firstDelayMs;
  const ms = piece === 0 ? first : pieceDelayMs;
  if (ms > 0) await delay(ms, undefined, { signal: request.signal });
  const error = breakAt?.(request, piece) ?? null;
  if (error !== null) throw error;
}

async function* stream(request: ScriptedRequest, options: ScriptedNodeOptions, pieces: readonly string[], calls: readonly object[]): AsyncGenerator<object | string | Uint8Array, void, void> {
  const { body } = request;
  const isChat = request.path === '/v1/chat/completions';
  const identity = { ...idOf(request), object: isChat ? 'chat.completion.chunk' : 'text_completion' };
  const limit = Number(body['max_tokens']);
  const choices = Number(body['n'] ?? 1);
  const { together = 1, cutEvery = Infinity } = options;
  let unsent = '';
  let begun = false;
  const push = (document: object): void => { unsent += `data: ${JSON.stringify(document)}\n\n`; };
  const chunk = (index: number, delta: object, finish: string | null, token?: string): void => push({
    ...identity, choices: [{
      index, ...(isChat ? { delta } : { text: (delta as { content?: string }).content ?? '' }), finish_reason: finish,
      logprobs: token === undefined || body['logprobs'] !== true ? null : { content: [logprobOf(token, Number(body['top_logprobs'] ?? 0))] },
    }],
  });
  const flush = function* (): Generator<object | Uint8Array> {
    if (!begun) yield { headers: STREAM };
    begun = true;
    const bytes = new TextEncoder().encode(unsent);
    unsent = '';
    for (let at = 0; at < bytes.length; at += cutEvery) yield bytes.slice(at, Math.min(bytes.length, at + cutEvery));
  };
  if (isChat) for (let index = 0; index < choices; index += 1) chunk(index, { role: 'assistant', content: '' }, null);
  const said = pieces.slice(0, limit);
  for (let at = 0; at < said.length; at += together) {
    await pause(request, options, at);
    const tokens = said.slice(at, at + together);
    for (let index = 0; index < choices; index += 1) chunk(index, { content: tokens.join('') }, null, tokens[0]);
    if (options.counts === true && request.headers['x-cocoon-counts'] === '1') unsent += countsComment({ promptTokens: 10, cachedTokens: 4, completionTokens: at + tokens.length, reasoningTokens: 0 });
    yield* flush();
  }
  for (const [index, call] of calls.entries()) {
    await pause(request, options, index);
    const { function: { name, arguments: text }, ...rest } = call as { function: { name: string; arguments: string } };
    chunk(0, { tool_calls: [{ index, ...rest, function: { name, arguments: '' } }] }, null);
    chunk(0, { tool_calls: [{ index, function: { arguments: text } }] }, null);
    yield* flush();
  }
  await pause(request, options, said.length);
  for (let index = 0; index < choices; index += 1) chunk(index, {}, calls.length > 0 ? 'tool_calls' : said.length < pieces.length ? 'length' : 'stop');
  const usage = (body['stream_options'] as { include_usage?: boolean } | undefined)?.include_usage === true;
  if (usage) push({ ...identity, choices: [], usage: usageOf(request, said.length * choices) });
  unsent += 'data: [DONE]\n\n';
  yield* flush();
}

async function* whole(request: ScriptedRequest, options: ScriptedNodeOptions, pieces: readonly string[], calls: readonly object[]): AsyncGenerator<object | string, void, void> {
  const { body } = request;
  const said = pieces.slice(0, Number(body['max_tokens']));
  for (let at = 0; at <= said.length; at += 1) await pause(request, options, at);
  const content = said.join('');
  const reason = calls.length > 0 ? 'tool_calls' : said.length < pieces.length ? 'length' : 'stop';
  const choices = Array.from({ length: Number(body['n'] ?? 1) }, (_, index) => ({
    index, finish_reason: reason,
    ...(request.path === '/v1/chat/completions' ? { message: { role: 'assistant', content: calls.length > 0 ? null : content, refusal: null, ...(calls.length > 0 && { tool_calls: calls }) } } : { text: content }),
    logprobs: body['logprobs'] === true ? { content: said.map((token) => logprobOf(token, Number(body['top_logprobs'] ?? 0))), refusal: null } : null,
  }));
  yield { headers: JSON_TYPE };
  yield JSON.stringify({ ...idOf(request), object: request.path === '/v1/chat/completions' ? 'chat.completion' : 'text_completion', choices, usage: usageOf(request, said.length * choices.length) });
}

async function* embed(body: Record<string, unknown>): AsyncGenerator<object | string, void, void> {
  const input = Array.isArray(body['input']) && typeof body['input'][0] !== 'number' ? body['input'] : [body['input']];
  const vector = EMBEDDING.slice(0, Number(body['dimensions'] ?? EMBEDDING.length));
  const embedding = body['encoding_format'] === 'base64' ? Buffer.from(new Float32Array(vector).buffer).toString('base64') : vector;
  yield { headers: JSON_TYPE };
  yield JSON.stringify({ object: 'list', model: 'scripted', data: input.map((_, index) => ({ object: 'embedding', index, embedding })), usage: { prompt_tokens: 5, total_tokens: 5 } });
}
