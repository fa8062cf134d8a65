// The engine over another server: a scripted one that streams, stalls, drops, lies about usage and sends what is malformed.
import { createServer } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { silentLog } from '../../../src/core/log.ts';
import { backendOrigin, openHttpEngine } from '../../../src/node/backend/http-engine.ts';
import { handleHttpRequest } from '../../../src/node/handlers.ts';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Engine, EngineEvent, EngineRequest } from '../../../src/node/engine.ts';
import type { HttpEngineOptions } from '../../../src/node/backend/http-engine.ts';

const never = new AbortController().signal;
const request: EngineRequest = { prompt: { kind: 'chat', messages: [{ role: 'user', content: 'one two' }] }, maxTokens: 16 };
const sse = (...events: readonly (object | string)[]): string => events.map((event) => `data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`).join('');
const piece = (content: string, finish_reason: string | null = null) => ({ choices: [{ index: 0, delta: { content }, finish_reason }] });
const usage = (prompt_tokens: number, completion_tokens: number) => ({ choices: [], usage: { prompt_tokens, completion_tokens } });
const whole = sse(piece('Hel'), piece('lo'), piece('', 'stop'), usage(5, 2), '[DONE]');

type Script = (request: IncomingMessage, response: ServerResponse, body: string) => void;
const servers: Server[] = [];
let engine: Engine | undefined;
const bodies: string[] = [];

afterEach(async () => {
  await engine?.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  engine = undefined;
});

/** A backend with one model that answers completions as the script does. */
async function open(script: Script, extra: Partial<HttpEngineOptions> = {}): Promise<Engine> {
  bodies.length = 0;
  const listening = createServer((incoming, response) => {
    let body = '';
    incoming.on('data', (part) => { body += String(part); });
    incoming.on('end', () => {
      bodies.push(body);
      if (incoming.url === '/v1/models') response.end(JSON.stringify({ data: [{ id: 'big', max_model_len: 4096 }] }));
      else script(incoming, response, body);
    });
  });
  servers.push(listening);
  await new Promise<void>((resolve) => { listening.listen(0, '127.0.0.1', resolve); });
  const address = listening.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  engine = await openHttpEngine({
    url: `http://127.0.0.1:${port}`, model: 'served', parallel: 2, queueLimit: 1, log: silentLog,
    times: { healthMs: 60_000, healthTimeoutMs: 2_000, firstByteMs: 2_000, stallMs: 300, retryMs: 10 }, ...extra,
  });
  return engine;
}

const answers = (text: string): Script => (_, response) => { response.writeHead(200, { 'content-type': 'text/event-stream' }).end(text); };

async function ask(asked: Engine, signal = never) {
  const events: EngineEvent[] = [];
  for await (const event of asked.complete(request, signal)) events.push(event);
  return { text: events.map((event) => (event.type === 'text' ? event.text : '')).join(''), last: events.at(-1), calls: events.filter(({ type }) => type === 'call') };
}

