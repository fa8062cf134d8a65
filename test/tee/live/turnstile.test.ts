import { describe, expect, it } from '@jest/globals';
import { deferred } from '../../../src/core/deferred.ts';
import { NetworkError } from '../../../src/core/errors.ts';
import { SharedWork } from '../../../src/tee/live/shared-work.ts';
import { Turnstile } from '../../../src/tee/live/turnstile.ts';

const tick = (): Promise<void> => new Promise((resolve) => { setImmediate(() => setImmediate(resolve)); });
const aborted = (): AbortSignal => AbortSignal.abort(new NetworkError('E_CLOSED', 'gone'));

describe('Turnstile', () => {
  it('Turnstile: works in order, never more at once than allowed, with the event loop in between', async () => {
    const turns = new Turnstile({ atOnce: 2, waiting: 100, what: 'work' });
    let inside = 0;
    let most = 0;
    const order: number[] = [];
    const done = Promise.all(Array.from({ length: 20 }, (_, number) => turns.pass(async () => {
      inside += 1;
      most = Math.max(most, inside);
      order.push(number);
      await tick();
      inside -= 1;
      return number;
    })));
    let loops = 0;
    const count = setInterval(() => { loops += 1; }, 0);
    expect(await done).toEqual(order);
    clearInterval(count);
    expect([most, order]).toEqual([2, Array.from({ length: 20 }, (_, number) => number)]);
    expect(loops).toBeGreaterThan(0);
  });

  it('Turnstile: goes on after work that fails', async () => {
    const turns = new Turnstile({ atOnce: 1, waiting: 10, what: 'work' });
    const failed = turns.pass(() => { throw new Error('no'); });
    const next = turns.pass(() => 'yes');
    await expect(failed).rejects.toThrow('no');
    expect(await next).toBe('yes');
  });

  it('Turnstile: refuses who would be too many, and lets go of who leaves', async () => {
    const turns = new Turnstile({ atOnce: 1, waiting: 1, what: 'a verification' });
    const held = deferred<void>();
    const first = turns.pass(() => held.promise);
    const leaving = new AbortController();
    const second = turns.pass(() => 'second', leaving.signal);
    await expect(turns.pass(() => 'third')).rejects.toMatchObject({ code: 'E_BUSY', message: '1 others wait for a verification already' });
    leaving.abort(new NetworkError('E_CLOSED', 'gone'));
    await expect(second).rejects.toMatchObject({ message: 'gone' });
    const fourth = turns.pass(() => 'fourth');
    held.resolve();
    await first;
    expect(await fourth).toBe('fourth');
    await expect(turns.pass(() => 'late', aborted())).rejects.toMatchObject({ code: 'E_CLOSED' });
    expect(await turns.pass(() => 'free again')).toBe('free again');
  });
});

describe('SharedWork', () => {
  it('SharedWork: runs once for all who ask for the same, and again afterwards', async () => {
    const work = new SharedWork<number>(4, 'a document');
    let runs = 0;
    const start = async (): Promise<number> => { runs += 1; await tick(); return runs; };
    expect(await Promise.all([work.join('a', start), work.join('a', start), work.join('b', start)])).toEqual([2, 2, 2]);
    expect(await work.join('a', start)).toBe(3);
  });

  it('SharedWork: goes on when one who waits leaves, and fails for all', async () => {
    const work = new SharedWork<string>(4, 'a document');
    const held = deferred<string>();
    const leaving = new AbortController();
    const gone = work.join('a', () => held.promise, leaving.signal);
    const patient = work.join('a', () => { throw new Error('not started twice'); });
    leaving.abort(new NetworkError('E_CLOSED', 'gone'));
    await expect(gone).rejects.toMatchObject({ message: 'gone' });
    held.resolve('here');
    expect(await patient).toBe('here');
    await expect(Promise.all([work.join('c', async () => { throw new Error('broken'); }), work.join('c', async () => 'x')])).rejects.toThrow('broken');
    await expect(work.join('d', async () => 'x', aborted())).rejects.toMatchObject({ code: 'E_CLOSED' });
  });

  it('SharedWork: refuses more kinds of work than allowed', async () => {
    const work = new SharedWork<void>(1, 'collateral');
    const held = deferred<void>();
    const first = work.join('a', () => held.promise);
    await expect(work.join('b', async () => undefined)).rejects.toMatchObject({ code: 'E_BUSY' });
    held.resolve();
    await first;
    await work.join('b', async () => undefined);
  });
});
