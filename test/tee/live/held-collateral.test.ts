import { describe, expect, it } from '@jest/globals';
import { CocoonError, NetworkError } from '../../../src/core/errors.ts';
import type { DocumentSpec } from '../../../src/tee/collateral/document.ts';
import { MissingCollateralError } from '../../../src/tee/collateral/errors.ts';
import { HeldCollateral } from '../../../src/tee/live/held-collateral.ts';
import { Shelf } from '../../fakes/hardware.ts';

const HOUR = 3_600_000;
const spec = (id: string, untilMs: number | null): DocumentSpec => ({
  id, what: id, request: { url: 'https://example.test/', method: 'GET', headers: {}, maxBytes: 1 }, mediaTypes: /./, decode: () => ({}), expiresAtMs: () => untilMs,
});

function held(untilMs: number | null = 10 * HOUR) {
  const time = { nowMs: HOUR };
  const shelf = new Shelf();
  shelf.put('a', { text: 'one' });
  const collateral = new HeldCollateral(shelf, { now: () => time.nowMs });
  const get = (signal?: AbortSignal) => collateral.get('question', async (source) => (await source.get([spec('a', untilMs)]))[0]?.['text'], signal);
  return { time, shelf, collateral, get };
}

describe('HeldCollateral', () => {
  it('HeldCollateral: keeps for an hour, and no longer than the first document lasts', async () => {
    const { time, shelf, collateral, get } = held();
    expect(collateral.digest('question')).toBeNull();
    const { value, digest } = await get();
    expect([value, collateral.digest('question')]).toEqual(['one', digest]);
    time.nowMs += HOUR - 1;
    await get();
    expect(shelf.asked.length).toBe(1);
    time.nowMs += 1;
    expect(collateral.digest('question')).toBeNull();
    shelf.put('a', { text: 'two' });
    expect((await get()).value).toBe('two');
    expect((await get()).digest).not.toBe(digest);
    const short = held(HOUR + 5);
    await short.get();
    short.time.nowMs += 4;
    await short.get();
    expect(short.shelf.asked.length).toBe(1);
    short.time.nowMs += 1;
    await short.get();
    expect(short.shelf.asked.length).toBe(2);
  });

  it('HeldCollateral: does not trust a clock that was set back, keeps nothing without an end, and forgets when told', async () => {
    const { time, shelf, collateral, get } = held();
    await get();
    time.nowMs -= 1;
    await get();
    expect(shelf.asked.length).toBe(2);
    collateral.clear();
    await get();
    expect(shelf.asked.length).toBe(3);
    const endless = held(null);
    await endless.get();
    await endless.get();
    expect(endless.shelf.asked.length).toBe(2);
  });

  it('HeldCollateral: a failure is told to all for a while, said as no verdict, and then tried again', async () => {
    const { time, shelf, get } = held();
    shelf.up = false;
    const [first, second] = await Promise.all([get(), get()].map((one) => one.catch((error: unknown) => error)));
    expect(first).toBe(second);
    expect(first).toMatchObject({ code: 'E_COLLATERAL', message: expect.stringMatching(/^peer refused because its evidence could not be judged: /), hint: expect.any(String) });
    await expect(get()).rejects.toBe(first);
    expect(shelf.asked.length).toBe(1);
    shelf.up = true;
    time.nowMs += 15_000;
    expect((await get()).value).toBe('one');
  });

  it('HeldCollateral: documents that are not at hand offline are the same; other errors pass', async () => {
    const collateral = new HeldCollateral(new Shelf(), { now: () => 0 });
    const missing = new MissingCollateralError([{ id: 'a', what: 'a', reason: 'absent' }], 'cocoon attest fetch');
    await expect(collateral.get('x', async () => { throw missing; })).rejects.toMatchObject({ code: 'E_COLLATERAL', cause: missing });
    await expect(collateral.get('y', async () => { throw new Error('bug'); })).rejects.toMatchObject({ code: 'E_INTERNAL' });
    await expect(collateral.get('z', async () => { throw new CocoonError('E_STATE', 'damaged'); })).rejects.toMatchObject({ code: 'E_STATE' });
  });

  it('HeldCollateral: one who leaves does not end the fetching', async () => {
    const { shelf, collateral, get } = held();
    let release = (): void => undefined;
    shelf.held = new Promise<void>((resolve) => { release = resolve; });
    const leaving = new AbortController();
    const gone = get(leaving.signal);
    await new Promise((resolve) => { setImmediate(resolve); });
    leaving.abort(new NetworkError('E_CLOSED', 'gone'));
    await expect(gone).rejects.toMatchObject({ message: 'gone' });
    release();
    await get();
    expect([shelf.asked.length, collateral.digest('question')]).toEqual([1, expect.any(String)]);
  });

  it('HeldCollateral: keeps a bounded number of answers', async () => {
    const { collateral } = held();
    for (let number = 0; number < 100; number += 1) await collateral.get(`q${number}`, async (source) => source.get([spec('a', 10 * HOUR)]));
    const kept = Array.from({ length: 100 }, (_, number) => collateral.digest(`q${number}`)).filter((digest) => digest !== null);
    expect(kept).toHaveLength(64);
  });
});
