// Estimates of a few observations: what they find, how they forget, what outliers and clocks do to them.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BoundedMap } from '../../../src/proxy/routing/bounded-map.ts';
import { DecayedMean, ForwardTime, LineEstimate, MAX_STEP_MS, valueAt } from '../../../src/proxy/routing/estimate.ts';

const MEMORY = { halfLifeMs: 60_000, keep: 0.97 };

describe('LineEstimate', () => {
  it('finds base and slope from a handful of points of very different length', () => {
    const estimate = new LineEstimate({ base: 200, slope: 60 }, MEMORY);
    for (let i = 0; i < 20; i += 1) estimate.add([0.5, 2, 10, 80][i % 4]!, 40 + 12 * [0.5, 2, 10, 80][i % 4]!, i);
    expect(valueAt(estimate.line, 1)).toBeCloseTo(52, -1);
    expect(valueAt(estimate.line, 80)).toBeCloseTo(1_000, -2);
  });

  it('one outlier moves it little; a lasting change is followed within a few', () => {
    const estimate = new LineEstimate({ base: 200, slope: 60 }, MEMORY);
    for (let i = 0; i < 20; i += 1) estimate.add(1, 100, i);
    estimate.add(1, 10_000, 20);
    expect(valueAt(estimate.line, 1)).toBeLessThan(200);
    for (let i = 0; i < 8; i += 1) estimate.add(1, 1_000, 21 + i);
    expect(valueAt(estimate.line, 1)).toBeGreaterThan(600);
  });

  it('goes back to the assumption as evidence fades', () => {
    const estimate = new LineEstimate({ base: 200, slope: 60 }, MEMORY);
    for (let i = 0; i < 20; i += 1) estimate.add(1, 20, i);
    estimate.refresh({ base: 200, slope: 60 }, 60_000 * 20);
    expect(valueAt(estimate.line, 1)).toBeGreaterThan(200);
    expect(estimate.evidence).toBeLessThan(0.01);
  });

  it('is never negative nor not a number', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.double({ min: 0, max: 1e5, noNaN: true }), fc.double({ min: 0, max: 3.6e6, noNaN: true }), fc.nat(1e7)), { maxLength: 60 }), (points) => {
      const estimate = new LineEstimate({ base: 25, slope: 1 }, MEMORY);
      for (const [x, y, nowMs] of points) estimate.add(x, y, nowMs);
      const { base, slope } = estimate.line;
      for (const part of [base, slope]) {
        expect(Number.isFinite(part)).toBe(true);
        expect(part).toBeGreaterThanOrEqual(0);
      }
    }), { numRuns: 300 });
  });
});

describe('ForwardTime', () => {
  it('goes with the clock, not back, and not far at once', () => {
    const time = new ForwardTime();
    expect([1_000, 1_500, 200, 700, 700 + 1e12, NaN, Infinity].map((clockMs) => time.at(clockMs))).toEqual([0, 500, 500, 1_000, 1_000 + MAX_STEP_MS, 1_000 + MAX_STEP_MS, 1_000 + MAX_STEP_MS]);
  });
});

describe('DecayedMean', () => {
  it('starts at the assumption, follows observations, and goes back', () => {
    const mean = new DecayedMean(1, 4, MEMORY);
    expect(mean.value(0)).toBe(1);
    for (let i = 0; i < 30; i += 1) mean.add(0, i);
    expect(mean.value(30)).toBeLessThan(0.2);
    expect(mean.value(60_000 * 30)).toBeCloseTo(1, 3);
  });
});

describe('BoundedMap', () => {
  it('forgets what was not used for longest', () => {
    const map = new BoundedMap<number>(2);
    map.set('a', 1);
    map.set('b', 2);
    map.get('a');
    map.set('c', 3);
    expect([map.get('a'), map.get('b'), map.get('c'), map.size]).toEqual([1, undefined, 3, 2]);
  });
});
