// Hands out the sequences of a context. A request waits in the order of arrival, in a queue with a bound.
// Of the free sequences it gets the one that has evaluated most of its prompt already, else the lowest:
// low ids that follow one another are evaluated fastest.
import { EngineError } from '../../core/errors.ts';
import type { LlamaSequence } from './llama-runtime.ts';

/** A sequence other than the lowest is worth it from this many more reusable tokens. */
const REUSE_GAIN = 16;

export interface SequencePool {
  readonly running: number;
  readonly waiting: number;
  /**
   * A sequence for this prompt; null when the signal aborts before there is one.
   * Throws EngineError E_ENGINE_BUSY when the queue is full, E_ENGINE when no sequence is left or the pool is closed.
   */
  acquire(tokens: readonly number[], signal: AbortSignal): Promise<LlamaSequence | null>;
  release(sequence: LlamaSequence): void;
  /** Takes a sequence out of use for good. */
  retire(sequence: LlamaSequence): void;
  /** Fails everything that waits, now and later. */
  close(): void;
}

interface Waiter {
  readonly tokens: readonly number[];
  readonly settle: (sequence: LlamaSequence | null) => void;
  readonly fail: (error: EngineError) => void;
}

export function createSequencePool(sequences: readonly LlamaSequence[], queueLimit: number): SequencePool {
  const free = new Set(sequences);
  const busy = new Set<LlamaSequence>();
  const waiters = new Set<Waiter>();
  let closed = false;

  const take = (tokens: readonly number[]): LlamaSequence | undefined => {
    const best = chooseSequence([...free], tokens);
    if (best !== undefined) {
      free.delete(best);
      busy.add(best);
    }
    return best;
  };

  const failAll = (message: string): void => {
    for (const waiter of waiters) waiter.fail(new EngineError('E_ENGINE', message));
    waiters.clear();
  };

  return {
    get running() {
      return busy.size;
    },
    get waiting() {
      return waiters.size;
    },
    async acquire(tokens, signal) {
      if (closed) throw new EngineError('E_ENGINE', 'engine is closed');
      if (free.size + busy.size === 0) throw new EngineError('E_ENGINE', 'engine has no usable sequence left');
      if (signal.aborted) return null;
      const sequence = take(tokens);
      if (sequence !== undefined) return sequence;
      if (waiters.size >= queueLimit) {
        throw new EngineError('E_ENGINE_BUSY', `engine has ${busy.size} requests running and ${waiters.size} waiting, expected fewer`);
      }
      return new Promise((resolve, reject) => {
        const leave = (): void => {
          waiters.delete(waiter);
          signal.removeEventListener('abort', onAbort);
        };
        const onAbort = (): void => {
          leave();
          resolve(null);
        };
        const waiter: Waiter = {
          tokens,
          settle: (given) => {
            leave();
            resolve(given);
          },
          fail: (error) => {
            leave();
            reject(error);
          },
        };
        signal.addEventListener('abort', onAbort);
        waiters.add(waiter);
      });
    },
    release(sequence) {
      if (!busy.delete(sequence)) return;
      free.add(sequence);
      const [next] = waiters;
      if (next !== undefined) next.settle(take(next.tokens) ?? null);
    },
    retire(sequence) {
      busy.delete(sequence);
      free.delete(sequence);
      if (free.size + busy.size === 0) failAll('engine has no usable sequence left');
    },
    close() {
      closed = true;
      failAll('engine is closed');
    },
  };
}

function chooseSequence(free: readonly LlamaSequence[], tokens: readonly number[]): LlamaSequence | undefined {
  const [lowest, ...others] = free.toSorted((a, b) => a.id - b.id);
  if (lowest === undefined) return undefined;
  let best = lowest;
  let most = lowest.reusableTokens(tokens) + REUSE_GAIN - 1;
  for (const sequence of others) {
    const reusable = sequence.reusableTokens(tokens);
    if (reusable > most) {
      best = sequence;
      most = reusable;
    }
  }
  return best;
}
