// Signed payments: six captured on the wire, the onchain and wire message vectors, and every way in which one can be wrong.
import { describe, expect, it } from '@jest/globals';
import { beginCell } from '@ton/core';
import type { Cell } from '@ton/core';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { signerOfSeed, verifySignature } from '../../src/chain/ed25519.ts';
import {
  checkPayment, encodePayment, parsePayment, parsePaymentBody, payloadCell, paymentBody, randomQueryId, repack, signPayment,
} from '../../src/chain/signed-payment.ts';
import type { Claim, Expected } from '../../src/chain/signed-payment.ts';
import { addr, boc, expectCell, hashOf, hex, plain, vector } from './vectors.ts';

interface Captured {
  readonly leg: string; readonly boc_hex: string;
  readonly decoded: {
    readonly query_id: number | string; readonly send_excesses_to: string; readonly signature: string; readonly outer_hash: string;
    readonly op: string; readonly payload: { readonly tokens: number; readonly expected_address: string }; readonly payload_hash: string;
  };
}
const captured = vector<{ proxy_public_key: string; payments: Captured[] }>('wire/onchain/signed_payments.json');
const publicKey = hex(captured.proxy_public_key);
const raw = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const refused = expect.objectContaining({ code: 'E_SIGNED_PAYMENT', exitCode: 6 });

/** The result, or null where it was refused in the one allowed way; anything else that is thrown fails the test. */
function outcome<T>(run: () => T): T | null {
  try {
    return run();
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code !== 'E_SIGNED_PAYMENT') throw thrown;
    return null;
  }
}

/** Representation hash of a cell without references, from the definition: descriptors, data with the end marker, SHA-256. */
function independentHash(cell: Cell): string {
  const length = cell.bits.length;
  const data = Buffer.alloc(Math.ceil(length / 8));
  for (let n = 0; n < length; n++) if (cell.bits.at(n)) data[n >> 3]! |= 0x80 >> (n & 7);
  if (length % 8 !== 0) data[length >> 3]! |= 0x80 >> (length % 8);
  return createHash('sha256').update(Buffer.from([0, Math.floor(length / 8) + Math.ceil(length / 8)])).update(data).digest('hex');
}

describe('captured payments', () => {
  it('captured payments: there are six', () => expect(captured.payments).toHaveLength(6));

  it.each(captured.payments.map((p, n) => [n, p] as const))('payment %i: parsed, checked, and encoded to the same bytes', (_, { leg, boc_hex: bytes, decoded }) => {
    const payment = parsePayment(raw(bytes));
    const kind = leg === 'client-runner' ? 'clientCharge' : 'workerPayout';
    expect(payment.claim).toMatchObject({ kind, tokens: BigInt(decoded.payload.tokens) });
    expect(payment.claim.contract.toRawString()).toBe(decoded.payload.expected_address);
    expect(payment.sendExcessesTo.toRawString()).toBe(decoded.send_excesses_to);
    expect(Buffer.from(payment.signature).toString('hex')).toBe(decoded.signature);
    expect(hashOf(payment.payload)).toBe(decoded.payload_hash);
    expect(independentHash(payloadCell(payment.claim))).toBe(decoded.payload_hash);
    expect(hashOf(paymentBody(payment))).toBe(decoded.outer_hash);
    expect(Buffer.from(encodePayment(payment)).toString('hex')).toBe(bytes);
    expect(() => checkPayment(payment, { kinds: [kind], contract: addr(decoded.payload.expected_address), publicKey })).not.toThrow();
  });

  it('query ids are exact 64-bit numbers', () => {
    // JSON numbers lose digits; the bytes decide.
    const bytes = raw(captured.payments[0]!.boc_hex);
    expect(parsePayment(bytes).claim.queryId).toBe(Buffer.from(bytes).readBigUInt64BE(Buffer.from(bytes).indexOf('bb63ff93', 'hex') + 4));
  });
});

interface WireCell { readonly boc: string; readonly hash: string; readonly bits: number; readonly refs: number }
const wire = vector<Readonly<Record<string, WireCell>>>('wire/onchain/messages.json');
const words = vector<Readonly<Record<string, string>>>('wire/onchain/messages.json');
const proxySigner = signerOfSeed(new Uint8Array(Buffer.from(words['proxy_private_key_b64']!, 'base64')));

