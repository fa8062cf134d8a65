// Requests that survive what fails under them: other proxies, other nodes, second attempts, circuits, and answers that are taken up
// where they broke off, to the byte.
import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AttestationError, EngineError, NetworkError, PolicyError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { sleep } from '../../src/core/retry.ts';
import { isEnd } from '../../src/client/answer-body.ts';
import { continuedAnswer } from '../../src/client/continued.ts';
import { readCompletion } from '../../src/client/endpoint/completion-request.ts';
import { createBreakers } from '../../src/client/breakers.ts';
import { createFaultBoard } from '../../src/client/faults.ts';
import { createForwarder } from '../../src/client/forward.ts';
import { createPlaces } from '../../src/client/places.ts';
import { openSessionPool } from '../../src/client/session-pool.ts';
import { AnswerError } from '../../src/wire/answer.ts';
import { scriptedNode } from '../fakes/scripted-node.ts';
import { scriptedProxies } from '../fakes/scripted-proxies.ts';
import { until } from '../fakes/network.ts';
import type { AnswerBody } from '../../src/client/answer-body.ts';
import type { Continuation } from '../../src/client/continued.ts';
import type { Forwarder, ForwarderOptions, ForwardRequest } from '../../src/client/forward.ts';
import type { SessionPool } from '../../src/client/session-pool.ts';
import type { FinalInfo } from '../../src/wire/answer.ts';
import type { ScriptedNodeOptions } from '../fakes/scripted-node.ts';
import type { Script, ScriptedProxies, ScriptedRequest } from '../fakes/scripted-proxies.ts';

const TOKENS = { prompt: 1n, cached: 0n, completion: 2n, reasoning: 0n, total: 3n };
const lost = (): Error => new NetworkError('E_CLOSED', 'the connection ended before the answer was complete');
const nodeLost = (): Error => new AnswerError(651, 'connection to the worker closed before the answer was complete', { tokens: TOKENS });
const opened: SessionPool[] = [];

afterEach(async () => {
  for (const pool of opened.splice(0)) await pool.close();
});

interface World {
  readonly proxies: ScriptedProxies;
  readonly pool: SessionPool;
  readonly forwarder: Forwarder;
}

async function open(script: Script, { count = 1, ...options }: Partial<ForwarderOptions> & { count?: number } = {}): Promise<World> {
  const proxies = scriptedProxies({ script, count });
  const pool = openSessionPool({ connector: proxies, connectTimeoutMs: 1_000, log: silentLog, size: count });
  opened.push(pool);
  await until(() => pool.sessions().length === count);
  return { proxies, pool, forwarder: createForwarder({ pool, ...options }) };
}

const CHAT = { model: 'scripted', messages: [{ role: 'user', content: 'say it' }], stream: true, stream_options: { include_usage: true } };

function requestOf(body: object = CHAT, options: Partial<ForwardRequest> & { path?: '/v1/chat/completions' | '/v1/completions' } = {}): { request: ForwardRequest; resume: ReturnType<typeof readCompletion>['resume'] } {
  const { path = '/v1/chat/completions', ...others } = options;
  const read = readCompletion(path, new TextEncoder().encode(JSON.stringify(body)), { defaultMaxTokens: 1_000, maxTokens: 4_096 });
  return {
    resume: read.resume,
    request: { path, payload: read.payload, headers: [], model: 'scripted', maxTokens: read.maxTokens, maxCoefficient: 4_000, timeoutMs: 5_000, signal: new AbortController().signal, whole: !read.stream, ...others },
  };
}

async function read(body: AnswerBody): Promise<string> {
  const parts: Uint8Array[] = [];
  for (;;) {
    const piece = await body.next();
    if (isEnd(piece)) return Buffer.concat(parts).toString('utf8');
    parts.push(piece.slice());
  }
}

interface Chunk { id: string; created: number; choices: { delta?: { content?: string; role?: string }; text?: string; finish_reason: string | null }[]; usage?: { prompt_tokens: number; completion_tokens: number }; cocoon?: { continued: Continuation[] } }

const chunksOf = (text: string): Chunk[] => text.split('\n\n').filter((event) => event.startsWith('data: {')).map((event) => JSON.parse(event.slice(6)) as Chunk);
const textOf = (chunks: readonly Chunk[]): string => chunks.map(({ choices: [choice] }) => choice?.delta?.content ?? choice?.text ?? '').join('');

