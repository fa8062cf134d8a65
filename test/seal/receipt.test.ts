import { describe, expect, it } from '@jest/globals';
import { Address } from '@ton/core';
import fc from 'fast-check';
import { contradict } from '../../src/chain/receipt.ts';
import { SealError } from '../../src/seal/errors.ts';
import { checkReceiptIsFor, decodeAnswerReceipt, encodeAnswerReceipt, sha256, signAnswerReceipt, verifyAnswerReceipt } from '../../src/seal/receipt.ts';
import type { AnswerReceipt } from '../../src/seal/receipt.ts';
import { bytes, receipts, ring, ROOT, tls } from './world.ts';

const USAGE = { prompt: 5n, cached: 1n, completion: 7n, reasoning: 2n, total: 15n };
const make = async (change: Partial<AnswerReceipt> = {}, core: Partial<AnswerReceipt['core']> = {}): Promise<AnswerReceipt> => ({
  core: {
    globalId: -239, bond: Address.parseRaw(ROOT), requestId: bytes(32, 'request'), requestHash: sha256(bytes(9, 'prompt')),
    responseHash: sha256(bytes(9, 'answer')), tokens: 15n, time: 1_800_000_000, ...core,
  },
  record: (await ring()).current().signed, usage: USAGE, coefficient: 1000, pricePerTokenNano: 20n, paramsVersion: 3, proxyPublicKey: bytes(32, 'proxy'), ...change,
});

describe('answer receipts', () => {
  it('signAnswerReceipt, verifyAnswerReceipt: hold through their encoding', async () => {
    const signed = signAnswerReceipt(await make(), receipts);
    const decoded = decodeAnswerReceipt(encodeAnswerReceipt(signed));
    expect(encodeAnswerReceipt(decoded)).toEqual(encodeAnswerReceipt(signed));
    expect(decoded.receipt.core.globalId).toBe(-239);
    expect(verifyAnswerReceipt(decoded).receiptKey).toEqual(receipts.publicKey);
  });

  it('verifyAnswerReceipt: refuses another key, a bill that its counts do not add up to, and every changed bit', async () => {
    expect(() => verifyAnswerReceipt(signAnswerReceipt(make0, tls))).toThrow('not signed by the receipt key');
    const off = await make({}, { tokens: 16n });
    expect(() => verifyAnswerReceipt(signAnswerReceipt(off, receipts))).toThrow('bills 16 tokens and counts 15');
    const encoded = encodeAnswerReceipt(signAnswerReceipt(make0, receipts));
    fc.assert(fc.property(fc.nat(encoded.byteLength * 8 - 1), (bit) => {
      const changed = Uint8Array.from(encoded);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => verifyAnswerReceipt(decodeAnswerReceipt(changed))).toThrow(SealError);
    }), { numRuns: 200 });
  });

  it('checkReceiptIsFor: only the very answer', async () => {
    const { core } = make0;
    const own = { requestId: core.requestId, requestHash: core.requestHash, responseHash: core.responseHash, total: 15n };
    checkReceiptIsFor(make0, own);
    for (const change of [{ requestId: bytes(32, 'x') }, { requestHash: bytes(32, 'x') }, { responseHash: bytes(32, 'x') }, { total: 14n }]) {
      expect(() => checkReceiptIsFor(make0, { ...own, ...change })).toThrow(SealError);
    }
  });

  it('contradict: two answers to one request are proof for the bond contract', async () => {
    const other = await make({}, { responseHash: bytes(32, 'other') });
    expect(contradict(make0.core, other.core)).toBe(true);
    expect(contradict(make0.core, make0.core)).toBe(false);
  });
});

const make0 = await make();
