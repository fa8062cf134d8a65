// OpenAI's own client for JavaScript, unchanged but for base URL and key, through the local endpoint, a proxy and a node.
import { afterEach, describe, expect, it } from '@jest/globals';
import OpenAI from 'openai';
import { parseApiKeys } from '../../../src/client/endpoint/callers.ts';
import { EngineError } from '../../../src/core/errors.ts';
import { startTestNetwork, until } from '../../fakes/network.ts';
import { startEndpoint } from './world.ts';
import type { InstantEngine } from '../../fakes/instant-engine.ts';
import type { TestNetwork, TestNodeOptions } from '../../fakes/network.ts';
import type { TestEndpoint } from './world.ts';

const KEY = 'sk-a-secret-of-mine';
const MESSAGES = [{ role: 'user' as const, content: 'say hello' }];
const opened: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

async function open(node: TestNodeOptions = {}, options: Parameters<typeof startEndpoint>[1] = {}): Promise<{ network: TestNetwork; engine: InstantEngine; endpoint: TestEndpoint; client: OpenAI }> {
  const network = await startTestNetwork({ nodes: [] });
  opened.push(network);
  const { engine } = await network.startNode(node);
  const endpoint = await startEndpoint(network, options);
  opened.push(endpoint);
  return { network, engine, endpoint, client: new OpenAI({ baseURL: `${endpoint.url}/v1`, apiKey: KEY, maxRetries: 0 }) };
}

