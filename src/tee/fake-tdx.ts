// The fake quote of the C++ programs' test mode: the 64 bytes of report data and nothing else (WIRE.md section 4).
// Anybody can make one, so it proves nothing. It exists for interoperability tests and is accepted only where
// a policy of kind `fake_tdx` asks for it by name.
import { MEASUREMENT_BYTES, tdxImageHash } from './image-hash.ts';
import { refused } from './refusal.ts';
import { REPORT_DATA_BYTES, reportDataOf } from './report-data.ts';

export const FAKE_QUOTE_BYTES = REPORT_DATA_BYTES;

/** True for a "quote" that can only be the fake: real ones have at least a header and a body of 632 bytes. */
export const isFakeTdxQuote = (quote: Uint8Array): boolean => quote.length === FAKE_QUOTE_BYTES;

/** The fake quote for a TLS key of 32 bytes. */
export const makeFakeTdxQuote = (publicKey: Uint8Array): Uint8Array => reportDataOf(publicKey);

/** The image hash of every fake quote: that of an all-zero report, which no allow-list may hold. */
export function fakeTdxImageHash(): Uint8Array {
  const zero = new Uint8Array(MEASUREMENT_BYTES);
  return tdxImageHash({
    mrTd: zero, mrConfigId: zero, mrOwner: zero, mrOwnerConfig: zero, rtmr0: zero, rtmr1: zero, rtmr2: zero, rtmr3: zero,
  });
}

/** Report data of a fake quote. Throws AttestationError when the quote is something else. */
export function reportDataOfFakeQuote(quote: Uint8Array): Uint8Array {
  if (!isFakeTdxQuote(quote)) {
    throw refused({
      check: 'evidence-kind', seen: `a TDX quote of ${quote.length} bytes`, wanted: `the fake quote of ${FAKE_QUOTE_BYTES} bytes`,
      meaning: 'the policy fake_tdx is for tests against the C++ test mode only',
    });
  }
  return quote.slice();
}