describe('wire/onchain/messages.json', () => {
  const sendExcessesTo = addr(words['send_excesses_to']!);
  const queryId = 72623859790382856n;
  it.each([['charge', 'clientCharge'], ['refund', 'clientGrantRefund']] as const)('%s: signed to the same cells', (name, kind) => {
    const claim: Claim = { kind, queryId, tokens: 123456789n, contract: addr(words['client_contract']!) };
    expectCell(payloadCell(claim), wire[`${name} payload 123456789`]!);
    const payment = signPayment(claim, sendExcessesTo, proxySigner);
    expectCell(paymentBody(payment), wire[`${name} signed`]!);
    expect(proxySigner.publicKey).toEqual(hex(words['proxy_public_key']!));
  });

  it('worker payout: parsed, repacked and signed to the same cells', () => {
    const payment = parsePaymentBody(boc(wire['worker pay signed']!.boc));
    const contract = addr(words['worker_contract']!);
    expect(payment.claim).toMatchObject({ kind: 'workerPayout', tokens: 987654321n });
    expect(() => checkPayment(payment, { kinds: ['workerPayout', 'workerLastPayout'], contract, publicKey: proxySigner.publicKey })).not.toThrow();
    expectCell(payment.payload, wire['worker pay payload 987654321 (random qid)']!);
    expectCell(paymentBody(signPayment(payment.claim, sendExcessesTo, proxySigner)), wire['worker pay signed']!);
    const owner = parsePaymentBody(boc(wire['worker pay repacked (send_excesses_to=owner)']!.boc)).sendExcessesTo;
    const repacked = repack(payment, owner);
    expectCell(paymentBody(repacked), wire['worker pay repacked (send_excesses_to=owner)']!);
    expect(() => checkPayment(repacked, { kinds: ['workerPayout'], contract, publicKey: proxySigner.publicKey })).not.toThrow();
  });

  it('worker last payout: the same payload cell', () => {
    const expected = wire['worker last pay payload 987654321 (random qid)']!;
    const queryOf = boc(expected.boc).beginParse().skip(32).loadUintBig(64);
    const claim: Claim = { kind: 'workerLastPayout', queryId: queryOf, tokens: 987654321n, contract: addr(words['worker_contract']!) };
    expectCell(payloadCell(claim), expected);
  });
});

const contract = addr(`0:${'11'.repeat(32)}`);
const excess = addr(`-1:${'22'.repeat(32)}`);
const claimOf = (tokens: bigint, queryId = 7n): Claim => ({ kind: 'workerPayout', queryId, tokens, contract });
const expectedOf = (over: Partial<Expected> = {}): Expected => ({ kinds: ['workerPayout'], contract, publicKey: proxySigner.publicKey, ...over });

describe('checkPayment', () => {
  const payment = signPayment(claimOf(10n), excess, proxySigner);
  it('checkPayment: refuses another kind, contract, key, signature and payload', () => {
    const other = addr(`0:${'33'.repeat(32)}`);
    const stranger = signerOfSeed(new Uint8Array(32).fill(1));
    const wrong = [
      [payment, expectedOf({ kinds: ['clientCharge'] }), 'is a workerPayout'],
      [payment, expectedOf({ contract: other }), 'is for'],
      [payment, expectedOf({ publicKey: stranger.publicKey }), 'signature'],
      [{ ...payment, signature: new Uint8Array(64) }, expectedOf(), 'signature'],
      [{ ...payment, signature: payment.signature.subarray(1) }, expectedOf(), 'signature'],
      [{ ...payment, claim: claimOf(11n) }, expectedOf(), 'differs from its claim'],
    ] as const;
    for (const [tried, expected, message] of wrong) {
      expect(() => checkPayment(tried, expected)).toThrow(refused);
      expect(() => checkPayment(tried, expected)).toThrow(message);
    }
    expect(() => checkPayment(payment, expectedOf())).not.toThrow();
  });

  it('checkPayment: a workchain other than the contract\'s is another contract', () => {
    expect(() => checkPayment(payment, expectedOf({ contract: addr(`-1:${'11'.repeat(32)}`) }))).toThrow(refused);
  });
});

