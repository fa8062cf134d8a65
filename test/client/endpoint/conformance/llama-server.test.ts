// What llama.cpp's public suite for OpenAI-compatible servers (tools/server/tests) asks of a server, as cases of our own against this
// endpoint: those that the bundled model can answer with it as the engine, the others with a scripted node behind the same endpoint.
//
// | public file | here | not here, and why |
// |---|---|---|
// | test_chat_completion | answers, streams, client library, text parts, assistant prefill, response_format, invalid messages, logprobs, n | exact words and token counts (another model); chat_template, apply-template, __verbose, timings_per_token, grammar, json_schema as members of their own (that server's extensions: a node refuses them by name); logit_bias (a node refuses it by name); max_tokens 0 |
// | test_completion | answers, streams, stream equals whole, client library, stop strings, seeds, prompt that is too long, parallel requests, cancellation | /completion, /tokenize, /slots, n_probs, response_fields, n_keep, cache_prompt (that server's own paths and members) |
// | test_embedding | one, several, tokens, base64, client library, usage, invalid input | mixed lists and objects as input, pooling none (that server's extensions) |
// | test_compat_oai_responses | text formats, client library, streams, ids | llama telemetry (extension) |
// | test_tool_call | calls, forced calls, streamed calls, results | formats of single models (the engine's own tests) |
// | test_security | API key missing, wrong, right; public /health | static pages (there are none); X-Api-Key (OpenAI has no such header); CORS (off here: pages of the web are refused); media files (refused by name) |
// | test_basic, test_stream | models, health, keep-alive | props, slots, load and unload of models |
// | test_metrics | /metrics | that server's own names |
// | test_prefill, test_ctx_shift | prefill; a context that is full ends with `length` | context shift as an option of a request |
// | anthropic, infill, lora, rerank, router, slot_*, speculative, vision, mcp, sleep, audio, systemone, vertexai, gcp | | other APIs, or an engine's own affair |
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import OpenAI from 'openai';
import { parseApiKeys } from '../../../../src/client/endpoint/callers.ts';
import { queryOf } from '../../../../src/client/forward.ts';
import { silentLog } from '../../../../src/core/log.ts';
import { loadLlamaEngine } from '../../../../src/node/engine/llama-engine.ts';
import { startTestNetwork, until } from '../../../fakes/network.ts';
import { scriptedNode } from '../../../fakes/scripted-node.ts';
import { scriptedProxies } from '../../../fakes/scripted-proxies.ts';
import { startEndpoint } from '../world.ts';
import type { TestNetwork } from '../../../fakes/network.ts';
import type { TestEndpoint } from '../world.ts';

const MODEL = 'cocoon-tiny';
const ASK = [{ role: 'system' as const, content: 'You tell stories.' }, { role: 'user' as const, content: 'Please tell me a little story about a dragonfly and a fox' }];
let network: TestNetwork;
let endpoint: TestEndpoint;
let scripted: TestEndpoint;
let client: OpenAI;
let script: OpenAI;

beforeAll(async () => {
  network = await startTestNetwork({ nodes: [] });
  const served = await loadLlamaEngine({ modelPath: 'models/cocoon-tiny-q8_0.gguf', model: MODEL, gpu: 'off', contextSize: 512, parallel: 4, threads: 1, queueLimit: 16, log: silentLog });
  await network.startNode({ model: MODEL, served });
  // Sealed, as `cocoon serve` asks by itself.
  endpoint = await startEndpoint({ connect: ({ timeoutMs, signal }) => network.connect({ timeoutMs, signal, seal: 'require' }) }, { timeoutMs: 60_000 });
  scripted = await startEndpoint(scriptedProxies({ script: scriptedNode() }), { keys: parseApiKeys('sk-the-right-key') });
  client = new OpenAI({ baseURL: `${endpoint.url}/v1`, apiKey: 'any', maxRetries: 0 });
  script = new OpenAI({ baseURL: `${scripted.url}/v1`, apiKey: 'sk-the-right-key', maxRetries: 0 });
}, 120_000);

afterAll(async () => {
  await endpoint.close();
  await scripted.close();
  await network.close();
});

