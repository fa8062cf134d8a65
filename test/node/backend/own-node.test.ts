// A node in front of our own endpoint: application, endpoint, proxy, the fronting node, endpoint, proxy, the node that answers. One
// endpoint and one proxy serve both nodes; the fronting one is called "outer".
import { afterEach, describe, expect, it } from '@jest/globals';
import { EngineError } from '../../../src/core/errors.ts';
import { silentLog } from '../../../src/core/log.ts';
import { openHttpEngine } from '../../../src/node/backend/http-engine.ts';
import { handleHttpRequest } from '../../../src/node/handlers.ts';
import { createSseParser } from '../../../src/openai/sse-parser.ts';
import { startEndpoint } from '../../client/endpoint/world.ts';
import { createInstantEngine } from '../../fakes/instant-engine.ts';
import { startTestNetwork, until } from '../../fakes/network.ts';
import type { Engine, EngineEvent, EngineUsage } from '../../../src/node/engine.ts';
import type { HttpEngineOptions } from '../../../src/node/backend/http-engine.ts';
import type { RequestMeter } from '../../../src/node/daemon/meter.ts';
import type { UsageCounts } from '../../../src/openai/usage.ts';
import type { InstantEngine } from '../../fakes/instant-engine.ts';
import type { TestNetwork, TestNode, TestNodeOptions } from '../../fakes/network.ts';
import type { TestEndpoint, TestEndpointOptions } from '../../client/endpoint/world.ts';

const never = new AbortController().signal;
const MESSAGES = [{ role: 'user', content: 'one two three' }];
const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

interface Chain {
  readonly network: TestNetwork;
  readonly endpoint: TestEndpoint;
  /** The node that answers, and its engine. */
  readonly inner: TestNode;
  readonly engine: InstantEngine;
  /** The engine of the node in front of it. */
  readonly front: Engine;
  /** What each node counted, answer by answer. */
  readonly counts: { readonly inner: UsageCounts[]; readonly outer: UsageCounts[] };
  /** Asks the outer node. */
  post(path: string, body: object, signal?: AbortSignal): Promise<Response>;
}

