// The node's endpoints: OpenAI's shapes, statuses and streams; nothing incomplete ever looks complete.
import { describe, expect, it } from '@jest/globals';
import { EngineError, NetworkError } from '../../src/core/errors.ts';
import { handleHttpRequest } from '../../src/node/handlers.ts';
import { createSseParser } from '../../src/openai/sse-parser.ts';
import { createInstantEngine } from '../fakes/instant-engine.ts';
import type { Engine } from '../../src/node/engine.ts';
import type { HandlerOptions, HttpHeader, HttpRequest } from '../../src/node/handlers.ts';
import type { UsageCounts } from '../../src/openai/usage.ts';
import type { InstantEngineOptions } from '../fakes/instant-engine.ts';

const options: HandlerOptions = { clock: { now: () => 1_700_000_000_999 }, newId: () => 'id' };

const post = (url: string, body: unknown): HttpRequest => ({
  method: 'POST', url, headers: [], payload: new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body)),
});
const chat = (extra: object = {}): HttpRequest => post('/v1/chat/completions', { model: 'instant', messages: [{ role: 'user', content: 'one two' }], ...extra });
const completion = (extra: object = {}): HttpRequest => post('/v1/completions', { model: 'instant', prompt: 'one two three', ...extra });

interface Recorded {
  status: number | undefined;
  reason: string | undefined;
  headers: readonly HttpHeader[];
  parts: Uint8Array[];
  ended: UsageCounts | undefined;
}

/** What the transport saw, and what the handler rejected with. */
async function run(request: HttpRequest, engine: Engine | InstantEngineOptions = {}, extra: Partial<HandlerOptions> & { signal?: AbortSignal; failPart?: number } = {}) {
  const seen: Recorded = { status: undefined, reason: undefined, headers: [], parts: [], ended: undefined };
  const error: unknown = await handleHttpRequest(request, 'complete' in engine ? engine : createInstantEngine(engine), extra.signal ?? new AbortController().signal, {
    head(status, reason, headers) {
      if (seen.status !== undefined) throw new Error('second head');
      Object.assign(seen, { status, reason, headers });
    },
    async part(bytes) {
      if (seen.parts.length === extra.failPart) throw new NetworkError('E_CLOSED', 'peer left');
      seen.parts.push(bytes);
    },
    end(usage, bytes) {
      if (seen.parts.length === extra.failPart) throw new NetworkError('E_CLOSED', 'peer left');
      seen.parts.push(bytes);
      seen.ended = usage;
    },
  }, { ...options, ...extra }).then(() => null, (thrown: unknown) => thrown);
  const text = Buffer.concat(seen.parts).toString();
  return { ...seen, text, error };
}

const header = (headers: readonly HttpHeader[], name: string): string | undefined => headers.find((entry) => entry.name === name)?.value;

function events(parts: readonly Uint8Array[]): unknown[] {
  const parser = createSseParser();
  const all = parts.flatMap((bytes) => parser.push(bytes)).map(({ data }) => (data === '[DONE]' ? data : JSON.parse(data) as unknown));
  parser.end();
  return all;
}