const post = async (path: string, body: unknown, headers: Record<string, string> = {}): Promise<{ status: number; body: { error?: { message: string; type: string } } }> => {
  const response = await fetch(`${endpoint.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
  return { status: response.status, body: await response.json() as { error?: { message: string; type: string } } };
};

const statusOf = (work: Promise<unknown>): Promise<number> => work.then(() => 200, (error: unknown) => (error instanceof OpenAI.APIError ? error.status ?? 0 : 0));

describe('chat completions', () => {
  it('an answer: id, role, usage, and `length` at its limit', async () => {
    const { id, object, usage, choices: [choice] } = await client.chat.completions.create({ model: MODEL, messages: ASK, max_tokens: 8, temperature: 0 });
    expect([id, object]).toEqual([expect.stringMatching(/^chatcmpl-/), 'chat.completion']);
    expect(choice).toMatchObject({ index: 0, finish_reason: 'length', message: { role: 'assistant' } });
    expect(choice?.message.content?.length).toBeGreaterThan(0);
    expect(usage).toMatchObject({ completion_tokens: 8, total_tokens: (usage?.prompt_tokens ?? 0) + 8 });
  });

  it('a stream: the role once and first, one id, usage last, the same text as the whole answer', async () => {
    const asked = { model: MODEL, messages: ASK, max_tokens: 24, temperature: 0 };
    const whole = await client.chat.completions.create(asked);
    let text = '';
    const ids = new Set<string>();
    const finish: string[] = [];
    let index = 0;
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true, stream_options: { include_usage: true } })) {
      const [choice] = chunk.choices;
      if (choice !== undefined) {
        expect(choice.delta.role).toBe(index === 0 ? 'assistant' : undefined);
        text += choice.delta.content ?? '';
        if (choice.finish_reason !== null) finish.push(choice.finish_reason);
      }
      usage = chunk.usage ?? usage;
      ids.add(chunk.id);
      index += 1;
    }
    expect([text, ids.size, finish, usage?.completion_tokens]).toEqual([whole.choices[0]?.message.content, 1, ['length'], 24]);
  });

  it('content in parts of text is the text', async () => {
    const [system, user] = ASK;
    const text = (messages: OpenAI.ChatCompletionMessageParam[]): Promise<string | null | undefined> =>
      client.chat.completions.create({ model: MODEL, messages, max_tokens: 12, temperature: 0 }).then(({ choices: [choice] }) => choice?.message.content);
    const parts = [{ type: 'text' as const, text: user?.content.slice(0, 20) ?? '' }, { type: 'text' as const, text: user?.content.slice(20) ?? '' }];
    expect(await text([system ?? ASK[0], { role: 'user', content: parts }] as OpenAI.ChatCompletionMessageParam[])).toBe(await text(ASK));
  });

  it('an answer that the application has begun is gone on with', async () => {
    const asked = { model: MODEL, max_tokens: 12, temperature: 0 };
    const whole = (await client.chat.completions.create({ ...asked, messages: ASK })).choices[0]?.message.content ?? '';
    const { usage } = await client.chat.completions.create({ ...asked, messages: [...ASK, { role: 'assistant', content: whole }] });
    const plain = await client.chat.completions.create({ ...asked, messages: ASK });
    expect((usage?.prompt_tokens ?? 0) - (plain.usage?.prompt_tokens ?? 0)).toBeGreaterThanOrEqual(10);
  });

  it('logprobs: of each token, the likeliest beside it; together they are the answer', async () => {
    const asked = { model: MODEL, messages: ASK, max_tokens: 6, temperature: 0, logprobs: true, top_logprobs: 3 };
    const { choices: [choice] } = await client.chat.completions.create(asked);
    const tokens = choice?.logprobs?.content ?? [];
    expect(tokens.map(({ token }) => token).join('')).toBe(choice?.message.content);
    for (const { logprob, bytes, top_logprobs: top } of tokens) expect([logprob <= 0, bytes !== null, top.length]).toEqual([true, true, 3]);
    let text = '';
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) for (const { token } of chunk.choices[0]?.logprobs?.content ?? []) text += token;
    expect(text).toBe(choice?.message.content);
  });

  it('response_format: what comes is JSON of the schema', async () => {
    const schema = { type: 'object', properties: { kind: { enum: ['fox', 'owl'] } }, required: ['kind'], additionalProperties: false };
    const { choices: [choice] } = await client.chat.completions.create({ model: MODEL, messages: ASK, max_tokens: 40, temperature: 0, response_format: { type: 'json_schema', json_schema: { name: 'animal', strict: true, schema } } });
    expect(['fox', 'owl']).toContain((JSON.parse(choice?.message.content ?? '') as { kind: string }).kind);
    expect(await statusOf(client.chat.completions.create({ model: MODEL, messages: ASK, response_format: { type: 'json_schema', json_schema: { name: 'bad', schema: { type: 'hiccup' } } } }))).toBe(400);
  });

  it('n: several answers of one prompt', async () => {
    const { choices } = await client.chat.completions.create({ model: MODEL, messages: ASK, max_tokens: 6, n: 2 });
    expect(choices.map(({ index, message }) => [index, (message.content ?? '').length > 0])).toEqual([[0, true], [1, true]]);
  });

  it('a client that may have to take a stream elsewhere is told what was counted', async () => {
    const { session } = await network.connect();
    const payload = new TextEncoder().encode(JSON.stringify({ model: MODEL, messages: ASK, max_tokens: 10, max_completion_tokens: 10, temperature: 0, stream: true, stream_options: { include_usage: true } }));
    let text = '';
    for await (const event of session.ask({ model: MODEL, query: queryOf({ path: '/v1/chat/completions', payload, headers: [{ name: 'X-Cocoon-Counts', value: '1' }] }), maxTokens: 10, maxCoefficient: 4_000, timeoutMs: 10_000 })) {
      if (event.kind === 'part') text += Buffer.from(event.bytes).toString('utf8');
    }
    const counts = [...text.matchAll(/^: tokens (\d+) \d+ (\d+) 0$/gm)].map(([, prompt, completion]) => [Number(prompt), Number(completion)]);
    expect(counts.at(-1)).toEqual([Number(/"prompt_tokens":(\d+)/.exec(text)?.[1]), 10]);
  });

  it.each([
    [null], ['string'], [[]], [[123]], [[{}]], [[{ role: 123 }]], [[{ role: 'system', content: 123 }]], [[{ content: 'no role' }]], [[{ role: 'system', content: 'test' }, {}]],
    [[{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }] }]],
  ])('400 for messages that are none: %j', async (messages) => {
    const { status, body } = await post('/v1/chat/completions', { model: MODEL, messages });
    expect([status, body.error?.type]).toEqual([400, 'invalid_request_error']);
  });

  it.each([['logit_bias', { '5': 1 }], ['grammar', 'root ::= "a"'], ['chat_template', 'x'], ['timings_per_token', true], ['cache_prompt', false]])('400 by name for what no node honours: %s', async (name, value) => {
    const { status, body } = await post('/v1/chat/completions', { model: MODEL, messages: ASK, [name]: value });
    expect([status, body.error?.message]).toEqual([400, expect.stringContaining(name)]);
  });

  it('temperature 0 and a seed: the same answer each time; other seeds, other answers', async () => {
    const text = async (sampling: object): Promise<string | null | undefined> => (await client.chat.completions.create({ model: MODEL, messages: ASK, max_tokens: 32, ...sampling })).choices[0]?.message.content;
    const same = await Promise.all([0, 1, 2].map(() => text({ temperature: 0, seed: 42 })));
    expect(new Set(same).size).toBe(1);
    const seeds = await Promise.all([1, 2, 3, 4].map((seed) => text({ temperature: 1.2, seed })));
    expect(new Set(seeds).size).toBeGreaterThan(1);
  });

  it('stop strings end the answer and are not in it', async () => {
    const whole = (await client.chat.completions.create({ model: MODEL, messages: ASK, max_tokens: 40, temperature: 0 })).choices[0]?.message.content ?? '';
    const stop = whole.slice(10, 16);
    const { choices: [choice] } = await client.chat.completions.create({ model: MODEL, messages: ASK, max_tokens: 40, temperature: 0, stop: [stop] });
    expect([choice?.message.content, choice?.finish_reason]).toEqual([whole.slice(0, whole.indexOf(stop)), 'stop']);
  });

  it('a prompt that is longer than the context: 400 context_length_exceeded', async () => {
    const error: unknown = await client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: 'a story about a fox. '.repeat(300) }] }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });

  it('more requests than sequences: all are answered', async () => {
    const answers = await Promise.all(Array.from({ length: 6 }, (_, index) => client.chat.completions.create({ model: MODEL, messages: [{ role: 'user', content: `a story about ${index}` }], max_tokens: 12 })));
    expect(answers.map(({ usage }) => (usage?.completion_tokens ?? 0) > 0)).toEqual(Array.from({ length: 6 }, () => true));
  });

  it('an application that leaves frees its place', async () => {
    const leaving = new AbortController();
    const stream = await client.chat.completions.create({ model: MODEL, messages: ASK, stream: true, max_tokens: 400 }, { signal: leaving.signal });
    for await (const _chunk of stream) break;
    leaving.abort();
    await until(() => network.proxy.status().nodes.every(({ running }) => running === 0), 5_000);
  });

  it('a model that is not served: 404', async () => {
    expect(await statusOf(client.chat.completions.create({ model: 'gpt-4', messages: ASK }))).toBe(404);
  });
});

describe('text completions', () => {
  it('an answer, and a stream of the same text', async () => {
    const asked = { model: MODEL, prompt: 'Once upon a time', max_tokens: 16, temperature: 0 };
    const { choices: [choice], object } = await client.completions.create(asked);
    expect([object, choice?.finish_reason]).toEqual(['text_completion', 'length']);
    let text = '';
    for await (const chunk of await client.completions.create({ ...asked, stream: true })) text += chunk.choices[0]?.text ?? '';
    expect(text).toBe(choice?.text);
  });
});

describe('models and monitors', () => {
  it('models: what is served, verified by this side', async () => {
    const { data: [model] } = await client.models.list();
    expect(model).toMatchObject({ id: MODEL, object: 'model', owned_by: 'cocoon' });
    expect((await client.models.retrieve(MODEL)).id).toBe(MODEL);
  });

  it('health and metrics need no key; keys are checked everywhere else', async () => {
    for (const path of ['/health', '/metrics', '/stats']) expect((await fetch(`${scripted.url}${path}`)).status).toBe(200);
    for (const apiKey of ['sk-invalid-key', 'x']) {
      const stranger = new OpenAI({ baseURL: `${scripted.url}/v1`, apiKey, maxRetries: 0 });
      const works = [stranger.chat.completions.create({ model: 'scripted', messages: ASK }), stranger.completions.create({ model: 'scripted', prompt: 'x' }), stranger.embeddings.create({ model: 'scripted', input: 'x' }), stranger.responses.create({ model: 'scripted', input: 'x' }), stranger.models.list()];
      expect(await Promise.all(works.map(statusOf))).toEqual([401, 401, 401, 401, 401]);
    }
    expect(await statusOf(script.models.list())).toBe(200);
  });

  it('pages of the web are refused, before their body is read', async () => {
    const response = await fetch(`${scripted.url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json', origin: 'http://web.mydomain.fr' }, body: '{}' });
    expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([403, null]);
  });
});

