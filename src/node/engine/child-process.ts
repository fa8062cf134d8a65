// One process of an engine, as the node sees it: started, given its model, asked, and noticed when it ends or falls silent.
// Whatever it prints goes to the log. When it ends, everything that it was asked fails at once.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { deferred } from '../../core/deferred.ts';
import { EngineError } from '../../core/errors.ts';
import { openFrameChannel } from './child-frames.ts';
import { errorFromData } from './child-protocol.ts';
import type { ChildProcess } from 'node:child_process';
import type { Duplex, Readable } from 'node:stream';
import type { Log } from '../../core/log.ts';
import type { EngineEmbeddings, EngineEvent, EngineInfo, EngineRequest } from '../engine.ts';
import type { FrameChannel } from './child-frames.ts';
import type { LoadOptions, ToChild, ToNode } from './child-protocol.ts';

/** How to start the program that runs `runEngineChild` on its file descriptor 3. */
export interface ChildLaunch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface ChildTimes {
  /** How often a silent process is asked whether it is there, and after how much silence it is ended. */
  readonly pingMs: number;
  readonly silenceMs: number;
  /** How long an answer that was cancelled may take to end before the process is ended. */
  readonly cancelMs: number;
  /** How long it may take to close. */
  readonly closeMs: number;
}

export const CHILD_TIMES: ChildTimes = { pingMs: 5_000, silenceMs: 60_000, cancelMs: 60_000, closeMs: 12_000 };

export interface ChildProcessOptions {
  readonly launch: ChildLaunch;
  readonly load: LoadOptions;
  readonly times: ChildTimes;
  readonly log: Log;
  readonly onProgress?: ((fraction: number) => void) | undefined;
}

/** Hears of one answer: events, then `failed` or the last event; `failed` once at most, also when the process ends. */
export interface AnswerListener {
  event(event: EngineEvent): void;
  failed(error: Error): void;
}

export interface EngineProcess {
  readonly pid: number | undefined;
  /** Resolves when the model is loaded; rejects when it cannot be, or the process has ended before. */
  readonly ready: Promise<EngineInfo>;
  /** Resolves when the process has ended, with why it did; null when it was asked to. */
  readonly ended: Promise<EngineError | null>;
  /** Returns the number of the answer. */
  ask(request: EngineRequest, listener: AnswerListener): number;
  embed(texts: readonly string[], signal: AbortSignal): Promise<EngineEmbeddings>;
  cancel(id: number): void;
  /** The reader has taken this many more events of an answer. */
  taken(id: number, events: number): void;
  /** Ends it, with force where it does not end by itself. Idempotent. */
  close(): Promise<void>;
}

/** Lines that a process printed last; they say what a failed assertion was. */
const LAST_LINES = 12;
const LINE_LENGTH = 500;
/** How long the last messages of a process that has ended are waited for. */
const LAST_WORDS_MS = 300;

/**
 * Whether all native work shares one thread, so that a token is drawn as soon as its batch is computed. For many answers on a GPU,
 * whose batches are short, it is worth more that their tokens are drawn side by side.
 */
const worksInOrder = ({ gpu, parallel }: LoadOptions): boolean => gpu === 'off' || parallel === 1;

export function startEngineProcess(options: ChildProcessOptions): EngineProcess {
  return new Child(options);
}

class Child implements EngineProcess {
  readonly ready: Promise<EngineInfo>;
  readonly ended: Promise<EngineError | null>;
  readonly #options: ChildProcessOptions;
  readonly #process: ChildProcess;
  readonly #channel: FrameChannel;
  readonly #ready = deferred<EngineInfo>();
  readonly #ended = deferred<EngineError | null>();
  readonly #answers = new Map<number, AnswerListener>();
  readonly #embeddings = new Map<number, (result: EngineEmbeddings | Error) => void>();
  readonly #cancelTimers = new Map<number, NodeJS.Timeout>();
  readonly #lines: string[] = [];
  readonly #pinging: NodeJS.Timeout;
  #heardMs = performance.now();
  #nextId = 1;
  #closing: Promise<void> | null = null;
  /** Why this side ended it. */
  #killed: string | null = null;
  #refused: Error | null = null;
  #failure: EngineError | null = null;
  #loaded = false;

