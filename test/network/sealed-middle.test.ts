// What a proxy can see of sealed requests (nothing of prompt and answer), and what comes of everything that it may change on the way.
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createKeyRing } from '../../src/seal/key-ring.ts';
import { decodeKeyRecord } from '../../src/seal/key-record.ts';
import { toHex } from '../../src/core/bytes.ts';
import { signerOfSeed } from '../../src/chain/ed25519.ts';
import { EngineError } from '../../src/core/errors.ts';
import { SealError } from '../../src/seal/errors.ts';
import { startMiddleProxy } from '../fakes/middle-proxy.ts';
import { ask, startTestNetwork, until } from '../fakes/network.ts';
import type { Asked, TestClientOptions, TestNetwork, TestNode, TestNodeOptions } from '../fakes/network.ts';
import type { Meddling, MiddleProxy } from '../fakes/middle-proxy.ts';

let network: TestNetwork;
let middle: MiddleProxy;
let nodes: TestNode[];

beforeEach(async () => {
  network = await startTestNetwork({ nodes: [] });
  middle = await startMiddleProxy(network);
  nodes = [];
});
afterEach(async () => {
  await middle.close();
  await network.close();
});

async function startNode(options: TestNodeOptions = {}): Promise<TestNode> {
  const node = await network.startNode({ wait: false, ...options });
  await node.ready;
  nodes.push(node);
  await until(() => middle.nodes.length === nodes.length && (options.versions !== undefined || middle.keys.length >= nodes.length));
  return node;
}

/** Texts that occur nowhere else. */
const PROMPT = randomBytes(24).toString('hex');
const PIECES = Array.from({ length: 8 }, () => randomBytes(12).toString('hex'));
const RUN_BYTES = 6;

/** Runs of `text` that are in what the proxy has seen. */
function runsSeen(seen: readonly Uint8Array[], text: string): number {
  const all = Buffer.concat(seen.flatMap((each) => [each, Uint8Array.of(0)]));
  return Array.from({ length: text.length - RUN_BYTES + 1 }, (_, at) => text.slice(at, at + RUN_BYTES)).filter((run) => all.includes(run)).length;
}

describe('a proxy that records everything it can see', () => {
  it('never holds a run of prompt or answer of a sealed request; of a plain one it holds all', async () => {
    await startNode({ engine: { pieces: PIECES, pieceDelayMs: 25 } });
    const question = { prompt: PROMPT, system: `system ${PROMPT}` };
    expect((await ask(await network.connect({ seal: 'require' }), question)).answer?.text).toBe(PIECES.join(''));
    expect(middle.runs).toHaveLength(1);
    expect(runsSeen(middle.seen, PROMPT)).toBe(0);
    for (const piece of PIECES) expect(runsSeen(middle.seen, piece)).toBe(0);
    // What it does see.
    expect(middle.runs[0]).toMatchObject({ model: 'instant', maxTokens: 10_000, maxCoefficient: 4_000 });
    // The search finds what is there.
    expect((await ask(await network.connect({ seal: 'off' }), question)).answer?.text).toBe(PIECES.join(''));
    expect(runsSeen(middle.seen, PROMPT)).toBe(PROMPT.length - RUN_BYTES + 1);
    for (const piece of PIECES) expect(runsSeen(middle.seen, piece)).toBe(piece.length - RUN_BYTES + 1);
  });

  it('nor of a refusal, nor of the failure of an engine', async () => {
    await startNode({ engine: { pieces: PIECES, failAt: { piece: 3, error: new EngineError('E_ENGINE', 'the engine broke') } } });
    const proxy = await network.connect({ seal: 'require' });
    const failed = await ask(proxy, { prompt: PROMPT });
    expect(failed).toMatchObject({ answer: null, error: { code: 'E_ENGINE', message: expect.stringContaining('the engine broke') } });
    expect(runsSeen(middle.seen, 'the engine broke')).toBe(0);
    await ask(proxy, { prompt: PROMPT, stop: Array.from({ length: 9 }, () => PROMPT) });
    expect(runsSeen(middle.seen, PROMPT)).toBe(0);
    for (const piece of PIECES) expect(runsSeen(middle.seen, piece)).toBe(0);
  });
});