describe('handleHttpRequest: chat completions', () => {
  it('answers with one document', async () => {
    const { status, reason, headers, text, ended, error } = await run(chat());
    expect({ status, reason, error }).toEqual({ status: 200, reason: 'OK', error: null });
    expect(header(headers, 'content-type')).toBe('application/json');
    expect(JSON.parse(text)).toEqual({
      id: 'chatcmpl-id', object: 'chat.completion', created: 1_700_000_000, model: 'instant',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hello there.', refusal: null }, logprobs: null, finish_reason: 'stop' }],
      usage: { prompt_tokens: 2, completion_tokens: 3, total_tokens: 5, prompt_tokens_details: { cached_tokens: 0 } },
    });
    expect(ended).toEqual({ promptTokens: 2, cachedTokens: 0, completionTokens: 3, reasoningTokens: 0 });
  });

  it('streams a role, pieces, a reason, usage where asked for, and [DONE]', async () => {
    const { status, headers, parts, ended } = await run(chat({ stream: true, stream_options: { include_usage: true } }));
    expect(status).toBe(200);
    expect(header(headers, 'content-type')).toBe('text/event-stream; charset=utf-8');
    const chunk = { id: 'chatcmpl-id', object: 'chat.completion.chunk', created: 1_700_000_000, model: 'instant' };
    const piece = (delta: object, finish_reason: string | null = null) => ({ ...chunk, choices: [{ index: 0, delta, logprobs: null, finish_reason }] });
    expect(events(parts)).toEqual([
      piece({ role: 'assistant', content: '' }), piece({ content: 'Hello' }), piece({ content: ' there' }), piece({ content: '.' }), piece({}, 'stop'),
      { ...chunk, choices: [], usage: { prompt_tokens: 2, completion_tokens: 3, total_tokens: 5, prompt_tokens_details: { cached_tokens: 0 } } },
      '[DONE]',
    ]);
    expect(ended).toEqual({ promptTokens: 2, cachedTokens: 0, completionTokens: 3, reasoningTokens: 0 });
  });

  it('gives several answers, one after another in the seeds, and counts the prompt once', async () => {
    const engine = createInstantEngine({ pieces: ({ seed = 0 }) => [`a${seed}`, 'b'] });
    const { text, ended } = await run(chat({ n: 3, seed: 7 }), engine);
    expect((JSON.parse(text) as { choices: { index: number; message: { content: string } }[] }).choices.map(({ index, message }) => [index, message.content])).toEqual([[0, 'a7b'], [1, 'a8b'], [2, 'a9b']]);
    expect(ended).toEqual({ promptTokens: 2, cachedTokens: 0, completionTokens: 6, reasoningTokens: 0 });
    const { parts, ended: streamed } = await run(chat({ n: 2, seed: 7, stream: true }), engine);
    const texts = ['', ''];
    for (const event of events(parts).slice(0, -1) as { choices: { index: number; delta: { content?: string } }[] }[]) {
      for (const { index, delta } of event.choices) texts[index] += delta.content ?? '';
    }
    expect(texts).toEqual(['a7b', 'a8b']);
    expect(streamed?.completionTokens).toBe(4);
  });

  it('fails as a whole when one of several answers fails', async () => {
    const { status, error, text } = await run(chat({ n: 2 }), { failAt: { piece: 1, error: new EngineError('E_ENGINE', 'broken') } });
    expect({ status, error }).toEqual({ status: 500, error: null });
    expect(text).toContain('broken');
  });

  it('writes calls of tools and log probabilities, whole and streamed', async () => {
    const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 2 };
    const base = createInstantEngine();
    const engine: Engine = {
      info: () => base.info(), embed: (texts, signal) => base.embed(texts, signal), close: () => base.close(),
      async* complete() {
        yield { type: 'text', text: 'é', logprobs: [{ token: 'é', logprob: -0.5, top: [{ token: 'é', logprob: -0.5 }, { token: '\u{FFFD}', logprob: -1 }] }] };
        yield { type: 'call', call: { name: 'look', arguments: '{"a":1}' } };
        yield { type: 'finish', reason: 'tools', usage };
      },
    };
    const logprobs = { content: [{ token: 'é', logprob: -0.5, bytes: [195, 169], top_logprobs: [{ token: 'é', logprob: -0.5, bytes: [195, 169] }, { token: '\u{FFFD}', logprob: -1, bytes: null }] }], refusal: null };
    const call = { id: 'call_id_0', type: 'function', function: { name: 'look', arguments: '{"a":1}' } };
    const asked = { tools: [{ type: 'function', function: { name: 'look' } }], logprobs: true, top_logprobs: 2 };
    const { text } = await run(chat(asked), engine);
    expect(JSON.parse(text)).toMatchObject({ choices: [{ message: { content: 'é', tool_calls: [call] }, logprobs, finish_reason: 'tool_calls' }] });
    const { parts } = await run(chat({ ...asked, stream: true }), engine);
    expect(events(parts)).toMatchObject([
      {}, { choices: [{ delta: { content: 'é' }, logprobs }] }, { choices: [{ delta: { tool_calls: [{ index: 0, ...call }] } }] }, { choices: [{ delta: {}, finish_reason: 'tool_calls' }] }, '[DONE]',
    ]);
    const { text: plain } = await run(completion({ logprobs: 1 }), engine);
    expect(JSON.parse(plain)).toMatchObject({ choices: [{ logprobs: { tokens: ['é'], token_logprobs: [-0.5], text_offset: [0] } }] });
  });

  it('refuses by name what the model cannot do', async () => {
    const base = createInstantEngine();
    const engine: Engine = { ...base, info: () => ({ ...base.info(), features: { noText: null, noTools: 'the model has none', forms: false, logprobs: false, embeddings: false } }) };
    const refusalOf = async (request: HttpRequest) => (JSON.parse((await run(request, engine)).text) as { error: { param: string; code: string } }).error;
    await expect(refusalOf(chat({ tools: [{ type: 'function', function: { name: 'f' } }] }))).resolves.toMatchObject({ param: 'tools', code: 'unsupported_value', message: 'option \'tools\' in request: the model has none' });
    await expect(refusalOf(chat({ response_format: { type: 'json_object' } }))).resolves.toMatchObject({ param: 'response_format' });
    await expect(refusalOf(chat({ logprobs: true }))).resolves.toMatchObject({ param: 'logprobs' });
    await expect(refusalOf(completion({ logprobs: 1 }))).resolves.toMatchObject({ param: 'logprobs' });
    await expect(refusalOf(post('/v1/embeddings', { model: 'instant', input: 'a' }))).resolves.toMatchObject({ param: 'input' });
  });

  it('makes embeddings, as numbers and as bytes', async () => {
    const { text, ended } = await run(post('/v1/embeddings', { model: 'instant', input: ['a', 'bcd'] }));
    expect(JSON.parse(text)).toEqual({
      object: 'list', model: 'instant', usage: { prompt_tokens: 2, total_tokens: 2 },
      data: [{ object: 'embedding', index: 0, embedding: [1, 1] }, { object: 'embedding', index: 1, embedding: [1, 3] }],
    });
    expect(ended).toEqual({ promptTokens: 2, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0 });
    const { text: bytes } = await run(post('/v1/embeddings', { model: 'instant', input: 'bcd', encoding_format: 'base64' }));
    const { data } = JSON.parse(bytes) as { data: { embedding: string }[] };
    expect(new Float32Array(Uint8Array.from(Buffer.from(data[0]?.embedding ?? '', 'base64')).buffer)).toEqual(Float32Array.of(1, 3));
  });

  it('streams no usage unasked, but tells the transport', async () => {
    const { text, ended } = await run(chat({ stream: true }));
    expect(text).not.toContain('usage');
    expect(ended?.completionTokens).toBe(3);
  });

  it('streams an answer without text', async () => {
    const { parts } = await run(chat({ stream: true }), { pieces: [] });
    expect(events(parts)).toHaveLength(3);
  });

  it('asks the engine for no more than fifty pieces a second', async () => {
    const engine = createInstantEngine();
    await run(chat({ stream: true }), engine);
    expect(engine.requests[0]?.pieceIntervalMs).toBe(20);
  });

  it('hands each piece on as it comes, whole events only', async () => {
    const { parts } = await run(chat({ stream: true }), { pieces: ['a\n\n', '"é😀'] });
    expect(parts).toHaveLength(3);
    for (const part of parts) expect(Buffer.from(part).toString()).toMatch(/^(data: [^\n]*\n\n)+$/);
  });

  it('gives the engine what the request says', async () => {
    const engine = createInstantEngine();
    await run(chat({ temperature: 0.5, top_p: 0.25, seed: 7, max_tokens: 2, max_completion_tokens: 1, stop: 'x', chat_template_kwargs: { enable_thinking: false } }), engine);
    expect(engine.requests[0]).toMatchObject({
      prompt: { kind: 'chat', messages: [{ role: 'user', content: 'one two' }], template: { enableThinking: false } },
      temperature: 0.5, topP: 0.25, seed: 7, maxTokens: 1, stop: ['x'],
    });
  });

  it('says length when the limit ended the answer', async () => {
    const { text } = await run(chat({ max_tokens: 2 }));
    expect(JSON.parse(text)).toMatchObject({ choices: [{ message: { content: 'Hello there' }, finish_reason: 'length' }] });
  });
});

