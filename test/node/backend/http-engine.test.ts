// The engine over another server: a scripted one that streams, stalls, drops, lies about usage and sends what is malformed.
import { createServer } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { silentLog } from '../../../src/core/log.ts';
import { backendOrigin, openHttpEngine } from '../../../src/node/backend/http-engine.ts';
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
