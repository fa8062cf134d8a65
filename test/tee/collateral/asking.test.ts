// Slow, overloaded, broken and lying services: waits, repetitions and limits.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { retryAfterMs } from '../../../src/tee/collateral/asking.ts';
import { assembleDcapCollateral } from '../../../src/tee/collateral/intel.ts';
import { createHttpFetch } from '../../../src/tee/collateral/http.ts';
import { ANSWERS, CASE, CASE_NOW_MS, QUESTION, URLS, World, expectCode, scriptIntel } from './world.ts';

let world: World;
beforeEach(async () => {
  world = await World.start(CASE_NOW_MS);
  scriptIntel(world.server);
});
afterEach(() => world.close());

const ask = (options: object = {}): Promise<unknown> => assembleDcapCollateral(world.source(options), QUESTION);

describe('asking a service', () => {
  it('429: waits as long as Retry-After says, then asks again', async () => {
    world.server.on(URLS.rootCrl, { status: 429, headers: { 'retry-after': '7' } }, { status: 429, headers: { 'retry-after': '3' } }, ANSWERS.rootCrl);
    expect(await ask()).toEqual(CASE.collateral);
    expect(world.slept).toEqual([7000, 3000]);
  });

  it('429: a date is understood, too', async () => {
    world.server.on(URLS.rootCrl, { status: 503, headers: { 'retry-after': new Date(CASE_NOW_MS + 12_000).toUTCString() } }, ANSWERS.rootCrl);
    await ask();
    expect(world.slept).toEqual([12_000]);
  });

  it('429: a wait beyond the time limit fails at once and says when to come back', async () => {
    world.server.on(URLS.rootCrl, { status: 429, headers: { 'retry-after': '3600' } });
    const error = await expectCode(ask(), 'E_COLLATERAL', /wants to be asked again in 3600 s/);
    expect([error.hint, error.retryable]).toEqual(['try again in 3600 seconds', true]);
    expect(world.server.count(URLS.rootCrl)).toBe(1);
  });

  it('429: a wish for years is honoured for an hour', async () => {
    world.server.on(URLS.rootCrl, { status: 429, headers: { 'retry-after': '999999999' } }, ANSWERS.rootCrl);
    const source = world.source();
    await expectCode(assembleDcapCollateral(source, QUESTION), 'E_COLLATERAL', /wants to be asked again in 3600 s/);
    world.nowMs += 3_599_000;
    expect(await assembleDcapCollateral(source, QUESTION)).toEqual(CASE.collateral);
    expect(world.slept).toEqual([1000]);
  });

  it('429: without Retry-After it backs off, longer each time, and gives up', async () => {
    world.server.on(URLS.rootCrl, { status: 429 });
    await expectCode(ask(), 'E_COLLATERAL', /limits the rate of requests/);
    expect(world.server.count(URLS.rootCrl)).toBe(5);
    world.slept.forEach((ms, index) => expect([ms >= 500 * 2 ** index, ms <= 1000 * 2 ** index]).toEqual([true, true]));
  });

  it.each([500, 502, 504])('HTTP status %d: asked three times', async (status) => {
    world.server.on(URLS.qe, { status });
    await expectCode(ask(), 'E_COLLATERAL', new RegExp(`answered HTTP status ${status}`));
    expect(world.server.count(URLS.qe)).toBe(3);
  });

  it('a connection that closes without an answer is tried again', async () => {
    world.server.on(URLS.qe, { drop: true }, ANSWERS.qe);
    expect(await ask()).toEqual(CASE.collateral);
    world.server.on(URLS.qe, { drop: true });
    await expectCode(ask({ refresh: true }), 'E_COLLATERAL', /gives no answer \(/);
  });

  it.each([[301, /redirects elsewhere/], [302, /redirects elsewhere/], [307, /redirects elsewhere/], [400, /HTTP status 400/], [401, /HTTP status 401/], [404, /does not have it/]])(
    'HTTP status %d: refused at once', async (status, message) => {
      world.server.on(URLS.qe, { status, headers: { location: `${world.server.origin}/elsewhere` } });
      await expectCode(ask(), 'E_COLLATERAL', message);
      expect(world.server.count(URLS.qe)).toBe(1);
      expect(world.server.count(`${world.server.origin}/elsewhere`)).toBe(0);
    });

  it.each([['never answers', { hang: true }], ['drips', { ...ANSWERS.qe, drip: true }]])('a service that %s is given up after the time limit', async (_name, answer) => {
    world.server.on(URLS.qe, answer);
    const start = performance.now();
    await expectCode(ask({ timeoutMs: 200 }), 'E_COLLATERAL', /no usable answer within 200 ms/);
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  it('nobody listens: an error with the reason', async () => {
    const http = createHttpFetch();
    await expectCode(ask({ http: (request: Parameters<typeof http>[0], signal: AbortSignal) => http({ ...request, url: 'http://127.0.0.1:9/' }, signal) }), 'E_COLLATERAL', /gives no answer \((ECONNREFUSED|connection failed)\)/);
  });
});

describe('retryAfterMs', () => {
  it.each<[string | undefined, number | undefined]>([
    ['0', 0], ['5', 5000], ['999999999', 999_999_999_000], [new Date(61_000).toUTCString(), 60_000], [new Date(0).toUTCString(), 0],
    ['-1', undefined], ['2026-01-01', undefined], ['soon GMT', undefined], ['', undefined], [undefined, undefined], ['1234567890123', undefined],
  ])('retryAfterMs: %p', (header, wanted) => {
    expect(retryAfterMs(header, 1000)).toBe(wanted);
  });
});
