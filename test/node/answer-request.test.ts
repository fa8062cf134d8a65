// One request of a proxy at the node: what is refused before any work, and what a finished answer says.
import { describe, expect, it } from '@jest/globals';
import { EngineError, InterruptedError, NetworkError } from '../../src/core/errors.ts';
import { answerRequest } from '../../src/node/answer-request.ts';
import { UNIT_MULTIPLIERS } from '../../src/openai/token-price.ts';
import { encodeBoxed } from '../../src/wire/tl/codec.ts';
import { createInstantEngine } from '../fakes/instant-engine.ts';
import type { AnswerSink, FinalInfo, HttpHead } from '../../src/wire/answer.ts';
import type { WorkerRequest } from '../../src/wire/worker-session.ts';
import type { TokenMultipliers } from '../../src/openai/token-price.ts';
import type { InstantEngineOptions } from '../fakes/instant-engine.ts';

const query = (url: string, body: string): Uint8Array => encodeBoxed({ _: 'http.request', method: 'POST', url, http_version: 'HTTP/1.1', headers: [], payload: Buffer.from(body) });
const CHAT = query('/v1/chat/completions', '{"model":"instant","messages":[{"role":"user","content":"one two"}]}');

const STREAM = query('/v1/chat/completions', '{"model":"instant","stream":true,"messages":[{"role":"user","content":"one two"}]}');

async function answer(changes: Partial<WorkerRequest> = {}, engineOptions: InstantEngineOptions = {}, leaveAfterParts = Infinity, multipliers = (): TokenMultipliers => UNIT_MULTIPLIERS) {
  const engine = createInstantEngine(engineOptions);
  let now = 1_000_000;
  const seen: { head?: HttpHead; body: string; info?: FinalInfo; failure?: readonly [number, string]; parts: number } = { body: '', parts: 0 };
  const controller = new AbortController();
  const sink: AnswerSink = {
    head: async (head) => { seen.head = head; },
    part: async (bytes) => {
      seen.body += Buffer.from(bytes).toString();
      seen.parts += 1;
      if (seen.parts === leaveAfterParts) controller.abort(new InterruptedError('E_INTERRUPTED', 'request was cancelled'));
    },
    end: async (info, bytes = new Uint8Array(0)) => {
      seen.body += Buffer.from(bytes).toString();
      seen.info = info;
    },
    fail: async (code, message, info) => {
      seen.failure = [code, message];
      if (info !== undefined) seen.info = info;
    },
  };
  const request: WorkerRequest = { id: new Uint8Array(32), query: CHAT, signedPayment: null, coefficient: 1_500n, timeoutMs: 1_000, enableDebug: false, privateKey: null, ...changes };
  const deps = { engine, clock: { now: () => (now += 500) }, multipliers };
  const error = await answerRequest(deps, request, sink, controller.signal).then(() => null, (thrown: unknown) => thrown);
  return { ...seen, error, engine };
}

