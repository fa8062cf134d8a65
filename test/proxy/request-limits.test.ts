// The limit that was reserved is what the node is told, whatever the body says.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ApiError } from '../../src/openai/errors.ts';
import { limitRequest } from '../../src/proxy/request-limits.ts';
import { decodeBoxed, encodeBoxed } from '../../src/wire/tl/codec.ts';

type Headers = readonly (readonly [string, string])[];
const request = (body: string | Uint8Array, { path = '/v1/chat/completions', method = 'POST', headers = [] }: { path?: string; method?: string; headers?: Headers } = {}): Uint8Array => encodeBoxed({
  _: 'http.request', method, url: path, http_version: 'HTTP/1.1', headers: headers.map(([name, value]) => ({ _: 'http.header', name, value })),
  payload: typeof body === 'string' ? new TextEncoder().encode(body) : body,
});
const bodyOf = (query: Uint8Array): string => {
  const http = decodeBoxed(query);
  if (http._ !== 'http.request') throw new Error(http._);
  return new TextDecoder().decode(http.payload);
};
const TEXT = { path: '/v1/completions' };

describe('limitRequest', () => {
  it.each<[string, string, number]>([
    ['one limit within the envelope', '{ "max_tokens" : 5, "z":1.50 }', 5],
    ['both, equal', '{"max_completion_tokens":5,"max_tokens":5}', 5],
    ['a limit equal to the envelope', '{"max_tokens":100}', 100],
  ])('%s: the bytes are the client\'s own', (_, body, limit) => {
    const query = request(body);
    const limited = limitRequest(query, 100);
    expect(limited.query).toBe(query);
    expect(limited).toMatchObject({ maxTokens: limit, bodyBytes: body.length, conversation: null, streamed: false });
  });

  it.each<[string, string, object, string, number]>([
    ['no limit at all is written (C++ clients send none)', '{"model":"m"}', {}, '{"model":"m","max_tokens":100,"max_completion_tokens":100}', 100],
    ['no limit in a completion', '{"prompt":"p"}', TEXT, '{"prompt":"p","max_tokens":100}', 100],
    ['null is no limit', '{"max_tokens":null}', {}, '{"max_tokens":100,"max_completion_tokens":100}', 100],
    ['a limit above the envelope is cut', '{"max_tokens":101}', TEXT, '{"max_tokens":100}', 100],
    ['max_completion_tokens alone binds engines that know max_tokens only', '{"max_completion_tokens":7,"a":[1]}', {}, '{"a":[1],"max_tokens":7,"max_completion_tokens":7}', 7],
    ['a low and a high limit are made one (WIRE-2026-04.md T22)', '{"max_completion_tokens":7,"max_tokens":90}', {}, '{"max_tokens":7,"max_completion_tokens":7}', 7],
    ['both above the envelope', '{"max_completion_tokens":700,"max_tokens":900}', {}, '{"max_tokens":100,"max_completion_tokens":100}', 100],
    ['numbers and escapes of the rest stay', '{"temperature":1.50,"big":12345678901234567890,"\\u0061":"\\u00e9"}', TEXT, '{"temperature":1.50,"big":12345678901234567890,"\\u0061":"\\u00e9","max_tokens":100}', 100],
  ])('%s', (_, body, options, expected, limit) => {
    const limited = limitRequest(request(body, options), 100);
    expect(bodyOf(limited.query)).toBe(expected);
    expect(limited.maxTokens).toBe(limit);
  });

  it('Content-Length follows the body, in whatever case; other headers stay', () => {
    const limited = limitRequest(request('{}', { headers: [['content-LENGTH', '2'], ['X-Other', 'a']] }), 9);
    const http = decodeBoxed(limited.query);
    if (http._ !== 'http.request') throw new Error(http._);
    expect(http.headers.map(({ name, value }) => [name, value])).toEqual([['content-LENGTH', String(http.payload.length)], ['X-Other', 'a']]);
  });

  it.each<[string, object, number]>([
    ['{"max_tokens":10,"n":3}', {}, 30],
    ['{"max_tokens":10,"n":2,"best_of":5}', TEXT, 50],
    ['{"max_tokens":10,"prompt":["a","b"],"n":2}', TEXT, 40],
    ['{"max_tokens":10,"prompt":[1,2,3]}', TEXT, 10],
    ['{"max_tokens":10,"prompt":[[1,2],[3]]}', TEXT, 20],
    ['{"max_tokens":10,"prompt":["a","b"]}', {}, 10],
  ])('the number of answers multiplies: %s', (body, options, expected) => {
    expect(limitRequest(request(body, options), 100).maxTokens).toBe(expected);
  });

  it('embeddings generate nothing: the body bounds what is read, and stays as it is', () => {
    const query = request('{"input":["a","b"]}', { path: '/v1/embeddings' });
    expect(limitRequest(query, 9)).toMatchObject({ query, maxTokens: 1, bodyBytes: 19, streamed: false });
  });

  it.each<[string, Uint8Array, number, object]>([
    ['no JSON', request('{"max_tokens":1'), 9, { status: 400 }],
    ['no object', request('[]'), 9, { status: 400 }],
    ['no UTF-8', request(new Uint8Array([0x7b, 0xff, 0x7d])), 9, { status: 400 }],
    ['a limit that appears twice', request('{"max_tokens":1,"max_\\u0074okens":1000000}'), 9, { status: 400 }],
    ['a negative limit', request('{"max_tokens":-1}'), 9, { status: 400, param: 'max_tokens' }],
    ['a limit of zero', request('{"max_completion_tokens":0}'), 9, { status: 400, param: 'max_completion_tokens' }],
    ['a limit that is no whole number', request('{"max_tokens":1.5}'), 9, { status: 400 }],
    ['a limit as text', request('{"max_tokens":"5"}'), 9, { status: 400 }],
    ['too many answers', request('{"n":1001}'), 9, { status: 400, param: 'n' }],
    ['too many answers in all', request('{"n":1000,"prompt":["a","b"]}', TEXT), 9, { status: 400, param: 'n' }],
    ['an envelope without a limit', request('{"max_tokens":5}'), 0, { status: 400 }],
    ['another path', request('{}', { path: '/v1/audio/speech' }), 9, { status: 404 }],
    ['another method', request('{}', { method: 'GET' }), 9, { status: 405, headers: { allow: 'POST' } }],
    ['another object', encodeBoxed({ _: 'http.header', name: 'a', value: 'b' }), 9, { status: 400 }],
  ])('refused: %s', (_, query, maxTokens, expected) => {
    let thrown: unknown;
    try {
      limitRequest(query, maxTokens);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ApiError);
    expect(thrown).toMatchObject(expected);
  });

  it('bytes that are no object of the schema are a protocol error', () => {
    expect(() => limitRequest(new Uint8Array([1, 2, 3, 4]), 9)).toThrow(expect.objectContaining({ code: 'E_PROTOCOL' }));
  });

  it.each<[string, string | null]>([['abc-123', 'abc-123'], ['x'.repeat(64), 'x'.repeat(64)], ['x'.repeat(65), null], ['', null], ['a\nb', null], ['é', null]])(
    'X-Cocoon-Conversation %j is read as %j', (value, expected) => {
      expect(limitRequest(request('{}', { headers: [['x-cocoon-CONVERSATION', value]] }), 9).conversation).toBe(expected);
    });

  it('whatever the body says, what is forwarded is bounded by the envelope', () => {
    const limit = fc.option(fc.integer({ min: 1, max: 2 ** 31 - 1 }), { nil: undefined });
    fc.assert(fc.property(limit, limit, fc.integer({ min: 1, max: 10_000 }), fc.boolean(), (tokens, completion, envelope, chat) => {
      const body = JSON.stringify({ max_tokens: tokens, max_completion_tokens: completion, a: 'b' });
      const limited = limitRequest(request(body, chat ? {} : TEXT), envelope);
      const { max_tokens: told, max_completion_tokens: alsoTold = told, a } = JSON.parse(bodyOf(limited.query)) as Record<string, unknown>;
      expect([told, alsoTold, a]).toEqual([limited.maxTokens, limited.maxTokens, 'b']);
      expect(limited.maxTokens).toBe(Math.min(completion ?? tokens ?? envelope, envelope));
    }));
  });
});
