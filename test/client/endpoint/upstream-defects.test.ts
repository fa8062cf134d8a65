// The defects of WIRE.md section 20 that an application in front of a client meets (1, 2, 4, 5, 9, 25 to 28), as they show from
// outside: raw HTTP to the endpoint, a proxy and a node behind it. Each test is the right behaviour.
import { connect as connectTcp } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { EngineError } from '../../../src/core/errors.ts';
import { decodeBoxed } from '../../../src/wire/tl/codec.ts';
import { startTestNetwork, until } from '../../fakes/network.ts';
import { startEndpoint } from './world.ts';
import type { AskRequest } from '../../../src/wire/client-session.ts';
import type { TestNetwork, TestNodeOptions } from '../../fakes/network.ts';
import type { TestEndpoint } from './world.ts';

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

const BODY = { model: 'instant', messages: [{ role: 'user', content: 'hello' }] };
/** Whatever fails must be told by then; the C++ client never told it. */
const SOON_MS = 6_000;

async function open(node: TestNodeOptions | null = {}, options: Parameters<typeof startEndpoint>[1] = {}): Promise<{ network: TestNetwork; endpoint: TestEndpoint; post(body: unknown, path?: string): Promise<Response>; asked: AskRequest[] }> {
  const network = await startTestNetwork({ nodes: node === null ? [] : [node] });
  opened.push(network);
  const asked: AskRequest[] = [];
  const endpoint = await startEndpoint({
    connect: async (options) => {
      const proxy = await network.connect(options);
      const { session } = proxy;
      const ask = session.ask.bind(session);
      return { ...proxy, session: Object.assign(session, { ask: (request: AskRequest) => { asked.push(request); return ask(request); } }) };
    },
  }, options);
  opened.push(endpoint);
  await endpoint.pool.acquire({ timeoutMs: 5_000, signal: new AbortController().signal });
  const post = (body: unknown, path = '/v1/chat/completions'): Promise<Response> => fetch(`${endpoint.url}${path}`, {
    method: 'POST', headers: { 'content-type': 'application/json', authorization: 'Bearer mine', cookie: 'mine', 'user-agent': 'mine' },
    body: typeof body === 'string' ? body : JSON.stringify(body), signal: AbortSignal.timeout(SOON_MS),
  });
  return { network, endpoint, post, asked };
}

