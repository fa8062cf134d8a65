import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SealError } from '../../src/seal/errors.ts';
import { decodeKeyRecord, encodeKeyRecord, MAX_LIFE_S, signedBytesOf, verifyKeyRecord } from '../../src/seal/key-record.ts';
import { HYBRID_SUITE, MANDATORY_SUITE, preferredSuite, suiteName } from '../../src/seal/suites.ts';
import type { ExpectedRecord, KeyRecord } from '../../src/seal/key-record.ts';
import { bytes, EXPECTED, FACTS, NOW_S, receipts, ring, tls } from './world.ts';

const signed = (change: Partial<KeyRecord> = {}, signer = tls) => {
  const record = encodeKeyRecord({
    ...FACTS, keyId: bytes(16, 'key'), notBefore: NOW_S - 60, notAfter: NOW_S + 1800,
    suites: [{ ...MANDATORY_SUITE, publicKey: bytes(32, 'x25519') }], ...change,
  });
  return { record, signature: signer.sign(signedBytesOf(record)) };
};

describe('verifyKeyRecord', () => {
  it('verifyKeyRecord: a record of a ring, with the hybrid suite preferred', async () => {
    const record = verifyKeyRecord((await ring()).current().signed, EXPECTED);
    expect(record.suites.map((suite) => suiteName(suite))).toEqual(['X-Wing, AES-128-GCM', 'X25519, AES-128-GCM']);
    expect(preferredSuite(record.suites)).toMatchObject(HYBRID_SUITE);
    expect(preferredSuite(record.suites.slice(1))).toMatchObject(MANDATORY_SUITE);
    expect(preferredSuite([{ kem: 1, kdf: 2, aead: 3 }])).toBeNull();
  });

  const cases: readonly [string, () => { record: Uint8Array; signature: Uint8Array }, Partial<ExpectedRecord>, string][] = [
    ['another signer', () => signed({}, receipts), {}, 'not signed by the TLS key'],
    ['another TLS key in it', () => signed({ tlsPublicKey: receipts.publicKey }), {}, 'names the TLS key'],
    ['another image', () => signed({ imageHash: bytes(32, 'other') }), {}, 'names the image'],
    ['evidence of another certificate', () => signed({ cpuEvidence: bytes(32, 'other') }), {}, 'names the CPU evidence'],
    ['another network', () => signed({ root: '' }), {}, 'for the network of root none'],
    ['another model', () => signed({ model: 'large@1:2' }), {}, 'for the model large@1:2'],
    ['a life that is too long', () => signed({ notBefore: NOW_S - 60, notAfter: NOW_S - 59 + MAX_LIFE_S }), {}, 'expected 1 to 7200'],
    ['a time before it', () => signed(), { nowS: NOW_S - 60 - 121 }, 'valid from'],
    ['a time after it', () => signed(), { nowS: NOW_S + 1800 }, 'valid from'],
    ['a short signature', () => ({ ...signed(), signature: new Uint8Array(63) }), {}, 'not signed by the TLS key'],
  ];
  it.each(cases)('verifyKeyRecord: refuses %s', (_name, make, expected, message) => {
    expect(() => verifyKeyRecord(make(), EXPECTED)).not.toThrow(TypeError);
    expect(() => verifyKeyRecord(make(), { ...EXPECTED, ...expected })).toThrow(SealError);
    expect(() => verifyKeyRecord(make(), { ...EXPECTED, ...expected })).toThrow(message);
  });

  it('verifyKeyRecord: refuses every changed bit', () => {
    const { record, signature } = signed();
    fc.assert(fc.property(fc.nat(record.byteLength * 8 - 1), (bit) => {
      const changed = Uint8Array.from(record);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => verifyKeyRecord({ record: changed, signature }, EXPECTED)).toThrow(SealError);
    }), { numRuns: 300 });
  });
});

describe('decodeKeyRecord', () => {
  it('decodeKeyRecord: gives back what was encoded and leaves nothing over', () => {
    const { record } = signed();
    expect(encodeKeyRecord(decodeKeyRecord(record))).toEqual(record);
    expect(() => decodeKeyRecord(Buffer.concat([record, Uint8Array.of(0)]))).toThrow('1 bytes left over');
    expect(() => decodeKeyRecord(record.subarray(0, -1))).toThrow(SealError);
    expect(() => decodeKeyRecord(new Uint8Array(16_385))).toThrow('at most 16384');
  });

  it('decodeKeyRecord: any bytes give a record or a SealError', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (input) => {
      try {
        decodeKeyRecord(Buffer.concat([Uint8Array.of(1), input]));
      } catch (error) {
        expect(error).toBeInstanceOf(SealError);
      }
    }));
  });
});
