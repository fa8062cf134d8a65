// The engine in a process of its own, with the real model: the same answers, and what happens when the process is killed, falls
// silent, cannot load, or loses the node.
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silentLog } from '../../../src/core/log.ts';
import { startChildEngine } from '../../../src/node/engine/child-engine.ts';
import { CHILD_TIMES } from '../../../src/node/engine/child-process.ts';
import { EngineStoppedError } from '../../../src/node/engine.ts';
import { ENGINE_PROGRAM, SOURCE_PROGRAM } from '../../fakes/source-program.ts';
import type { Log } from '../../../src/core/log.ts';
import type { EngineEvent, EngineRequest } from '../../../src/node/engine.ts';
import type { ChildEngine, ChildEngineOptions } from '../../../src/node/engine/child-engine.ts';

const never = new AbortController().signal;
const launch = ENGINE_PROGRAM;
const load = { modelPath: 'models/cocoon-tiny-q8_0.gguf', model: 'cocoon-tiny', gpu: 'off', contextSize: 1024, parallel: 2, threads: 1, queueLimit: 2 } as const;
const question: EngineRequest = { prompt: { kind: 'chat', messages: [{ role: 'user', content: 'What is the capital of France?' }] }, temperature: 0 };
/** Repeats itself until the context is full. */
const endless: EngineRequest = { prompt: { kind: 'text', text: '1 2 3 4 5' }, temperature: 0, frequencyPenalty: -2, presencePenalty: -2 };

const logged: string[] = [];
const log: Log = { ...silentLog, error: (message, fields) => logged.push(`${message} ${JSON.stringify(fields ?? {})}`) };

async function ask(engine: ChildEngine, request: EngineRequest, signal: AbortSignal = never) {
  let answer = '';
  let last: (EngineEvent & { type: 'finish' }) | undefined;
  for await (const event of engine.complete(request, signal)) {
    if (event.type === 'text') answer += event.text;
    else if (event.type === 'finish') last = event;
  }
  return { answer, reason: last?.reason, usage: last?.usage };
}

/** False once no process has this id any more. */
const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

async function until(what: () => boolean, timeoutMs = 20_000): Promise<void> {
  const endsMs = performance.now() + timeoutMs;
  while (!what()) {
    if (performance.now() > endsMs) throw new Error('did not happen');
    await delay(10);
  }
}

describe('startChildEngine', () => {
  let engine: ChildEngine;
  const progress: number[] = [];
  beforeAll(async () => {
    engine = await startChildEngine({ launch, load, log, onProgress: (fraction) => progress.push(fraction) });
  });
  afterAll(() => engine.close());

  it('answers as the engine does, with its counts', async () => {
    const { answer, reason, usage } = await ask(engine, question);
    expect(answer).toContain('Paris');
    expect(reason).toBe('stop');
    expect(usage?.completionTokens).toBeGreaterThan(0);
    expect(engine.info()).toMatchObject({ model: 'cocoon-tiny', contextSize: 1024, sequences: 2, backend: 'cpu', threads: 1, kvType: 'f16', flashAttention: 'on' });
    expect(progress.at(-1)).toBe(1);
    expect(engine.pid).not.toBe(process.pid);
  });

  it('passes the engine\'s errors on as they are', async () => {
    await expect(ask(engine, { prompt: { kind: 'text', text: ' a'.repeat(1024) } })).rejects.toMatchObject({ code: 'E_CONTEXT_LENGTH', promptTokens: 1024, contextSize: 1024 });
    await expect(ask(engine, { prompt: { kind: 'text', text: '' } })).rejects.toMatchObject({ code: 'E_REQUEST', status: 400 });
    await expect(engine.embed(['a'], never)).rejects.toMatchObject({ code: 'E_REQUEST' });
  });

  it('stops for a reader that does not read, and ends when told to', async () => {
    const abort = new AbortController();
    const stalled = engine.complete(endless, abort.signal)[Symbol.asyncIterator]();
    await stalled.next();
    await delay(300);
    abort.abort();
    let events = 0;
    for (;;) {
      const { value } = await stalled.next();
      events += 1;
      if (value?.type === 'finish') {
        expect(value.reason).toBe('cancelled');
        break;
      }
    }
    expect(events).toBeLessThan(20);
  });

  it('refuses requests over its bound, and serves again when readers leave', async () => {
    const abort = new AbortController();
    const held = Array.from({ length: 4 }, async () => {
      for await (const event of engine.complete(endless, abort.signal)) void event;
    });
    await delay(1);
    await expect(ask(engine, question)).rejects.toMatchObject({ code: 'E_ENGINE_BUSY' });
    abort.abort();
    await Promise.all(held);
    for await (const event of engine.complete(endless, never)) {
      expect(event.type).toBe('text');
      break;
    }
    expect((await ask(engine, question)).answer).toContain('Paris');
  });

  it('kill -9 in mid-stream: an error with counts at once, and the next request waits for the process', async () => {
    const able: boolean[] = [];
    const unwatch = engine.watch?.((now) => able.push(now));
    const before = engine.pid ?? 0;
    let killedMs = 0;
    let tokens = 0;
    const streaming = (async () => {
      for await (const event of engine.complete(endless, never)) {
        if (event.type !== 'text') continue;
        tokens = event.usage?.completionTokens ?? 0;
        if (killedMs === 0) {
          killedMs = performance.now();
          process.kill(before, 'SIGKILL');
        }
      }
    })();
    const error: unknown = await streaming.catch((thrown: unknown) => thrown);
    expect(performance.now() - killedMs).toBeLessThan(5_000); // tens of milliseconds where the machine has time
    expect(error).toBeInstanceOf(EngineStoppedError);
    expect(error).toMatchObject({ code: 'E_ENGINE', message: 'engine process ended by SIGKILL' });
    expect((error as EngineStoppedError).usage).toMatchObject({ completionTokens: tokens });
    expect(tokens).toBeGreaterThan(0);
    const abort = new AbortController();
    const cancelled = ask(engine, question, abort.signal);
    abort.abort();
    await expect(cancelled).resolves.toMatchObject({ reason: 'cancelled', usage: { promptTokens: 0 } });
    // This one waits for the process.
    expect((await ask(engine, question)).answer).toContain('Paris');
    expect(engine.pid).not.toBe(before);
    expect(engine.restarts).toBe(1);
    expect(able).toEqual([false, true]);
    expect(logged.join()).toContain('ended by SIGKILL');
    unwatch?.();
  });
});

