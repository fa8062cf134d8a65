// Parsers under hostile bytes: only AttestationError, whatever comes in, and never more time than a bound.
// COCOON_FUZZ_RUNS sets the number of runs of each property.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { AttestationError } from '../../../src/core/errors.ts';
import { judgeDcap } from '../../../src/tee/dcap/dcap.ts';
import { parseCollateral } from '../../../src/tee/dcap/parse-collateral.ts';
import { parseQeIdentity } from '../../../src/tee/dcap/parse-qe-identity.ts';
import { parseQuote } from '../../../src/tee/dcap/parse-quote.ts';
import { parseTcbInfo } from '../../../src/tee/dcap/parse-tcb-info.ts';
import { forge } from '../../fakes/dcap-forge.ts';
import { ANY_IMAGE } from './judge.ts';

const RUNS = Number(process.env['COCOON_FUZZ_RUNS'] ?? 300);
const MAX_MS = 2000;

/** Runs `parse`; anything but a result or an AttestationError fails the property. */
function typedOnly(parse: () => unknown): void {
  const startedMs = performance.now();
  try {
    parse();
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
  }
  expect(performance.now() - startedMs).toBeLessThan(MAX_MS);
}

const forged = { td: forge({ body: 'td15' }), sgx: forge({ body: 'sgx' }) };
/** A real input with some bytes replaced, removed or repeated. */
const mutated = (bytes: Uint8Array): fc.Arbitrary<Uint8Array> => fc.array(
  fc.record({ at: fc.nat(bytes.length - 1), value: fc.nat(255), kind: fc.constantFrom('set', 'cut', 'repeat') }), { minLength: 1, maxLength: 8 },
).map((changes) => changes.reduce((current, { at, value, kind }) => {
  const start = Math.min(at, current.length);
  if (kind === 'cut') return Buffer.concat([current.subarray(0, start), current.subarray(start + value)]);
  if (kind === 'repeat') return Buffer.concat([current.subarray(0, start), current.subarray(Math.max(0, start - value), start), current.subarray(start)]);
  const copy = Buffer.from(current);
  if (start < copy.length) copy[start] = value;
  return copy;
}, bytes));

describe('parsers: typed errors only', () => {
  it('parseQuote: any bytes and mutated quotes', () => {
    fc.assert(fc.property(fc.oneof(fc.uint8Array({ maxLength: 2000 }), mutated(forged.td.quote), mutated(forged.sgx.quote)), (bytes) => typedOnly(() => parseQuote(bytes))), { numRuns: RUNS });
  });

  it('parseTcbInfo and parseQeIdentity: any JSON and mutated text', () => {
    const texts = [String(forged.td.collateral['tcb_info']), String(forged.td.collateral['qe_identity'])];
    const text = fc.oneof(fc.json(), fc.string(), ...texts.map((one) => mutated(Buffer.from(one)).map((bytes) => Buffer.from(bytes).toString('latin1'))));
    fc.assert(fc.property(text, (json) => {
      typedOnly(() => parseTcbInfo(json));
      typedOnly(() => parseQeIdentity(json));
    }), { numRuns: RUNS });
  });

  it('parseTcbInfo: deep nesting and long lists end early', () => {
    for (const json of ['['.repeat(500_000), `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, `{"tcbLevels":[${'{},'.repeat(100_000)}{}]}`, 'x'.repeat(1_000_000)]) typedOnly(() => parseTcbInfo(json));
  });

  it('parseCollateral: any value in any field', () => {
    const names = Object.keys(forged.td.collateral);
    fc.assert(fc.property(fc.constantFrom(...names), fc.anything(), (name, value) => typedOnly(() => parseCollateral({ ...forged.td.collateral, [name]: value }))), { numRuns: RUNS });
    fc.assert(fc.property(fc.anything(), (value) => typedOnly(() => parseCollateral(value))), { numRuns: RUNS });
  });

  it('judgeDcap: never throws, and never accepts a mutated quote or collateral text', () => {
    const { quote, ...rest } = forged.td;
    fc.assert(fc.property(mutated(quote), (bytes) => {
      const outcome = judgeDcap({ ...rest, quote: bytes, policy: ANY_IMAGE });
      expect(outcome.verified !== null && Buffer.compare(bytes, quote) !== 0 && outcome.quote?.paddingBytes === 0).toBe(false);
    }), { numRuns: RUNS });
    fc.assert(fc.property(fc.constantFrom('tcb_info', 'qe_identity', 'root_ca_crl', 'pck_crl'), fc.nat(), fc.nat(255), (name, at, value) => {
      const text = Buffer.from(String(rest.collateral[name]));
      const before = text[at % text.length];
      text[at % text.length] = value;
      if (before === value || text.toString('latin1').toLowerCase() === String(rest.collateral[name]).toLowerCase()) return;
      expect(judgeDcap({ ...rest, quote, collateral: { ...rest.collateral, [name]: text.toString('latin1') }, policy: ANY_IMAGE }).verified).toBeNull();
    }), { numRuns: RUNS });
  });
});
