// Hostile bytes: whatever a peer or an endpoint sends, a loader returns a value or throws E_CHAIN_DATA, in bounded time.
import { describe, expect, it } from '@jest/globals';
import { beginCell, Cell } from '@ton/core';
import fc from 'fast-check';
import { bondAddKey, bondSlash, bondStorage } from '../../../src/chain/cells/bond.ts';
import { MESSAGE_LIMITS, parseBoc, STATE_LIMITS } from '../../../src/chain/cells/boc.ts';
import { cellOf, chainDataError, reading } from '../../../src/chain/cells/codec.ts';
import type { CellCodec } from '../../../src/chain/cells/codec.ts';
import { comment } from '../../../src/chain/cells/comment.ts';
import { decodeBody } from '../../../src/chain/cells/decode.ts';
import { hashSet, hexToKey, MAX_ENTRIES, readEntries } from '../../../src/chain/cells/dictionary.ts';
import { paramsCell } from '../../../src/chain/cells/params.ts';
import { clientPayload } from '../../../src/chain/cells/proxy-messages.ts';
import { signedReceiptCell } from '../../../src/chain/cells/receipt.ts';
import { keyManagerCell, rootStorage, verifiedKeysCell } from '../../../src/chain/cells/root-storage.ts';
import { clientStorage, proxyStorage, walletStorage, workerStorage } from '../../../src/chain/cells/storage.ts';
import { externalMessage, transferMessage, walletExternalBody, walletRequest } from '../../../src/chain/cells/wallet-messages.ts';
import { rootConfigOf } from '../../../src/chain/root-config.ts';
import { boc, vector } from '../vectors.ts';

const loaders: Record<string, (cell: Cell) => unknown> = {
  rootConfigOf, decodeBody,
  ...Object.fromEntries(Object.entries<CellCodec<unknown>>({
    paramsCell, rootStorage, keyManagerCell, verifiedKeysCell, proxyStorage, clientStorage, workerStorage, walletStorage, bondStorage, bondSlash, bondAddKey,
    clientPayload, signedReceiptCell, externalMessage, transferMessage, walletExternalBody, walletRequest, comment,
  }).map(([name, codec]) => [name, (cell: Cell) => codec.load(cell)])),
};

/** Fails the test unless `run` returns or throws E_CHAIN_DATA; true where it returned. */
function survives(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch (thrown) {
    if ((thrown as { code?: unknown }).code !== 'E_CHAIN_DATA') throw thrown;
    return false;
  }
}

const text = ['messages', 'storage', 'params', 'addresses', 'unit_root'].map((name) => JSON.stringify(vector(`onchain/${name}.json`))).join('')
  + JSON.stringify(vector('wire-2026-04/root-contract.json')) + JSON.stringify(vector('wire/onchain/root.json'));
const seeds = [...new Set([...text.matchAll(/"((?:b5ee9c72)[0-9a-f]+)"/g)].map(([, found]) => found!))].map((found) => Buffer.from(found, 'hex'));

const cellArbitrary: fc.Arbitrary<Cell> = fc.letrec<{ cell: Cell }>((tie) => ({
  cell: fc.tuple(
    fc.oneof(fc.uint8Array({ maxLength: 110 }), fc.constantFrom(...seeds).map((seed) => Uint8Array.from(Cell.fromBoc(seed)[0]!.bits.toString().slice(0, 80), (c) => c.charCodeAt(0)))),
    fc.nat(7),
    fc.array(fc.oneof({ maxDepth: 4, depthSize: 'small' }, fc.constant(beginCell().endCell()), tie('cell')), { maxLength: 4 }),
  ).map(([bytes, extra, refs]) => {
    const builder = beginCell().storeBuffer(Buffer.from(bytes)).storeUint(0, extra);
    for (const ref of refs) builder.storeRef(ref);
    return builder.endCell();
  }),
})).cell;

