// The network's own prompt encryption between our client and our node, behind a proxy that holds the network's private keys; and our
// own proxy, which holds none.
import { randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { usableKey } from '../../src/client/v1-request.ts';
import { publicKeyOf } from '../../src/seal/v1/keys.ts';
import { sealObject } from '../../src/seal/v1/object.ts';
import { decodeBoxed, encodeBoxed } from '../../src/wire/tl/codec.ts';
import { fromHex } from '../../src/core/bytes.ts';
import { startMiddleProxy } from '../fakes/middle-proxy.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import type { MiddleProxy } from '../fakes/middle-proxy.ts';
import type { TestNetwork, TestNode } from '../fakes/network.ts';
import type { V1Key } from '../../src/client/v1-request.ts';

const SEED = new Uint8Array(randomBytes(32));
const KEY = publicKeyOf(SEED);
const later = (): number => Math.floor(Date.now() / 1000) + 86_400;
const keys = (): V1Key[] => [{ publicKey: KEY, keyType: 1, expireAt: later() }];
const PIECES = ['Grüße', ' an', ' alle 🙂', '.'];

let network: TestNetwork;
let middle: MiddleProxy | null = null;
afterEach(async () => {
  await middle?.close();
  middle = null;
  await network.close();
});

/** A proxy of the network's version 4 that has the private key. */
async function older(): Promise<{ readonly proxy: MiddleProxy; readonly node: TestNode }> {
  network = await startTestNetwork({ nodes: [] });
  const proxy = middle = await startMiddleProxy(network, { versions: { min: 0, max: 4 } });
  proxy.meddling = { hop: (request) => ({ ...request, privateKey: SEED }) };
  const node = await network.startNode({ wait: false, engine: { pieces: PIECES, pieceDelayMs: 25 } });
  await until(() => proxy.nodes.length === 1);
  return { proxy, node };
}

/** True when the proxy has seen this text. */
const hasSeen = ({ seen }: MiddleProxy, text: string): boolean => Buffer.concat(seen).includes(text);

describe('network: version 1 of the network\'s own encryption', () => {
  it('with prefer: used where nothing better is offered, said, opened by the node, and opened again here', async () => {
    const { proxy, node } = await older();
    const said: string[] = [];
    const client = await network.connect({ seal: 'prefer', unsealed: (why) => said.push(why), v1Keys: keys });
    const { answer, error, pieces } = await ask(client, { prompt: 'a secret question', system: 'be discreet' });
    expect(error).toBeNull();
    expect(answer).toMatchObject({ text: PIECES.join(''), finishReason: 'stop', proof: { scheme: 'v1', receipt: null, node: null } });
    expect(pieces.length).toBeGreaterThan(1); // as it is made
    expect(node.engine.requests).toMatchObject([{ prompt: { messages: [{ content: 'be discreet' }, { content: 'a secret question' }] } }]);
    expect(said).toEqual([expect.stringContaining('every attested proxy and node can open')]);
    for (const text of ['a secret question', 'be discreet', 'Grüße']) expect(hasSeen(proxy, text)).toBe(false);
    expect(hasSeen(proxy, 'ENC_')).toBe(true);
  });

  it('with prefer: a document and a refusal come sealed too', async () => {
    const { proxy } = await older();
    const client = await network.connect({ seal: 'prefer', v1Keys: keys });
    const document = async (body: object): Promise<unknown> => {
      const query = encodeBoxed({ _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1', headers: [{ _: 'http.header', name: 'Authorization', value: 'Bearer key of the app' }], payload: Buffer.from(JSON.stringify(body)) });
      const parts: Uint8Array[] = [];
      for await (const event of client.session.ask({ model: 'instant', query, maxCoefficient: 4_000, maxTokens: 100, timeoutMs: 5_000 })) {
        if (event.kind === 'part') parts.push(event.bytes.slice());
      }
      return JSON.parse(Buffer.concat(parts).toString());
    };
    expect(await document({ model: 'instant', messages: [{ role: 'user', content: 'hi' }] })).toMatchObject({ choices: [{ message: { content: PIECES.join('') } }] });
    expect(await document({ model: 'instant', messages: [{ role: 'user', content: 'hi' }], temperature: 'hot' })).toMatchObject({ error: { param: 'temperature' } });
    expect(hasSeen(proxy, 'key of the app')).toBe(false);
  });

  it('with require: it is not sealed to one node, so nothing is sent', async () => {
    const { proxy, node } = await older();
    const { error } = await ask(await network.connect({ seal: 'require', v1Keys: keys }), { prompt: 'a secret question' });
    expect(error).toMatchObject({ code: 'E_NO_SEAL' });
    expect(node.engine.requests).toHaveLength(0);
    expect(hasSeen(proxy, 'ENC_')).toBe(false);
  });

  it('never where our own is offered', async () => {
    network = await startTestNetwork();
    const { answer } = await ask(await network.connect({ seal: 'prefer', v1Keys: keys, unsealed: () => { throw new Error('went without'); } }), {});
    expect(answer?.proof?.scheme).toBe('cocoon-1');
  });

  it.each<[string, (text: string, index: number) => string]>([
    ['plain text in place of what is sealed', (text, index) => (index === 1 ? 'data: {"choices":[{"delta":{"content":"forged"}}]}\n\n' : text)],
    ['a part twice', (text, index) => (index === 1 ? text + text : text)],
    ['no last event', (text) => text.replace('data: [DONE]\n\n', '')],
    ['a part that another key has sealed', (text, index) => (index === 1 ? `data: ${JSON.stringify(sealObject({ choices: [] }, { seed: randomBytes(32), receiver: KEY, from: 'worker' }))}\n\n` : text)],
  ])('the client refuses %s', async (_name, change) => {
    const { proxy } = await older();
    proxy.meddling = { ...proxy.meddling, parts: (bytes, index) => [Buffer.from(change(Buffer.from(bytes).toString('utf8'), index))] };
    const { answer, error } = await ask(await network.connect({ seal: 'prefer', v1Keys: keys }), {});
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_SEAL' });
  });

  it.each<[string, (body: Record<string, unknown>) => object, Uint8Array | undefined, number, RegExp]>([
    ['no key comes with it', (body) => body, undefined, 602, /cannot find private key for an encrypted request/],
    ['another key comes with it', (body) => body, new Uint8Array(32).fill(3), 602, /public key mismatch/],
    ['a key comes with a plain request', () => ({ model: 'instant', messages: [] }), SEED, 602, /encryption key is provided, but request is unencrypted/],
    ['a field of the scheme is missing', (body) => Object.fromEntries(Object.entries(body).filter(([name]) => name !== 'encryption_nonce')), SEED, 602, /not all encryption-related fields/],
    ['the version is another', (body) => ({ ...body, is_encrypted: 'v2' }), SEED, 621, /bad encryption method/],
    ['a string is plain', (body) => ({ ...body, user: 'DEC_me' }), SEED, 621, /bad encryption method/],
  ])('the node refuses when %s', async (_name, change, privateKey, remoteCode, message) => {
    const { proxy, node } = await older();
    proxy.meddling = {
      hop(request) {
        const http = decodeBoxed(request.query);
        if (http._ !== 'http.request') throw new Error(http._);
        const payload = Buffer.from(JSON.stringify(change(JSON.parse(Buffer.from(http.payload).toString()) as Record<string, unknown>)));
        return { ...request, query: encodeBoxed({ ...http, payload }), ...(privateKey !== undefined && { privateKey }) };
      },
    };
    const client = await network.connect({ seal: 'prefer', v1Keys: keys });
    const { error } = await ask(client, {});
    expect(error).toMatchObject({ message: expect.stringMatching(message) });
    expect((error as Error & { cause?: { remoteCode?: number } }).cause ?? error).toMatchObject({ remoteCode });
    expect(node.engine.requests).toHaveLength(0);
  });

  it('our proxy holds no private keys', async () => {
    network = await startTestNetwork();
    const { session } = await network.connect();
    const query = encodeBoxed({ _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1', headers: [], payload: Buffer.from('{}') });
    const events = session.ask({ model: 'instant', query, maxCoefficient: 4_000, maxTokens: 10, timeoutMs: 5_000, publicKey: KEY });
    await expect(events.next()).rejects.toMatchObject({ remoteCode: 602, remoteMessage: expect.stringContaining('unknown public key') });
  });
});

describe('usableKey', () => {
  it('the latest of type 1 that outlasts the request; never the one whose private half is public', () => {
    const of = (byte: number, expireAt: number, keyType = 1): V1Key => ({ publicKey: new Uint8Array(32).fill(byte), keyType, expireAt });
    const test = { publicKey: fromHex('fb67d0fcd338f20e0d4957d9e82adc101d2e3513a448a3ab46052ee1b88c5818'), keyType: 1, expireAt: 2_000_000_000 };
    expect(usableKey([of(1, 1_000), of(2, 2_000), of(3, 3_000, 2), test], 900_000, 120_000)).toEqual(new Uint8Array(32).fill(2));
    expect(usableKey([of(1, 1_000), test], 900_000, 100_000)).toBeNull();
    expect(usableKey([], 0, 0)).toBeNull();
  });
});
