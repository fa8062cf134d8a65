import { describe, expect, it } from '@jest/globals';
import { abortError, withDeadline } from '../../src/core/deadline.ts';
import { NetworkError } from '../../src/core/errors.ts';

const late = (): NetworkError => new NetworkError('E_TIMEOUT', 'too late');
const never = (): Promise<never> => new Promise(() => undefined);

describe('withDeadline', () => {
  it('withDeadline: gives the result of work in time, and leaves its signal alone', async () => {
    let seen: AbortSignal | undefined;
    await expect(withDeadline(async (signal) => { seen = signal; return 7; }, { timeoutMs: 1000, late })).resolves.toBe(7);
    expect(seen?.aborted).toBe(false);
  });

  it('withDeadline: passes the error of the work', async () => {
    await expect(withDeadline(() => Promise.reject(new RangeError('own')), { timeoutMs: 1000, late })).rejects.toThrow(RangeError);
  });

  it('withDeadline: rejects late work that ignores its signal, and aborts the signal with the same error', async () => {
    let reason: unknown;
    const work = withDeadline((signal) => {
      signal.addEventListener('abort', () => { reason = signal.reason; });
      return never();
    }, { timeoutMs: 5, late });
    await expect(work).rejects.toMatchObject({ code: 'E_TIMEOUT', message: 'too late' });
    expect(reason).toMatchObject({ code: 'E_TIMEOUT' });
  });

  it('withDeadline: ignores what late work does afterwards', async () => {
    let fail: (error: Error) => void = () => undefined;
    const work = withDeadline(() => new Promise((_, reject) => { fail = reject; }), { timeoutMs: 5, late });
    await expect(work).rejects.toMatchObject({ code: 'E_TIMEOUT' });
    fail(new Error('nobody listens'));
    await new Promise((resolve) => { setImmediate(resolve); });
  });

  it('withDeadline: the signal of the caller ends it with the reason', async () => {
    const controller = new AbortController();
    const work = withDeadline(never, { timeoutMs: 1000, signal: controller.signal, late });
    controller.abort(new NetworkError('E_CLOSED', 'gone'));
    await expect(work).rejects.toMatchObject({ code: 'E_CLOSED', message: 'gone' });
  });

  it('withDeadline: does not begin when the signal is aborted already', async () => {
    let begun = false;
    const work = withDeadline(async () => { begun = true; }, { timeoutMs: 1000, signal: AbortSignal.abort(), late });
    await expect(work).rejects.toMatchObject({ code: 'E_CLOSED' });
    expect(begun).toBe(false);
  });

  it('withDeadline: a time beyond what a timer can hold does not fire at once', async () => {
    await expect(withDeadline(async () => 'done', { timeoutMs: Number.MAX_SAFE_INTEGER, late })).resolves.toBe('done');
  });
});

describe('abortError', () => {
  it('abortError: keeps a typed reason and wraps another', () => {
    const own = new NetworkError('E_TIMEOUT', 'mine');
    expect(abortError(AbortSignal.abort(own))).toBe(own);
    expect(abortError(AbortSignal.abort('why'))).toMatchObject({ code: 'E_CLOSED', cause: 'why' });
  });
});
