// The scheduler over a scripted runtime: order, queue, reuse, cancellation and failure, without a model.
import { describe, expect, it } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';
import { silentLog } from '../../../src/core/log.ts';
import { createLlamaScheduler } from '../../../src/node/engine/llama-scheduler.ts';
import { createScriptedLlama } from '../../fakes/scripted-llama.ts';
import type { Engine, EngineEvent, EngineRequest } from '../../../src/node/engine.ts';
import type { ScriptedLlamaOptions } from '../../fakes/scripted-llama.ts';

const setup = (options: ScriptedLlamaOptions, queueLimit = 2) => {
  const runtime = createScriptedLlama(options);
  return { runtime, engine: createLlamaScheduler(runtime, { model: 'm', queueLimit, log: silentLog, randomSeed: () => 99 }) };
};
const never = new AbortController().signal;
const text = (prompt: string, extra: Partial<EngineRequest> = {}): EngineRequest => ({ prompt: { kind: 'text', text: prompt }, ...extra });

async function ask(engine: Engine, request: EngineRequest, signal: AbortSignal = never) {
  let answer = '';
  let last: (EngineEvent & { type: 'finish' }) | undefined;
  for await (const event of engine.complete(request, signal)) {
    if (event.type === 'text') answer += event.text;
    else if (event.type === 'finish') last = event;
  }
  return { answer, reason: last?.reason, usage: last?.usage };
}

const endless = function* (): Generator<string> {
  for (;;) yield 'x';
};

