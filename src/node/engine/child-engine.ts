// The Engine in a process of its own: a crash of native code ends that process and not the node. It is started again with
// back-off; answers that were being made fail at once, requests that come meanwhile wait for it for a while. What comes back
// with less of a GPU or of a context than before is not used.
import { abortError } from '../../core/deadline.ts';
import { deferred } from '../../core/deferred.ts';
import { asCocoonError, EngineError } from '../../core/errors.ts';
import { backoffMs, sleep as realSleep } from '../../core/retry.ts';
import { EngineStoppedError } from '../engine.ts';
import { CHILD_TIMES, startEngineProcess } from './child-process.ts';
import { EVENT_WINDOW } from './child-protocol.ts';
import type { Deferred } from '../../core/deferred.ts';
import type { Log } from '../../core/log.ts';
import type { Sleep } from '../../core/retry.ts';
import type { Engine, EngineEmbeddings, EngineEvent, EngineInfo, EngineRequest, EngineUsage } from '../engine.ts';
import type { ChildLaunch, ChildTimes, EngineProcess } from './child-process.ts';
import type { LoadOptions } from './child-protocol.ts';

export interface ChildEngineOptions {
  readonly launch: ChildLaunch;
  readonly load: LoadOptions;
  readonly log: Log;
  /** Share of the model that is loaded the first time, 0 to 1. */
  readonly onProgress?: (fraction: number) => void;
  /** Gives up loading the first time. */
  readonly signal?: AbortSignal;
  /** Whether the file is still what it was; asked each time the process was started again. Rejects when it is not. */
  readonly check?: (signal: AbortSignal) => Promise<void>;
  /** How long a request waits for a process that is being started again. Default 15 seconds. */
  readonly restartWaitMs?: number;
  readonly times?: ChildTimes;
  readonly sleep?: Sleep;
}

/** The same, and the process that answers now; for tests and for who watches it. */
export interface ChildEngine extends Engine {
  readonly pid: number | undefined;
  /** How often it was started again. */
  readonly restarts: number;
}

const RESTART_WAIT_MS = 15_000;
const BACKOFF = { baseMs: 250, maxMs: 30_000 };
/** A process that has been up this long starts the back-off anew when it ends. */
const STABLE_MS = 60_000;
/** Events that are read before the process hears of it. */
const TAKEN_STEP = EVENT_WINDOW / 2;

/** Starts the process and loads the model. Throws what loading throws, EngineError when the process ends before, the signal's reason. */
export async function startChildEngine(options: ChildEngineOptions): Promise<ChildEngine> {
  const { signal } = options;
  const givenUp = (): void => {
    if (signal?.aborted === true) throw abortError(signal);
  };
  givenUp();
  const first = startEngineProcess({ ...options, times: options.times ?? CHILD_TIMES });
  const stop = (): void => { void first.close(); };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const info = await first.ready;
    return new Supervisor(options, first, info);
  } catch (error) {
    await first.close();
    givenUp();
    throw asCocoonError(error);
  } finally {
    signal?.removeEventListener('abort', stop);
  }
}

class Supervisor implements ChildEngine {
  readonly #options: ChildEngineOptions;
  readonly #info: EngineInfo;
  readonly #limit: number;
  readonly #closing = new AbortController();
  readonly #listeners = new Set<(able: boolean) => void>();
  #process: EngineProcess | null;
  /** What waits for the next process. */
  #waiting: Deferred<void> = deferred();
  #open = 0;
  #restarts = 0;
  #watching: Promise<void>;