/** Asks through a proxy that meddles. Nothing that came of it may look complete. */
async function meddled(meddling: Meddling, client: TestClientOptions = {}): Promise<Asked> {
  const proxy = await network.connect({ seal: 'require', ...client });
  await proxy.session.sealTargets('instant');
  middle.meddling = meddling;
  return ask(proxy, { prompt: PROMPT }, { timeoutMs: 3_000 });
}

/** One bit changed in the middle. */
function flipped(bytes: Uint8Array): Uint8Array {
  const changed = Uint8Array.from(bytes);
  changed[changed.byteLength >> 1] = (changed[changed.byteLength >> 1] ?? 0) ^ 1;
  return changed;
}

describe('a proxy that changes answers', () => {
  const held: Uint8Array[] = [];
  const cases: readonly [string, Meddling][] = [
    ['changes a bit', { parts: (bytes, index) => [index === 2 ? flipped(bytes) : bytes] }],
    ['changes the first bytes', { parts: (bytes, index) => [index === 0 ? flipped(bytes) : bytes] }],
    ['changes the last bytes', { parts: (bytes, _, isLast) => [isLast ? flipped(bytes) : bytes] }],
    ['drops a chunk', { parts: (bytes, index) => (index === 2 ? [] : [bytes]) }],
    ['repeats a chunk', { parts: (bytes, index) => (index === 2 ? [bytes, bytes] : [bytes]) }],
    ['swaps two chunks', { parts: (bytes, index) => (index === 2 ? (held.push(bytes), []) : [bytes, ...held.splice(0)]) }],
    ['cuts the end off', { parts: (bytes, _, isLast) => (isLast ? [] : [bytes]) }],
    ['cuts within a chunk', { parts: (bytes, index, isLast) => (isLast ? [] : [index === 3 ? bytes.subarray(0, 40) : bytes]) }],
    ['adds something behind the end', { parts: (bytes, _, isLast) => (isLast ? [bytes, Buffer.alloc(80)] : [bytes]) }],
    ['sends nothing of it', { parts: () => [] }],
  ];
  it.each(cases)('%s: the answer never looks complete', async (_name, meddling) => {
    await startNode({ engine: { pieces: PIECES, pieceDelayMs: 25 } });
    const { answer, error, pieces } = await meddled(meddling);
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_SEAL', exitCode: 5 });
    // What came before the change was right.
    expect(PIECES.join('').startsWith(pieces.join(''))).toBe(true);
  });

  it('passes parts on joined and cut anew: nothing is lost', async () => {
    await startNode({ engine: { pieces: PIECES, pieceDelayMs: 25 } });
    let rest: Uint8Array = new Uint8Array(0);
    const { answer, error } = await meddled({
      parts(bytes, _, isLast) {
        rest = Buffer.concat([rest, bytes]);
        if (!isLast && rest.byteLength < 700) return [];
        const all = rest;
        rest = new Uint8Array(0);
        return [all.subarray(0, 5), all.subarray(5, 300), all.subarray(300)];
      },
    });
    expect(error).toBeNull();
    expect(answer?.text).toBe(PIECES.join(''));
  });

  it('splices the answer to another request in: it does not open', async () => {
    await startNode({ engine: { pieces: PIECES } });
    const first: Uint8Array[] = [];
    await meddled({ parts: (bytes) => (first.push(bytes), [bytes]) });
    const { answer, error } = await meddled({ parts: (_, index) => first.slice(index, index + 1) });
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_SEAL' });
  });

  it('bills more than the node has counted: E_OVERBILLED; less is agreed to', async () => {
    await startNode();
    const more = await meddled({ info: (info) => ({ ...info, tokens: { ...info.tokens, prompt: info.tokens.prompt + 1n, total: info.tokens.total + 1n } }) });
    expect(more.answer).toBeNull();
    expect(more.error).toMatchObject({ code: 'E_OVERBILLED', exitCode: 13 });
    const less = await meddled({ info: (info) => ({ ...info, tokens: { ...info.tokens, total: info.tokens.total - 1n } }) });
    expect(less.answer?.charged.total).toBe(3n);
  });
});

