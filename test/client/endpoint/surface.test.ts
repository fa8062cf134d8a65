// The whole surface of OpenAI's API that the endpoint serves, with OpenAI's own client, against a node that honours all of it: tools,
// JSON, log probabilities, several answers, embeddings, responses; what cannot be honoured is refused by name.
import { afterEach, describe, expect, it } from '@jest/globals';
import OpenAI from 'openai';
import { NetworkError } from '../../../src/core/errors.ts';
import { scriptedNode } from '../../fakes/scripted-node.ts';
import { scriptedProxies } from '../../fakes/scripted-proxies.ts';
import { until } from '../../fakes/network.ts';
import { startEndpoint } from './world.ts';
import type { ScriptedNodeOptions } from '../../fakes/scripted-node.ts';
import type { ScriptedProxies } from '../../fakes/scripted-proxies.ts';
import type { TestEndpoint, TestEndpointOptions } from './world.ts';

const MESSAGES = [{ role: 'user' as const, content: 'say hello' }];
const CITY = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
const TOOLS = ['weather', 'time'].map((name) => ({ type: 'function' as const, function: { name, description: `the ${name} of a city`, parameters: CITY, strict: true } }));
const opened: TestEndpoint[] = [];

afterEach(async () => {
  for (const each of opened.splice(0)) await each.close();
});

interface World { readonly client: OpenAI; readonly proxies: ScriptedProxies; readonly endpoint: TestEndpoint; lastBody(): Record<string, unknown> }

async function open(node: ScriptedNodeOptions = {}, options: TestEndpointOptions & { count?: number } = {}): Promise<World> {
  const { count = 1, ...others } = options;
  const proxies = scriptedProxies({ script: scriptedNode(node), count });
  const endpoint = await startEndpoint(proxies, { size: count, ...others });
  opened.push(endpoint);
  return {
    proxies, endpoint, client: new OpenAI({ baseURL: `${endpoint.url}/v1`, apiKey: 'any', maxRetries: 0 }),
    lastBody: () => proxies.all.flatMap(({ requests }) => requests).at(-1)?.body ?? {},
  };
}

/** Breaks one answer, before this piece. */
function onceAt(at: number): NonNullable<ScriptedNodeOptions['breakAt']> {
  let broke = false;
  return (_request, piece) => {
    if (piece !== at || broke) return null;
    broke = true;
    return new NetworkError('E_CLOSED', 'gone');
  };
}

