// The journal of earnings, days of it, the estimate, and the measurement that the estimate rests on.
import { appendFile, mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silentLog } from '../../src/core/log.ts';
import { measure } from '../../src/node/bench/measure.ts';
import { bar, byDay } from '../../src/node/earnings/by-day.ts';
import { estimateEarnings } from '../../src/node/earnings/estimate.ts';
import { openJournal, readJournal } from '../../src/node/earnings/journal.ts';
import { createInstantEngine } from '../fakes/instant-engine.ts';
import type { EarningAssumptions } from '../../src/node/earnings/estimate.ts';

let folder = '';
beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), 'cocoon-earnings-')); });
afterAll(() => rm(folder, { recursive: true }));

const tokens = (total: bigint) => ({ prompt: 0n, cached: 0n, completion: total, reasoning: 0n, total });
const usage = { promptTokens: 5, cachedTokens: 1, completionTokens: 3, reasoningTokens: 0 };
const OCTOBER = Date.UTC(2026, 9, 31, 23, 59);

describe('openJournal', () => {
  it('sums up by proxy, one file a month, and is read back by day', async () => {
    const clock = { ms: OCTOBER, now: () => clock.ms };
    let fee: bigint | null = 20n;
    const journal = openJournal({ folder, model: 'm', clock, log: silentLog, feeNano: () => fee });
    journal.delivered('a', tokens(10n), usage);
    journal.delivered('a', tokens(5n), usage);
    journal.delivered('b', tokens(1n), null);
    await journal.close();
    clock.ms += 120_000; // November
    fee = null;
    journal.delivered('a', tokens(7n), usage);
    await journal.close();
    await journal.close(); // nothing is written twice
    expect(await readdir(folder)).toEqual(['2026-10.jsonl', '2026-11.jsonl']);
    expect((await stat(join(folder, '2026-10.jsonl'))).mode & 0o777).toBe(0o600);
    const { lines, damaged } = await readJournal(folder, 0);
    expect(damaged).toBe(0);
    expect(lines).toEqual([
      { atMs: OCTOBER, proxy: 'a', model: 'm', requests: 2, prompt: 10, cached: 2, completion: 6, tokens: '15', nano: '300' },
      { atMs: OCTOBER, proxy: 'b', model: 'm', requests: 1, prompt: 0, cached: 0, completion: 0, tokens: '1', nano: '20' },
      { atMs: OCTOBER + 120_000, proxy: 'a', model: 'm', requests: 1, prompt: 5, cached: 1, completion: 3, tokens: '7', nano: null },
    ]);
    expect(byDay(lines, clock.ms, 3).map(({ day, requests, nano, unpriced }) => [day, requests, nano, unpriced])).toEqual([
      ['2026-10-30', 0, 0n, 0n], ['2026-10-31', 3, 320n, 0n], ['2026-11-01', 1, 0n, 7n],
    ]);
    expect((await readJournal(folder, OCTOBER + 1)).lines).toHaveLength(1);
  });

  it('a line that a crash cut off costs itself and not the next one', async () => {
    await appendFile(join(folder, '2026-11.jsonl'), '{"atMs":17');
    const journal = openJournal({ folder, model: 'm', clock: { now: () => OCTOBER + 240_000 }, log: silentLog, feeNano: () => 1n });
    journal.delivered('c', tokens(2n), usage);
    await journal.close();
    const { lines, damaged } = await readJournal(folder, 0);
    expect([lines.length, damaged, lines.at(-1)?.proxy]).toEqual([4, 1, 'c']);
    expect((await readFile(join(folder, '2026-11.jsonl'), 'utf8')).endsWith('}\n')).toBe(true);
  });
});

describe('bar', () => {
  it('is as long as its share in eighths; nothing has none, little has the thinnest', () => {
    expect([bar(0n, 10n, 4), bar(10n, 10n, 4), bar(5n, 10n, 4), bar(1n, 1_000_000n, 4), bar(9n, 16n, 2)]).toEqual(['', '████', '██', '▏', '█▏']);
  });
});

describe('estimateEarnings', () => {
  const assumptions: EarningAssumptions = {
    feeNano: 20n, multipliers: { prompt: 10_000, cached: 1_000, completion: 80_000, reasoning: 80_000 }, price: 1_000, utilisation: 0.5, promptPerAnswer: 4, cachedShare: 0.25,
    prefillPerSecond: 1_000, decodePerSecond: 100, power: { busyWatts: 1_000, idleWatts: 200, pricePerKwh: 0.25 },
  };

  it('follows from its assumptions', () => {
    // 3 fresh tokens of prompt take 3 ms, one of answer 10 ms: 13 ms each, in half a day.
    const answers = 43_200 / 0.013;
    expect(estimateEarnings(assumptions)).toEqual({
      answerTokensPerDay: Math.round(answers), promptTokensPerDay: Math.round(answers * 4), nanoPerDay: BigInt(Math.floor(answers * 11.1)) * 20n,
      kwhPerDay: 14.4, electricityPerDay: 3.6, breakEvenPerTon: expect.closeTo(3.6 / (answers * 11.1 * 20 / 1e9), 3),
    });
  });

  it('nobody asks: nothing is earned and idling still costs; without power nothing is said of it', () => {
    expect(estimateEarnings({ ...assumptions, utilisation: 0 })).toMatchObject({ nanoPerDay: 0n, electricityPerDay: expect.closeTo(1.2, 9), breakEvenPerTon: null });
    expect(estimateEarnings({ ...assumptions, power: null })).toMatchObject({ kwhPerDay: null, electricityPerDay: null, breakEvenPerTon: null });
  });
});

describe('measure', () => {
  const plan = { tokens: 8, signal: new AbortController().signal };

  it('every point that the engine can hold, with the engine\'s own counts and prompts of their own', async () => {
    const engine = createInstantEngine({ sequences: 4, contextSize: 600, pieces: Array.from({ length: 20 }, () => 'x '), firstDelayMs: 4, pieceDelayMs: 2 });
    const points = await measure(engine, { ...plan, depths: [50, 500, 5_000], streams: [1, 4, 16] });
    expect(points.map(({ depth, streams, promptTokens, completionTokens }) => [depth, streams, promptTokens, completionTokens])).toEqual([[50, 1, 50, 8], [50, 4, 200, 32], [500, 1, 500, 8], [500, 4, 2_000, 32]]);
    for (const { prefillPerSecond, decodePerSecond, firstTokenMs, promptTokens } of points) {
      expect(prefillPerSecond).toBeGreaterThan(0);
      expect(prefillPerSecond).toBeLessThanOrEqual(promptTokens / 0.003);
      expect(decodePerSecond).toBeGreaterThan(0);
      expect(firstTokenMs.greatest).toBeGreaterThanOrEqual(firstTokenMs.median);
    }
    const beginnings = engine.requests.map(({ prompt }) => (prompt.kind === 'text' ? prompt.text.split(' ').slice(0, 6).join(' ') : ''));
    expect(new Set(beginnings).size).toBe(beginnings.length);
  });

  it('answers that end at once have no speed of decoding', async () => {
    const [point] = await measure(createInstantEngine({ pieces: ['x'] }), { ...plan, depths: [10], streams: [1] });
    expect(point?.decodePerSecond).toBeNull();
  });
});