describe('a proxy that changes requests', () => {
  const cases: readonly [string, Meddling][] = [
    ['the model', { run: (run) => ({ ...run, model: 'larger' }) }],
    ['the limit of tokens', { run: (run) => ({ ...run, maxTokens: run.maxTokens + 1 }) }],
    ['the limit of the price', { run: (run) => ({ ...run, maxCoefficient: 9_000 }) }],
    ['the time limit', { run: (run) => ({ ...run, timeoutMs: 60_000 }) }],
    ['the time', { run: (run) => ({ ...run, timestampMs: run.timestampMs + 1 }) }],
    ['the request id', { run: (run) => ({ ...run, requestId: randomBytes(32) }) }],
    ['the client', { run: (run) => ({ ...run, clientContract: `${run.clientContract}x` }) }],
    ['the version of the parameters', { run: (run) => ({ ...run, paramsVersion: 7 }) }],
    ['the suite', { run: (run) => ({ ...run, suite: { ...run.suite, aead: 3 } }) }],
    ['a bit of what is sealed', { run: (run) => ({ ...run, sealed: flipped(run.sealed) }) }],
    ['a bit of the encapsulation', { run: (run) => ({ ...run, enc: flipped(run.enc) }) }],
    ['the length of what is sealed', { run: (run) => ({ ...run, sealed: run.sealed.subarray(0, run.sealed.byteLength - 1) }) }],
  ];
  it.each(cases)('%s: the node refuses, and its engine is not asked', async (_name, meddling) => {
    const node = await startNode();
    const { answer, error } = await meddled(meddling);
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_SEAL', message: expect.stringContaining('did not get the request as it was sealed') });
    expect(node.engine.requests).toHaveLength(0);
  });

  it.each<[string, Meddling]>([
    ['the price beyond the node\'s own', { hop: (request) => ({ ...request, coefficient: 1_001 }) }],
    ['the key', { run: (run) => ({ ...run, keyId: randomBytes(16) }) }],
  ])('%s: another node would be asked, and here there is none', async (_name, meddling) => {
    const node = await startNode();
    expect(await meddled(meddling)).toMatchObject({ answer: null, error: { code: 'E_NO_NODE' } });
    expect(node.engine.requests).toHaveLength(0);
  });

  it('a request sent again is refused by the node, whenever it comes', async () => {
    const node = await startNode();
    let refusal: unknown = null;
    const { answer } = await meddled({ after: async (again) => { refusal = await again().then(() => null, (error: unknown) => error); } });
    expect(answer?.text).toBe('Hello there.');
    await until(() => refusal !== null);
    expect(refusal).toMatchObject({ remoteCode: 621, remoteMessage: expect.stringContaining('sent before') });
    expect(node.engine.requests).toHaveLength(1);
  });

  it('another node than the one that was sealed to answers nothing', async () => {
    const first = await startNode();
    const second = await startNode();
    const { answer, error } = await meddled({ node: (keyId, links) => links.find((link) => toHex(link.peer.publicKey) !== keyOf(keyId)) });
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_NO_NODE' });
    expect([first.engine.requests.length, second.engine.requests.length]).toEqual([0, 0]);
  });
});

/** TLS key of the node whose key this is, in hexadecimal. */
const keyOf = (keyId: string): string =>
  toHex(middle.keys.map(({ record }) => decodeKeyRecord(record)).find((record) => toHex(record.keyId) === keyId)?.tlsPublicKey ?? new Uint8Array(0));