describe('answerRequest', () => {
  it('prices the engine\'s counts, and says when it began and ended', async () => {
    const { head, info, error } = await answer();
    expect(error).toBeNull();
    expect(head).toMatchObject({ status: 200, httpVersion: 'HTTP/1.1' });
    expect(head?.headers.map(({ name }) => name)).toEqual(['content-type', 'X-Cocoon-Continues', 'X-Cocoon-Worker-Start', 'X-Cocoon-Worker-End']);
    expect(info?.tokens).toEqual({ prompt: 3n, cached: 0n, completion: 4n, reasoning: 0n, total: 7n });
    expect(info?.workerTimes?.startedAt).toBe(1_000.5);
    expect(info?.workerTimes?.endedAt).toBeGreaterThan(1_000.5);
  });

  it.each<[string, Partial<WorkerRequest>, object]>([
    ['a negative price', { coefficient: -1n }, { remoteCode: 621 }],
    ['a price beyond all', { coefficient: 1_000_000_000n }, { remoteCode: 621 }],
    ['a key for a request that is not encrypted', { privateKey: new Uint8Array(32).fill(1) }, { remoteCode: 602 }],
    ['bytes that are no object', { query: new Uint8Array([1, 2, 3, 4]) }, { code: 'E_PROTOCOL' }],
    ['another object', { query: encodeBoxed({ _: 'http.header', name: 'a', value: 'b' }) }, { code: expect.stringMatching(/E_PROTOCOL|E_REMOTE/) }],
  ])('%s is refused before the engine is asked', async (_, changes, expected) => {
    const { error, engine, head } = await answer(changes);
    expect(error).toMatchObject(expected);
    expect([engine.requests.length, head]).toEqual([0, undefined]);
  });

  it('prices are those of the beginning: not known is refused before the engine is asked, not known any more changes nothing', async () => {
    const stale = (): never => { throw new NetworkError('E_CHAIN_STALE', 'seen too long ago'); };
    const refused = await answer({}, {}, Infinity, stale);
    expect([refused.error, refused.engine.requests.length, refused.head]).toEqual([expect.objectContaining({ code: 'E_CHAIN_STALE' }), 0, undefined]);
    let asked = 0;
    const { error, info } = await answer({}, {}, Infinity, () => (asked++ === 0 ? UNIT_MULTIPLIERS : stale()));
    expect([error, info?.tokens.total]).toEqual([null, 7n]);
  });

  it('what HTTP can say is an answer: refusals and failures before the head cost nothing', async () => {
    const missing = await answer({ query: query('/v1/nothing', '{}') });
    expect([missing.error, missing.head?.status, missing.info?.tokens.total]).toEqual([null, 404, 0n]);
    const broken = await answer({}, { failAt: { piece: 0, error: new EngineError('E_ENGINE', 'out of memory') } });
    expect([broken.error, broken.head?.status, broken.info?.tokens.total]).toEqual([null, 500, 0n]);
    expect(broken.body).toMatch(/out of memory/);
  });

  it('an engine that fails in mid-answer: the last message carries what it had counted', async () => {
    const { error, info, failure, body } = await answer({ query: STREAM }, { failAt: { piece: 2, error: new EngineError('E_ENGINE', 'out of memory') } });
    expect([error, failure]).toEqual([null, [602, 'out of memory']]);
    expect(info).toMatchObject({ tokens: { prompt: 3n, completion: 3n, total: 6n }, workerTimes: { startedAt: 1_000.5 } });
    expect(body).not.toMatch(/DONE/);
  });

  it('a request that is cancelled in mid-answer: the last message carries the counts at that moment', async () => {
    const pieces = Array.from({ length: 1_000 }, () => 'x');
    const { error, info, failure, engine, parts } = await answer({ query: STREAM, coefficient: 1_000n }, { pieces, pieceDelayMs: 30 }, 3);
    expect(error).toBeNull();
    expect(failure).toEqual([651, expect.stringMatching(/cancelled/)]);
    const completion = Number(info?.tokens.completion);
    expect(completion).toBeGreaterThanOrEqual(parts);
    expect(completion).toBeLessThan(20);
    expect(engine.running).toBe(0);
  });

  it('nothing delivered costs nothing: a plain answer that is cut before it was whole rejects without counts', async () => {
    const broken = await answer({}, { failAt: { piece: 2, error: new EngineError('E_ENGINE', 'out of memory') } });
    expect([broken.error, broken.head?.status, broken.info?.tokens.total]).toEqual([null, 500, 0n]);
  });

  it('headers of the request, the conversation\'s too, do not reach the engine', async () => {
    const headers = ['X-Cocoon-Conversation', 'Authorization'].map((name) => ({ _: 'http.header' as const, name, value: 'secret' }));
    const { engine, info } = await answer({ query: encodeBoxed({
      _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1', headers, payload: Buffer.from('{"model":"instant","messages":[{"role":"user","content":"one two"}]}'),
    }) });
    expect(info?.tokens.total).toBe(7n);
    expect(JSON.stringify(engine.requests)).not.toMatch(/secret/);
  });

  it('plain and streamed answers are counted alike', async () => {
    const [plain, streamed] = [await answer(), await answer({ query: STREAM })];
    expect(plain.info?.tokens).toEqual(streamed.info?.tokens);
    expect(streamed.info?.tokens.total).toBe(7n);
  });
});
