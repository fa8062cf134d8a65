// Receipts and Ed25519: layout of contracts/bond.tolk, contradictions, RFC 8032 vectors.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { receiptCell, signedReceiptCell } from '../../src/chain/cells/receipt.ts';
import type { Receipt } from '../../src/chain/cells/receipt.ts';
import { signerOfSeed, verifySignature } from '../../src/chain/ed25519.ts';
import { contradict, receiptHash, signReceipt, verifyReceipt } from '../../src/chain/receipt.ts';
import { addr, hex, plain } from './vectors.ts';

const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const receipts: fc.Arbitrary<Receipt> = fc.record({
  globalId: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), bond: bytes32.map((hash) => addr(`0:${Buffer.from(hash).toString('hex')}`)),
  requestId: bytes32, requestHash: bytes32, responseHash: bytes32, tokens: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), time: fc.nat(2 ** 32 - 1),
});
const signer = signerOfSeed(new Uint8Array(32).fill(5));
const flip = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes, (byte, n) => n === 31 ? byte ^ 1 : byte);

describe('receiptCell', () => {
  it('receiptCell: 843 bits with 352 in the reference, read back as written, signed over all of it', () => {
    fc.assert(fc.property(receipts, (receipt) => {
      const cell = receiptCell.store(receipt);
      expect([cell.bits.length, cell.refs.length, cell.refs[0]!.bits.length, cell.refs[0]!.refs.length]).toEqual([843, 1, 352, 0]);
      expect(plain(receiptCell.load(cell))).toEqual(plain(receipt));
      const signed = signReceipt(receipt, signer);
      expect(plain(signedReceiptCell.load(signedReceiptCell.store(signed)))).toEqual(plain(signed));
      expect(verifyReceipt(signed, signer.publicKey)).toBe(true);
    }), { numRuns: 50 });
  });

  it('verifyReceipt, contradict: every field counts, only the answer makes a contradiction', () => {
    fc.assert(fc.property(receipts, (receipt) => {
      const signed = signReceipt(receipt, signer);
      const answers: Partial<Receipt>[] = [{ responseHash: flip(receipt.responseHash) }, { tokens: receipt.tokens ^ 1n }, { time: receipt.time === 0 ? 1 : receipt.time - 1 }];
      const requests: Partial<Receipt>[] = [
        { requestId: flip(receipt.requestId) }, { requestHash: flip(receipt.requestHash) }, { globalId: receipt.globalId ^ 1 }, { bond: addr(`-1:${'09'.repeat(32)}`) },
      ];
      for (const change of [...answers, ...requests]) {
        expect(verifyReceipt({ ...signed, receipt: { ...receipt, ...change } }, signer.publicKey)).toBe(false);
        expect(receiptHash({ ...receipt, ...change })).not.toEqual(receiptHash(receipt));
        expect(contradict(receipt, { ...receipt, ...change })).toBe(answers.includes(change));
      }
      expect(contradict(receipt, { ...receipt })).toBe(false);
    }), { numRuns: 20 });
  });
});

describe('Ed25519', () => {
  // RFC 8032 section 7.1, tests 1 to 3.
  it.each([
    ['9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', '',
      'e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b'],
    ['4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb', '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c', '72',
      '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00'],
    ['c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7', 'fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025', 'af82',
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a'],
  ])('signerOfSeed: RFC 8032, seed %s', (seed, publicKey, message, signature) => {
    const key = signerOfSeed(hex(seed));
    expect(Buffer.from(key.publicKey).toString('hex')).toBe(publicKey);
    expect(Buffer.from(key.sign(hex(message))).toString('hex')).toBe(signature);
    expect(verifySignature(key.publicKey, hex(message), hex(signature))).toBe(true);
  });

  it('verifySignature: wrong lengths, keys off the curve and S not below the order are false, not errors', () => {
    const message = new Uint8Array([1]);
    const good = signer.sign(message);
    const order = (1n << 252n) + 27742317777372353535851937790883648493n;
    const s = BigInt(`0x${Buffer.from(good.subarray(32)).reverse().toString('hex')}`) + order;
    const malleable = Uint8Array.from([...good.subarray(0, 32), ...Buffer.from(s.toString(16).padStart(64, '0'), 'hex').reverse()]);
    expect(verifySignature(signer.publicKey, message, good)).toBe(true);
    for (const [key, signature] of [
      [signer.publicKey, good.subarray(0, 63)], [signer.publicKey.subarray(1), good], [new Uint8Array(32).fill(0xff), good], [new Uint8Array(0), good], [signer.publicKey, malleable],
    ] as const) expect(verifySignature(key, message, signature)).toBe(false);
  });

  it('signerOfSeed: refuses a seed of another length', () => expect(() => signerOfSeed(new Uint8Array(64))).toThrow(expect.objectContaining({ code: 'E_INTERNAL' })));
});