async function ask({ forwarder }: World, body: object = CHAT, options: Parameters<typeof requestOf>[1] = {}): Promise<{ text: string; continued: readonly Continuation[]; attempts: number }> {
  const { request, resume } = requestOf(body, options);
  const first = await forwarder.forward(request);
  const answer = continuedAnswer(forwarder, first, request, resume);
  return { text: await read(answer.body), continued: answer.continued, attempts: first.attempts };
}

/** A script that fails before anything. */
const throwing = (error: (request: ScriptedRequest) => Error): Script => async function* fail(request) {
  const thrown = error(request);
  if (thrown instanceof Error) throw thrown;
  yield {}; // a script is a generator
};

/** Breaks each request at the next of these pieces; then no more. */
function breaking(...at: number[]): NonNullable<ScriptedNodeOptions['breakAt']> {
  const left = [...at];
  return (_request, piece) => {
    if (piece !== left[0]) return null;
    left.shift();
    return lost();
  };
}

describe('continuedAnswer', () => {
  const PIECES = ['One', ' two', ' «thréé»', ' 四', ' 🦊', '\n\ndata: five', ' "six"', '\\', ' seven', '.'];
  const WHOLE = PIECES.join('');

  it('any break at any place in any chunking: the text is joined to the byte, under one id, with one end', async () => {
    await fc.assert(fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 12 }), { maxLength: 6 }), fc.integer({ min: 1, max: 4 }), fc.constantFrom(1, 3, 7, 40, Infinity), fc.integer({ min: 1, max: 3 }),
      async (breaks, together, cutEvery, count) => {
        const world = await open(scriptedNode({ pieces: PIECES, together, cutEvery, breakAt: breaking(...breaks.map((at) => at - (at % together))) }), {
          count, breakers: createBreakers(() => ({ failures: 100, openMs: 1, maxOpenMs: 1 })), sleep: async (_ms, signal) => sleep(1, signal),
        });
        const { text, continued } = await ask(world);
        const chunks = chunksOf(text);
        expect(textOf(chunks)).toBe(WHOLE);
        expect(new Set(chunks.map(({ id, created }) => `${id} ${created}`)).size).toBe(1);
        expect(text.match(/data: \[DONE\]/g)).toHaveLength(1);
        expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
        expect(chunks.filter(({ choices: [choice] }) => typeof choice?.finish_reason === 'string')).toHaveLength(1);
        expect(chunks.filter(({ choices: [choice] }) => choice?.delta?.role === 'assistant')).toHaveLength(1);
        for (const each of continued) expect(WHOLE.startsWith(WHOLE.slice(0, each.after))).toBe(true);
        await world.pool.close();
      },
    ), { numRuns: 40 });
  });

  it('an answer that nothing broke: byte for byte as the node gave it', async () => {
    const script = scriptedNode({ pieces: PIECES });
    const direct: string[] = [];
    const world = await open(async function* same(request) {
      for await (const event of script(request)) {
        if (event instanceof Uint8Array) direct.push(Buffer.from(event).toString('utf8'));
        yield event;
      }
    });
    expect((await ask(world)).text).toBe(direct.join(''));
  });

  it('says where it was taken up, by whose trouble, and what was billed; the request goes on behind what came', async () => {
    const settled: (FinalInfo | null)[] = [];
    const world = await open(scriptedNode({ pieces: PIECES, breakAt: (request, piece) => (request.text.includes('One two') || piece !== 2 ? null : nodeLost()) }));
    const cost = (): { settle(info: FinalInfo | null): void } => ({ settle: (info) => { settled.push(info); } });
    const { request, resume } = requestOf({ ...CHAT, max_tokens: 100 }, { cost });
    const first = await world.forwarder.forward(request);
    const answer = continuedAnswer(world.forwarder, first, request, (received, tokens) => {
      const next = resume?.(received, tokens);
      return next === undefined || next === null ? null : { ...next, cost };
    });
    const chunks = chunksOf(await read(answer.body));
    expect(textOf(chunks)).toBe(WHOLE);
    const told = [{ proxy: '127.0.0.1:1000', fault: 'node', code: 'E_CLOSED', after: 7, usage: null }];
    expect(answer.continued).toEqual(told);
    expect(chunks.filter(({ cocoon }) => cocoon !== undefined).map(({ cocoon, choices: [choice] }) => [cocoon?.continued, choice?.finish_reason])).toEqual([[told, null], [told, 'stop']]);
    expect(settled.map((info) => info?.tokens.total)).toEqual([3n, 0n]);
    const [, second] = world.proxies.all[0]?.requests ?? [];
    expect(second?.body).toMatchObject({ messages: [...CHAT.messages, { role: 'assistant', content: 'One two' }], max_tokens: 98, max_completion_tokens: 98 });
  });

  it('counts of the nodes: usage is their sum, the rest of the limit is exact, and nobody sees the counts themselves', async () => {
    const world = await open(scriptedNode({ pieces: PIECES, together: 2, counts: true, breakAt: (request, piece) => (piece === 4 && !request.text.includes('One two') ? lost() : null) }));
    const { text, continued } = await ask(world, { ...CHAT, max_tokens: 50 }, { headers: [{ name: 'X-Cocoon-Counts', value: '1' }] });
    const chunks = chunksOf(text);
    expect([textOf(chunks), text.includes(': tokens')]).toEqual([WHOLE, false]);
    expect(continued).toMatchObject([{ usage: { promptTokens: 10, cachedTokens: 4, completionTokens: 4 } }]);
    const [, second] = world.proxies.all[0]?.requests ?? [];
    expect(second?.body['max_tokens']).toBe(46);
    const rest = Array.from(WHOLE.slice(PIECES.slice(0, 4).join('').length)).length;
    expect(chunks.at(-1)?.usage).toMatchObject({ completion_tokens: 4 + rest, prompt_tokens: 10 + (second?.text.length ?? 0), prompt_tokens_details: { cached_tokens: 4 } });
  });

  it('without counts usage is that of the last node, which has read what came before', async () => {
    const world = await open(scriptedNode({ pieces: PIECES, breakAt: breaking(4) }));
    const chunks = chunksOf((await ask(world)).text);
    expect(chunks.at(-1)?.usage?.prompt_tokens).toBe(world.proxies.all[0]?.requests[1]?.text.length);
  });

  it('text completions: the prompt grows by what came', async () => {
    const world = await open(scriptedNode({ pieces: PIECES, breakAt: breaking(4) }));
    const { text } = await ask(world, { model: 'scripted', prompt: 'x>>>', stream: true }, { path: '/v1/completions' });
    expect(textOf(chunksOf(text))).toBe(WHOLE);
    expect(world.proxies.all[0]?.requests[1]?.body['prompt']).toBe(`x>>>${PIECES.slice(0, 4).join('')}`);
  });

  it('an application that began the answer itself: one message holds both beginnings', async () => {
    const world = await open(scriptedNode({ pieces: PIECES, breakAt: breaking(3) }));
    const { text } = await ask(world, { ...CHAT, messages: [...CHAT.messages, { role: 'assistant', content: 'One t' }] });
    expect(textOf(chunksOf(text))).toBe(WHOLE.slice(5));
    const messages = world.proxies.all[0]?.requests[1]?.body['messages'] as { content: string }[] | undefined;
    expect(messages?.at(-1)?.content).toBe(WHOLE.slice(0, 8));
  });

  const broken = async (body: object, script: ScriptedNodeOptions = {}): Promise<{ error: unknown; text: string; requests: number }> => {
    const world = await open(scriptedNode({ pieces: PIECES, breakAt: breaking(3), ...script }));
    const { request, resume } = requestOf({ ...CHAT, ...body });
    const answer = continuedAnswer(world.forwarder, await world.forwarder.forward(request), request, resume);
    let text = '';
    try {
      for (;;) {
        const piece = await answer.body.next();
        if (isEnd(piece)) return { error: null, text, requests: world.proxies.all[0]?.requests.length ?? 0 };
        text += Buffer.from(piece).toString('utf8');
      }
    } catch (error) {
      return { error, text, requests: world.proxies.all[0]?.requests.length ?? 0 };
    }
  };

  it.each<[string, object]>([
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }], tool_choice: 'none' }],
    ['several answers', { n: 2 }],
    ['log probabilities', { logprobs: true }],
    ['penalties, which count what came before', { frequency_penalty: 0.5 }],
  ])('never taken up: %s', async (_name, body) => {
    const { error, text, requests } = await broken(body);
    expect(error).toMatchObject({ code: 'E_CLOSED' });
    expect(requests).toBe(1);
    expect(text).not.toContain('[DONE]');
  });

  it('never taken up: JSON', async () => {
    const { error, text, requests } = await broken({ response_format: { type: 'json_object' } });
    expect(error).toMatchObject({ code: 'E_CLOSED' });
    expect(requests).toBe(1);
    expect(text).not.toContain('[DONE]');
  });

  it('a node that does not say that it goes on: its text is not used', async () => {
    const inner = scriptedNode({ pieces: PIECES, breakAt: breaking(3) });
    const world = await open(async function* silent(request) {
      for await (const event of inner(request)) yield typeof event === 'object' && 'headers' in event ? { headers: { 'content-type': 'text/event-stream' } } : event;
    });
    await expect(ask(world)).rejects.toMatchObject({ code: 'E_CLOSED' });
  });

  it('the end is held back until the final message: an answer that breaks behind its last word is not complete', async () => {
    const { error, text } = await broken({}, { pieces: ['a', 'b'], breakAt: () => null });
    expect({ error, done: text.includes('[DONE]') }).toEqual({ error: null, done: true });
    const inner = scriptedNode({ pieces: ['a', 'b'] });
    const world = await open(async function* cut(request) {
      yield* inner(request);
      throw new EngineError('E_CONTEXT_LENGTH', 'cut behind its last word');
    });
    const { request, resume } = requestOf();
    const answer = continuedAnswer(world.forwarder, await world.forwarder.forward(request), request, resume);
    const seen: string[] = [];
    await expect((async () => {
      for (;;) {
        const piece = await answer.body.next();
        if (isEnd(piece)) return;
        seen.push(Buffer.from(piece).toString('utf8'));
      }
    })()).rejects.toMatchObject({ code: 'E_CONTEXT_LENGTH' });
    expect(textOf(chunksOf(seen.join('')))).toBe('ab');
    expect(seen.join('')).not.toMatch(/\[DONE\]|"finish_reason":"stop"/);
  });

  it('an event that says that the engine failed is a break like any other', async () => {
    let first = true;
    const inner = scriptedNode({ pieces: PIECES });
    const world = await open(async function* failing(request) {
      let parts = 0;
      const fails = first;
      first = false;
      for await (const event of inner(request)) {
        yield event;
        if (event instanceof Uint8Array && fails && (parts += 1) === 3) {
          yield 'data: {"error":{"message":"out of memory","type":"server_error"}}\n\n';
          return;
        }
      }
    });
    const { text, continued } = await ask(world);
    expect(textOf(chunksOf(text))).toBe(WHOLE);
    expect(continued).toMatchObject([{ fault: 'node', code: 'E_ENGINE' }]);
  });

  it('an answer that stands still is taken elsewhere', async () => {
    const inner = scriptedNode({ pieces: PIECES });
    const world = await open(async function* still(request) {
      let parts = 0;
      for await (const event of inner(request)) {
        yield event;
        if (request.proxy.endsWith('1000') && (parts += 1) === 4) await new Promise(() => {});
      }
    }, { count: 2, stallMs: 40 });
    const { text, continued } = await ask(world);
    expect(textOf(chunksOf(text))).toBe(WHOLE);
    expect(continued).toMatchObject([{ fault: 'proxy', proxy: '127.0.0.1:1000' }]);
    await until(() => world.proxies.all[0]?.running === 0);
  });

  it('the limit of tokens counts what came before: nothing is asked for beyond it', async () => {
    const { error } = await broken({ max_tokens: 3 }, { pieces: PIECES, breakAt: breaking(3) });
    expect(error).toMatchObject({ code: 'E_CLOSED' });
  });
});