describe('loaders', () => {
  it('loaders: the vectors give enough seeds', () => expect(seeds.length).toBeGreaterThan(100));

  it('loaders: random cells', () => {
    fc.assert(fc.property(cellArbitrary, (cell) => {
      for (const load of Object.values(loaders)) survives(() => load(cell));
    }), { numRuns: 200 });
  });

  it('loaders: vectors with changed bits in any cell', () => {
    let read = 0;
    fc.assert(fc.property(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(), fc.nat(7)), { minLength: 1, maxLength: 4 }), (seed, flips) => {
      // Behind the header, so that most of them are bags of cells still.
      const bytes = Uint8Array.from(Cell.fromBoc(seed)[0]!.toBoc({ idx: false, crc32: false }));
      for (const [at, bit] of flips) bytes[11 + (at % (bytes.length - 11))]! ^= 1 << bit;
      survives(() => {
        const cell = parseBoc(bytes, 'fuzzed', STATE_LIMITS);
        for (const load of Object.values(loaders)) if (survives(() => load(cell))) read += 1;
      });
    }), { numRuns: 400 });
    expect(read).toBeGreaterThan(50);
  });

  it('loaders: every vector in every loader', () => {
    for (const seed of seeds) {
      const cell = Cell.fromBoc(seed)[0]!;
      for (const load of Object.values(loaders)) survives(() => load(cell));
    }
  });
});

describe('parseBoc', () => {
  const good = boc(seeds[0]!.toString('hex'));
  const bytes = good.toBoc({ idx: false, crc32: false });
  it('parseBoc: random bytes, with and without the magic number', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      survives(() => parseBoc(noise, 'noise'));
      survives(() => parseBoc(Buffer.concat([bytes.subarray(0, 4), noise]), 'noise'));
      survives(() => parseBoc(Buffer.concat([bytes.subarray(0, 11), noise]), 'noise'));
    }), { numRuns: 500 });
  });

  it('parseBoc: takes the standard form with and without index and checksum', () => {
    for (const idx of [true, false]) for (const crc32 of [true, false]) expect(parseBoc(good.toBoc({ idx, crc32 }), 'good').equals(good)).toBe(true);
  });

  it.each<[string, Uint8Array, string?]>([
    ['nothing', new Uint8Array(0), 'does not start'],
    ['a byte after the end', Buffer.concat([bytes, Buffer.alloc(1)]), 'bytes, expected'],
    ['a byte less', bytes.subarray(0, -1), 'bytes, expected'],
    ['another magic number', Buffer.concat([Buffer.from('68ff65f3', 'hex'), bytes.subarray(4)]), 'does not start'],
    ['reserved flags', Buffer.from(bytes.toString('hex').replace(/^b5ee9c7201/, 'b5ee9c7209'), 'hex'), 'unsupported header'],
    ['a count of four billion cells', Buffer.from(`b5ee9c72${'04'}${'01'}${'ffffffff'}${'00000001'}${'00000000'}${'00'}${'00000000'}`, 'hex'), '4294967295 cells'],
    ['two roots', Buffer.from('b5ee9c72' + '01010202' + '000400010000' + '0000', 'hex'), '2 roots'],
    ['a reference to itself', Buffer.from('b5ee9c7201010101000300' + '010000', 'hex'), 'invalid BOC'],
    ['a root outside', Buffer.from('b5ee9c7201010101000201' + '0000', 'hex'), 'undefined'],
    ['a wrong checksum', ((b: Buffer) => (b[b.length - 1]! ^= 1, b))(good.toBoc({ idx: false, crc32: true })), 'CRC32C'],
  ])('parseBoc: refuses %s', (_, bad, why) => {
    expect(() => parseBoc(bad, 'bad')).toThrow(expect.objectContaining({ code: 'E_CHAIN_DATA', message: expect.stringContaining(why ?? '') }));
  });

  it('parseBoc: refuses more bytes or cells than the limit, pruned branches and cells too deep', () => {
    const data = 'E_CHAIN_DATA';
    expect(() => parseBoc(bytes, 'x', { ...MESSAGE_LIMITS, maxBytes: bytes.length - 1 })).toThrow(expect.objectContaining({ code: data }));
    const two = beginCell().storeRef(good).endCell().toBoc();
    expect(() => parseBoc(two, 'x', { ...MESSAGE_LIMITS, maxCells: 1 })).toThrow(expect.objectContaining({ code: data }));
    const pruned = vector<{ vectors: { data_boc_pruned?: string }[] }>('onchain/addresses.json').vectors.find((v) => v.data_boc_pruned !== undefined)!;
    expect(() => parseBoc(Buffer.from(pruned.data_boc_pruned!, 'hex'), 'x')).toThrow('pruned');
    let chain = beginCell().endCell();
    for (let n = 0; n < 513; n++) chain = beginCell().storeRef(chain).endCell();
    expect(() => parseBoc(chain.toBoc({ idx: false }), 'x')).toThrow('513 deep');
    expect(parseBoc(chain.refs[0]!.toBoc({ idx: false }), 'x').depth()).toBe(512);
  });
});

