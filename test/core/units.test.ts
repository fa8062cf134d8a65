// Amounts: exact both ways, refused forms.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatTon, MAX_AMOUNT_NANO, parseNano, parseTon } from '../../src/core/units.ts';

describe('parseTon', () => {
  it.each([
    ['1.5', 1_500_000_000n],
    ['0', 0n],
    ['0.000000001', 1n],
    ['0.100000000', 100_000_000n],
    ['123456789.987654321', 123_456_789_987_654_321n],
    ['18446744073.709551615', MAX_AMOUNT_NANO],
  ])('parseTon: %s is %s nanoTON', (text, nano) => expect(parseTon(text)).toBe(nano));

  it.each([
    '', '.', '1.', '.5', '1,5', '1e9', '0x10', '+1', '-1', ' 1', '1 ', '1.5.0', '01', '1_000', '1.0000000001', 'NaN', 'Infinity',
    '18446744073.709551616', '99999999999999999999', '9'.repeat(40), '１', '1.5\n',
  ])('parseTon: refuses %j', (text) => {
    expect(() => parseTon(text)).toThrow(expect.objectContaining({ code: 'E_USAGE', exitCode: 2 }));
  });

  it('parseTon: takes a minus only where allowed', () => {
    expect(parseTon('-1.5', { allowNegative: true })).toBe(-1_500_000_000n);
    expect(parseTon('-0', { allowNegative: true })).toBe(0n);
    expect(() => parseTon('--1', { allowNegative: true })).toThrow('expected digits');
  });

  it('parseTon: does not repeat an endless text in its message', () => {
    expect(() => parseTon('9'.repeat(10_000))).toThrow(expect.objectContaining({ message: expect.stringMatching(/^.{0,200}$/) }));
  });
});

describe('formatTon', () => {
  it.each([[0n, '0'], [1n, '0.000000001'], [-1n, '-0.000000001'], [1_500_000_000n, '1.5'], [10n ** 30n, `1${'0'.repeat(21)}`]])(
    'formatTon: %s is %s', (nano, text) => expect(formatTon(nano)).toBe(text));

  it('formatTon: parseTon reads every amount back', () => {
    fc.assert(fc.property(fc.bigInt({ min: -MAX_AMOUNT_NANO, max: MAX_AMOUNT_NANO }), (nano) => {
      expect(parseTon(formatTon(nano), { allowNegative: true })).toBe(nano);
    }));
  });
});

describe('parseNano', () => {
  it('parseNano: reads decimal digits exactly', () => {
    fc.assert(fc.property(fc.bigInt({ min: 0n, max: MAX_AMOUNT_NANO }), (nano) => expect(parseNano(nano.toString())).toBe(nano)));
  });

  it.each(['', '1.5', '-1', '0x1', '1n', '00', (MAX_AMOUNT_NANO + 1n).toString()])('parseNano: refuses %j', (text) => {
    expect(() => parseNano(text)).toThrow(expect.objectContaining({ code: 'E_USAGE' }));
  });
});
