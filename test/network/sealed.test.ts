// Requests sealed to one node through a whole network over loopback: what the application sees is what it would see in the clear.
import { afterEach, describe, expect, it } from '@jest/globals';
import { decodeAnswerReceipt, verifyAnswerReceipt } from '../../src/seal/receipt.ts';
import { toHex } from '../../src/core/bytes.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
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

/** Everything that comes of one request, and its error. */
async function events({ session }: ConnectedProxy, request: Partial<AskRequest> = {}): Promise<{ events: AnswerEvent[]; body: string; status: number | null; error: unknown }> {
  const seen: AnswerEvent[] = [];
  let error: unknown = null;
  try {
    for await (const event of session.ask({ model: 'instant', query: queryOf(CHAT), maxCoefficient: 4_000, maxTokens: 100, timeoutMs: 5_000, ...request })) {
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
});
