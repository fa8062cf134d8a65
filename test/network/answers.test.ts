// Answers through a whole network over loopback: streams and documents, several at once, over several nodes and versions.
import { afterEach, describe, expect, it } from '@jest/globals';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import type { ConnectedProxy } from '../../src/client/connect.ts';
import type { TestNetwork } from '../fakes/network.ts';

let network: TestNetwork;
afterEach(() => network.close());

const COUNTING = { pieces: Array.from({ length: 20 }, (_, i) => `${i} `), pieceDelayMs: 2 };
const WHOLE = COUNTING.pieces.join('');

/** One request that is not a stream; the body and what ended it. */
async function document({ session }: ConnectedProxy, body: object): Promise<{ status: number; body: unknown }> {
  const payload = Buffer.from(JSON.stringify(body));
  const query = encodeBoxed({ _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1', headers: [], payload });
  const parts: Uint8Array[] = [];
  let status = 0;
  for await (const event of session.ask({ model: 'instant', query, maxCoefficient: 4_000, maxTokens: 100, timeoutMs: 5_000 })) {
    if (event.kind === 'head') status = event.head.status;
    if (event.kind === 'part') parts.push(event.bytes);
  }
  return { status, body: JSON.parse(Buffer.concat(parts).toString()) };
}

describe('network: answers', () => {
  it('askChat: streams the text as it comes, with usage, charges and the times of both hops', async () => {
    network = await startTestNetwork({ nodes: [{ engine: { pieces: ['Hello', ' there', '.'], pieceDelayMs: 30 } }] });
    const came: number[] = [];
    const { pieces, answer, error } = await ask(await network.connect(), { prompt: 'one two three', system: 'be kind' }, { onPiece: () => { came.push(performance.now()); } });
    expect(error).toBeNull();
    expect(pieces).toEqual(['Hello', ' there', '.']);
    expect((came[2] ?? 0) - (came[0] ?? 0)).toBeGreaterThan(40); // not buffered to the end
    expect(answer).toMatchObject({
      text: 'Hello there.', finishReason: 'stop', usage: { promptTokens: 5, completionTokens: 3 },
      charged: { prompt: 5n, cached: 0n, completion: 3n, reasoning: 0n, total: 8n },
    });
    const { proxy, node } = answer?.timing ?? {};
    expect(proxy?.startedAt).toBeGreaterThan(1e9);
    expect(node?.startedAt).toBeGreaterThanOrEqual(proxy?.startedAt ?? Infinity);
    expect(node?.endedAt).toBeLessThanOrEqual(proxy?.endedAt ?? 0);
  });

  it('session.ask: a request without stream is answered with one document', async () => {
    network = await startTestNetwork();
    const { status, body } = await document(await network.connect(), { model: 'instant', messages: [{ role: 'user', content: 'hi' }] });
    expect(status).toBe(200);
    expect(body).toMatchObject({ object: 'chat.completion', choices: [{ message: { content: 'Hello there.' }, finish_reason: 'stop' }], usage: { total_tokens: 4 } });
  });

  it('askChat: what the question says reaches the engine', async () => {
    network = await startTestNetwork();
    const [node] = [await network.startNode({ model: 'other' })];
    await ask(await network.connect(), { model: 'other', prompt: 'why', system: 'be brief', maxTokens: 7, temperature: 0.5, topP: 0.9, seed: 42, stop: ['END', 'STOP'] });
    expect(node?.engine.requests).toMatchObject([{
      prompt: { kind: 'chat', messages: [{ role: 'system', content: 'be brief' }, { role: 'user', content: 'why' }] },
      maxTokens: 7, temperature: 0.5, topP: 0.9, seed: 42, stop: ['END', 'STOP'],
    }]);
  });

  it('relay: many requests of several clients at once all get their own whole answer', async () => {
    network = await startTestNetwork({ nodes: [1, 2].map(() => ({ engine: { ...COUNTING, sequences: 16 } })) });
    const clients = await Promise.all([1, 2, 3].map(() => network.connect()));
    const answers = await Promise.all(clients.flatMap((client) => Array.from({ length: 8 }, () => ask(client))));
    expect(answers.map(({ answer, error }) => answer?.text ?? error)).toEqual(answers.map(() => WHOLE));
    await until(() => network.proxy.status().nodes.every(({ running }) => running === 0));
  });

  it('choose: requests spread over equal nodes, also one after the other', async () => {
    network = await startTestNetwork({ nodes: [] });
    const nodes = [await network.startNode({ engine: { ...COUNTING } }), await network.startNode({ engine: { ...COUNTING } })];
    const client = await network.connect();
    await Promise.all([1, 2, 3, 4].map(() => ask(client)));
    expect(nodes.map(({ engine }) => engine.requests.length)).toEqual([2, 2]);
    for (let i = 0; i < 4; i += 1) await ask(client);
    const taken = nodes.map(({ engine }) => engine.requests.length);
    expect(taken.reduce((sum, count) => sum + count)).toBe(8);
    expect(network.proxy.explain(100)).toHaveLength(8);
  });

  it('models: lists what is served, with price and load', async () => {
    network = await startTestNetwork({ nodes: [{ price: 1_500 }, { price: 500 }, { model: 'big', engine: { sequences: 2 } }] });
    const models = await (await network.connect()).session.models();
    expect(models.map(({ model, activeWorkers, minCoefficient }) => ({ model, activeWorkers, minCoefficient }))).toEqual([
      { model: 'instant', activeWorkers: 2, minCoefficient: 500 }, { model: 'big', activeWorkers: 1, minCoefficient: 1_000 },
    ]);
    expect(models[1]?.workers).toEqual([{ coefficient: 1_000, activeRequests: 0, maxActiveRequests: 2 }]);
  });

  it.each([0, 1, 2, 3, 4, 5])('versions: a proxy that knows up to version %i answers, and so does one whose peers know no more', async (max) => {
    const upTo = { min: 0, max };
    network = await startTestNetwork({ nodes: [], proxy: { versions: upTo } });
    await network.startNode({ versions: { min: 0, max: 5 }, engine: COUNTING });
    const old = await ask(await network.connect({ versions: { min: 0, max: 5 } }));
    expect(old.answer ?? old.error).toMatchObject({ text: WHOLE, charged: { total: 22n } });
    await network.stopProxy();
    await network.startProxy();
    await network.startNode({ versions: upTo, model: 'late' });
    const client = await network.connect({ versions: upTo });
    expect(client.session.version).toBe(max);
    const late = await ask(client, { model: 'late' });
    expect(late.answer ?? late.error).toMatchObject({ text: 'Hello there.', charged: { total: 5n } });
    expect(late.answer?.timing.proxy === null).toBe(max < 2);
  });
});