describe('createLlamaScheduler', () => {
  it('answers, and counts prompt and answer', async () => {
    const { engine } = setup({ answer: () => 'yes' });
    await expect(ask(engine, text('hello'))).resolves.toEqual({ answer: 'yes', reason: 'stop', usage: { promptTokens: 5, cachedTokens: 0, completionTokens: 3 } });
  });

  it('renders chats with the template of the runtime', async () => {
    const { engine } = setup({ answer: (prompt) => prompt });
    await expect(ask(engine, { prompt: { kind: 'chat', messages: [{ role: 'user', content: 'hi' }] } })).resolves.toMatchObject({ answer: 'u:hi;' });
  });

  it('passes sampling on, with a random seed where none is given', async () => {
    const { engine } = setup({ answer: (_, sampling) => JSON.stringify(sampling), contextSize: 1000 });
    const seen = async (extra: Partial<EngineRequest>): Promise<unknown> => JSON.parse((await ask(engine, text('a', extra))).answer);
    await expect(seen({})).resolves.toEqual({ temperature: 1, topP: 1, seed: 99, frequencyPenalty: 0, presencePenalty: 0, maxTokens: 999, ignoreEnd: false, logprobs: null, grammar: null, keep: null });
    const all = { temperature: 0, topP: 0.5, seed: 7, frequencyPenalty: 1, presencePenalty: -1 };
    await expect(seen(all)).resolves.toMatchObject(all);
  });

  it('ends with length at maxTokens, and where the context is full', async () => {
    const { engine } = setup({ answer: endless, contextSize: 20 });
    await expect(ask(engine, text('abc', { maxTokens: 4 }))).resolves.toMatchObject({ answer: 'xxxx', reason: 'length', usage: { completionTokens: 4 } });
    await expect(ask(engine, text('abc', { maxTokens: 400 }))).resolves.toMatchObject({ reason: 'length', usage: { promptTokens: 3, completionTokens: 17 } });
  });

  it('never sends a stop string, wherever tokens cut it', async () => {
    const { engine } = setup({ answer: () => 'one END two' });
    await expect(ask(engine, text('a', { stop: ['END'] }))).resolves.toMatchObject({ answer: 'one ', reason: 'stop', usage: { completionTokens: 7 } });
    await expect(ask(engine, text('a', { stop: ['ENDLESS', 'two!'] }))).resolves.toMatchObject({ answer: 'one END two', reason: 'stop' });
    await expect(ask(engine, text('a', { stop: ['ENDLESS'], maxTokens: 7 }))).resolves.toMatchObject({ answer: 'one END', reason: 'length' });
  });

  it('reuses the beginning that an earlier request evaluated', async () => {
    const { engine, runtime } = setup({ answer: () => 'y' });
    await ask(engine, text('abcdef'));
    await expect(ask(engine, text('abcdXY'))).resolves.toMatchObject({ usage: { promptTokens: 6, cachedTokens: 4 } });
    await expect(ask(engine, text('abcdXY'))).resolves.toMatchObject({ usage: { promptTokens: 6, cachedTokens: 5 } });
    expect(runtime.journal).toEqual(['0 generate 6', '0 truncate 4', '0 generate 2', '0 truncate 5', '0 generate 1']);
  });

  it('gives out the lowest free sequence, or the one that knows the prompt', async () => {
    const { engine, runtime } = setup({ answer: () => 'y', sequences: 3 });
    const long = 'x'.repeat(30);
    await Promise.all([ask(engine, text('a')), ask(engine, text(long)), ask(engine, text('c'))]);
    runtime.journal.length = 0;
    await ask(engine, text('new'));
    await ask(engine, text(`${long}!`));
    await ask(engine, text('newer'));
    expect(runtime.journal.filter((entry) => entry.includes('generate'))).toEqual(['0 generate 3', '1 generate 1', '0 generate 2']);
  });

  it('refuses a prompt that leaves no room for an answer, before evaluating anything', async () => {
    const { engine, runtime } = setup({ answer: () => 'y', contextSize: 10 });
    await expect(ask(engine, text('0123456789'))).rejects.toMatchObject({ code: 'E_CONTEXT_LENGTH', promptTokens: 10, contextSize: 10 });
    await expect(ask(engine, text('012345678'))).resolves.toMatchObject({ reason: 'length', usage: { promptTokens: 9, completionTokens: 1 } });
    runtime.tokenize = () => {
      throw new Error('was tokenized');
    };
    await expect(ask(engine, text('x'.repeat(1000)))).rejects.toMatchObject({ code: 'E_CONTEXT_LENGTH' });
  });

  it('refuses an empty prompt', async () => {
    const { engine } = setup({ answer: () => 'y' });
    await expect(ask(engine, text(''))).rejects.toMatchObject({ code: 'E_REQUEST', status: 400 });
  });

  it('lets requests wait in order of arrival, and refuses those over the bound', async () => {
    const { engine } = setup({ answer: () => 'y' }, 2);
    const order: string[] = [];
    const run = (name: string) => ask(engine, text(name)).then(() => order.push(name), (error: { code: string }) => order.push(`${name} ${error.code}`));
    await Promise.all(['a', 'b', 'c', 'd'].map(run));
    expect(order).toEqual(['d E_ENGINE_BUSY', 'a', 'b', 'c']);
  });

  it('takes a cancelled request out of the queue', async () => {
    const { engine } = setup({ answer: endless }, 1);
    const running = new AbortController();
    const waiting = new AbortController();
    const first = ask(engine, text('a'), running.signal);
    const second = ask(engine, text('b'), waiting.signal);
    await turn();
    waiting.abort();
    await expect(second).resolves.toEqual({ answer: '', reason: 'cancelled', usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0 } });
    const third = ask(engine, text('c', { maxTokens: 2 }));
    running.abort();
    await expect(first).resolves.toMatchObject({ reason: 'cancelled' });
    await expect(third).resolves.toMatchObject({ answer: 'xx', reason: 'length' });
  });

  it('frees the sequence of a reader that does not read, when its signal aborts', async () => {
    const { engine } = setup({ answer: endless, contextSize: 100_000 }, 1);
    const abort = new AbortController();
    const stalled = engine.complete(text('a'), abort.signal)[Symbol.asyncIterator]();
    await stalled.next();
    const next = ask(engine, text('b', { maxTokens: 1 }));
    abort.abort();
    await expect(next).resolves.toMatchObject({ reason: 'length' });
  });

  it('stops generating for a reader that does not read', async () => {
    const { engine, runtime } = setup({ answer: endless, contextSize: 1_000_000 });
    const stalled = engine.complete(text('a'), never)[Symbol.asyncIterator]();
    await stalled.next();
    let before = -1;
    while (runtime.states[0]!.length !== before) {
      before = runtime.states[0]!.length;
      for (let i = 0; i < 50; i += 1) await turn();
    }
    expect(before).toBeLessThan(20_000);
    await stalled.return?.();
  });

  it('frees the sequence of a reader that leaves', async () => {
    const { engine } = setup({ answer: endless }, 0);
    for await (const event of engine.complete(text('a'), never)) {
      expect(event.type).toBe('text');
      break;
    }
    await expect(ask(engine, text('b', { maxTokens: 1 }))).resolves.toMatchObject({ reason: 'length' });
  });

  it('turns a failure of the runtime into a typed error, and the sequence works again', async () => {
    const { engine, runtime } = setup({
      answer: (prompt) => {
        if (prompt === 'bad') throw new Error('decode failed');
        return 'y';
      },
    });
    await expect(ask(engine, text('bad'))).rejects.toMatchObject({ code: 'E_ENGINE', cause: expect.objectContaining({ message: 'decode failed' }) });
    expect(runtime.states[0]).toEqual([]);
    await expect(ask(engine, text('good'))).resolves.toMatchObject({ answer: 'y' });
  });

  it('takes a sequence out of use that cannot be emptied; without any left, everything fails', async () => {
    const { engine } = setup({ answer: () => 'y', sequences: 2, failTruncate: (id) => id === 0 });
    await expect(ask(engine, text('a'))).rejects.toMatchObject({ code: 'E_ENGINE' });
    await expect(ask(engine, text('a'))).resolves.toMatchObject({ answer: 'y' });
    const { engine: single } = setup({ answer: () => 'y', failTruncate: () => true });
    const both = await Promise.allSettled([ask(single, text('a')), ask(single, text('b'))]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(ask(single, text('c'))).rejects.toMatchObject({ code: 'E_ENGINE', message: 'engine has no usable sequence left' });
  });

  it('close: fails what runs and waits, frees the runtime, and takes no more', async () => {
    const { engine, runtime } = setup({ answer: endless, contextSize: 100_000 });
    const running = ask(engine, text('a')).catch((error: unknown) => error);
    const waiting = ask(engine, text('b')).catch((error: unknown) => error);
    await turn();
    await Promise.all([engine.close(), engine.close()]);
    expect(await running).toMatchObject({ code: 'E_ENGINE', message: 'engine was closed before the answer was complete' });
    expect(await waiting).toMatchObject({ code: 'E_ENGINE', message: 'engine is closed' });
    expect(runtime.disposed).toBe(true);
    await expect(ask(engine, text('c'))).rejects.toMatchObject({ code: 'E_ENGINE' });
  });

  it('info: says what is served', () => {
    const { engine } = setup({ answer: () => '', sequences: 3 });
    expect(engine.info()).toMatchObject({ model: 'm', sequences: 3, contextSize: 100, backend: 'cpu' });
  });
});