describe('parsePayment', () => {
  const good = paymentBody(signPayment(claimOf(10n), excess, proxySigner));
  const payload = good.refs[0]!;
  const parts = (cell: Cell) => beginCell().storeBits(cell.bits);
  const withPayload = (cell: Cell): Cell => parts(good).storeRef(cell).endCell();

  it.each<[string, Cell]>([
    ['a bit too many outside', parts(good).storeBit(0).storeRef(payload).endCell()],
    ['a bit too few outside', beginCell().storeBits(good.bits.substring(0, 874)).storeRef(payload).endCell()],
    ['no reference', parts(good).endCell()],
    ['two references', parts(good).storeRef(payload).storeRef(beginCell().endCell()).endCell()],
    ['a bit too many inside', withPayload(parts(payload).storeBit(1).endCell())],
    ['a reference inside', withPayload(parts(payload).storeRef(beginCell().endCell()).endCell())],
    ['another operation inside', withPayload(payloadCell({ kind: 'workerLastPayout', queryId: 7n, tokens: 10n, contract }))],
    ['another query id inside', withPayload(payloadCell(claimOf(10n, 8n)))],
    ['no tokens inside', withPayload(payloadCell({ kind: 'proxyClose', queryId: 7n, contract }))],
    ['no address for spare TON', beginCell().storeBits(good.bits.substring(0, 96)).storeUint(0, 2).storeBits(good.bits.substring(363, 512)).storeRef(payload).endCell()],
    ['an unsigned operation', beginCell().storeUint(0xf172e6c2, 32).storeBits(good.bits.substring(32, 843)).storeRef(payload).endCell()],
    ['an empty cell', beginCell().endCell()],
  ])('parsePayment: refuses %s', (_, cell) => {
    expect(() => parsePaymentBody(cell)).toThrow(refused);
    expect(() => parsePayment(cell.toBoc({ idx: false, crc32: false }))).toThrow(refused);
  });

  it('parsePayment: refuses bytes after the end, other encodings, no bytes and too many', () => {
    const bytes = good.toBoc({ idx: false, crc32: false });
    const others = [good.toBoc({ idx: false, crc32: true }), good.toBoc({ idx: true, crc32: false })];
    expect(plain(parsePayment(bytes).claim)).toEqual(plain(claimOf(10n)));
    for (const bad of [...others, Buffer.concat([bytes, Buffer.from([0])]), Buffer.alloc(0), Buffer.alloc(1025), bytes.subarray(0, -1)]) {
      expect(() => parsePayment(bad)).toThrow(refused);
    }
  });

  it('parsePayment: no flipped bit of the bytes yields another payment that checks', () => {
    const original = signPayment(claimOf(123456n), excess, proxySigner);
    const bytes = encodePayment(original);
    let accepted = 0;
    for (let bit = 0; bit < bytes.byteLength * 8; bit++) {
      const flipped = Uint8Array.from(bytes);
      flipped[bit >> 3]! ^= 0x80 >> (bit & 7);
      const payment = outcome(() => {
        const parsed = parsePayment(flipped);
        checkPayment(parsed, expectedOf());
        return parsed;
      });
      if (payment === null) continue;
      accepted += 1;
      // Only workchain and hash of the address for spare TON are not signed: all else is as it was.
      expect(payment.payload.equals(original.payload)).toBe(true);
      expect(payment.signature).toEqual(original.signature);
      expect(payment.sendExcessesTo.equals(excess)).toBe(false);
    }
    expect(accepted).toBe(8 + 256);
  });

  it('parsePayment: random bytes and random damage end in E_SIGNED_PAYMENT', () => {
    const bytes = encodePayment(signPayment(claimOf(1n), excess, proxySigner));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(bytes.length), fc.nat(20), (noise, at, cut) => {
      for (const tried of [noise, Buffer.concat([bytes.subarray(0, at), noise, bytes.subarray(at + cut)])]) {
        outcome(() => parsePayment(tried));
      }
    }), { numRuns: 300 });
  });
});

describe('signPayment', () => {
  it('signPayment: what is signed is the payload cell\'s hash, computed independently, and reads back for every claim', () => {
    const word = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n });
    fc.assert(fc.property(word, word, fc.constantFrom('clientCharge', 'clientGrantRefund', 'workerPayout', 'workerLastPayout'), (tokens, queryId, kind) => {
      const claim: Claim = { kind, tokens, queryId, contract };
      const payment = signPayment(claim, excess, proxySigner);
      expect(hashOf(payment.payload)).toBe(independentHash(payment.payload));
      expect(verifySignature(proxySigner.publicKey, Buffer.from(independentHash(payment.payload), 'hex'), payment.signature)).toBe(true);
      const body = paymentBody(payment);
      expect([body.bits.length, body.refs.length, payment.payload.bits.length]).toEqual([875, 1, 427]);
      expect(plain(parsePayment(encodePayment(payment)))).toEqual(plain(payment));
    }), { numRuns: 50 });
  });

  it('signPayment: closes carry no tokens', () => {
    for (const kind of ['proxyClose', 'proxyCompleteClose'] as const) {
      const payment = signPayment({ kind, queryId: 3n, contract }, excess, proxySigner);
      expect(payment.payload.bits.length).toBe(363);
      expect(() => checkPayment(parsePayment(encodePayment(payment)), expectedOf({ kinds: [kind] }))).not.toThrow();
    }
  });

  it('signPayment: refuses totals outside 64 bits as a bug', () => {
    for (const tokens of [-1n, 1n << 64n]) {
      expect(() => signPayment(claimOf(tokens), excess, proxySigner)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    }
  });

  it('randomQueryId: is 64 bits and differs', () => {
    const ids = Array.from({ length: 50 }, randomQueryId);
    expect(new Set(ids).size).toBe(50);
    expect(ids.every((id) => id >= 0n && id < 1n << 64n)).toBe(true);
  });
});
