// A batch of questions: several at once, each asked again while a retry may help, each result recorded before it counts. What
// stops everybody (evidence, money, a limit of the owner, an interrupt) stops the batch; everything else is that question's own failure.
import { abortError } from '../core/deadline.ts';
import { asCocoonError, AttestationError, CapacityError, ConfigError, FundsError, InterruptedError, NetworkError, PolicyError, WalletError } from '../core/errors.ts';
import { backoffMs, sleep as realSleep } from '../core/retry.ts';
import type { CocoonError } from '../core/errors.ts';
import type { Sleep } from '../core/retry.ts';
import type { BatchQuestion } from './batch-questions.ts';
import type { BatchResult, JsonObject } from './batch-results.ts';

export interface BatchOptions {
  readonly questions: readonly BatchQuestion[];
  /** Questions asked at the same time. */
  readonly parallel: number;
  /** For one question, retries included. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Answers one question; what it returns is recorded with it. */
  ask(question: BatchQuestion, timeoutMs: number, signal: AbortSignal): Promise<JsonObject>;
  /** Resolves when the result is safe. Called in the order in which questions are done. */
  record(result: BatchResult): Promise<void>;
  /** After each question. */
  onProgress?(progress: BatchProgress): void;
  readonly sleep?: Sleep;
}

export interface BatchProgress {
  readonly answered: number;
  readonly failed: number;
  /** The failure of the last question that failed. */
  readonly lastError: CocoonError | null;
}

const BACKOFF = { baseMs: 250, maxMs: 5_000 };

/** Of the whole batch: another question would fare no better. */
const stopsAll = (error: CocoonError): boolean =>
  error instanceof AttestationError || error instanceof FundsError || error instanceof PolicyError || error instanceof WalletError || error instanceof ConfigError
  || error instanceof InterruptedError || error.code === 'E_INTERNAL';

const mayRetry = (error: CocoonError): boolean => error.retryable && error.code !== 'E_TIMEOUT' && (error instanceof NetworkError || error instanceof CapacityError);

/** Asks every question; resolves when all have a result. Throws what stops everybody, after the questions that run have ended. */
export async function runBatch({ questions, parallel, timeoutMs, signal, ask, record, onProgress, sleep = realSleep }: BatchOptions): Promise<BatchProgress> {
  const stopping = new AbortController();
  const either = AbortSignal.any([signal, stopping.signal]);
  const waiting = questions[Symbol.iterator]();
  let progress: BatchProgress = { answered: 0, failed: 0, lastError: null };

  const answer = async (question: BatchQuestion): Promise<BatchResult> => {
    const { id, digest } = question;
    const endsAt = performance.now() + timeoutMs;
    for (let attempt = 0; ; attempt += 1) {
      try {
        const leftMs = Math.max(1, Math.round(endsAt - performance.now()));
        return { id, ok: true, request: digest, ...await ask(question, leftMs, either), error: null };
      } catch (thrown) {
        if (either.aborted) throw abortError(either);
        const error = asCocoonError(thrown);
        const waitMs = backoffMs(attempt, BACKOFF);
        if (mayRetry(error) && performance.now() + waitMs < endsAt) {
          await sleep(waitMs, either).catch(() => undefined);
          if (either.aborted) throw abortError(either);
          continue;
        }
        if (stopsAll(error)) throw error;
        progress = { ...progress, lastError: error };
        return { id, ok: false, request: digest, error: { code: error.code, message: error.message, hint: error.hint ?? null, retryable: error.retryable } };
      }
    }
  };

  const work = async (): Promise<void> => {
    for (let next = waiting.next(); next.done !== true && !either.aborted; next = waiting.next()) {
      const result = await answer(next.value);
      await record(result);
      progress = { ...progress, answered: progress.answered + (result.ok ? 1 : 0), failed: progress.failed + (result.ok ? 0 : 1) };
      onProgress?.(progress);
    }
  };
  const workers = Array.from({ length: Math.min(parallel, questions.length) }, () => work().catch((error: unknown) => {
    stopping.abort(error);
    throw error;
  }));
  const ended = await Promise.allSettled(workers);
  if (signal.aborted) throw abortError(signal);
  if (stopping.signal.aborted) throw stopping.signal.reason;
  for (const each of ended) if (each.status === 'rejected') throw each.reason;
  return progress;
}

/** Passes results on in the order of the questions; holds those that are early, at most `parallel` times `WINDOW` before `record` waits. */
export function inOrder(ids: readonly string[], parallel: number, write: (result: BatchResult) => Promise<void>): (result: BatchResult) => Promise<void> {
  const early = new Map<string, BatchResult>();
  const most = parallel * WINDOW;
  let next = 0;
  let writing: Promise<void> = Promise.resolve();
  const room: (() => void)[] = [];
  const drain = async (): Promise<void> => {
    for (let id = ids[next]; id !== undefined; id = ids[next]) {
      const result = early.get(id);
      if (result === undefined) break;
      early.delete(id);
      next += 1;
      await write(result);
    }
    for (const wake of room.splice(0)) wake();
  };
  return async (result) => {
    early.set(result.id, result);
    writing = writing.then(drain);
    await writing;
    while (early.size > most) await new Promise<void>((resolve) => { room.push(resolve); });
  };
}

const WINDOW = 16;