/** What was thrown, as the client library sees it. */
async function failure(work: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> {
  const error: unknown = await work.then(() => null, (thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(OpenAI.APIError);
  return error as InstanceType<typeof OpenAI.APIError>;
}

describe('chat.completions', () => {
  it('create: an answer as one document, with usage', async () => {
    const { client, engine } = await open();
    const answer = await client.chat.completions.create({ model: 'instant', messages: MESSAGES, temperature: 0, seed: 2 ** 60 });
    expect(answer.choices[0]?.message).toMatchObject({ role: 'assistant', content: 'Hello there.' });
    expect(answer.choices[0]?.finish_reason).toBe('stop');
    expect(answer.usage).toMatchObject({ completion_tokens: 3 });
    expect(engine.requests[0]).toMatchObject({ temperature: 0, maxTokens: 1_000 });
  });

  it('create: an answer as a stream, with usage at its end', async () => {
    const { client } = await open();
    const stream = await client.chat.completions.create({ model: 'instant', messages: MESSAGES, stream: true, stream_options: { include_usage: true } });
    let text = '';
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      usage = chunk.usage ?? usage;
    }
    expect(text).toBe('Hello there.');
    expect(usage).toMatchObject({ completion_tokens: 3 });
  });

  it('create: leaving a stream frees the node', async () => {
    const { client, engine } = await open({ engine: { pieces: Array.from({ length: 1_000 }, () => 'x'), pieceDelayMs: 5 } });
    const stream = await client.chat.completions.create({ model: 'instant', messages: MESSAGES, stream: true });
    for await (const _chunk of stream) break;
    await until(() => engine.running === 0 && engine.cancelled === 1);
  });

  it('create: aborting before the first token frees the node', async () => {
    const { client, engine } = await open({ engine: { firstDelayMs: 60_000 } });
    const leaving = new AbortController();
    const answer = client.chat.completions.create({ model: 'instant', messages: MESSAGES }, { signal: leaving.signal });
    answer.catch(() => undefined);
    await until(() => engine.running === 1);
    leaving.abort();
    await expect(answer).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
    await until(() => engine.running === 0);
  });

  it('create: an answer that breaks off never looks complete', async () => {
    const { client } = await open({ engine: { pieces: ['a', 'b', 'c', 'd'], pieceDelayMs: 30, failAt: { piece: 2, error: new EngineError('E_ENGINE', 'gone') } } });
    const read = async (): Promise<void> => {
      const stream = await client.chat.completions.create({ model: 'instant', messages: MESSAGES, stream: true });
      for await (const _chunk of stream);
    };
    await expect(read()).rejects.toThrow();
    await expect(client.chat.completions.create({ model: 'instant', messages: MESSAGES })).rejects.toThrow();
  });

  it('create: refusals have OpenAI\'s shape and status', async () => {
    const { client } = await open();
    const cases = [
      [{ model: 'other', messages: MESSAGES }, 404],
      [{ model: 'instant', messages: MESSAGES, max_tokens: 5_000 }, 400],
      [{ model: 'instant', messages: MESSAGES, max_tokens: 0 }, 400],
      [{ model: 'instant', messages: MESSAGES, n: 1_000 }, 400],
      [{ model: 'instant', messages: MESSAGES, logit_bias: { 5: 1 } }, 400],
      [{ model: 'instant', messages: [{ role: 'user' as const, content: 'word '.repeat(5_000) }] }, 400],
    ] as const;
    for (const [body, status] of cases) {
      const error = await failure(client.chat.completions.create(body as OpenAI.ChatCompletionCreateParamsNonStreaming));
      expect({ status: error.status, type: error.type === undefined ? undefined : 'given' }).toEqual({ status, type: 'given' });
      expect(error.message).not.toContain('word word');
    }
    expect((await failure(client.chat.completions.create({ model: 'instant', messages: MESSAGES, logit_bias: { 5: 1 } }))).message).toContain('logit_bias');
  });

  it('create: no header of the application reaches anybody', async () => {
    const { client, network } = await open();
    const seen: string[] = [];
    const { session } = await network.connect();
    expect(session.version).toBeGreaterThan(0);
    const answer = await client.chat.completions.create({ model: 'instant', messages: MESSAGES }, { headers: { Cookie: 'mine', 'User-Agent': 'me' } }).withResponse();
    answer.response.headers.forEach((value, name) => seen.push(`${name}: ${value}`));
    expect(seen.join('\n')).not.toContain(KEY);
    expect(answer.response.headers.get('x-cocoon-evidence')).toBe('simulated');
    expect(answer.response.headers.get('access-control-allow-origin')).toBeNull();
  });
});

describe('other endpoints', () => {
  it('completions.create: text, whole and streamed', async () => {
    const { client } = await open();
    expect((await client.completions.create({ model: 'instant', prompt: 'say hello' })).choices[0]?.text).toBe('Hello there.');
    let text = '';
    for await (const chunk of await client.completions.create({ model: 'instant', prompt: 'say hello', stream: true })) text += chunk.choices[0]?.text ?? '';
    expect(text).toBe('Hello there.');
  });

  it('models.list, models.retrieve: with price and capacity', async () => {
    const { client } = await open({}, { perTokenNano: 20n });
    const models = (await client.models.list()).data;
    expect(models).toMatchObject([{ id: 'instant', object: 'model', cocoon: { nodes: 1, minPriceThousandths: 1_000, pricePerTokenNano: '20' } }]);
    expect(await client.models.retrieve('instant')).toMatchObject({ id: 'instant' });
    expect((await failure(client.models.retrieve('other'))).status).toBe(404);
  });

  it('moderations, images, stored answers: refused by name', async () => {
    const { client } = await open();
    expect(await failure(client.moderations.create({ input: 'x' }))).toMatchObject({ status: 404, code: 'unknown_url' });
    expect(await failure(client.images.generate({ prompt: 'x' }))).toMatchObject({ status: 404, code: 'unknown_url' });
    expect(await failure(client.responses.retrieve('resp_1'))).toMatchObject({ status: 404, code: 'unknown_url' });
    expect(await failure(client.get('/nothing'))).toMatchObject({ status: 404, code: 'unknown_url' });
  });
});

describe('who may ask, and for how much', () => {
  it('API keys: nobody without one, budgets of each', async () => {
    const { client, endpoint } = await open({}, { keys: parseApiKeys(`# ours\n${KEY} 0.00003\nsk-another-secret`), perTokenNano: 1n });
    expect((await failure(new OpenAI({ baseURL: `${endpoint.url}/v1`, apiKey: 'sk-wrong-secret', maxRetries: 0 }).chat.completions.create({ model: 'instant', messages: MESSAGES }))).status).toBe(401);
    expect((await failure(new OpenAI({ baseURL: `${endpoint.url}/v1`, apiKey: 'x', maxRetries: 0 }).models.list())).status).toBe(401);
    // 30,000 nanoTON: at most one request of 4,000 tokens at four times the price at a time.
    const ask = (): Promise<unknown> => client.chat.completions.create({ model: 'instant', messages: MESSAGES, max_tokens: 4_000 });
    await ask();
    const both = await Promise.allSettled([ask(), ask()]);
    expect(both.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    const refused = both.find((each) => each.status === 'rejected');
    expect(refused?.reason).toMatchObject({ status: 402, code: 'E_SPENDING_LIMIT' });
  });

  it('health, stats, metrics: on the same port, without a key', async () => {
    const { client, endpoint } = await open({}, { keys: parseApiKeys(KEY) });
    await client.chat.completions.create({ model: 'instant', messages: MESSAGES });
    expect(await (await fetch(`${endpoint.url}/health`)).json()).toMatchObject({ status: 'ok', fault: null, parts: { proxy: { state: 'ok' }, node: { state: 'ok' } } });
    expect(await (await fetch(`${endpoint.url}/stats`)).json()).toMatchObject({ state: 'ready', requests: { complete: 1, failed: 0, cancelled: 0 } });
    const metrics = await (await fetch(`${endpoint.url}/metrics`)).text();
    expect(metrics).toContain('cocoon_client_requests_total{model="instant",outcome="complete"} 1');
    expect(metrics).not.toContain('hello');
  });

  it('pages of the web: refused', async () => {
    const { endpoint } = await open();
    const response = await fetch(`${endpoint.url}/v1/models`, { headers: { origin: 'https://example.com' } });
    expect(response.status).toBe(403);
  });
});

describe('staying up', () => {
  it('a proxy that is gone: 503 or 502 with the reason, and answers again when it is back', async () => {
    const { client, endpoint, network } = await open();
    await network.stopProxy();
    await until(() => endpoint.pool.state.kind === 'connecting');
    const health = await fetch(`${endpoint.url}/health`);
    expect(health.status).toBe(503);
    expect(await health.json()).toMatchObject({ status: 'connecting' });
    await network.startProxy();
    await until(() => network.proxy.status().nodes.some(({ enabled }) => enabled), 10_000);
    expect((await client.chat.completions.create({ model: 'instant', messages: MESSAGES })).choices[0]?.message.content).toBe('Hello there.');
  });
});
