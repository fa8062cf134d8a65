// Nothing of a quote can be changed: bytes are flipped in one bit, and every single change is refused, in the zero padding
// too, because it is no longer zero. By default every byte of the binary part and every seventh of the certificates;
// COCOON_ALL_BITS=1 flips all eight bits of every byte (minutes).
import { describe, expect, it } from '@jest/globals';
import { judgeDcap } from '../../../src/tee/dcap/dcap.ts';
import type { DcapInput } from '../../../src/tee/dcap/dcap.ts';
import { forge } from '../../fakes/dcap-forge.ts';
import { ANY_IMAGE } from './judge.ts';
import { realCases, SKIP_REASON } from './vectors.ts';

const ALL_BITS = process.env['COCOON_ALL_BITS'] === '1';
const bitsOf = (position: number): number[] => (ALL_BITS ? [0, 1, 2, 3, 4, 5, 6, 7] : [position % 8]);

/** Positions and bits whose change is not refused. */
function unnoticed(input: DcapInput, stepOf: (position: number) => number): string[] {
  const quote = input.quote.slice();
  const found: string[] = [];
  for (let position = 0; position < quote.length; position += ALL_BITS ? 1 : stepOf(position)) {
    for (const bit of bitsOf(position)) {
      quote[position] = (quote[position] ?? 0) ^ (1 << bit);
      if (judgeDcap({ ...input, quote }).verified !== null) found.push(`byte ${position}, bit ${bit}`);
      quote[position] = (quote[position] ?? 0) ^ (1 << bit);
    }
  }
  return found;
}

describe('judgeDcap: bit flips', () => {
  it.each(['sgx', 'td10', 'td15'] as const)('judgeDcap: no changed byte of a forged %s quote is accepted', (body) => {
    const input = { ...forge({ body, padding: new Uint8Array(16) }), policy: ANY_IMAGE };
    expect(judgeDcap(input).verdict.overall).toBe('pass');
    const certificates = Buffer.from(input.quote).indexOf('-----BEGIN');
    // Every byte of one kind; the others share most of their layout with it.
    expect(unnoticed(input, (position) => (body === 'td15' && (position < certificates || position > input.quote.length - 32) ? 1 : 7))).toEqual([]);
  }, 3_600_000);

  const real = realCases.filter((one) => one.name.startsWith('tdx5-google'));
  (real.length > 0 ? it : it.skip)(`judgeDcap: no changed byte of a real quote is accepted${real.length > 0 ? '' : ` (${SKIP_REASON})`}`, () => {
    for (const { quote, collateral, nowMs } of real) expect(unnoticed({ quote, collateral, nowMs, policy: ANY_IMAGE }, () => 17)).toEqual([]);
  }, 3_600_000);
});
