import { describe, expect, it } from '@jest/globals';
import { backoffMs, retry, sleep } from '../../src/core/retry.ts';

const options = { baseMs: 100, maxMs: 1000 };

describe('backoffMs', () => {
  it('doubles up to the maximum, with jitter between half and all of it', () => {
    const lowest = [0, 1, 2, 3, 4, 1000].map((attempt) => backoffMs(attempt, { ...options, random: () => 0 }));
    const highest = [0, 1, 2, 3, 4, 1000].map((attempt) => backoffMs(attempt, { ...options, random: () => 0.999_999 }));
    expect(lowest).toEqual([50, 100, 200, 400, 500, 500]);
    expect(highest).toEqual([100, 200, 400, 800, 1000, 1000]);
  });
});

describe('sleep', () => {
  it('rejects with the reason of a signal, before or while waiting', async () => {
    const controller = new AbortController();
    const waiting = sleep(60_000, controller.signal);
    controller.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
    await expect(sleep(60_000, controller.signal)).rejects.toThrow('enough');
  });
});

describe('retry', () => {
  const run = (failures: number, attempts: number, shouldRetry = () => true): { waits: number[]; calls: number[]; result: Promise<string> } => {
    const waits: number[] = [];
    const calls: number[] = [];
    const result = retry(async (attempt) => {
      calls.push(attempt);
      if (calls.length <= failures) throw new Error(`failure ${calls.length}`);
      return 'done';
    }, { ...options, attempts, shouldRetry, random: () => 0, sleep: async (ms) => { waits.push(ms); } });
    return { waits, calls, result };
  };

  it('returns the first success, waiting longer each time', async () => {
    const { result, waits, calls } = run(2, 5);
    expect(await result).toBe('done');
    expect(calls).toEqual([0, 1, 2]);
    expect(waits).toEqual([50, 100]);
  });

  it('throws the last error after the last attempt, without a wait', async () => {
    const { result, waits } = run(9, 3);
    await expect(result).rejects.toThrow('failure 3');
    expect(waits).toEqual([50, 100]);
  });

  it('throws at once what must not be retried', async () => {
    const { result, calls } = run(9, 3, () => false);
    await expect(result).rejects.toThrow('failure 1');
    expect(calls).toEqual([0]);
  });
});