describe('embeddings', () => {
  it('one, several, tokens, lists of tokens: a vector each', async () => {
    for (const [input, count] of [['one', 1], [['one', 'two', 'three'], 3], [[12, 34, 56], 1], [[[12, 34], [56]], 2]] as const) {
      expect((await script.embeddings.create({ model: 'scripted', input: input as string })).data).toHaveLength(count);
    }
  });

  it('base64 and floats are the same numbers', async () => {
    const floats = (await script.embeddings.create({ model: 'scripted', input: 'x', encoding_format: 'float' })).data[0]?.embedding;
    expect([...(await script.embeddings.create({ model: 'scripted', input: 'x' })).data[0]?.embedding ?? []]).toEqual(floats);
  });

  it.each([[[]], [{ content: 'string' }], [''], [null]])('400 for input that is none: %j', async (input) => {
    expect(await statusOf(script.embeddings.create({ model: 'scripted', input: input as unknown as string }))).toBe(400);
  });
});

describe('responses', () => {
  it('an answer: its ids and its text', async () => {
    const response = await client.responses.create({ model: MODEL, input: [{ role: 'system', content: 'You tell stories.' }, { role: 'user', content: 'about a fox' }], max_output_tokens: 8, temperature: 0 });
    expect([response.id, response.output[0]?.id]).toEqual([expect.stringMatching(/^resp_/), expect.stringMatching(/^msg_/)]);
    expect(response.output_text.length).toBeGreaterThan(0);
  });

  it('a stream: ids that belong together, and the text of the end', async () => {
    let text = '';
    let response = '';
    let message = '';
    for await (const event of await client.responses.create({ model: MODEL, input: 'about a fox', max_output_tokens: 8, temperature: 0, stream: true })) {
      if (event.type === 'response.created') response = event.response.id;
      if (event.type === 'response.output_item.added') message = event.item.id ?? '';
      if ('item_id' in event) expect(event.item_id).toBe(message);
      if (event.type === 'response.output_text.delta') text += event.delta;
      if (event.type !== 'response.incomplete' && event.type !== 'response.completed') continue;
      expect([event.response.id, event.response.output[0]]).toMatchObject([response, { id: message, content: [{ text }] }]);
    }
    expect(text.length).toBeGreaterThan(0);
  });

  it.each([[{ type: 'json_schema', name: 'test' }], [{ type: 'sound' }]])('400 for a format that is none: %j', async (format) => {
    expect((await post('/v1/responses', { model: MODEL, input: 'x', text: { format } })).status).toBe(400);
  });
});