describe('a proxy that lies about nodes', () => {
  /** Asks with `meddling` from the first query on. */
  async function lied(meddling: Meddling, client: TestClientOptions = {}): Promise<Asked> {
    middle.meddling = meddling;
    return ask(await network.connect({ seal: 'require', ...client }), { prompt: PROMPT }, { timeoutMs: 3_000 });
  }

  /** A record that the proxy makes up, under a key that it can open. */
  async function ownRecord(): Promise<{ record: Uint8Array; signature: Uint8Array }> {
    const [key] = middle.keys;
    if (key === undefined) throw new Error('no key');
    const signer = signerOfSeed(randomBytes(32));
    const { keyId: _, suites: __, notBefore: ___, notAfter: ____, gpuEvidence, ...facts } = decodeKeyRecord(key.record);
    const ring = await createKeyRing({ facts: () => facts, vouch: async () => ({ gpuEvidence, voucher: undefined }), sign: (message) => signer.sign(message), nowS: Math.floor(Date.now() / 1000) });
    return ring.current().signed;
  }

  it('offers a key of its own under the node\'s evidence: refused, nothing is sent', async () => {
    await startNode();
    const made = await ownRecord();
    const { answer, error } = await lied({ offers: ([offer]) => (offer === undefined ? [] : [{ ...offer, ...made }]), key: (key) => ({ ...key, ...made }) });
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_NO_NODE' }); // the proxy knows no such key of its nodes
    const shown = await lied({ offers: ([offer]) => (offer === undefined ? [] : [{ ...offer, record: offer.record, signature: made.signature }]), key: (key) => ({ ...key, signature: made.signature }) });
    expect(shown.error).toBeInstanceOf(SealError);
    expect(middle.runs).toHaveLength(0);
  });

  it.each<[string, Meddling]>([
    ['the record of one node with the evidence of another', { key: (key) => middle.keys.find((other) => other !== key) ?? key }],
    ['the certificate of another node', { key: (key) => ({ ...key, certificate: middle.keys.find((other) => other !== key)?.certificate ?? key.certificate }) }],
    ['evidence that was made for another record', { key: (key) => ({ ...key, evidence: middle.keys.find((other) => other !== key)?.evidence ?? key.evidence }) }],
    ['a record with a bit changed', { offers: (offers) => offers.map((offer) => ({ ...offer, record: flipped(offer.record) })) }],
  ])('shows %s: refused, nothing is sent', async (_name, meddling) => {
    await startNode();
    await startNode();
    const { answer, error } = await lied(meddling);
    expect(answer).toBeNull();
    expect(error).not.toBeNull();
    expect(middle.runs).toHaveLength(0);
    expect(nodes.flatMap(({ engine }) => engine.requests)).toHaveLength(0);
  });

  it('offers a record that is over: refused, nothing is sent', async () => {
    await startNode();
    const later = { now: () => Date.now() + 3_600_000 };
    const { error } = await lied({}, { clock: later });
    expect(error).toMatchObject({ code: 'E_SEAL', message: expect.stringContaining('valid from') });
    expect(middle.runs).toHaveLength(0);
  });

  it('offers a node whose image the network does not list: refused by the client itself', async () => {
    await startNode();
    const { error } = await lied({}, { nodePolicy: { ...network.member.policy('worker'), imageHashes: [new Uint8Array(32).fill(9)] } });
    expect(error).toMatchObject({ exitCode: 5 });
    expect(middle.runs).toHaveLength(0);
  });

  it('hides the nodes, or the version: with require nothing is sent, with prefer it is said', async () => {
    const node = await startNode();
    const refused = await lied({ offers: () => [] });
    expect(refused.error).toMatchObject({ code: 'E_NO_SEAL', exitCode: 6 });
    expect(node.engine.requests).toHaveLength(0);
    const said: string[] = [];
    const preferred = await lied({ offers: () => [] }, { seal: 'prefer', unsealed: (why) => said.push(why) });
    expect(preferred.answer?.text).toBe('Hello there.');
    expect(preferred.answer?.proof ?? null).toBeNull();
    expect(said).toEqual([expect.stringContaining('has told the proxy a key')]);

    await middle.close();
    middle = await startMiddleProxy(network, { versions: { min: 0, max: 7 } });
    await until(() => middle.nodes.length === 1);
    expect((await lied({})).error).toMatchObject({ code: 'E_NO_SEAL', message: expect.stringContaining('version 7') });
    said.length = 0;
    expect((await lied({}, { seal: 'prefer', unsealed: (why) => said.push(why) })).answer?.text).toBe('Hello there.');
    expect(said).toEqual([expect.stringContaining('version 7')]);
  });

  it('fails sealed requests until the client gives up: they are never sent plain, also with prefer', async () => {
    const node = await startNode();
    const { error } = await lied({ node: () => { throw new Error('busy'); } }, { seal: 'prefer', unsealed: () => { throw new Error('went plain'); } });
    expect(error).not.toBeNull();
    expect(node.engine.requests).toHaveLength(0);
    expect(runsSeen(middle.seen, PROMPT)).toBe(0);
  });
});