describe('openHttpEngine', () => {
  it('streams, asks for usage, and counts as the backend says', async () => {
    const asked = await open(answers(whole));
    expect(asked.info()).toMatchObject({ model: 'served', contextSize: 4096, sequences: 2, backend: 'remote' });
    await expect(ask(asked)).resolves.toMatchObject({ text: 'Hello', last: { reason: 'stop', usage: { promptTokens: 5, completionTokens: 2 } } });
    expect(JSON.parse(bodies.at(-1) ?? '')).toMatchObject({ model: 'big', stream: true, stream_options: { include_usage: true }, max_tokens: 16, messages: [{ role: 'user', content: 'one two' }] });
  });

  it('joins calls that come in pieces', async () => {
    const call = (index: number, fields: object) => ({ choices: [{ delta: { tool_calls: [{ index, function: fields }] } }] });
    const asked = await open(answers(sse(call(0, { name: 'look', arguments: '' }), call(0, { arguments: '{"a":' }), call(0, { arguments: '1}' }), piece('', 'tool_calls'), usage(1, 9), '[DONE]')));
    await expect(ask(asked)).resolves.toMatchObject({ calls: [{ call: { name: 'look', arguments: '{"a":1}' } }], last: { reason: 'tools' } });
  });

  it.each(['reasoning_content', 'reasoning'])('passes on what the model thinks (%s), apart from its answer, with its tokens', async (member) => {
    const thought = (text: string) => ({ choices: [{ index: 0, delta: { [member]: text }, finish_reason: null }] });
    const counted = { choices: [], usage: { prompt_tokens: 5, completion_tokens: 9, completion_tokens_details: { reasoning_tokens: 6 } } };
    const asked = await open(answers(sse(thought('Let me '), thought('see'), piece('Hello'), piece('', 'stop'), counted, '[DONE]')));
    const post = async (body: object) => {
      const parts: Uint8Array[] = [];
      let usage: object | null = null;
      const payload = new TextEncoder().encode(JSON.stringify({ model: 'served', messages: [{ role: 'user', content: 'a' }], ...body }));
      await handleHttpRequest({ method: 'POST', url: '/v1/chat/completions', headers: [], payload }, asked, never, {
        head: () => undefined,
        part: (bytes) => { parts.push(bytes); },
        end: (counts, bytes) => {
          parts.push(bytes);
          usage = counts;
        },
      });
      return { text: Buffer.concat(parts).toString(), usage };
    };
    const counts = { promptTokens: 5, cachedTokens: 0, completionTokens: 9, reasoningTokens: 6 };
    const whole = await post({});
    expect(whole.usage).toEqual(counts);
    expect(JSON.parse(whole.text)).toMatchObject({
      choices: [{ message: { role: 'assistant', content: 'Hello', reasoning_content: 'Let me see' }, finish_reason: 'stop' }],
      usage: { completion_tokens: 9, completion_tokens_details: { reasoning_tokens: 6 } },
    });
    const streamed = await post({ stream: true });
    expect(streamed.usage).toEqual(counts);
    const deltas = [...streamed.text.matchAll(/"delta":(\{[^}]*\})/g)].map(([, delta]) => JSON.parse(delta ?? '') as object);
    expect(deltas).toEqual([{ role: 'assistant', content: '' }, { reasoning_content: 'Let me ' }, { reasoning_content: 'see' }, { content: 'Hello' }, {}]);
    // An answer can be sent back as it came.
    const { message } = (JSON.parse(whole.text) as { choices: [{ message: object }] }).choices[0];
    await post({ messages: [{ role: 'user', content: 'a' }, message, { role: 'user', content: 'b' }] });
    expect(JSON.parse(bodies.at(-1) ?? '')).toMatchObject({ messages: [{}, { role: 'assistant', content: 'Hello', reasoning_content: 'Let me see' }, {}] });
  });

  it('refuses more reasoning than answer, and counts it by itself without usage', async () => {
    const thought = { choices: [{ delta: { reasoning_content: 'hmm' } }] };
    const lying = { choices: [], usage: { prompt_tokens: 1, completion_tokens: 2, completion_tokens_details: { reasoning_tokens: 3 } } };
    await expect(ask(await open(answers(sse(thought, piece('x', 'stop'), lying, '[DONE]'))))).rejects.toMatchObject({ code: 'E_ENGINE' });
    await engine?.close();
    const silent = await open((incoming, response, body) => (incoming.url === '/tokenize' ? response.writeHead(404).end() : answers(sse(thought, thought, piece('x', 'stop'), '[DONE]'))(incoming, response, body)));
    await expect(ask(silent)).resolves.toMatchObject({ last: { usage: { completionTokens: 3, reasoningTokens: 2 } } });
  });

  it('counts a broken answer by the last comment that its endpoint made', async () => {
    const asked = await open((_, response) => {
      response.writeHead(200).write(`${sse(piece('Hel'))}: tokens 7 2 4 1\n\n: ping\n\n`);
      setTimeout(() => response.destroy(), 50);
    });
    await expect(ask(asked)).rejects.toMatchObject({ code: 'E_ENGINE', usage: { promptTokens: 7, cachedTokens: 2, completionTokens: 4, reasoningTokens: 1 } });
  });

  it('counts by /tokenize without usage, and by pieces without that', async () => {
    const plain = sse(piece('Hel'), piece('lo'), piece('', 'stop'), '[DONE]');
    const counting = await open((incoming, response, body) => {
      if (incoming.url !== '/tokenize') answers(plain)(incoming, response, body);
      else response.end(JSON.stringify({ tokens: [...String((JSON.parse(body) as { content?: string }).content ?? '')].map(() => 1) }));
    });
    await expect(ask(counting)).resolves.toMatchObject({ last: { usage: { promptTokens: 7, completionTokens: 5 } } });
    await counting.close();
    const silent = await open((incoming, response, body) => (incoming.url === '/tokenize' ? response.writeHead(404).end() : answers(plain)(incoming, response, body)));
    await expect(ask(silent)).resolves.toMatchObject({ last: { usage: { promptTokens: 0, completionTokens: 2 } } });
  });

  it.each([
    ['more tokens than were allowed', sse(piece('x', 'stop'), usage(1, 17), '[DONE]')],
    ['a prompt of more tokens than it can have', sse(piece('x', 'stop'), usage(1_000_000, 1), '[DONE]')],
    ['negative tokens', sse(piece('x', 'stop'), usage(1, -1), '[DONE]')],
    ['an answer without its end', sse(piece('x', 'stop'), usage(1, 1))],
    ['an answer without its reason', sse(piece('x'), usage(1, 1), '[DONE]')],
    ['what is not JSON', 'data: {nonsense\n\n'],
    ['an error in the middle', sse(piece('x'), { error: { message: 'secret' } })],
    ['bytes that are not UTF-8', 'data: \xff\n\n'],
    ['a line without an end', `data: ${'x'.repeat(2 << 20)}`],
    ['calls that are no objects', sse({ choices: [{ delta: { tool_calls: [null, 1] } }] }, { choices: [{ delta: { tool_calls: [{ index: 7 }] } }] })],
    ['choices that are none', sse({ choices: 'a' }, { choices: [null] }, { choices: [{ delta: null }] }, '[DONE]')],
    ['more after the end', sse(piece('x', 'stop'), usage(1, 1), '[DONE]', piece('y'))],
  ])('fails for %s', async (_, text) => {
    const asked = await open((incoming, response, body) => (incoming.url === '/tokenize' ? response.writeHead(404).end() : answers(text)(incoming, response, body)));
    const error: unknown = await ask(asked).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'E_ENGINE' });
    expect(String((error as Error).message)).not.toContain('secret');
  });

  it('fails when the backend stalls or drops the connection in the middle, with what has come', async () => {
    const begin: Script = (incoming, response) => (incoming.url === '/tokenize' ? response.writeHead(404).end() : response.writeHead(200).write(sse(piece('Hel'))));
    await expect(ask(await open(begin))).rejects.toMatchObject({ code: 'E_ENGINE', usage: { completionTokens: 1 } });
    await engine?.close();
    const dropping = await open((incoming, response, body) => {
      begin(incoming, response, body);
      if (incoming.url !== '/tokenize') setTimeout(() => response.destroy(), 50);
    });
    await expect(ask(dropping)).rejects.toMatchObject({ code: 'E_ENGINE' });
  });

  it('asks again while nothing has come, and never after', async () => {
    let calls = 0;
    const asked = await open((incoming, response, body) => {
      calls += 1;
      if (calls < 3) incoming.socket.destroy();
      else answers(whole)(incoming, response, body);
    });
    await expect(ask(asked)).resolves.toMatchObject({ text: 'Hello' });
    expect(calls).toBe(3);
  });

  it('passes on what the backend refuses, and that it is busy', async () => {
    const refusing = (status: number, message: string): Script => (_, response) => { response.writeHead(status).end(JSON.stringify({ error: { message } })); };
    await expect(ask(await open(refusing(400, 'top_p is wrong')))).rejects.toMatchObject({ code: 'E_REQUEST', status: 400, message: 'the backend refuses the request: top_p is wrong' });
    await engine?.close();
    await expect(ask(await open(refusing(503, 'busy')))).rejects.toMatchObject({ code: 'E_ENGINE_BUSY' });
  });

  it.each([
    [429, {}, { 'retry-after': '30' }, { code: 'E_ENGINE_BUSY', status: 503, headers: { 'retry-after': '30' } }],
    [503, {}, { 'retry-after': 'tomorrow' }, { code: 'E_ENGINE_BUSY', status: 503, headers: { 'retry-after': '1' } }],
    [404, { error: { message: 'gone', code: 'model_not_found' } }, {}, { code: 'E_ENGINE_BUSY', status: 503 }],
    [404, {}, {}, { code: 'E_REQUEST', status: 400, message: 'the backend has no /v1/chat/completions for this model' }],
    [501, { error: { message: 'started with --embeddings', code: 501 } }, {}, { code: 'E_REQUEST', status: 400, reason: 'unsupported_value' }],
    [413, { error: { message: 'large' } }, {}, { code: 'E_REQUEST', status: 413, reason: 'request_too_large' }],
    [400, { error: { message: 'no', code: 'invalid_schema', param: 'tools.f.parameters' } }, {}, { code: 'E_REQUEST', status: 400, reason: 'invalid_schema', param: 'tools.f.parameters' }],
    [400, { error: { message: 'no', code: 400, param: 'ö' } }, {}, { code: 'E_REQUEST', reason: 'unsupported_value', param: undefined }],
    [400, { message: 'maximum context length is 10' }, {}, { code: 'E_REQUEST', reason: 'context_length_exceeded' }],
    [400, null, {}, { code: 'E_REQUEST', message: 'the backend refuses the request: it does not say why' }],
    [401, { error: { message: 'key' } }, {}, { code: 'E_ENGINE', message: 'the backend answered with status 401' }],
    [500, 'trace', {}, { code: 'E_ENGINE', message: 'the backend answered with status 500' }],
  ])('says what status %i with %j and %j means', async (status, document, headers, expected) => {
    const asked = await open((_, response) => { response.writeHead(status, headers).end(JSON.stringify(document)); });
    await expect(ask(asked)).rejects.toMatchObject(expected);
  });

  it('says by name that a backend makes no embeddings', async () => {
    const asked = await open((_, response) => { response.writeHead(501).end('{}'); });
    await expect(asked.embed(['a'], never)).rejects.toMatchObject({ code: 'E_REQUEST', status: 400, message: 'the backend has no /v1/embeddings for this model' });
  });

  it('holds a bound of its own, and stops the backend when its reader leaves', async () => {
    let closed = 0;
    const asked = await open((_, response) => {
      response.writeHead(200).write(sse(piece('x')));
      response.on('close', () => { closed += 1; });
    }, { parallel: 1, queueLimit: 0 });
    const reading = asked.complete(request, never)[Symbol.asyncIterator]();
    await reading.next();
    await expect(ask(asked)).rejects.toMatchObject({ code: 'E_ENGINE_BUSY' });
    await reading.return?.();
    for (let i = 0; i < 100 && closed === 0; i += 1) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(closed).toBe(1);
  });

  it('refuses a model that the backend has not', async () => {
    await expect(open(answers(whole), { backendModel: 'other' })).rejects.toMatchObject({ code: 'E_ENGINE', message: 'the backend has no model "other", but big' });
  });
});

describe('backendOrigin', () => {
  it('takes loopback, https and, where it is accepted, plain http', () => {
    expect(backendOrigin('http://127.0.0.1:8000/v1', false)).toBe('http://127.0.0.1:8000');
    expect(backendOrigin('https://gpu.example', false)).toBe('https://gpu.example');
    expect(backendOrigin('http://10.0.0.5:8000', true)).toBe('http://10.0.0.5:8000');
  });

  it.each(['http://10.0.0.5:8000', 'http://127.0.0.1.example', 'ftp://127.0.0.1', 'http://u:p@127.0.0.1', 'https://x/path', 'no url'])('refuses %s', (url) => {
    expect(() => backendOrigin(url, false)).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  });
});