describe('startChildEngine: a process that cannot be used', () => {
  const options: ChildEngineOptions = { launch, load, log };

  it('tells why a model cannot be loaded', async () => {
    await expect(startChildEngine({ ...options, load: { ...load, gpuLayers: 'all' } })).rejects.toMatchObject({ code: 'E_ENGINE', message: 'engine has 0 of 7 layers on the GPU, expected 7' });
  });

  it('tells that a program is no engine', async () => {
    await expect(startChildEngine({ ...options, launch: { ...launch, command: 'no-such-program' } })).rejects.toMatchObject({ code: 'E_ENGINE' });
    await expect(startChildEngine({ ...options, launch: { ...launch, args: ['-e', 'process.exit(3)'] } })).rejects.toMatchObject({ code: 'E_ENGINE', message: 'engine process ended by exit code 3' });
    const garbage = 'const { Socket } = require("net"); new Socket({ fd: 3 }).write("garbage that is no frame"); setInterval(() => {}, 1000)';
    await expect(startChildEngine({ ...options, launch: { ...launch, args: ['-e', garbage] } })).rejects.toMatchObject({ message: expect.stringContaining('its messages cannot be read') });
  });

  it('has one thread for native work where that is quicker', async () => {
    const program = { ...launch, args: ['-e', 'console.error("threads:", process.env.UV_THREADPOOL_SIZE); process.exit(3)'] };
    const said = async (changes: Partial<typeof options.load>): Promise<unknown> => {
      const error: unknown = await startChildEngine({ ...options, launch: program, load: { ...load, ...changes } }).catch((thrown: unknown) => thrown);
      return (error as Error & { readonly cause: Error }).cause.message;
    };
    expect(await said({ gpu: 'off', parallel: 4 })).toBe('threads: 1');
    expect(await said({ gpu: 'auto', parallel: 1 })).toBe('threads: 1');
    expect(await said({ gpu: 'auto', parallel: 4 })).toBe('threads: undefined');
  });

  it('ends a process that falls silent', async () => {
    const times = { ...CHILD_TIMES, pingMs: 50, silenceMs: 200 };
    await expect(startChildEngine({ ...options, times, launch: { ...launch, args: ['-e', 'setInterval(() => {}, 1000)'] } }))
      .rejects.toMatchObject({ message: 'engine process ended by SIGKILL: it does not answer any more' });
  });

  it('gives up when told to', async () => {
    const abort = new AbortController();
    const starting = startChildEngine({ ...options, signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(starting).rejects.toMatchObject({ code: 'E_CLOSED' });
  });
});

describe('the process of an engine', () => {
  it('ends when the node is killed', async () => {
    const node = spawn(SOURCE_PROGRAM.command, [...SOURCE_PROGRAM.args.slice(0, -1), fileURLToPath(new URL('../../fakes/engine-parent.ts', import.meta.url))], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await new Promise<string[]>((resolve) => createInterface({ input: node.stdout }).once('line', (text) => resolve([text])));
    const pid = Number(line);
    expect(isThere(pid)).toBe(true);
    node.kill('SIGKILL');
    await until(() => !isThere(pid), 15_000);
  });

  it('is started by a node only', async () => {
    const run = promisify(execFile)(SOURCE_PROGRAM.command, [...SOURCE_PROGRAM.args, 'node', 'run-engine']);
    await expect(run).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('started by node start only') });
  });
});
