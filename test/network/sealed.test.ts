// Requests sealed to one node through a whole network over loopback: what the application sees is what it would see in the clear.
import { afterEach, describe, expect, it } from '@jest/globals';
import { decodeAnswerReceipt, verifyAnswerReceipt } from '../../src/seal/receipt.ts';
import { toHex } from '../../src/core/bytes.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import { EngineError } from '../../src/core/errors.ts';
import { ask, startTestNetwork } from '../fakes/network.ts';
import type { AnswerEvent, AskRequest } from '../../src/wire/client-session.ts';
import type { ConnectedProxy } from '../../src/client/connect.ts';
import type { TestNetwork } from '../fakes/network.ts';

let network: TestNetwork;
afterEach(() => network.close());

const queryOf = (body: object, { path = '/v1/chat/completions', headers = {} }: { path?: string; headers?: Record<string, string> } = {}): Uint8Array => encodeBoxed({
  _: 'http.request', method: 'POST', url: path, http_version: 'HTTP/1.1', headers: Object.entries(headers).map(([name, value]) => ({ _: 'http.header', name, value })),
  payload: Buffer.from(JSON.stringify(body)),
});
const CHAT = { model: 'instant', messages: [{ role: 'user', content: 'hi' }] };

async function until(test: () => boolean | Promise<boolean>, withinMs = 20_000): Promise<void> {
  for (const end = performance.now() + withinMs; !(await test());) {
    if (performance.now() > end) throw new Error('never became true');
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

/** Everything that comes of one request, and its error. */
async function events({ session }: ConnectedProxy, request: Partial<AskRequest> = {}): Promise<{ events: AnswerEvent[]; body: string; status: number | null; error: unknown }> {
  const seen: AnswerEvent[] = [];
  let error: unknown = null;
  try {
    for await (const event of session.ask({ model: 'instant', query: queryOf(CHAT), maxCoefficient: 4_000, maxTokens: 100, timeoutMs: 20_000, ...request })) {
      seen.push(event.kind === 'part' ? { kind: 'part', bytes: event.bytes.slice() } : event);
    }
  } catch (thrown) {
    error = thrown;
  }
  const body = Buffer.concat(seen.flatMap((event) => (event.kind === 'part' ? [event.bytes] : []))).toString();
  const head = seen.find((event) => event.kind === 'head');
  return { events: seen, body, status: head?.kind === 'head' ? head.head.status : null, error };
}

describe('network: sealed requests', () => {
  it('askChat: streams as in the clear, with charges, and the proof of who answered', async () => {
    network = await startTestNetwork({ nodes: [] });
    const node = await network.startNode({ engine: { pieces: ['Hello', ' there', '.'], pieceDelayMs: 30 } });
    const proxy = await network.connect({ seal: 'require' });
    const { pieces, answer, error } = await ask(proxy, { prompt: 'one two three', system: 'be kind', seed: 3, maxTokens: 9 });
    expect(error).toBeNull();
    expect(pieces).toEqual(['Hello', ' there', '.']);
    expect(answer).toMatchObject({ text: 'Hello there.', finishReason: 'stop', charged: { prompt: 5n, cached: 0n, completion: 3n, total: 8n } });
    expect(answer?.timing.proxy?.startedAt).toBeGreaterThan(1e9);
    expect(node.engine.requests).toMatchObject([{ seed: 3, maxTokens: 9 }]);
    const { events: all } = await events(proxy);
    const end = all.at(-1);
    if (end?.kind !== 'end' || end.proof?.scheme !== 'cocoon-1' || end.proof.receipt === null) throw new Error('no proof');
    expect(toHex(end.proof.node.tlsPublicKey)).toBe(toHex(node.tlsPublicKey));
    expect(end.proof.node.evidence).toBe('simulated');
    const receipt = decodeAnswerReceipt(end.proof.receipt);
    expect(verifyAnswerReceipt(receipt)).toMatchObject({ model: 'instant@test:0', root: '' });
    expect(receipt.receipt).toMatchObject({ coefficient: 1_000, usage: end.info.tokens });
  });

  it('session.ask: a document, and a refusal of the node, come sealed too', async () => {
    network = await startTestNetwork();
    const proxy = await network.connect({ seal: 'require' });
    expect(await events(proxy)).toMatchObject({ status: 200, error: null, body: expect.stringContaining('Hello there.') });
    expect(await events(proxy, { query: queryOf({ ...CHAT, temperature: 'hot' }) })).toMatchObject({ status: 400, error: null, body: expect.stringContaining('temperature') });
    expect(await events(proxy, { query: queryOf(CHAT, { path: '/v1/other' }) })).toMatchObject({ status: 404, error: null });
  });

  it('session.ask: a warm session asks nobody before it sends', async () => {
    network = await startTestNetwork();
    const proxy = await network.connect({ seal: 'require' });
    const targets = await proxy.session.sealTargets('instant');
    expect(targets).toMatchObject([{ model: 'instant@test:0', suite: 'X-Wing, AES-128-GCM', coefficient: 1_000, running: 0, capacity: 4 }]);
    expect(await events(proxy)).toMatchObject({ status: 200, error: null });
  });

  it('session.ask: a node that is busy, or has gone, is replaced before the first byte, with a fresh seal', async () => {
    network = await startTestNetwork({ nodes: [] });
    const busy = await network.startNode({ engine: { failAt: { piece: 0, error: new EngineError('E_ENGINE_BUSY', 'queue is full') } } });
    const free = await network.startNode();
    const proxy = await network.connect({ seal: 'require' });
    await until(async () => (await proxy.session.sealTargets('instant')).length === 2);
    for (let round = 0; round < 4; round += 1) expect(await events(proxy)).toMatchObject({ status: 200, error: null, body: expect.stringContaining('Hello there.') });
    expect(free.engine.requests).toHaveLength(4);
    await busy.close();
    for (let round = 0; round < 2; round += 1) expect(await events(proxy)).toMatchObject({ status: 200, error: null });
    expect(free.engine.requests).toHaveLength(6);
  });

  it('session.ask: when every node is busy the last one\'s answer is passed on', async () => {
    network = await startTestNetwork({ nodes: [{ engine: { failAt: { piece: 0, error: new EngineError('E_ENGINE_BUSY', 'queue is full') } } }] });
    expect(await events(await network.connect({ seal: 'require' }))).toMatchObject({ status: 503, error: null, body: expect.stringContaining('queue is full') });
  });

  it('session.ask: a failure after the first byte is not taken to another node', async () => {
    network = await startTestNetwork({ nodes: [{ engine: { failAt: { piece: 1, error: new EngineError('E_ENGINE', 'it broke') }, pieceDelayMs: 30 } }] });
    const { status, error } = await events(await network.connect({ seal: 'require' }), { query: queryOf({ ...CHAT, stream: true }) });
    expect(status).toBe(200);
    expect(error).toMatchObject({ code: 'E_REMOTE', remoteMessage: expect.stringContaining('it broke') });
  });

  it('session.ask: the limit is the node\'s to keep, of all answers together', async () => {
    network = await startTestNetwork({ nodes: [] });
    const node = await network.startNode();
    const proxy = await network.connect({ seal: 'require' });
    await events(proxy, { maxTokens: 7 });
    await events(proxy, { maxTokens: 7, query: queryOf({ ...CHAT, max_tokens: 900 }) });
    await events(proxy, { maxTokens: 7, query: queryOf({ ...CHAT, max_tokens: 5 }) });
    expect(node.engine.requests.map(({ maxTokens }) => maxTokens)).toEqual([7, 7, 5]);
  });

  it('session.ask: only the node that is named, or a TEE of the kind that is asked for', async () => {
    network = await startTestNetwork({ nodes: [] });
    const [first, second] = [await network.startNode(), await network.startNode()];
    const proxy = await network.connect({ seal: 'require' });
    await until(async () => (await proxy.session.sealTargets('instant')).length === 2);
    for (let round = 0; round < 3; round += 1) await events(proxy, { target: { node: toHex(second.tlsPublicKey).slice(0, 12) } });
    expect([first.engine.requests.length, second.engine.requests.length]).toEqual([0, 3]);
    expect((await events(proxy, { target: { node: 'ffffffffffff' } })).error).toMatchObject({ remoteCode: 651, remoteMessage: expect.stringContaining('ffffffffffff') });
    expect((await events(proxy, { target: { tee: 'any-tee' } })).error).toMatchObject({ remoteCode: 651 });
    const plain = await network.connect({ seal: 'off' });
    expect((await events(plain, { target: { tee: 'tdx' } })).error).toMatchObject({ code: 'E_REQUEST' });
    expect((await events(plain)).status).toBe(200);
  });

  it('session.ask: unknown models, prices and nodes that are not there are told as in the clear', async () => {
    network = await startTestNetwork();
    const proxy = await network.connect({ seal: 'require' });
    expect((await events(proxy, { model: 'nobody' })).error).toMatchObject({ remoteCode: 621, remoteMessage: 'unknown model nobody' });
    expect((await events(proxy, { maxCoefficient: 999 })).error).toMatchObject({ remoteCode: 651, remoteMessage: 'can run this query with coefficient=1000' });
    await network.startNode({ model: 'without', sealing: false });
    expect((await events(proxy, { model: 'without' })).error).toMatchObject({ code: 'E_NO_SEAL' });
  });

  it('session.ask: a client that leaves cancels at the node', async () => {
    network = await startTestNetwork({ nodes: [] });
    const node = await network.startNode({ engine: { pieces: Array.from({ length: 1_000 }, () => 'word '), pieceDelayMs: 25 } });
    const { session } = await network.connect({ seal: 'require' });
    for await (const event of session.ask({ model: 'instant', query: queryOf({ ...CHAT, stream: true }), maxCoefficient: 4_000, maxTokens: 1_000, timeoutMs: 5_000 })) {
      if (event.kind === 'part') break;
    }
    await until(() => node.engine.cancelled === 1 && node.engine.running === 0);
  });
});