describe('upstream defects, from outside', () => {
  it('1: requests that cannot be answered are refused, each by name, and the endpoint lives', async () => {
    const { endpoint, post } = await open();
    const refused: [unknown, string, number][] = [
      ['{"model":', '/v1/chat/completions', 400], ['', '/v1/chat/completions', 400], ['123', '/v1/chat/completions', 400], [{ messages: [] }, '/v1/chat/completions', 400],
      [{ ...BODY, model: 5 }, '/v1/chat/completions', 400], [{}, '/v1/nothing', 404], [BODY, '/', 404], [{ ...BODY, tools: 'all' }, '/v1/chat/completions', 400],
    ];
    for (const [body, path, status] of refused) {
      const response = await post(body, path);
      expect([path, body, response.status]).toEqual([path, body, status]);
      expect(await response.json()).toMatchObject({ error: { message: expect.any(String), type: expect.any(String) } });
    }
    expect((await fetch(`${endpoint.url}/`)).status).toBe(404);
    expect((await fetch(`${endpoint.url}/v1/chat/completions`)).status).toBeGreaterThanOrEqual(400);
    expect((await post(BODY)).status).toBe(200);
  });

  it('2: what the proxy or the node refuses is told at once, and no request hangs', async () => {
    const { post } = await open({ price: 9_000, engine: { failAt: { piece: 0, error: new EngineError('E_ENGINE', 'out of memory') } } });
    expect((await post({ ...BODY, model: 'nobody' })).status).toBe(404);
    const dear = await post(BODY);
    expect([dear.status, await dear.json()]).toMatchObject([503, { error: { message: expect.any(String) } }]);
    const none = await open(null);
    expect([404, 503]).toContain((await none.post(BODY)).status);
  });

  it('2: a node that fails before its first byte is an error of the request', async () => {
    const { post } = await open({ engine: { failAt: { piece: 0, error: new EngineError('E_ENGINE', 'out of memory') } } });
    const response = await post(BODY).catch((error: unknown) => error);
    expect(response instanceof Response ? response.status : String(response)).toBeGreaterThanOrEqual(500);
  }, 30_000);

  it('4: an application that leaves stops the engine', async () => {
    const network = await startTestNetwork({ nodes: [] });
    opened.push(network);
    const { engine } = await network.startNode({ engine: { pieces: Array.from({ length: 1_000 }, () => 'x'), pieceDelayMs: 10 } });
    const endpoint = await startEndpoint(network);
    opened.push(endpoint);
    const leaving = new AbortController();
    const response = await fetch(`${endpoint.url}/v1/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...BODY, stream: true }), signal: leaving.signal });
    await response.body?.getReader().read();
    expect(engine.running).toBe(1);
    leaving.abort();
    await until(() => engine.running === 0 && engine.cancelled === 1);
  });

  it('5: an answer that breaks off ends without the terminator of a complete one', async () => {
    const { endpoint } = await open({ engine: { pieces: ['a', 'b', 'c', 'd'], failAt: { piece: 2, error: new EngineError('E_ENGINE', 'broke') } } }, { continueAnswers: false });
    const { hostname, port } = new URL(endpoint.url);
    const body = JSON.stringify({ ...BODY, stream: true });
    const raw = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connectTcp(Number(port), hostname, () => socket.write(`POST /v1/chat/completions HTTP/1.1\r\nHost: ${hostname}:${port}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`));
      socket.on('data', (bytes) => { text += bytes.toString(); });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(text));
    });
    expect(raw).toContain('"content":"a"');
    expect(raw).not.toContain('[DONE]');
    expect(raw.endsWith('0\r\n\r\n')).toBe(false);
  }, 30_000);

  it('9: a proxy that comes back is used again, and meanwhile nothing claims that one is ready', async () => {
    const { network, endpoint, post } = await open();
    expect((await post(BODY)).status).toBe(200);
    await network.stopProxy();
    await until(() => endpoint.pool.sessions().length === 0);
    expect(endpoint.pool.state.kind).toBe('connecting');
    expect((await fetch(`${endpoint.url}/health`)).status).toBe(503);
    await network.startProxy();
    await until(() => endpoint.pool.state.kind === 'ready', 10_000);
    await until(() => network.proxy.status().nodes.some(({ enabled }) => enabled), 10_000);
    expect((await post(BODY)).status).toBe(200);
  }, 40_000);

  it('25, 26, 28: the body goes as it was written but for the limit, white list or not; no header of the application goes at all', async () => {
    const { post, asked } = await open();
    const body = '{"z": 1.50,"model":"instant","user":"u\\u00e9","seed":12345678901234567890,"messages":[{"content": "hello", "role":"user"}],"tool_choice":"none","logprobs":false}';
    await post(body);
    const http = decodeBoxed(asked[0]?.query ?? new Uint8Array(0));
    if (http._ !== 'http.request') throw new Error('no request was sent');
    expect(Buffer.from(http.payload).toString()).toContain(body.slice(0, -1));
    expect(http.headers.map(({ name }) => name.toLowerCase()).sort()).toEqual(['content-length', 'content-type', 'x-cocoon-conversation']);
    expect(http.headers.map(({ value }) => value).join()).not.toContain('mine');
  });

  it('27: pages of other origins and other names of this machine are refused', async () => {
    const { endpoint } = await open();
    expect(new URL(endpoint.url).hostname).toBe('127.0.0.1');
    const foreign = await fetch(`${endpoint.url}/stats`, { headers: { origin: 'https://elsewhere.example' } });
    expect([foreign.status, foreign.headers.get('access-control-allow-origin')]).toEqual([403, null]);
  });
});
