import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatAddress, sourceOf } from '../../src/wire/address.ts';
import { HalfOpenTable } from '../../src/wire/half-open.ts';
import type { HalfOpen } from '../../src/wire/half-open.ts';

const LIMITS = { maxUnproven: 4, maxUnprovenPerSource: 2, maxProven: 3, maxProvenPerSource: 2 };

function table(): { table: HalfOpenTable; evicted: string[]; entry(name: string, source: string): HalfOpen } {
  const evicted: string[] = [];
  return { table: new HalfOpenTable(LIMITS), evicted, entry: (name, source) => ({ source, evict: () => evicted.push(name) }) };
}

describe('HalfOpenTable', () => {
  it('enter: the oldest of a source that is full makes room, others are not touched', () => {
    const { table: halfOpen, evicted, entry } = table();
    halfOpen.enter(entry('other', 'b'));
    for (const name of ['a1', 'a2', 'a3', 'a4']) halfOpen.enter(entry(name, 'a'));
    expect(evicted).toEqual(['a1', 'a2']);
    expect(halfOpen.size).toBe(3);
  });

  it('enter: the oldest of all makes room when the class is full', () => {
    const { table: halfOpen, evicted, entry } = table();
    for (const name of ['a', 'b', 'c', 'd', 'e']) halfOpen.enter(entry(name, name));
    expect(evicted).toEqual(['a']);
  });

  it('prove: a flood of unproven ones cannot push out a proven one', () => {
    const { table: halfOpen, evicted, entry } = table();
    const honest = entry('honest', 'a');
    halfOpen.enter(honest);
    halfOpen.prove(honest);
    for (let i = 0; i < 100; i++) halfOpen.enter(entry('flood', 'a'));
    expect(evicted).toHaveLength(98);
    expect(evicted).not.toContain('honest');
    halfOpen.leave(honest);
    expect(halfOpen.size).toBe(2);
  });

  it('prove, leave: an evicted entry is gone for good', () => {
    const { table: halfOpen, entry } = table();
    const first = entry('1', 'a');
    for (const one of [first, entry('2', 'a'), entry('3', 'a')]) halfOpen.enter(one);
    halfOpen.prove(first);
    halfOpen.leave(first);
    expect(halfOpen.size).toBe(2);
    halfOpen.evictAll();
    expect(halfOpen.size).toBe(0);
  });

  it('HalfOpenTable: no order of calls exceeds its limits', () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.constantFrom('enter', 'prove', 'leave'), fc.nat(3), fc.nat(30)), { maxLength: 200 }), (steps) => {
      const { table: halfOpen, entry } = table();
      const entries: HalfOpen[] = [];
      for (const [action, source, index] of steps) {
        const old = entries[index];
        if (action === 'enter') {
          const fresh = entry('x', String(source));
          entries.push(fresh);
          halfOpen.enter(fresh);
        } else if (old !== undefined) halfOpen[action](old);
        expect(halfOpen.size).toBeLessThanOrEqual(LIMITS.maxUnproven + LIMITS.maxProven);
      }
    }));
  });
});

describe('addresses', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'], ['::ffff:192.0.2.7', '192.0.2.7'], ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'], ['::1', '0:0:0:0::/64'], ['fe80::1%eth0', 'fe80:0:0:0::/64'], ['2001:db8:1:2::', '2001:db8:1:2::/64'],
  ])('sourceOf: %s counts as %s', (address, source) => {
    expect(sourceOf(address)).toBe(source);
  });

  it('formatAddress: brackets IPv6', () => {
    expect([formatAddress('192.0.2.7', 1), formatAddress('::1', 2)]).toEqual(['192.0.2.7:1', '[::1]:2']);
  });
});