describe('handleHttpRequest: completions', () => {
  it('answers with one document, after the prompt where asked to', async () => {
    expect(JSON.parse((await run(completion())).text)).toEqual({
      id: 'cmpl-id', object: 'text_completion', created: 1_700_000_000, model: 'instant',
      choices: [{ index: 0, text: 'Hello there.', logprobs: null, finish_reason: 'stop' }],
      usage: { prompt_tokens: 3, completion_tokens: 3, total_tokens: 6, prompt_tokens_details: { cached_tokens: 0 } },
    });
    expect(JSON.parse((await run(completion({ echo: true }))).text)).toMatchObject({ choices: [{ text: 'one two threeHello there.' }] });
  });

  it('streams', async () => {
    const { parts } = await run(completion({ stream: true, echo: true, stream_options: { include_usage: true } }));
    const all = events(parts) as { choices: { text: string }[] }[];
    expect(all.slice(0, -1).map(({ choices }) => choices[0]?.text)).toEqual(['one two three', 'Hello', ' there', '.', '', undefined]);
    expect(all.at(-1)).toBe('[DONE]');
  });
});

describe('handleHttpRequest: refusals', () => {
  const refused = async (...args: Parameters<typeof run>) => {
    const { status, headers, text, ended, error } = await run(...args);
    expect(error).toBeNull();
    expect(header(headers, 'content-type')).toBe('application/json');
    expect(ended).toEqual({ promptTokens: 0, cachedTokens: 0, completionTokens: 0, reasoningTokens: 0 });
    return { status, headers, ...(JSON.parse(text) as { error: { message: string; type: string; param: string | null; code: string | null } }).error };
  };

  it.each(['/', '/v1/models', '/v1/chat/completions/', '/v1/audio/speech', 'http://x/v1/chat/completions', '/constructor', ''])('404 for %j', async (url) => {
    await expect(refused({ ...chat(), url })).resolves.toMatchObject({ status: 404, type: 'not_found_error', code: 'unknown_url' });
  });

  it('takes no notice of a query', async () => {
    expect((await run({ ...chat(), url: '/v1/chat/completions?api-version=1' })).status).toBe(200);
  });

  it('405 for another method, with the one that is allowed', async () => {
    const { headers, ...rest } = await refused({ ...chat(), method: 'GET' });
    expect(rest).toMatchObject({ status: 405, type: 'invalid_request_error', code: 'method_not_allowed' });
    expect(header(headers, 'allow')).toBe('POST');
  });

  it('413 for a body over the bound', async () => {
    const { payload } = chat();
    await expect(refused(chat(), {}, { maxRequestBytes: payload.length - 1 })).resolves.toMatchObject({ status: 413, code: 'request_too_large' });
    expect((await run(chat(), {}, { maxRequestBytes: payload.length })).status).toBe(200);
  });

  it('400 for a body that is not a request, and by name for what is not on the white list', async () => {
    await expect(refused(post('/v1/chat/completions', '{'))).resolves.toMatchObject({ status: 400, code: 'invalid_json' });
    await expect(refused(chat({ top_k: 1 }))).resolves.toMatchObject({ status: 400, type: 'invalid_request_error', param: 'top_k', code: 'unknown_parameter', message: 'unknown option \'top_k\' in request' });
  });

  it('404 for another model', async () => {
    await expect(refused(chat({ model: 'instant@commit' }))).resolves.toMatchObject({ status: 404, param: 'model', code: 'model_not_found' });
  });

  it.each([false, true])('400 context_length_exceeded (stream: %j)', async (stream) => {
    await expect(refused(chat({ stream }), { contextSize: 2 })).resolves.toMatchObject({ status: 400, type: 'invalid_request_error', code: 'context_length_exceeded' });
  });

  it.each([false, true])('503 with Retry-After when the engine is full (stream: %j)', async (stream) => {
    const { headers, ...rest } = await refused(chat({ stream }), { sequences: 0 });
    expect(rest).toMatchObject({ status: 503, type: 'service_unavailable_error', code: 'engine_busy' });
    expect(header(headers, 'retry-after')).toBe('1');
  });

  it.each([false, true])('500 for a failure before the first piece; others\' messages are not passed on (stream: %j)', async (stream) => {
    await expect(refused(chat({ stream }), { failAt: { piece: 0, error: new EngineError('E_ENGINE', 'engine failed while answering') } }))
      .resolves.toMatchObject({ status: 500, type: 'server_error', message: 'engine failed while answering' });
    await expect(refused(chat({ stream }), { failAt: { piece: 0, error: new Error('secret') } }))
      .resolves.toMatchObject({ status: 500, message: 'the server failed while answering' });
  });

  it('500 for a failure within an answer that is not streamed', async () => {
    await expect(refused(chat(), { failAt: { piece: 2, error: new Error('x') } })).resolves.toMatchObject({ status: 500 });
  });
});