async function chain(node: TestNodeOptions = {}, options: { readonly endpoint?: TestEndpointOptions; readonly front?: Partial<HttpEngineOptions> } = {}): Promise<Chain> {
  const network = await startTestNetwork({ nodes: [] });
  opened.push(network);
  const counts: { inner: UsageCounts[]; outer: UsageCounts[] } = { inner: [], outer: [] };
  const meter = (into: UsageCounts[]): RequestMeter =>
    ({ begin: () => ({ wrote: () => undefined, counted: (usage) => { into.push(usage); }, delivered: () => undefined, end: () => undefined }) });
  const inner = await network.startNode({ ...node, meter: meter(counts.inner) });
  const endpoint = await startEndpoint(network, { maxTokens: 2_000, ...options.endpoint });
  opened.push(endpoint);
  const front = await openHttpEngine({
    url: endpoint.url, model: 'outer', backendModel: 'instant', parallel: 4, log: silentLog,
    times: { healthMs: 50, healthTimeoutMs: 5_000, firstByteMs: 10_000, stallMs: 10_000, retryMs: 10 }, ...options.front,
  });
  await network.startNode({ served: front, model: 'outer', meter: meter(counts.outer) });
  opened.push(front);
  return {
    network, endpoint, inner, engine: inner.engine, front, counts,
    post: (path, body, signal = never) => fetch(`${endpoint.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'outer', ...body }), signal }),
  };
}

interface Chunk {
  readonly choices: readonly { readonly delta?: { readonly content?: string }; readonly text?: string; readonly finish_reason?: string | null }[];
  readonly usage?: Record<string, unknown> | null;
}

async function chunksOf(response: Response): Promise<(Chunk | '[DONE]')[]> {
  const parser = createSseParser();
  const all = parser.push(new Uint8Array(await response.arrayBuffer())).map(({ data }) => (data === '[DONE]' ? data : JSON.parse(data) as Chunk));
  parser.end();
  return all;
}

/** What a node answers with, without the ways of an endpoint before it. */
async function answerOf(engine: Engine, path: string, body: object) {
  const seen = { status: 0, headers: new Map<string, string>(), text: '' };
  await handleHttpRequest({ method: 'POST', url: path, headers: [], payload: new TextEncoder().encode(JSON.stringify({ model: 'outer', ...body })) }, engine, never, {
    head(status, _, headers) {
      seen.status = status;
      for (const { name, value } of headers) seen.headers.set(name, value);
    },
    part: (bytes) => { seen.text += new TextDecoder().decode(bytes); },
    end: (_, bytes) => { seen.text += new TextDecoder().decode(bytes); },
  });
  return { status: seen.status, headers: seen.headers, body: JSON.parse(seen.text) as { error?: { message: string; code: string; type: string } } };
}

/** An engine that says what it has counted with each piece: two tokens a piece, and one thought before the first. */
function countingEngine(): Engine {
  const base = createInstantEngine({ pieces: Array.from({ length: 2_000 }, () => 'x'), pieceDelayMs: 1 });
  return {
    info: () => base.info(), embed: (texts, signal) => base.embed(texts, signal), close: () => base.close(),
    async* complete(request, signal) {
      const usage = (pieces: number): EngineUsage => ({ promptTokens: 11, cachedTokens: 3, completionTokens: 2 * pieces, reasoningTokens: Math.min(1, pieces) });
      let pieces = 0;
      yield { type: 'reasoning', text: 'hmm' };
      for await (const event of base.complete({ ...request, maxTokens: Math.floor((request.maxTokens ?? 2) / 2) }, signal)) {
        if (event.type === 'text') pieces += 1;
        yield event.type === 'finish' ? { ...event, usage: usage(pieces) } : event.type === 'text' ? { ...event, usage: usage(pieces) } : event;
      }
    },
  };
}

describe('a backend that is our own endpoint', () => {
  it('answers whole and streamed, and both nodes count the same', async () => {
    const { post, counts, engine, front } = await chain();
    expect(front.info()).toMatchObject({ model: 'outer', backend: 'remote' });
    const whole = await post('/v1/chat/completions', { messages: MESSAGES, temperature: 0.5, seed: 7, stop: ['zz'], max_tokens: 9 });
    const usage = { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6, prompt_tokens_details: { cached_tokens: 0 } };
    expect(whole.status).toBe(200);
    await expect(whole.json()).resolves.toMatchObject({ model: 'outer', choices: [{ message: { role: 'assistant', content: 'Hello there.' }, finish_reason: 'stop' }], usage });
    expect(engine.requests[0]).toMatchObject({ prompt: { kind: 'chat', messages: MESSAGES }, temperature: 0.5, seed: 7, stop: ['zz'], maxTokens: 9 });
    const chunks = await chunksOf(await post('/v1/chat/completions', { messages: MESSAGES, stream: true, stream_options: { include_usage: true } }));
    expect(chunks.at(-1)).toBe('[DONE]');
    const events = chunks.filter((chunk) => chunk !== '[DONE]');
    expect(events.map(({ choices }) => choices[0]?.delta?.content ?? '').join('')).toBe('Hello there.');
    expect(events.flatMap(({ choices }) => choices[0]?.finish_reason ?? [])).toEqual(['stop']);
    expect(events.at(-1)?.usage).toEqual(usage);
    const text = await post('/v1/completions', { prompt: 'one two', max_tokens: 2 });
    await expect(text.json()).resolves.toMatchObject({ choices: [{ text: 'Hello there', finish_reason: 'length' }], usage: { prompt_tokens: 2, completion_tokens: 2 } });
    expect(counts.outer).toHaveLength(3);
    expect(counts.outer).toEqual(counts.inner);
  });

  it('passes on tools, forms, several answers, log probabilities and embeddings', async () => {
    const { post, counts, engine } = await chain();
    const tools = [{ type: 'function', function: { name: 'look', description: 'd', parameters: { type: 'object', properties: { a: { type: 'integer' } } } } }];
    const told = [
      ...MESSAGES, { role: 'assistant', content: null, tool_calls: [{ id: 'call_x', type: 'function', function: { name: 'look', arguments: '{"a":1}' } }] },
      { role: 'tool', tool_call_id: 'call_x', content: 'four' },
    ];
    const asked = { messages: told, tools, tool_choice: 'required', parallel_tool_calls: false, n: 2, seed: 3, logprobs: true, top_logprobs: 2, chat_template_kwargs: { enable_thinking: false } };
    const answer = await post('/v1/chat/completions', asked);
    expect(answer.status).toBe(200);
    await expect(answer.json()).resolves.toMatchObject({ choices: [{ index: 0 }, { index: 1 }], usage: { prompt_tokens: 4, completion_tokens: 6 } });
    expect(engine.requests.map(({ seed }) => seed).toSorted()).toEqual([3, 4]);
    expect(engine.requests[0]).toMatchObject({
      logprobs: 2,
      prompt: {
        messages: [MESSAGES[0], { role: 'assistant', content: '', toolCalls: [{ name: 'look', arguments: '{"a":1}' }] }, { role: 'tool', content: 'four' }], template: { enableThinking: false },
        tools: { choice: 'required', parallel: false, tools: [{ name: 'look', description: 'd', parameters: { type: 'object', properties: { a: { type: 'integer' } } } }] },
      },
    });
    const schema = { type: 'object', properties: { a: { type: 'string' } } };
    await post('/v1/chat/completions', { messages: MESSAGES, response_format: { type: 'json_schema', json_schema: { name: 'x', schema } } });
    expect(engine.requests.at(-1)?.form).toEqual({ kind: 'schema', schema });
    const embedded = await post('/v1/embeddings', { input: ['a', 'bcd'] });
    await expect(embedded.json()).resolves.toMatchObject({ model: 'outer', data: [{ embedding: [1, 1] }, { embedding: [1, 3] }], usage: { prompt_tokens: 2 } });
    expect(counts.outer.at(-1)).toEqual(counts.inner.at(-1));
  });

  it('stops the node that answers when the application leaves, before and within an answer', async () => {
    const { post, engine } = await chain({ engine: { pieces: Array.from({ length: 10_000 }, () => 'x'), pieceDelayMs: 5 } }, { endpoint: { maxTokens: 20_000, defaultMaxTokens: 20_000 } });
    const leaving = new AbortController();
    const stream = await post('/v1/chat/completions', { messages: MESSAGES, stream: true }, leaving.signal);
    await stream.body?.getReader().read();
    expect(engine.running).toBe(1);
    leaving.abort();
    await until(() => engine.running === 0 && engine.cancelled === 1);
    const soon = new AbortController();
    const whole = post('/v1/chat/completions', { messages: MESSAGES }, soon.signal);
    whole.catch(() => undefined);
    await until(() => engine.running === 1);
    soon.abort();
    await expect(whole).rejects.toThrow();
    await until(() => engine.running === 0 && engine.cancelled === 2);
  });

  it('carries refusals over with their status and code', async () => {
    const { front, post } = await chain({ engine: { contextSize: 50 } });
    const long = [{ role: 'user', content: 'word '.repeat(60) }];
    await expect(answerOf(front, '/v1/chat/completions', { messages: long })).resolves.toMatchObject({ status: 400, body: { error: { code: 'context_length_exceeded', type: 'invalid_request_error' } } });
    const through = await post('/v1/chat/completions', { messages: long });
    expect(through.status).toBe(400);
    await expect(through.json()).resolves.toMatchObject({ error: { code: 'context_length_exceeded' } });
    await expect(answerOf(front, '/v1/chat/completions', { messages: MESSAGES, max_tokens: 2_001 })).resolves.toMatchObject({ status: 400, body: { error: { code: 'invalid_value', param: 'max_tokens', message: expect.stringContaining('max_tokens') as unknown } } });
  });

  it('says 503 with Retry-After while the nodes behind it are full, and answers again', async () => {
    const { front, engine, post } = await chain({ engine: { sequences: 1, pieces: Array.from({ length: 10_000 }, () => 'x'), pieceDelayMs: 5 } }, { endpoint: { maxTokens: 20_000, defaultMaxTokens: 20_000 } });
    const leaving = new AbortController();
    const stream = await post('/v1/chat/completions', { messages: MESSAGES, stream: true }, leaving.signal);
    await stream.body?.getReader().read();
    const { status, headers, body } = await answerOf(front, '/v1/chat/completions', { messages: MESSAGES });
    expect({ status, code: body.error?.code }).toEqual({ status: 503, code: 'engine_busy' });
    expect(headers.get('retry-after')).toBe('1');
    leaving.abort();
    await until(() => engine.running === 0);
    await expect(answerOf(front, '/v1/chat/completions', { messages: MESSAGES, max_tokens: 1 })).resolves.toMatchObject({ status: 200 });
  });

  it('never makes an answer look complete that broke off behind it', async () => {
    const { front, post } = await chain({ engine: { pieces: ['a', 'b', 'c', 'd'], pieceDelayMs: 30, failAt: { piece: 2, error: new EngineError('E_ENGINE', 'gone') } } }, { endpoint: { continueAnswers: false } });
    await expect(answerOf(front, '/v1/chat/completions', { messages: MESSAGES })).resolves.toMatchObject({ status: 500, body: { error: { code: 'engine_failed' } } });
    const stream = await post('/v1/chat/completions', { messages: MESSAGES, stream: true });
    const text = await stream.text().catch(() => '');
    expect(text).not.toContain('[DONE]');
    expect(text).not.toMatch(/"finish_reason":"/);
  });

  it('counts what the engine of the inner node counts, also of an answer that is left', async () => {
    const served = countingEngine();
    const { post, front, counts } = await chain({ served });
    const whole = await post('/v1/chat/completions', { messages: MESSAGES, max_tokens: 40 });
    const usage = { prompt_tokens: 11, completion_tokens: 40, total_tokens: 51, prompt_tokens_details: { cached_tokens: 3 }, completion_tokens_details: { reasoning_tokens: 1 } };
    await expect(whole.json()).resolves.toMatchObject({ usage, choices: [{ finish_reason: 'length', message: { reasoning_content: 'hmm' } }] });
    const chunks = await chunksOf(await post('/v1/chat/completions', { messages: MESSAGES, max_tokens: 40, stream: true, stream_options: { include_usage: true } }));
    expect(chunks.at(-2)).toMatchObject({ usage });
    expect(counts.outer).toEqual([
      { promptTokens: 11, cachedTokens: 3, completionTokens: 40, reasoningTokens: 1 }, { promptTokens: 11, cachedTokens: 3, completionTokens: 40, reasoningTokens: 1 },
    ]);
    expect(counts.inner).toEqual(counts.outer);
    const leaving = new AbortController();
    let last: EngineEvent | undefined;
    let pieces = 0;
    for await (const event of front.complete({ prompt: { kind: 'chat', messages: [{ role: 'user', content: 'a' }] }, maxTokens: 2_000 }, leaving.signal)) {
      last = event;
      if (event.type === 'text') pieces += 1;
      if (pieces === 2) leaving.abort(); // what was counted with the first has come before the second
    }
    await until(() => counts.inner.length === 3);
    expect(last).toMatchObject({ type: 'finish', reason: 'cancelled', usage: { promptTokens: 11, cachedTokens: 3 } });
    const told = last?.type === 'finish' ? last.usage.completionTokens : 0;
    expect(told).toBeGreaterThanOrEqual(2);
    expect(told).toBeLessThanOrEqual(counts.inner[2]?.completionTokens ?? 0);
  });

  it('is not chosen while no node is behind it', async () => {
    const { network, inner, post } = await chain();
    const able = (): boolean => network.proxy.status().nodes.some(({ model, enabled }) => model === 'outer@test:0' && enabled);
    expect(able()).toBe(true);
    await inner.close();
    await until(() => !able());
    const refused = await post('/v1/chat/completions', { messages: MESSAGES });
    expect(refused.status).toBe(503);
    expect(refused.headers.get('retry-after')).toBe('1');
    await network.startNode();
    await until(able);
    expect((await post('/v1/chat/completions', { messages: MESSAGES })).status).toBe(200);
  });
});
