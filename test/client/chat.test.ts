// A chat over a scripted session: what is complete, and every way in which an answer can be less than that.
import { describe, expect, it } from '@jest/globals';
import { askChat, UnconstrainedError } from '../../src/client/chat.ts';
import { throughSession } from '../../src/client/one-session.ts';
import { NetworkError, RemoteError } from '../../src/core/errors.ts';
import { AnswerError } from '../../src/wire/answer.ts';
import { decodeBoxed } from '../../src/wire/tl/codec.ts';
import { HEAD, INFO, sha256, text } from '../fakes/session-ports.ts';
import type { Question } from '../../src/client/chat.ts';
import type { ConnectedProxy } from '../../src/client/connect.ts';
import type { AnswerEvent, AskRequest } from '../../src/wire/client-session.ts';

const chunk = (content: string, finish: string | null = null): string => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] })}\n\n`;
const USAGE = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 2, completion_tokens: 3, total_tokens: 5 } })}\n\n`;
const FINISH = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`;
const DONE = 'data: [DONE]\n\n';
const WHOLE = [chunk('Hel'), chunk('lo'), FINISH, USAGE, DONE].join('');

const head = (status = 200): AnswerEvent => ({ kind: 'head', head: { ...HEAD, status } });
const part = (body: string | Uint8Array): AnswerEvent => ({ kind: 'part', bytes: typeof body === 'string' ? text(body) : body });
const END: AnswerEvent = { kind: 'end', info: INFO };

/** What was yielded, and how it ended, for a session that gives these events and then throws or stops. */
async function ask(events: readonly AnswerEvent[], thrown?: unknown, question: Partial<Question> = {}) {
  let request: AskRequest | undefined;
  let left = false;
  const session = {
    async *ask(given: AskRequest) {
      request = given;
      try {
        yield* events;
        if (thrown !== undefined) throw thrown;
      } finally {
        left = true;
      }
    },
  };
  const pieces: string[] = [];
  const stream = askChat(throughSession({ session } as unknown as ConnectedProxy), { model: 'm', prompt: 'hi', maxTokens: 5, ...question }, { timeoutMs: 100, maxCoefficient: 7, signal: new AbortController().signal });
  try {
    for (;;) {
      const next = await stream.next();
      if (next.done === true) return { pieces, answer: next.value, error: null, request, left };
      pieces.push(next.value);
    }
  } catch (error) {
    return { pieces, answer: null, error, request, left };
  }
}

describe('askChat', () => {
  it('a whole answer: text, finish reason, usage, charges, times', async () => {
    const { pieces, answer } = await ask([head(), part(WHOLE), END]);
    expect(pieces).toEqual(['Hello']);
    expect(answer).toMatchObject({
      text: 'Hello', finishReason: 'stop', usage: { promptTokens: 2, completionTokens: 3 }, charged: INFO.tokens,
      timing: { proxy: INFO.proxyTimes, node: INFO.workerTimes },
    });
  });

  it('the same answer in single bytes, and with its beginning in the head', async () => {
    const bytes = text(WHOLE.replace('Hel', 'Grüß '));
    const single = await ask([head(), ...[...bytes].map((byte) => part(Uint8Array.of(byte))), END]);
    expect(single.answer?.text).toBe('Grüß lo');
    const early = await ask([{ kind: 'head', head: { ...HEAD, payload: bytes.subarray(0, 40) } }, part(bytes.subarray(40)), END]);
    expect(early.answer?.text).toBe('Grüß lo');
  });

  it('sends an OpenAI request that streams, with nothing that was not asked for', async () => {
    const sent = async (question: Partial<Question>): Promise<unknown> => {
      const { request } = await ask([], undefined, question);
      const http = decodeBoxed(request?.query ?? new Uint8Array(0));
      if (http._ !== 'http.request') throw new Error('no request');
      const named = question.conversation === undefined ? [] : ['X-Cocoon-Conversation'];
      expect([http.method, http.url, http.headers.map(({ name }) => name)]).toEqual(['POST', '/v1/chat/completions', ['Content-Type', 'Content-Length', ...named]]);
      return JSON.parse(Buffer.from(http.payload).toString());
    };
    expect(await sent({})).toEqual({ model: 'm', messages: [{ role: 'user', content: 'hi' }], stream: true, stream_options: { include_usage: true }, max_tokens: 5, max_completion_tokens: 5 });
    expect(await sent({ system: 's', temperature: 0, topP: 0.5, seed: 0, stop: ['x'] })).toMatchObject({
      messages: [{ role: 'system' }, { role: 'user' }], temperature: 0, top_p: 0.5, seed: 0, stop: ['x'],
    });
  });

  it('history, schema and conversation are sent where there are any', async () => {
    const history = [{ role: 'user', content: 'a' }, { role: 'assistant', content: 'b' }] as const;
    const { request } = await ask([], undefined, { system: 's', history, schema: { name: 'x', schema: { type: 'object' } }, conversation: 'c1' });
    const http = decodeBoxed(request?.query ?? new Uint8Array(0));
    if (http._ !== 'http.request') throw new Error('no request');
    expect(http.headers.at(-1)).toMatchObject({ name: 'X-Cocoon-Conversation', value: 'c1' });
    expect(JSON.parse(Buffer.from(http.payload).toString())).toMatchObject({
      messages: [{ role: 'system', content: 's' }, ...history, { role: 'user', content: 'hi' }],
      response_format: { type: 'json_schema', json_schema: { name: 'x', strict: true, schema: { type: 'object' } } },
    });
  });

  it('the whole answer says who passed it on, what a receipt speaks of, and what shows who answered', async () => {
    const proof = { scheme: 'v1', receipt: null, node: null } as const;
    const { answer, request } = await ask([head(), part(WHOLE.slice(0, 50)), part(WHOLE.slice(50)), { ...END, proof } as AnswerEvent]);
    const http = decodeBoxed(request?.query ?? new Uint8Array(0));
    expect(answer).toMatchObject({ proof, exchange: { answerHash: sha256(text(WHOLE)) } });
    expect(answer?.exchange.request).toEqual(http._ === 'http.request' ? http.payload : null);
    expect((await ask([head(), part(WHOLE), END])).answer?.proof).toBeNull();
  });

  it('a node that cannot constrain its answers refuses by name, and it is known as that', async () => {
    const refused = (message: string) => [head(400), part(JSON.stringify({ error: { message } })), END];
    const schema = { name: 'x', schema: {} };
    const { error } = await ask(refused("option 'response_format.type' in request: only \"text\" is supported"), undefined, { schema });
    expect(error).toBeInstanceOf(UnconstrainedError);
    expect(error).toMatchObject({ code: 'E_REQUEST' });
    expect((await ask(refused("option 'seed' in request"), undefined, { schema })).error).not.toBeInstanceOf(UnconstrainedError);
    expect((await ask(refused("option 'response_format'"))).error).not.toBeInstanceOf(UnconstrainedError);
  });

  const without = (piece: string): string => WHOLE.replace(piece, '');
  it.each<[string, readonly AnswerEvent[]]>([
    ['no end', [head(), part(WHOLE)]],
    ['nothing', []],
    ['a head only', [head()]],
    ['no body', [head(), END]],
    ['no [DONE]', [head(), part(without(DONE)), END]],
    ['no finish reason', [head(), part(without(FINISH)), END]],
    ['no usage', [head(), part(without(USAGE)), END]],
    ['an end inside an event', [head(), part(`${WHOLE}data: {"x`), END]],
    ['an end inside [DONE]', [head(), part(WHOLE.slice(0, -3)), END]],
  ])('%s is an incomplete answer, not an answer', async (_, events) => {
    const { answer, error } = await ask(events);
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_CLOSED', exitCode: 6 });
  });

  it('an end without a head breaks the protocol', async () => {
    expect((await ask([END])).error).toMatchObject({ code: 'E_PROTOCOL', exitCode: 6 });
  });

  it.each<[string, string | Uint8Array]>([
    ['garbage', 'data: {"choices":[}\n\n'],
    ['another document', 'data: {"object":"list"}\n\n'],
    ['an array', 'data: []\n\n'],
    ['several choices', `data: ${JSON.stringify({ choices: [{ delta: {} }, { delta: {} }] })}\n\n`],
    ['text that is a number', `data: ${JSON.stringify({ choices: [{ delta: { content: 5 } }] })}\n\n`],
    ['negative usage', `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: -1 } })}\n\n`],
    ['a gigantic usage', `data: ${JSON.stringify({ choices: [], usage: { completion_tokens: 1e300 } })}\n\n`],
    ['text after [DONE]', `${WHOLE}${chunk('more')}`],
    ['bytes that are not UTF-8', Uint8Array.of(0x64, 0xff, 0xfe)],
    ['an event without an end', `data: ${'x'.repeat(2 << 20)}`],
  ])('%s breaks the protocol', async (_, body) => {
    const { answer, error, left } = await ask([head(), part(chunk('a')), part(body), END]);
    expect(answer).toBeNull();
    expect(error).toMatchObject({ code: 'E_PROTOCOL', exitCode: 6 });
    expect(left).toBe(true); // the request is cancelled
  });

  it('an answer that does not end is stopped at its limit', async () => {
    const piece = chunk('y'.repeat(900_000));
    const { error } = await ask([head(), ...Array.from({ length: 20 }, () => part(piece)), END]);
    expect(error).toMatchObject({ code: 'E_PROTOCOL' });
  });

  it('an error event in the stream is the engine\'s', async () => {
    const { pieces, error } = await ask([head(), part(chunk('a')), part('data: {"error":{"message":"CUDA error","code":500}}\n\n'), END]);
    expect(pieces).toEqual(['a']);
    expect(error).toMatchObject({ code: 'E_ENGINE', exitCode: 10 });
  });

  it('a refusal: the status with and without a body, and of a huge one as much as is worth reading', async () => {
    const body = JSON.stringify({ error: { message: 'top_p is 7', code: null } });
    expect((await ask([head(400), part(body), END])).error).toMatchObject({ code: 'E_REQUEST', message: 'the node refused the request: top_p is 7' });
    expect((await ask([head(500), END])).error).toMatchObject({ code: 'E_ENGINE', message: 'the node failed: status 500' });
    const megabyte = new Uint8Array(1 << 20).fill(120);
    expect((await ask([head(400), ...Array.from({ length: 50 }, () => part(megabyte)), END])).error).toMatchObject({ message: 'the node refused the request: status 400' });
    expect((await ask([head(400), part(body)])).error).toMatchObject({ code: 'E_CLOSED' });
  });

  it('errors of the session: numbers of the protocol are explained, those of this side pass', async () => {
    const own = new NetworkError('E_TIMEOUT', 'late');
    expect((await ask([head(), part(chunk('a'))], own)).error).toBe(own);
    expect((await ask([], new AnswerError(621, 'unknown model m', null))).error).toMatchObject({ code: 'E_NOT_FOUND' });
    expect((await ask([head()], new RemoteError(602, 'engine is gone'))).error).toMatchObject({ code: 'E_ENGINE' });
    expect((await ask([], new RemoteError(602, 'client balance is too low'))).error).toMatchObject({ code: 'E_REMOTE' });
  });
});