async function failure(work: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const error: unknown = await work.then(() => null, (thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(OpenAI.APIError);
  return error as InstanceType<typeof OpenAI.APIError>;
}

describe('chat.completions', () => {
  it('tools: calls, forced and parallel, and the answer to their results', async () => {
    const { client, lastBody } = await open();
    const { choices: [choice] } = await client.chat.completions.create({ model: 'scripted', messages: MESSAGES, tools: TOOLS, tool_choice: { type: 'function', function: { name: 'weather' } }, parallel_tool_calls: false });
    expect(choice).toMatchObject({ finish_reason: 'tool_calls', message: { content: null, tool_calls: [{ id: 'call_0', function: { name: 'weather', arguments: '{"city":"Paris"}' } }] } });
    expect(lastBody()).toMatchObject({ tools: TOOLS, tool_choice: { type: 'function', function: { name: 'weather' } }, parallel_tool_calls: false });
    const calls = choice?.message.tool_calls ?? [];
    const after = await client.chat.completions.create({
      model: 'scripted', tools: TOOLS,
      messages: [...MESSAGES, { role: 'assistant', content: null, tool_calls: calls }, { role: 'tool', tool_call_id: 'call_0', content: '12 degrees' }],
    });
    expect(after.choices[0]?.message.content).toBe('Hello there.');
  });

  it('tools: streamed, read by the client\'s own helper', async () => {
    const { client } = await open();
    const runner = client.chat.completions.stream({ model: 'scripted', messages: MESSAGES, tools: TOOLS.map(({ function: { strict: _strict, ...rest } }) => ({ type: 'function' as const, function: rest })) });
    const message = await runner.finalMessage();
    expect(message.tool_calls?.map((call) => (call.type === 'function' ? [call.function.name, call.function.arguments] : []))).toEqual([['weather', '{"city":"Paris"}'], ['time', '{"city":"Paris"}']]);
  });

  it('tools: the client\'s runner calls them and asks again', async () => {
    const { client } = await open();
    const called: unknown[] = [];
    const runner = client.chat.completions.runTools({
      model: 'scripted', messages: MESSAGES,
      tools: [{ type: 'function', function: { name: 'weather', parse: JSON.parse, description: 'weather', parameters: CITY, function: (args: unknown) => { called.push(args); return '12 degrees'; } } }],
    });
    expect(await runner.finalContent()).toBe('Hello there.');
    expect(called).toEqual([{ city: 'Paris' }]);
  });

  it('response_format: json_object and json_schema', async () => {
    const { client, lastBody } = await open();
    for (const format of [{ type: 'json_object' as const }, { type: 'json_schema' as const, json_schema: { name: 'answer', strict: true, schema: { type: 'object', properties: { answer: { type: 'integer' } }, required: ['answer'], additionalProperties: false } } }]) {
      const { choices: [choice] } = await client.chat.completions.create({ model: 'scripted', messages: MESSAGES, response_format: format });
      expect(JSON.parse(choice?.message.content ?? '')).toEqual({ answer: 42 });
      expect(lastBody()['response_format']).toEqual(format);
    }
  });

  it('logprobs and top_logprobs: whole and streamed', async () => {
    const { client } = await open();
    const asked = { model: 'scripted', messages: MESSAGES, logprobs: true, top_logprobs: 2 };
    const { choices: [choice] } = await client.chat.completions.create(asked);
    expect(choice?.logprobs?.content?.map(({ token, top_logprobs }) => [token, top_logprobs.length])).toEqual([['Hello', 2], [' there', 2], ['.', 2]]);
    const tokens: string[] = [];
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true })) for (const { token } of chunk.choices[0]?.logprobs?.content ?? []) tokens.push(token);
    expect(tokens).toEqual(['Hello', ' there', '.']);
  });

  it('n: several answers, whole and streamed, each paid for', async () => {
    const { client, proxies } = await open();
    const { choices, usage } = await client.chat.completions.create({ model: 'scripted', messages: MESSAGES, n: 3 });
    expect([choices.map(({ index, message }) => [index, message.content]), usage?.completion_tokens]).toEqual([[[0, 'Hello there.'], [1, 'Hello there.'], [2, 'Hello there.']], 9]);
    const texts = ['', ''];
    for await (const { choices: parts } of await client.chat.completions.create({ model: 'scripted', messages: MESSAGES, n: 2, stream: true })) {
      for (const { index, delta } of parts) texts[index] += delta.content ?? '';
    }
    expect(texts).toEqual(['Hello there.', 'Hello there.']);
    // The limit is that of one answer; what they may cost together is put aside.
    expect(proxies.all[0]?.requests[0]?.asked.maxTokens).toBe(1_000);
    const poor = await open({}, { perTokenNano: 1n, budgetNano: 12_000n });
    expect((await failure(poor.client.chat.completions.create({ model: 'scripted', messages: MESSAGES, n: 3 }))).status).toBe(402);
    expect((await poor.client.chat.completions.create({ model: 'scripted', messages: MESSAGES })).choices).toHaveLength(1);
  });

  it('seed, stop, penalties and the rest: as they were written', async () => {
    const { client, lastBody } = await open();
    const asked = { model: 'scripted', messages: MESSAGES, seed: 7, stop: ['\n', 'END'], temperature: 0.1, top_p: 0.9, frequency_penalty: 0.5, presence_penalty: -0.5, user: 'me', reasoning_effort: 'low' as const, prompt_cache_key: 'k' };
    await client.chat.completions.create(asked);
    expect(lastBody()).toMatchObject(asked);
  });

  it.each<[string, object]>([
    ['store', { store: true }], ['metadata', { metadata: { a: 'b' } }], ['audio', { audio: { voice: 'x', format: 'mp3' } }], ['modalities', { modalities: ['text', 'audio'] }],
    ['web_search_options', { web_search_options: {} }], ['functions', { functions: [{ name: 'f' }] }], ['function_call', { function_call: 'auto' }],
    ['service_tier', { service_tier: 'priority' }], ['prompt_cache_retention', { prompt_cache_retention: '24h' }],
    ['messages.0.content', { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,x' } }] }] }],
    ['tools.0.function.name', { tools: [{ type: 'function', function: { name: 'not a name' } }] }], ['tool_choice', { tool_choice: 'required' }],
    ['response_format.type', { response_format: { type: 'xml' } }], ['top_logprobs', { top_logprobs: 3 }], ['temperature', { temperature: 3 }], ['n', { n: 0 }],
    ['messages', { messages: [] }], ['messages.0.role', { messages: [{ role: 'robot', content: 'x' }] }], ['stop', { stop: 5 }],
  ])('refused by name, before anything is paid for: %s', async (param, body) => {
    const { client, proxies } = await open();
    const error = await failure(client.chat.completions.create({ model: 'scripted', messages: MESSAGES, ...body } as OpenAI.ChatCompletionCreateParamsNonStreaming));
    expect(error.status).toBe(400);
    expect(error.type).toBe('invalid_request_error');
    expect(`${error.param}`.startsWith(param.split('.0')[0] ?? '')).toBe(true);
    expect(proxies.all[0]?.requests).toEqual([]);
  });

  it('errors: request ids, Retry-After, whose trouble it is', async () => {
    const { client, endpoint } = await open({ breakAt: (_request, piece) => (piece === 0 ? new NetworkError('E_CLOSED', 'the connection ended') : null) }, { timeoutMs: 2_000 });
    const refused = await failure(client.chat.completions.create({ model: 'scripted', messages: [] }));
    expect(refused.requestID).toMatch(/^req_[0-9a-f]{32}$/);
    const broken = await failure(client.chat.completions.create({ model: 'scripted', messages: MESSAGES, stream: true }));
    expect(broken.error).toMatchObject({ fault: 'proxy', code: 'E_CLOSED', type: 'service_unavailable_error' });
    expect([broken.status, broken.headers?.get('retry-after')]).toEqual([503, '1']);
    const { headers } = await client.models.list().withResponse().then(({ response }) => response);
    expect(headers.get('x-request-id')).toMatch(/^req_/);
    expect(await (await fetch(`${endpoint.url}/stats`)).json()).toMatchObject({ parts: { proxy: { state: 'trouble', code: 'E_CLOSED' } } });
  });

  it('a stream that breaks off: an error in the client, an event in the stream, no [DONE], a cut connection', async () => {
    const { client, endpoint } = await open({ breakAt: (_request, piece) => (piece === 2 ? new NetworkError('E_TIMEOUT', 'no time left') : null) });
    let text = '';
    await expect((async () => {
      for await (const chunk of await client.chat.completions.create({ model: 'scripted', messages: MESSAGES, stream: true })) text += chunk.choices[0]?.delta.content ?? '';
    })()).rejects.toThrow(/no time left/);
    expect(text).toBe('Hello there');
    const response = await fetch(`${endpoint.url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ model: 'scripted', messages: MESSAGES, stream: true }) });
    let raw = '';
    await expect((async () => { for await (const part of response.body ?? []) raw += Buffer.from(part).toString('utf8'); })()).rejects.toThrow();
    expect(raw).toContain('"error":{"message":"no time left"');
    expect(raw).not.toContain('[DONE]');
    expect(endpoint.ends.map(({ outcome }) => outcome)).toEqual(['failed', 'failed']);
  });

  it('a stream that another node took up: unnoticed but for its metadata; the account has both parts', async () => {
    const { client, endpoint } = await open({ breakAt: onceAt(2) }, { count: 2 });
    let text = '';
    const ids = new Set<string>();
    const marks: unknown[] = [];
    for await (const chunk of await client.chat.completions.create({ model: 'scripted', messages: MESSAGES, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? '';
      ids.add(chunk.id);
      if ('cocoon' in chunk) marks.push(chunk.cocoon);
    }
    expect([text, ids.size, marks.length]).toEqual(['Hello there.', 1, 2]);
    expect(endpoint.ends).toMatchObject([{ outcome: 'complete', attempts: 2, continued: [{ after: 11, fault: 'proxy' }] }]);
    expect(await (await fetch(`${endpoint.url}/stats`)).json()).toMatchObject({ requests: { complete: 1, continued: 1, retries: 0 } });
  });

  it('continueAnswers false: it is not taken up', async () => {
    const { client } = await open({ breakAt: (_request, piece) => (piece === 2 ? new NetworkError('E_CLOSED', 'gone') : null) }, { continueAnswers: false });
    await expect((async () => {
      for await (const _chunk of await client.chat.completions.create({ model: 'scripted', messages: MESSAGES, stream: true }));
    })()).rejects.toThrow();
  });

  it('budgets: what broke without a word counts as the most, a continuation is paid for too', async () => {
    const { client, endpoint } = await open({ breakAt: onceAt(1) }, { perTokenNano: 1n, budgetNano: 1_000_000n });
    for await (const _chunk of await client.chat.completions.create({ model: 'scripted', messages: MESSAGES, stream: true, max_tokens: 10 }));
    const { spentNano, reservedNano } = await (await fetch(`${endpoint.url}/stats`)).json() as { spentNano: string; reservedNano: string };
    expect(BigInt(spentNano)).toBeGreaterThan(2_000n);
    expect(reservedNano).toBe('0');
  });
});

describe('embeddings', () => {
  it('create: texts and tokens, as floats and as the client asks by itself', async () => {
    const { client, lastBody, proxies } = await open();
    const { data, usage } = await client.embeddings.create({ model: 'scripted', input: ['a', 'b'], dimensions: 2 });
    expect([data.map(({ index, embedding }) => [index, [...embedding]]), usage.prompt_tokens]).toEqual([[[0, [0.25, -0.5]], [1, [0.25, -0.5]]], 5]);
    expect(lastBody()['encoding_format']).toBe('base64');
    expect((await client.embeddings.create({ model: 'scripted', input: [1, 2, 3], encoding_format: 'float' })).data[0]?.embedding).toEqual([0.25, -0.5, 0.75]);
    expect(proxies.all[0]?.requests[0]).toMatchObject({ path: '/v1/embeddings', asked: { maxTokens: 1 } });
  });

  it.each<[string, object]>([['input', { input: '' }], ['input', { input: [] }], ['encoding_format', { encoding_format: 'int8' }], ['dimensions', { dimensions: 0 }], ['task', { task: 'search' }]])('refused by name: %s', async (param, body) => {
    const { client } = await open();
    const error = await failure(client.embeddings.create({ model: 'scripted', input: 'x', ...body } as OpenAI.EmbeddingCreateParams));
    expect([error.status, error.param]).toEqual([400, param]);
  });
});

describe('models', () => {
  it('list and retrieve: price, capacity, and who has been verified by whom', async () => {
    const { client } = await open({}, { perTokenNano: 20n });
    for await (const model of client.models.list()) {
      expect(model).toMatchObject({
        id: 'scripted', cocoon: {
          nodes: 1, minPriceThousandths: 1_000, pricePerTokenNano: '20', workers: [{ priceThousandths: 1_000, running: 0, capacity: 4 }],
          attestation: { proxy: { address: '127.0.0.1:1000', evidence: 'simulated', simulated: true, imageHash: '07'.repeat(32) }, nodes: null },
        },
      });
    }
  });
});

describe('cancellation', () => {
  it('abort within a stream and before its first byte: the node hears of it', async () => {
    const { client, proxies, endpoint } = await open({ pieces: Array.from({ length: 500 }, () => 'x'), pieceDelayMs: 5 });
    const stream = await client.chat.completions.create({ model: 'scripted', messages: MESSAGES, stream: true });
    for await (const _chunk of stream) break;
    await until(() => proxies.all[0]?.running === 0);
    const leaving = new AbortController();
    const answer = client.chat.completions.create({ model: 'scripted', messages: MESSAGES }, { signal: leaving.signal });
    answer.catch(() => undefined);
    await until(() => proxies.all[0]?.running === 1);
    leaving.abort();
    await until(() => proxies.all[0]?.running === 0 && endpoint.ends.length === 2);
    expect(endpoint.ends.map(({ outcome }) => outcome)).toEqual(['cancelled', 'cancelled']);
  });
});

describe('responses', () => {
  it('create: text, with usage and the members that the client reads', async () => {
    const { client, lastBody } = await open();
    const response = await client.responses.create({ model: 'scripted', input: 'say hello', instructions: 'be kind', temperature: 0, max_output_tokens: 50, metadata: { a: 'b' } });
    expect(response.output_text).toBe('Hello there.');
    expect(response).toMatchObject({ object: 'response', status: 'completed', store: false, previous_response_id: null, metadata: { a: 'b' }, instructions: 'be kind', max_output_tokens: 50, usage: { output_tokens: 3 } });
    expect(lastBody()).toMatchObject({ messages: [{ role: 'system', content: 'be kind' }, { role: 'user', content: 'say hello' }], max_tokens: 50, max_completion_tokens: 50, stream: false });
  });

  it('create: cut at its limit, it is incomplete', async () => {
    const { client } = await open();
    expect(await client.responses.create({ model: 'scripted', input: 'x', max_output_tokens: 2 })).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' }, output: [{ type: 'message', status: 'incomplete' }] });
  });

  it('stream: events in order, read by the client\'s own helper', async () => {
    const { client } = await open();
    const types: string[] = [];
    let sequence = -1;
    const stream = client.responses.stream({ model: 'scripted', input: [{ role: 'user', content: [{ type: 'input_text', text: 'say hello' }] }] });
    for await (const event of stream) {
      types.push(event.type);
      expect(event.sequence_number).toBe(sequence + 1);
      sequence = event.sequence_number;
    }
    expect(types).toEqual([
      'response.created', 'response.in_progress', 'response.output_item.added', 'response.content_part.added', 'response.output_text.delta', 'response.output_text.delta',
      'response.output_text.delta', 'response.output_text.done', 'response.content_part.done', 'response.output_item.done', 'response.completed',
    ]);
    const final = await stream.finalResponse();
    expect([final.output_text, final.usage?.output_tokens]).toEqual(['Hello there.', 3]);
  });

  it('tools: calls, whole and streamed; a turn with their results', async () => {
    const { client, lastBody } = await open();
    const tools = TOOLS.map(({ function: { name, description, parameters, strict } }) => ({ type: 'function' as const, name, description, parameters, strict }));
    const first = await client.responses.create({ model: 'scripted', input: 'weather?', tools, tool_choice: { type: 'function', name: 'weather' }, parallel_tool_calls: false });
    const [call] = first.output;
    if (call?.type !== 'function_call') throw new Error('no call');
    expect(call).toMatchObject({ call_id: 'call_0', name: 'weather', arguments: '{"city":"Paris"}', status: 'completed' });
    expect(lastBody()).toMatchObject({ tool_choice: { type: 'function', function: { name: 'weather' } }, tools: TOOLS });
    const second = await client.responses.create({ model: 'scripted', tools, input: [{ role: 'user', content: 'weather?' }, call, { type: 'function_call_output', call_id: 'call_0', output: '12 degrees' }] });
    expect(second.output_text).toBe('Hello there.');
    expect(lastBody()['messages']).toEqual([
      { role: 'user', content: 'weather?' }, { role: 'assistant', content: null, tool_calls: [{ id: 'call_0', type: 'function', function: { name: 'weather', arguments: '{"city":"Paris"}' } }] },
      { role: 'tool', tool_call_id: 'call_0', content: '12 degrees' },
    ]);
    const names: string[] = [];
    for await (const event of await client.responses.create({ model: 'scripted', input: 'both', tools, stream: true })) if (event.type === 'response.function_call_arguments.done') names.push(`${event.name}${event.arguments}`);
    expect(names).toEqual(['weather{"city":"Paris"}', 'time{"city":"Paris"}']);
  });

  it('text.format: JSON by schema; log probabilities', async () => {
    const { client, lastBody } = await open();
    const response = await client.responses.create({
      model: 'scripted', input: 'x', text: { format: { type: 'json_schema', name: 'answer', strict: true, schema: { type: 'object', properties: { answer: { type: 'integer' } } } } }, include: ['message.output_text.logprobs'], top_logprobs: 1,
    });
    expect(JSON.parse(response.output_text)).toEqual({ answer: 42 });
    expect(lastBody()).toMatchObject({ logprobs: true, top_logprobs: 1, response_format: { type: 'json_schema', json_schema: { name: 'answer', strict: true } } });
    const [item] = response.output;
    expect(item?.type === 'message' && item.content[0]?.type === 'output_text' && item.content[0].logprobs?.length).toBe(4);
  });

  it.each<[string, object]>([
    ['store', { store: true }], ['previous_response_id', { previous_response_id: 'resp_1' }], ['conversation', { conversation: 'conv_1' }], ['background', { background: true }],
    ['truncation', { truncation: 'auto' }], ['include', { include: ['reasoning.encrypted_content'] }], ['tools.0.type', { tools: [{ type: 'web_search' }] }], ['prompt', { prompt: { id: 'p' } }],
    ['reasoning.summary', { reasoning: { summary: 'auto' } }], ['max_tool_calls', { max_tool_calls: 3 }], ['input.0', { input: [{ type: 'item_reference', id: 'x' }] }],
    ['input.0.content.0.type', { input: [{ role: 'user', content: [{ type: 'input_image', image_url: 'x' }] }] }], ['nonsense', { nonsense: 1 }], ['max_output_tokens', { max_output_tokens: 1_000_000 }],
  ])('refused by name: %s', async (param, body) => {
    const { client, proxies } = await open();
    const error = await failure(client.responses.create({ model: 'scripted', input: 'x', ...body } as OpenAI.Responses.ResponseCreateParamsNonStreaming));
    expect(error.status).toBe(400);
    expect(`${error.param}`.startsWith(param.split('.')[0] ?? '')).toBe(true);
    expect(proxies.all[0]?.requests).toEqual([]);
  });

  it('a node that refuses: its own words and status', async () => {
    const { client } = await open();
    expect(await failure(client.responses.create({ model: 'other', input: 'x' }))).toMatchObject({ status: 404, code: 'model_not_found' });
  });

  it('a stream that breaks off ends with response.failed', async () => {
    const { client } = await open({ breakAt: (_request, piece) => (piece === 2 ? new NetworkError('E_TIMEOUT', 'no time left') : null) });
    const types: string[] = [];
    await expect((async () => {
      for await (const event of await client.responses.create({ model: 'scripted', input: 'x', stream: true })) types.push(event.type);
    })()).rejects.toThrow();
    expect(types.at(-1)).toBe('response.failed');
    expect(types).not.toContain('response.completed');
  });
});

describe('health', () => {
  it('no node is there: 503 with the part at fault, and a word of what is missing', async () => {
    const proxies = scriptedProxies({ script: scriptedNode(), models: [] });
    const endpoint = await startEndpoint(proxies);
    opened.push(endpoint);
    await until(() => endpoint.pool.state.kind === 'ready');
    const health = await fetch(`${endpoint.url}/health`);
    expect([health.status, await health.json()]).toMatchObject([503, { status: 'no-node', fault: 'node', code: 'E_NO_NODE', message: 'no node is there yet', parts: { proxy: { state: 'ok' } } }]);
  });
});
