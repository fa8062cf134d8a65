// The process of an engine: loads the model that the first message names, then answers until the node says close or is gone.
// Events wait for their reader: of each answer at most a window of them is on the way. Its end never depends on native code.
import { asCocoonError } from '../../core/errors.ts';
import { deferred } from '../../core/deferred.ts';
import { openFrameChannel } from './child-frames.ts';
import { errorToData, EVENT_WINDOW } from './child-protocol.ts';
import type { Duplex } from 'node:stream';
import type { Deferred } from '../../core/deferred.ts';
import type { Log, LogLevel } from '../../core/log.ts';
import type { Engine, EngineRequest } from '../engine.ts';
import type { FrameChannel } from './child-frames.ts';
import type { LoadOptions, ToChild, ToNode } from './child-protocol.ts';

export interface ChildPorts {
  /** Loads the model; `progress` hears the loaded share. */
  load(options: LoadOptions, log: Log, progress: (fraction: number) => void, signal: AbortSignal): Promise<Engine>;
  /** Ends this process at once, whatever native code does. */
  kill(): void;
}

/** How long the engine may take to close before the process ends all the same. */
const CLOSE_MS = 10_000;
/** Progress of loading is told in steps of this share. */
const PROGRESS_STEP = 0.02;

/** One answer that is being made. */
interface Answer {
  readonly controller: AbortController;
  /** Events that may still be sent before the reader takes some. */
  credit: number;
  room: Deferred<void> | null;
}

/** Serves the node at the other end of `socket` until one of them ends; resolves when the engine is closed. */
export async function runEngineChild(socket: Duplex, ports: ChildPorts): Promise<void> {
  const over = deferred<void>();
  const loading = new AbortController();
  const answers = new Map<number, Answer>();
  let engine: Promise<Engine> | null = null;

  const channel = openFrameChannel(socket, {
    message: (message) => take(message as ToChild),
    closed: () => over.resolve(),
  });
  const tell = (message: ToNode): void => channel.send(message);
  const log = logTo(tell);

  const load = async (options: LoadOptions): Promise<Engine> => {
    let told = 0;
    const progress = (fraction: number): void => {
      if (fraction < 1 && fraction - told < PROGRESS_STEP) return;
      told = fraction;
      tell({ kind: 'progress', fraction });
    };
    const loaded = await ports.load(options, log, progress, loading.signal);
    tell({ kind: 'ready', info: loaded.info() });
    return loaded;
  };
  const take = (message: ToChild): void => {
    if (message.kind === 'load' && engine === null) {
      engine = load(message.options);
      engine.catch((error: unknown) => {
        tell({ kind: 'refused', error: errorToData(error) });
        over.resolve();
      });
    } else if (message.kind === 'ask' && engine !== null) {
      void answer(engine, message.id, message.request, answers, tell);
    } else if (message.kind === 'embed' && engine !== null) {
      void embed(engine, message.id, message.texts, answers, tell);
    } else if (message.kind === 'cancel') {
      answers.get(message.id)?.controller.abort();
    } else if (message.kind === 'taken') {
      grant(answers.get(message.id), message.events);
    } else if (message.kind === 'ping') {
      tell({ kind: 'pong' });
    } else if (message.kind === 'close') {
      over.resolve();
    } else {
      throw new Error(`message "${message.kind}" is not expected now`);
    }
  };

  await over.promise;
  await finish(engine, loading, answers, channel, ports);
}

async function finish(
  engine: Promise<Engine> | null, loading: AbortController, answers: ReadonlyMap<number, Answer>, channel: FrameChannel, ports: ChildPorts,
): Promise<void> {
  const late = setTimeout(() => ports.kill(), CLOSE_MS);
  late.unref();
  loading.abort(new Error('the engine is not wanted any more'));
  for (const { controller } of answers.values()) controller.abort();
  await engine?.then((loaded) => loaded.close()).catch(() => undefined); // it failed to load, which was told
  channel.end();
}

/** Gives the reader's room back to an answer. */
function grant(answer: Answer | undefined, events: number): void {
  if (answer === undefined) return;
  answer.credit += events;
  answer.room?.resolve();
  answer.room = null;
}

async function answer(
  engine: Promise<Engine>, id: number, request: EngineRequest, answers: Map<number, Answer>, tell: (message: ToNode) => void,
): Promise<void> {
  const own: Answer = { controller: new AbortController(), credit: EVENT_WINDOW, room: null };
  const { signal } = own.controller;
  signal.addEventListener('abort', () => own.room?.resolve(), { once: true });
  answers.set(id, own);
  try {
    const loaded = await engine;
    for await (const event of loaded.complete(request, signal)) {
      if (own.credit <= 0 && !signal.aborted) {
        own.room = deferred();
        await own.room.promise;
      }
      own.credit -= 1;
      tell({ kind: 'event', id, event });
    }
  } catch (error) {
    tell({ kind: 'failed', id, error: errorToData(error) });
  } finally {
    answers.delete(id);
  }
}

async function embed(
  engine: Promise<Engine>, id: number, texts: readonly string[], answers: Map<number, Answer>, tell: (message: ToNode) => void,
): Promise<void> {
  const own: Answer = { controller: new AbortController(), credit: 0, room: null };
  answers.set(id, own);
  try {
    const loaded = await engine;
    tell({ kind: 'embedded', id, result: await loaded.embed(texts, own.controller.signal) });
  } catch (error) {
    tell({ kind: 'failed', id, error: errorToData(error) });
  } finally {
    answers.delete(id);
  }
}

/** A log that ends up in the node's. */
function logTo(tell: (message: ToNode) => void): Log {
  const at = (level: LogLevel) => (message: string, fields?: Readonly<Record<string, unknown>>): void => {
    try {
      tell({ kind: 'log', level, message, ...(fields !== undefined && { fields }) });
    } catch (error) {
      tell({ kind: 'log', level, message, fields: { unsendable: asCocoonError(error).message } });
    }
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