describe('handleHttpRequest: incomplete answers', () => {
  it.each([1, 3])('rejects, without an end, when the engine fails before piece %i of a stream', async (piece) => {
    const { status, text, ended, error } = await run(chat({ stream: true }), { failAt: { piece, error: new EngineError('E_ENGINE', 'engine failed while answering') } });
    expect({ status, ended }).toEqual({ status: 200, ended: undefined });
    expect(error).toMatchObject({ code: 'E_ENGINE' });
    expect(text).not.toContain('[DONE]');
    expect(text).not.toMatch(/"finish_reason":"/);
  });

  it('rejects with a typed error whatever was thrown', async () => {
    expect((await run(chat({ stream: true }), { failAt: { piece: 1, error: new Error('x') } })).error).toMatchObject({ code: 'E_INTERNAL' });
  });

  it.each([false, true])('rejects when the signal aborts before an answer (stream: %j)', async (stream) => {
    const { status, error } = await run(chat({ stream }), {}, { signal: AbortSignal.abort() });
    expect(status).toBeUndefined();
    expect(error).toMatchObject({ code: 'E_CLOSED' });
  });

  it('rejects when the signal aborts within an answer, and the engine stops', async () => {
    const abort = new AbortController();
    const engine = createInstantEngine({ pieceDelayMs: 5, pieces: Array.from({ length: 1000 }, () => 'x') });
    const running = run(chat({ stream: true }), engine, { signal: abort.signal });
    while (engine.running === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    setTimeout(() => abort.abort(), 10);
    const { ended, text, error } = await running;
    expect(error).toMatchObject({ code: 'E_CLOSED' });
    expect(ended).toBeUndefined();
    expect(text).not.toContain('[DONE]');
    expect(engine).toMatchObject({ running: 0, cancelled: 1 });
  });

  it.each([0, 1])('rejects with the transport\'s own error when part %i cannot be sent, and the engine stops', async (failPart) => {
    const engine = createInstantEngine();
    const { error, ended } = await run(chat({ stream: true }), engine, { failPart });
    expect(error).toMatchObject({ code: 'E_CLOSED', message: 'peer left' });
    expect(ended).toBeUndefined();
    expect(engine.running).toBe(0);
  });

  it('rejects when an engine ends without saying why', async () => {
    const engine: Engine = { ...createInstantEngine(), async *complete() {
      yield { type: 'text', text: 'a' };
    } };
    expect((await run(chat({ stream: true }), engine)).error).toMatchObject({ code: 'E_ENGINE' });
    expect((await run(chat(), engine)).status).toBe(500);
  });
});