  constructor(options: ChildEngineOptions, first: EngineProcess, info: EngineInfo) {
    this.#options = options;
    this.#info = info;
    this.#limit = info.sequences + (options.load.queueLimit ?? 4 * info.sequences);
    this.#process = first;
    this.#watching = this.#keep(first);
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get restarts(): number {
    return this.#restarts;
  }

  info(): EngineInfo {
    return this.#info;
  }

  watch(changed: (able: boolean) => void): () => void {
    this.#listeners.add(changed);
    if (this.#process === null) changed(false);
    return () => this.#listeners.delete(changed);
  }

  async* complete(request: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent, void, void> {
    const leave = this.#admit();
    try {
      const running = await this.#running(signal);
      if (running === null) yield { type: 'finish', reason: 'cancelled', usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0 } };
      else yield* answer(running, request, signal, leave);
    } finally {
      leave();
    }
  }

  async embed(texts: readonly string[], signal: AbortSignal): Promise<EngineEmbeddings> {
    const leave = this.#admit();
    try {
      const running = await this.#running(signal);
      if (running === null) throw abortError(signal);
      return await running.embed(texts, signal);
    } finally {
      leave();
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#waiting.resolve();
    await this.#process?.close();
    await this.#watching;
  }

  /** Counts a request; returns what ends it, once. */
  #admit(): () => void {
    if (this.#closing.signal.aborted) throw new EngineError('E_ENGINE', 'engine is closed');
    if (this.#open >= this.#limit) throw new EngineError('E_ENGINE_BUSY', `engine has ${this.#open} requests, expected fewer than ${this.#limit}`);
    this.#open += 1;
    let open = true;
    return () => {
      if (open) this.#open -= 1;
      open = false;
    };
  }

  /** The process, once there is one; null when `signal` aborts first. */
  async #running(signal: AbortSignal): Promise<EngineProcess | null> {
    if (this.#process === null) {
      const waited = deferred<void>();
      const timer = setTimeout(waited.resolve, this.#options.restartWaitMs ?? RESTART_WAIT_MS);
      signal.addEventListener('abort', () => waited.resolve(), { once: true });
      await Promise.race([this.#waiting.promise, waited.promise]);
      clearTimeout(timer);
    }
    if (signal.aborted) return null;
    if (this.#closing.signal.aborted) throw new EngineError('E_ENGINE', 'engine is closed');
    if (this.#process === null) throw new EngineError('E_ENGINE_BUSY', 'engine is being started again');
    return this.#process;
  }

  /** Watches the process and starts it again each time it ends, until the engine is closed. Never rejects. */
  async #keep(first: EngineProcess): Promise<void> {
    const { log } = this.#options;
    const { signal } = this.#closing;
    let sinceMs = performance.now();
    let error = await first.ended;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      if (this.#process !== null) this.#lost();
      if (performance.now() - sinceMs > STABLE_MS) attempt = 0;
      const waitMs = backoffMs(attempt, BACKOFF);
      log.error('engine process has ended, it is started again', {
        reason: error?.message ?? 'unknown', waitMs, ...(error?.cause instanceof Error && { said: error.cause.message }),
      });
      await (this.#options.sleep ?? realSleep)(waitMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const next = startEngineProcess({ launch: this.#options.launch, load: this.#options.load, log, times: this.#options.times ?? CHILD_TIMES });
      const stop = (): void => { void next.close(); };
      signal.addEventListener('abort', stop, { once: true });
      sinceMs = performance.now();
      if (await this.#loaded(next)) this.#found(next);
      error = await next.ended;
      signal.removeEventListener('abort', stop);
    }
  }

  /** True when the process has loaded its model as the first one did; one that has not is ended. */
  async #loaded(next: EngineProcess): Promise<boolean> {
    try {
      const { backend, gpuLayers, contextSize } = await next.ready;
      const same = backend === this.#info.backend && gpuLayers >= this.#info.gpuLayers && contextSize >= this.#info.contextSize;
      if (same) {
        await this.#options.check?.(this.#closing.signal);
        return true;
      }
      this.#options.log.error('engine came back with less than before', { backend, gpuLayers, contextSize });
    } catch (error) {
      this.#options.log.error('engine cannot be started again', { reason: asCocoonError(error).message });
    }
    await next.close();
    return false;
  }

  #lost(): void {
    this.#process = null;
    this.#waiting = deferred();
    for (const listener of this.#listeners) listener(false);
  }

  #found(next: EngineProcess): void {
    if (this.#closing.signal.aborted) return;
    this.#process = next;
    this.#restarts += 1;
    this.#options.log.info('engine process is running again', { pid: next.pid ?? null });
    this.#waiting.resolve();
    for (const listener of this.#listeners) listener(true);
  }
}

/** One answer of a process. Leaving it, or its signal, ends it there; the process's end is its failure. `over`: it holds nothing any more. */
async function* answer(running: EngineProcess, request: EngineRequest, signal: AbortSignal, over: () => void): AsyncGenerator<EngineEvent, void, void> {
  const events: EngineEvent[] = [];
  const state: { ended: boolean; failure: Error | null; usage: EngineUsage | null; wake: () => void } = {
    ended: false, failure: null, usage: null, wake: () => undefined,
  };
  const news = (): Promise<void> => new Promise((resolve) => { state.wake = resolve; });
  const id = running.ask(request, {
    event(event) {
      if (event.type === 'finish') {
        state.ended = true;
        over();
      }
      if (event.type === 'text') state.usage = event.usage ?? state.usage;
      events.push(event);
      state.wake();
    },
    failed(error) {
      state.ended = true;
      over();
      const uncounted = error instanceof EngineError && error.code === 'E_ENGINE' && !(error instanceof EngineStoppedError);
      state.failure = uncounted && state.usage !== null ? new EngineStoppedError(error.message, state.usage, { cause: error }) : error;
      state.wake();
    },
  });
  const cancel = (): void => running.cancel(id);
  signal.addEventListener('abort', cancel, { once: true });
  if (signal.aborted) cancel();
  let taken = 0;
  try {
    for (;;) {
      const event = events.shift();
      if (event !== undefined) {
        taken += 1;
        if (taken >= TAKEN_STEP) {
          running.taken(id, taken);
          taken = 0;
        }
        yield event;
        if (event.type === 'finish') return;
      } else if (state.failure !== null) {
        throw state.failure;
      } else {
        await news();
      }
    }
  } finally {
    signal.removeEventListener('abort', cancel);
    if (!state.ended) running.cancel(id);
    // The reader left: the sequence is free when this returns.
    while (!state.ended) await news();
  }
}
