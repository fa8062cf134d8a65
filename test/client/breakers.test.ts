// Circuits: when they open, for how long, and who may try them again.
import { describe, expect, it } from '@jest/globals';
import { createBreakers, nodeCircuit, proxyCircuit, standardRules } from '../../src/client/breakers.ts';
import type { Breakers, Pass } from '../../src/client/breakers.ts';

const A = 'proxy a';

function world(): { breakers: Breakers; now: { ms: number }; pass(): Pass; fail(times?: number): void } {
  const now = { ms: 0 };
  const breakers = createBreakers(() => ({ failures: 3, openMs: 100, maxOpenMs: 350 }), () => now.ms);
  const pass = (): Pass => {
    const found = breakers.admit([A])?.get(A);
    if (found === undefined) throw new Error('not admitted');
    return found;
  };
  return { breakers, now, pass, fail: (times = 1) => { for (let at = 0; at < times; at += 1) pass().failed(); } };
}

describe('createBreakers', () => {
  it('opens after failures in a row, not before; a success in between starts anew', () => {
    const { breakers, fail, pass } = world();
    fail(2);
    pass().succeeded();
    fail(2);
    expect(breakers.admit([A])).not.toBeNull();
    fail();
    expect(breakers.admit([A])).toBeNull();
    expect([breakers.waitMs([A]), breakers.waitMs(['another']), breakers.states()]).toEqual([100, 0, [{ name: A, state: 'open', waitMs: 100 }]]);
  });

  it('half-open: one at a time, twice as long after each failure, up to a bound', () => {
    const { breakers, now, fail, pass } = world();
    fail(3);
    for (const openMs of [200, 350, 350]) {
      now.ms += breakers.waitMs([A]);
      expect(breakers.states()[0]?.state).toBe('half-open');
      const probe = pass();
      expect(breakers.admit([A])).toBeNull();
      probe.failed();
      probe.succeeded(); // a pass ends once
      expect(breakers.waitMs([A])).toBe(openMs);
    }
  });

  it('a probe that was given up says nothing: another one may try', () => {
    const { breakers, now, fail, pass } = world();
    fail(3);
    now.ms = 100;
    pass().left();
    expect(breakers.states()).toEqual([{ name: A, state: 'half-open', waitMs: 0 }]);
    pass().succeeded();
    expect(breakers.states()).toEqual([]);
  });

  it('an answer that has begun lets others try; one failure more opens it again', () => {
    const { breakers, now, fail, pass } = world();
    fail(3);
    now.ms = 100;
    const probe = pass();
    probe.begun();
    expect(breakers.admit([A])).not.toBeNull();
    probe.failed();
    expect(breakers.waitMs([A])).toBe(200);
  });

  it('requests that were under way when it opened do not keep it open', () => {
    const { breakers, pass, fail, now } = world();
    const early = [pass(), pass(), pass()];
    fail(3);
    now.ms = 90;
    for (const each of early) each.failed();
    expect(breakers.waitMs([A])).toBe(10);
  });

  it('several circuits: all or none', () => {
    const { breakers, fail } = world();
    fail(3);
    expect(breakers.admit(['b', A])).toBeNull();
    expect(breakers.admit(['b'])).not.toBeNull();
  });

  it('bounded in number: the oldest are forgotten', () => {
    const breakers = createBreakers(() => ({ failures: 1, openMs: 1_000, maxOpenMs: 1_000 }), () => 0);
    for (let at = 0; at < 3_000; at += 1) breakers.admit([`proxy ${at}`])?.get(`proxy ${at}`)?.failed();
    expect(breakers.states()).toHaveLength(2_000);
    expect(breakers.admit(['proxy 0'])).not.toBeNull();
  });

  it('standardRules: a busy network is asked again sooner than a broken proxy', () => {
    expect(standardRules(nodeCircuit('1.2.3.4:5', 'a busy model', 'lost')).maxOpenMs).toBeGreaterThan(standardRules(nodeCircuit('1.2.3.4:5', 'm', 'busy')).maxOpenMs);
    expect(standardRules(proxyCircuit('1.2.3.4:5')).maxOpenMs).toBe(30_000);
  });
});