describe('readEntries', () => {
  it('readEntries: a few shared cells that stand for 2^256 keys are refused quickly', () => {
    let node = beginCell().storeUint(0, 2).endCell();
    for (let n = 0; n < 256; n++) node = beginCell().storeUint(0, 2).storeRef(node).storeRef(node).endCell();
    const started = performance.now();
    expect(() => readEntries(node, 256, 'bomb')).toThrow(`more than ${MAX_ENTRIES} entries`);
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it.each<[string, Cell]>([
    ['a label longer than the key', beginCell().storeUint(0b10, 2).storeUint(9, 4).storeUint(0, 9).endCell()],
    ['a repeated label longer than the key', beginCell().storeUint(0b111, 3).storeUint(9, 4).endCell()],
    ['a unary label longer than the key', beginCell().storeUint(0, 1).storeUint((1n << 9n) - 1n, 9).storeUint(0, 1).storeUint(0, 9).endCell()],
    ['a fork with one branch', beginCell().storeUint(0, 2).storeRef(beginCell().endCell()).endCell()],
    ['a fork with bits of its own', beginCell().storeUint(0, 3).storeRef(beginCell().endCell()).storeRef(beginCell().endCell()).endCell()],
    ['a pruned branch', beginCell().storeUint(1, 8).storeUint(1, 8).storeBuffer(Buffer.alloc(32)).storeUint(0, 16).endCell({ exotic: true })],
    ['an empty cell', beginCell().endCell()],
  ])('readEntries: refuses %s', (_, node) => {
    expect(() => reading('dictionary', () => readEntries(node, 8, 'dictionary'))).toThrow(expect.objectContaining({ code: 'E_CHAIN_DATA' }));
  });

  it('hashSet: every set is read back, in all label forms', () => {
    const codec = cellOf('set', hashSet('hashes'));
    const hash = fc.oneof(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(255).map((n) => new Uint8Array(32).fill(n)));
    fc.assert(fc.property(fc.uniqueArray(hash.map((h) => Buffer.from(h).toString('hex')), { maxLength: 40 }), (hashes) => {
      expect([...codec.load(codec.store(new Set(hashes)))]).toEqual([...hashes].sort());
    }), { numRuns: 60 });
  });

  it('hashSet: refuses a hash of another length as a bug', () => {
    const codec = cellOf('set', hashSet('hashes'));
    expect(() => codec.store(new Set(['ab']))).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    expect(() => hexToKey('zz'.repeat(32))).toThrow(RangeError);
  });
});

describe('comment', () => {
  it('comment: any text is read back, long ones over several cells', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 900 }), (given) => {
      const sent = Buffer.from(given, 'utf8').toString('utf8');
      expect(comment.load(comment.store({ text: sent })).text).toBe(sent);
    }), { numRuns: 100 });
    expect(comment.store({ text: 'a'.repeat(123) }).refs).toHaveLength(0);
    expect(comment.store({ text: 'a'.repeat(124) }).refs).toHaveLength(1);
  });

  it('comment: refuses a text without end, odd bits and two continuations', () => {
    let chain = beginCell().endCell();
    for (let n = 0; n < 40; n++) chain = beginCell().storeRef(chain).endCell();
    const bad = [
      beginCell().storeUint(0, 32).storeRef(chain).endCell(), beginCell().storeUint(0, 35).endCell(), beginCell().endCell(),
      beginCell().storeUint(0, 32).storeRef(beginCell().endCell()).storeRef(beginCell().endCell()).endCell(),
    ];
    for (const cell of bad) expect(() => comment.load(cell)).toThrow(expect.objectContaining({ code: 'E_CHAIN_DATA' }));
    expect(() => comment.store({ text: 'a'.repeat(5000) })).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  });
});

describe('chainDataError', () => {
  it('chainDataError: is a network error of its own code that no retry repairs', () => {
    expect(chainDataError('x')).toMatchObject({ code: 'E_CHAIN_DATA', exitCode: 6, retryable: false, message: 'x' });
  });
});