  constructor(options: ChildProcessOptions) {
    this.#options = options;
    this.ready = this.#ready.promise;
    this.ready.catch(() => undefined); // who does not wait for it hears of the end
    this.ended = this.#ended.promise;
    const { command, args, env } = options.launch;
    const inOrder = worksInOrder(options.load);
    this.#process = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'], env: { ...env, ...(inOrder && { UV_THREADPOOL_SIZE: '1' }) }, windowsHide: true,
    });
    this.#process.on('error', (cause) => this.#over(new EngineError('E_ENGINE', `engine process cannot be started: ${cause.message}`, { cause })));
    // Its last messages may still be in the pipe when it has ended; they are waited for, but not for long.
    this.#process.on('exit', (code, signal) => {
      const over = (): void => this.#over(this.#reason(signal ?? `exit code ${String(code)}`));
      this.#process.on('close', over);
      setTimeout(over, LAST_WORDS_MS).unref();
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream !== null) this.#listen(stream);
    }
    this.#channel = openFrameChannel(this.#process.stdio[3] as Duplex, {
      message: (message) => this.#take(message as ToNode),
      closed: (error) => {
        if (error !== null) this.#kill(`its messages cannot be read: ${error.message}`);
        else setTimeout(() => this.#kill('it went silent'), options.times.closeMs).unref();
      },
    });
    this.#tell({ kind: 'load', options: { ...options.load, inOrder } });
    this.#pinging = setInterval(() => this.#ping(), options.times.pingMs);
    this.#pinging.unref();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  ask(request: EngineRequest, listener: AnswerListener): number {
    const id = this.#nextId;
    this.#nextId += 1;
    if (this.#failure !== null) {
      const failure = this.#failure;
      queueMicrotask(() => listener.failed(failure));
      return id;
    }
    this.#answers.set(id, listener);
    this.#tell({ kind: 'ask', id, request });
    return id;
  }

  async embed(texts: readonly string[], signal: AbortSignal): Promise<EngineEmbeddings> {
    const id = this.#nextId;
    this.#nextId += 1;
    if (this.#failure !== null) throw this.#failure;
    const settled = deferred<EngineEmbeddings | Error>();
    this.#embeddings.set(id, settled.resolve);
    const cancel = (): void => this.cancel(id);
    signal.addEventListener('abort', cancel, { once: true });
    this.#tell({ kind: 'embed', id, texts });
    try {
      const result = await settled.promise;
      if (result instanceof Error) throw result;
      return result;
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  cancel(id: number): void {
    if (this.#cancelTimers.has(id) || !(this.#answers.has(id) || this.#embeddings.has(id))) return;
    this.#tell({ kind: 'cancel', id });
    const late = setTimeout(() => this.#kill('an answer that was cancelled did not end'), this.#options.times.cancelMs);
    late.unref();
    this.#cancelTimers.set(id, late);
  }

  taken(id: number, events: number): void {
    if (this.#answers.has(id)) this.#tell({ kind: 'taken', id, events });
  }

  close(): Promise<void> {
    return this.#closing ??= (async () => {
      // While it loads there is nothing to be lost.
      if (this.#loaded) this.#tell({ kind: 'close' });
      else this.#process.kill('SIGKILL');
      const late = setTimeout(() => this.#kill('it did not close'), this.#options.times.closeMs);
      await this.ended;
      clearTimeout(late);
    })();
  }

  #tell(message: ToChild): void {
    this.#channel.send(message);
  }

  #take(message: ToNode): void {
    this.#heardMs = performance.now();
    switch (message.kind) {
      case 'event': {
        const listener = this.#answers.get(message.id);
        if (message.event.type === 'finish') this.#done(message.id);
        listener?.event(message.event);
        return;
      }
      case 'failed': {
        const error = errorFromData(message.error);
        const listener = this.#answers.get(message.id);
        const embedding = this.#embeddings.get(message.id);
        this.#done(message.id);
        listener?.failed(error);
        embedding?.(error);
        return;
      }
      case 'embedded': {
        const embedding = this.#embeddings.get(message.id);
        this.#done(message.id);
        embedding?.(message.result);
        return;
      }
      case 'log': return this.#options.log[message.level](message.message, message.fields);
      case 'progress': return this.#options.onProgress?.(message.fraction);
      case 'ready':
        this.#loaded = true;
        return this.#ready.resolve(message.info);
      case 'refused':
        this.#refused = errorFromData(message.error);
        return;
      case 'pong': return;
    }
  }

  #done(id: number): void {
    this.#answers.delete(id);
    this.#embeddings.delete(id);
    clearTimeout(this.#cancelTimers.get(id));
    this.#cancelTimers.delete(id);
  }

  #ping(): void {
    if (performance.now() - this.#heardMs > this.#options.times.silenceMs) this.#kill('it does not answer any more');
    else this.#tell({ kind: 'ping' });
  }

  #kill(why: string): void {
    this.#killed ??= why;
    this.#process.kill('SIGKILL');
  }

  #reason(how: string): EngineError | null {
    if (this.#closing !== null && this.#killed === null) return null;
    if (this.#refused instanceof EngineError) return this.#refused;
    const why = this.#killed === null ? how : `${how}: ${this.#killed}`;
    return new EngineError('E_ENGINE', `engine process ended by ${why}`, this.#lines.length > 0 ? { cause: new Error(this.#lines.join('\n')) } : {});
  }

  #over(error: EngineError | null): void {
    if (this.#failure !== null) return;
    const failure = error ?? new EngineError('E_ENGINE', 'engine is closed');
    this.#failure = failure;
    clearInterval(this.#pinging);
    this.#channel.destroy();
    this.#ready.reject(this.#refused ?? failure);
    const answers = [...this.#answers.values()];
    const embeddings = [...this.#embeddings.values()];
    for (const id of [...this.#answers.keys(), ...this.#embeddings.keys()]) this.#done(id);
    for (const listener of answers) listener.failed(failure);
    for (const settle of embeddings) settle(failure);
    this.#ended.resolve(error);
  }

  /** Lines that native code prints, outside of its own log. */
  #listen(stream: Readable): void {
    const lines = createInterface({ input: stream, crlfDelay: Infinity });
    lines.on('line', (line) => {
      const text = line.slice(0, LINE_LENGTH).trimEnd();
      if (text === '') return;
      this.#lines.push(text);
      if (this.#lines.length > LAST_LINES) this.#lines.shift();
      this.#options.log.warn(`engine process: ${text}`);
    });
    stream.on('error', () => undefined); // the end of the process is what matters
  }
}