describe('forward', () => {
  it('a proxy that fails before the first byte: another one, unseen', async () => {
    const inner = scriptedNode();
    const world = await open(async function* first(request) {
      if (request.proxy.endsWith('1000')) throw lost();
      yield* inner(request);
    }, { count: 2 });
    const { text, attempts } = await ask(world);
    expect([textOf(chunksOf(text)), attempts]).toEqual(['Hello there.', 2]);
  });

  it('a document is whole or not there: broken in its middle, it is asked for again', async () => {
    let broke = false;
    const inner = scriptedNode();
    const world = await open(async function* half(request) {
      for await (const event of inner(request)) {
        if (typeof event === 'string' && !broke) {
          broke = true;
          yield event.slice(0, 20);
          throw lost();
        }
        yield event;
      }
    });
    const { request } = requestOf({ ...CHAT, stream: false });
    const { body, attempts } = await world.forwarder.forward(request);
    expect(JSON.parse(await read(body))).toMatchObject({ choices: [{ message: { content: 'Hello there.' } }] });
    expect(attempts).toBe(2);
  });

  it('statuses of nodes: 503 is tried elsewhere, 400 is the answer', async () => {
    const world = await open(async function* status(request) {
      yield { status: request.proxy.endsWith('1000') ? 503 : 400, headers: { 'content-type': 'application/json' } };
      yield '{"error":{"message":"no"}}';
    }, { count: 2 });
    const { request } = requestOf();
    const { head, body } = await world.forwarder.forward(request);
    expect([head.status, await read(body)]).toEqual([400, '{"error":{"message":"no"}}']);
  });

  it.each<[string, Error]>([
    ['evidence', new AttestationError('E_EVIDENCE_REFUSED', 'no longer listed')],
    ['the request', new AnswerError(621, 'bad request', null)],
    ['its time', new NetworkError('E_TIMEOUT', 'too late')],
  ])('not tried again: what is wrong with %s', async (_what, error) => {
    const world = await open(throwing(() => error), { count: 3 });
    await expect(world.forwarder.forward(requestOf().request)).rejects.toBeInstanceOf(Error);
    expect(world.proxies.all.map(({ requests }) => requests.length)).toEqual([1, 0, 0]);
  });

  it('all fail: again after a short wait, and in the end the first error', async () => {
    const world = await open(throwing(({ proxy }) => new AnswerError(651, `no workers at ${proxy}`, null)), { count: 2 });
    const startedMs = performance.now();
    await expect(world.forwarder.forward(requestOf().request)).rejects.toMatchObject({ code: 'E_NO_NODE', message: 'no workers at 127.0.0.1:1000' });
    expect(world.proxies.all.map(({ requests }) => requests.length).every((count) => count >= 2 && count <= 6)).toBe(true);
    expect(performance.now() - startedMs).toBeLessThan(4_000);
  });

  it('a model that nobody knows is asked for once at each proxy, one that was known until the nodes are back', async () => {
    let known = true;
    const inner = scriptedNode();
    const world = await open(async function* restarted(request) {
      if (!known) throw new AnswerError(621, 'unknown model scripted', null);
      yield* inner(request);
    }, { count: 2 });
    const stranger = await open(throwing(() => new AnswerError(621, 'unknown model scripted', null)), { count: 2 });
    await expect(stranger.forwarder.forward(requestOf().request)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    expect(stranger.proxies.all.map(({ requests }) => requests.length)).toEqual([1, 1]);
    await ask(world);
    known = false;
    setTimeout(() => { known = true; }, 150);
    expect(textOf(chunksOf((await ask(world)).text))).toBe('Hello there.');
  });

  it('no proxy is there: waits until one is', async () => {
    const world = await open(scriptedNode(), { count: 1 });
    const [proxy] = world.proxies.all;
    if (proxy === undefined) throw new Error('no proxy');
    proxy.up = false;
    await until(() => world.pool.sessions().length === 0);
    setTimeout(() => { proxy.up = true; }, 50);
    expect(textOf(chunksOf((await ask(world)).text))).toBe('Hello there.');
  });

  it('the application leaves: nothing is tried any more, and no circuit blames anybody', async () => {
    const leaving = new AbortController();
    const world = await open(scriptedNode({ firstDelayMs: 60_000 }), { count: 2 });
    const asked = world.forwarder.forward(requestOf(CHAT, { signal: leaving.signal }).request);
    asked.catch(() => undefined);
    await until(() => world.proxies.all[0]?.running === 1);
    leaving.abort();
    await expect(asked).rejects.toBeInstanceOf(Error);
    await until(() => world.proxies.all[0]?.running === 0);
    expect(world.proxies.all.map(({ requests }) => requests.length)).toEqual([1, 0]);
    expect(world.forwarder.breakers.states()).toEqual([]);
  });

  it('circuits: what fails again and again is left alone, tried with one request, and closed by an answer', async () => {
    let broken = true;
    const inner = scriptedNode({ pieceDelayMs: 5 });
    const world = await open(async function* sometimes(request) {
      if (broken && request.proxy.endsWith('1000')) throw new NetworkError('E_PROTOCOL', 'nonsense');
      yield* inner(request);
    }, { count: 2 });
    for (let at = 0; at < 6; at += 1) await ask(world);
    const [bad, good] = world.proxies.all;
    expect([bad?.requests.length, good?.requests.length]).toEqual([3, 6]);
    expect(world.forwarder.breakers.states()).toMatchObject([{ name: 'proxy 127.0.0.1:1000', state: 'open' }]);
    broken = false;
    await until(() => world.forwarder.breakers.states()[0]?.state === 'half-open', 10_000);
    // Four at once: one of them tries it, the others go on where it works.
    await Promise.all([ask(world), ask(world), ask(world), ask(world)]);
    expect(bad?.requests.length).toBe(4);
    expect(world.forwarder.breakers.states()).toEqual([]);
    await ask(world);
    expect(bad?.requests.length).toBe(5);
  });

  it('a board of faults says whose trouble it is, until an answer', async () => {
    const board = createFaultBoard(() => 1_000);
    let fails = true;
    const inner = scriptedNode();
    const world = await open(async function* sometimes(request) {
      if (fails) throw new AnswerError(602, 'too many active queries', null);
      yield* inner(request);
    }, { board });
    await expect(ask(world)).rejects.toMatchObject({ code: 'E_NO_NODE' });
    expect(board.troubles()).toEqual([{ fault: 'node', code: 'E_NO_NODE', message: 'too many active queries', atMs: 1_000 }]);
    fails = false;
    await ask(world);
    expect(board.troubles()).toEqual([]);
  });

  it('each attempt is paid for; one that may not be is not made', async () => {
    let asked = 0;
    const inner = scriptedNode();
    const world = await open(async function* first(request) {
      if (request.proxy.endsWith('1000')) throw lost();
      yield* inner(request);
    }, { count: 2 });
    const settled: boolean[] = [];
    const { request } = requestOf(CHAT, {
      cost: () => {
        asked += 1;
        if (asked > 1) throw new PolicyError('E_SPENDING_LIMIT', 'nothing is left');
        return { settle: (_info, delivered) => { settled.push(delivered); } };
      },
    });
    await expect(world.forwarder.forward(request)).rejects.toMatchObject({ code: 'E_CLOSED' });
    expect([settled, world.proxies.all.map(({ requests }) => requests.length)]).toEqual([[false], [1, 0]]);
  });
});

describe('places', () => {
  it('more requests than a proxy takes at once: they wait in line, and none is refused', async () => {
    let most = 0;
    let running = 0;
    const inner = scriptedNode({ pieceDelayMs: 3 });
    const world = await open(async function* counted(request) {
      running += 1;
      most = Math.max(most, running);
      try {
        if (running > 4) throw new AnswerError(651, 'too many active queries', null);
        yield* inner(request);
      } finally {
        running -= 1;
      }
    }, { places: createPlaces({ perConnection: 4 }) });
    const answers = await Promise.all(Array.from({ length: 30 }, () => ask(world)));
    expect(answers.every(({ text, attempts }) => attempts === 1 && textOf(chunksOf(text)) === 'Hello there.')).toBe(true);
    expect(most).toBe(4);
  });

  it('who leaves the line is forgotten; who waits too long is told; a full line refuses', async () => {
    const places = createPlaces({ perConnection: 1, maxWaiting: 2 });
    const world = await open(scriptedNode({ firstDelayMs: 60_000 }), { places });
    const first = new AbortController();
    const leaving = new AbortController();
    const start = (options: NonNullable<Parameters<typeof requestOf>[1]>): Promise<unknown> => world.forwarder.forward(requestOf(CHAT, options).request).catch((error: unknown) => error);
    const running = start({ signal: first.signal });
    await until(() => world.proxies.all[0]?.running === 1);
    const waiting = start({ signal: leaving.signal });
    const late = start({ timeoutMs: 80 });
    await until(() => places.waiting === 2);
    expect(await start({})).toMatchObject({ code: 'E_NO_NODE' });
    expect(await late).toMatchObject({ code: 'E_TIMEOUT' });
    leaving.abort();
    expect(await waiting).toBeInstanceOf(Error);
    expect(places.waiting).toBe(0);
    first.abort();
    await running;
    expect(world.proxies.all[0]?.requests.length).toBe(1);
  });

  it('a connection that ends while others wait for it: all go on over the next one', async () => {
    let up = false;
    const world = await open(scriptedNode({ firstDelayMs: () => (up ? 0 : 60_000) }), { places: createPlaces({ perConnection: 2 }) });
    const [proxy] = world.proxies.all;
    if (proxy === undefined) throw new Error('no proxy');
    const answers = Array.from({ length: 7 }, () => ask(world));
    await until(() => proxy.running === 2);
    proxy.up = false;
    await until(() => world.pool.sessions().length === 0);
    up = true;
    proxy.up = true;
    for (const { text } of await Promise.all(answers)) expect(textOf(chunksOf(text))).toBe('Hello there.');
  });
});

describe('hedge', () => {
  const slow = (ms: number): ScriptedNodeOptions => ({ firstDelayMs: ({ proxy }) => (proxy.endsWith('1000') ? ms : 0) });

  it('a first byte that takes too long: the second attempt wins, the first is cancelled and cost nothing', async () => {
    const settled: [string, boolean][] = [];
    const world = await open(scriptedNode(slow(60_000)), { count: 2, hedgeMs: 30 });
    let made = 0;
    const { request } = requestOf(CHAT, {
      cost: () => {
        made += 1;
        const name = made === 1 ? 'first' : 'second';
        return { settle: (_info, delivered) => { settled.push([name, delivered]); } };
      },
    });
    const answer = await world.forwarder.forward(request);
    expect([answer.hedged, answer.attempts, answer.proxy.address]).toEqual([true, 2, '127.0.0.1:1001']);
    expect(textOf(chunksOf(await read(answer.body)))).toBe('Hello there.');
    await until(() => settled.length === 2);
    expect(settled.toSorted()).toEqual([['first', false], ['second', true]]);
    expect(world.proxies.all[0]?.running).toBe(0);
  });

  it('an answer in time: nobody else is asked', async () => {
    const world = await open(scriptedNode(), { count: 2, hedgeMs: 500 });
    const { request } = requestOf();
    const answer = await world.forwarder.forward(request);
    await read(answer.body);
    expect([answer.hedged, world.proxies.all[1]?.requests.length]).toEqual([false, 0]);
  });

  it('the second fails: the first is waited for; documents are not asked for twice', async () => {
    const inner = scriptedNode(slow(120));
    const script: Script = async function* second(request) {
      if (request.proxy.endsWith('1001')) throw lost();
      yield* inner(request);
    };
    const world = await open(script, { count: 2, hedgeMs: 20 });
    expect(textOf(chunksOf((await ask(world)).text))).toBe('Hello there.');
    const whole = await open(scriptedNode(slow(100)), { count: 2, hedgeMs: 20 });
    await read((await whole.forwarder.forward(requestOf({ ...CHAT, stream: false }).request)).body);
    expect(whole.proxies.all[1]?.requests.length).toBe(0);
  });

  it('with one proxy the same is asked again: it has other nodes', async () => {
    let asked = 0;
    const world = await open(scriptedNode({ firstDelayMs: () => ((asked += 1) === 1 ? 60_000 : 0) }), { hedgeMs: 20 });
    expect(textOf(chunksOf((await ask(world)).text))).toBe('Hello there.');
    await until(() => world.proxies.all[0]?.running === 0);
  });

  it('the application leaves: both attempts end', async () => {
    const leaving = new AbortController();
    const world = await open(scriptedNode({ firstDelayMs: 60_000 }), { count: 2, hedgeMs: 10 });
    const asked = world.forwarder.forward(requestOf(CHAT, { signal: leaving.signal }).request);
    asked.catch(() => undefined);
    await until(() => world.proxies.all.every(({ running }) => running === 1));
    leaving.abort();
    await expect(asked).rejects.toBeInstanceOf(Error);
    await until(() => world.proxies.all.every(({ running }) => running === 0));
  });
});
