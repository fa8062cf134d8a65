// Round trips of arbitrary objects, and every refusal of the codec.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../src/core/bytes.ts';
import { CocoonError, NetworkError } from '../../../src/core/errors.ts';
import { decodeBare, decodeBoxed, decodeBoxedAs, encodeBare, encodeBoxed, peekConstructor } from '../../../src/wire/tl/codec.ts';
import { createSchema } from '../../../src/wire/tl/compile.ts';
import { parseDeclarations } from '../../../src/wire/tl/declarations.ts';
import { TlReader } from '../../../src/wire/tl/reader.ts';
import type { ClientRunQueryEx, TlName, TlObject } from '../../../src/wire/tl/types.ts';
import { TlWriter } from '../../../src/wire/tl/writer.ts';
import { tlObject } from './arbitrary.ts';

const protocolError = (message: string | RegExp): unknown =>
  expect.objectContaining({ code: 'E_PROTOCOL', message: expect.stringMatching(message) });
const internalError = (message: string | RegExp): unknown =>
  expect.objectContaining({ code: 'E_INTERNAL', message: expect.stringMatching(message) });

/** Runs `parse` on bytes that may be anything; only the typed error may come out. */
function parsesOrRefuses(parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    if (!(error instanceof NetworkError) || error.code !== 'E_PROTOCOL') throw error;
  }
}

describe('properties', () => {
  it('any object of the schema survives encoding and decoding', () => {
    fc.assert(fc.property(tlObject, (object) => {
      const bytes = encodeBoxed(object);
      expect(bytes.byteLength % 4).toBe(0);
      expect(decodeBoxed(bytes)).toEqual(object);
      expect(peekConstructor(bytes)).toBe(object._);
      expect(decodeBare(object._, encodeBare(object))).toEqual(object);
      expect(toHex(encodeBoxed(decodeBoxed(bytes)))).toBe(toHex(bytes));
    }), { numRuns: 1000 });
  });

  it('random bytes are decoded or refused with E_PROTOCOL', () => {
    const words = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.tuple(tlObject, fc.uint8Array({ maxLength: 200 }))
      .map(([object, tail]) => Uint8Array.from([...encodeBoxed(object).subarray(0, 4), ...tail])));
    fc.assert(fc.property(words, (bytes) => parsesOrRefuses(() => decodeBoxed(bytes))), { numRuns: 3000 });
  });

  it('mutated objects are decoded or refused with E_PROTOCOL', () => {
    const mutations = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 });
    fc.assert(fc.property(tlObject, mutations, fc.nat(), (object, changes, cut) => {
      const bytes = encodeBoxed(object);
      for (const [at, value] of changes) bytes[at % bytes.byteLength] = value;
      parsesOrRefuses(() => decodeBoxed(bytes));
      parsesOrRefuses(() => decodeBoxed(bytes.subarray(0, cut % bytes.byteLength)));
    }), { numRuns: 2000 });
  });

  it('objects with a field removed, added or of another kind are refused with E_INTERNAL', () => {
    const stray = fc.constantFrom(undefined, null, 'x', 1.5, 2 ** 31, -1n, 2n ** 63n, [], {}, new Uint8Array(3), true, Number.NaN);
    fc.assert(fc.property(tlObject, fc.nat(), stray, (object, at, value) => {
      const keys = Object.keys(object);
      const changed = { ...object, [keys[at % keys.length]!]: value } as unknown as TlObject;
      try {
        encodeBoxed(changed);
      } catch (error) {
        if (!(error instanceof CocoonError) || error.code !== 'E_INTERNAL') throw error;
      }
      expect(() => encodeBoxed({ ...object, no_such_field: 1 } as unknown as TlObject)).toThrow(internalError(/has no field no_such_field/));
    }), { numRuns: 1000 });
  });
});

describe('decodeBoxed: refusals', () => {
  const header = '11e59b8e';
  it.each([
    ['nothing', '', /expected 4 bytes, got 0/],
    ['half an id', '11e5', /expected 4 bytes, got 2/],
    ['an unknown constructor', 'deadbeef', /unknown constructor 0xefbeadde/],
    ['left-over bytes', '7c62e9bb000000000000000000000000', /expected the end, got 4 more bytes/],
    ['a string longer than the rest', `${header}05616263`, /http\.header\.name at byte 5 of 8: expected 5 bytes and padding, got 3/],
    ['a string without its padding', `${header}0461626364`, /expected 4 bytes and padding/],
    ['a long length cut short', `${header}fe0000`, /expected 3 bytes, got 2/],
    ['a 3-byte length beyond the rest', `${header}feffffff61626364`, /expected 16777215 bytes and padding, got 4/],
    ['a 7-byte length beyond the rest', `${header}ffffffffffffffff`, /and padding, got 0/],
    ['text that is not UTF-8', `${header}02c3280000000000`, /http\.header\.name .*expected UTF-8 text/],
    ['an encoded surrogate', `${header}03eda08000000000`, /expected UTF-8 text/],
    ['a Bool that is neither', '66b043f801000000', /expected boolTrue or boolFalse, got 0x00000001/],
    ['negative flags', '003da93effffffff000000000000000000000000', /workerInstanceV2\.flags .*not negative, got -1/],
    ['a vector count beyond the rest', '010e4ef6ffffff7f', /expected a count that fits the 0 bytes left, got 2147483647/],
    ['a negative vector count', '010e4ef6ffffffff', /expected a count that fits the 0 bytes left, got -1/],
    ['another type where one type is expected', `d17a3195${'00'.repeat(4)}${'00'.repeat(32)}${'00'.repeat(12)}7c62e9bb`, /client\.ProxyConnectionAuth .*unknown constructor 0xbbe9627c/],
    ['a function where an object is expected', `d17a3195${'00'.repeat(4)}${'00'.repeat(32)}${'00'.repeat(12)}723d13b2`, /client\.ProxyConnectionAuth .*unknown constructor 0xb2133d72/],
  ])('%s', (_, hex, message) => {
    expect(() => decodeBoxed(fromHex(hex))).toThrow(protocolError(message));
  });

  it('decodeBoxedAs: refuses a constructor of another type', () => {
    expect(decodeBoxedAs('proxy.SignedPayment', fromHex('64ce47b3'))).toEqual({ _: 'proxy.signedPaymentEmpty' });
    expect(() => decodeBoxedAs('tcp.Packet', fromHex('64ce47b3'))).toThrow(protocolError(/cannot decode tcp\.Packet .*unknown constructor 0xb347ce64/));
  });

  it('a vector of a hostile count allocates nothing', () => {
    // Two million claimed elements of which eight bytes are there.
    const bytes = fromHex('010e4ef680841e00000000000000000000');
    const before = process.memoryUsage();
    for (let i = 0; i < 2000; i++) expect(() => decodeBoxed(bytes)).toThrow(protocolError(/expected a count/));
    const after = process.memoryUsage();
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(64 * 2 ** 20);
  });

  it('a megabyte of the smallest elements takes a small multiple of it', () => {
    const count = 2 ** 17;
    const bytes = new Uint8Array(4 + 4 + 4 + 4 + 4 + count * 8 + 4);
    bytes.set(fromHex('2bc4d01c'));
    new DataView(bytes.buffer).setInt32(16, count, true);
    const before = process.memoryUsage();
    const object = decodeBoxed(bytes);
    const after = process.memoryUsage();
    expect(object).toMatchObject({ _: 'http.response', headers: { length: count } });
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(32 * bytes.byteLength);
  });
});

describe('decodeBoxed: values', () => {
  it('padding content is not checked, longer forms of a length are understood', () => {
    const expected = { _: 'http.header', name: 'ab', value: '' };
    expect(decodeBoxed(fromHex('11e59b8e0261620000000000'))).toEqual(expected);
    expect(decodeBoxed(fromHex('11e59b8e026162ff00ffffff'))).toEqual(expected);
    expect(decodeBoxed(fromHex('11e59b8efe0200006162000000000000'))).toEqual(expected);
    expect(decodeBoxed(fromHex('11e59b8eff020000000000006162000000000000'))).toEqual(expected);
  });

  it('a byte order mark is part of the text', () => {
    const object: TlObject = { _: 'http.header', name: '\uFEFFa', value: 'ä€😀' };
    expect(decodeBoxed(encodeBoxed(object))).toEqual(object);
  });

  it.each([0, 253, 254, 255, 65535, 65536, 2 ** 24 - 1, 2 ** 24])('bytes of length %i keep their content', (length) => {
    const data = new Uint8Array(length).fill(0xa5);
    const encoded = encodeBoxed({ _: 'tcp.packet', data });
    const prefix = length < 254 ? 1 : length < 2 ** 24 ? 4 : 8;
    expect(encoded.byteLength).toBe(4 + Math.ceil((prefix + length) / 4) * 4);
    const decoded = decodeBoxedAs('tcp.Packet', encoded);
    expect(decoded._ === 'tcp.packet' && Buffer.compare(decoded.data, data)).toBe(0);
  });

  it('bytes alias the input and are no Buffer, int256 is a copy', () => {
    const input = Buffer.from(encodeBoxed({ _: 'client.queryAnswerPartEx', request_id: new Uint8Array(32).fill(1), answer: new Uint8Array([1, 2, 3]), flags: 0 }));
    const decoded = decodeBoxed(input);
    input.fill(9);
    expect(decoded).toEqual({ _: 'client.queryAnswerPartEx', request_id: new Uint8Array(32).fill(1), answer: new Uint8Array([9, 9, 9]), flags: 0 });
    expect(decoded._ === 'client.queryAnswerPartEx' && Object.getPrototypeOf(decoded.answer) === Uint8Array.prototype).toBe(true);
  });

  it('flags that no field depends on are kept', () => {
    const object: TlObject = { _: 'client.workerInstanceV2', flags: 2 ** 31 - 1, coefficient: 1, active_requests: 0, max_active_requests: 1 };
    expect(decodeBoxed(encodeBoxed(object))).toEqual(object);
  });

  it('peekConstructor: null for unknown constructors and for less than an id', () => {
    expect(peekConstructor(fromHex('deadbeef'))).toBeNull();
    expect(peekConstructor(fromHex('7c62e9'))).toBeNull();
    expect(peekConstructor(fromHex('7c62e9bb'))).toBe('tcp.ping');
  });
});

describe('encodeBoxed: refusals', () => {
  const query: ClientRunQueryEx = {
    _: 'client.runQueryEx', model_name: 'm', query: new Uint8Array(0), max_coefficient: 4000, max_tokens: 1, timeout: 1,
    request_id: new Uint8Array(32), min_config_version: 0, flags: 1, enable_debug: false,
  };
  const without = (key: keyof ClientRunQueryEx): Record<string, unknown> => Object.fromEntries(Object.entries(query).filter(([name]) => name !== key));

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['a missing field', without('model_name'), /client\.runQueryEx\.model_name: expected a string, got undefined/],
    ['a flag without its field', without('enable_debug'), /enable_debug: it is missing, and flags says otherwise/],
    ['a field without its flag', { ...query, flags: 0 }, /enable_debug: it is present, and flags says otherwise/],
    ['a second field without its flag', { ...query, public_key: new Uint8Array(32) }, /public_key: it is present, and flags says otherwise/],
    ['missing flags', without('flags'), /flags: expected an int32 that is not negative, got undefined/],
    ['negative flags', { ...query, flags: -1 }, /flags: expected an int32 that is not negative, got -1/],
    ['an unknown field', { ...query, publicKey: 1 }, /client\.runQueryEx: it has no field publicKey/],
    ['an int out of range', { ...query, max_tokens: 2 ** 31 }, /max_tokens: expected an int32, got 2147483648/],
    ['an int that is not whole', { ...query, max_tokens: 0.5 }, /max_tokens: expected an int32, got 0.5/],
    ['a NaN as int', { ...query, max_tokens: Number.NaN }, /max_tokens: expected an int32, got NaN/],
    ['an int256 of 31 bytes', { ...query, request_id: new Uint8Array(31) }, /request_id: expected 32 bytes, got 31 bytes/],
    ['text as bytes', { ...query, query: 'secret' }, /query: expected bytes, got string$/],
    ['half a surrogate pair', { ...query, model_name: 'a\uD800' }, /model_name: expected well-formed text, got string$/],
    ['a bigint as double', { ...query, timeout: 1n }, /timeout: expected a number, got 1/],
    ['a number as Bool', { ...query, enable_debug: 1 }, /enable_debug: expected a boolean, got 1/],
    ['a constructor that is not there', { ...query, _: 'client.runQueryEy' }, /it has no constructor client\.runQueryEy/],
    ['an object without constructor', without('_'), /expected an object with its constructor name in "_", got object/],
    ['a number as long', { _: 'tcp.ping', id: 1 }, /tcp\.ping\.id: expected a bigint of 64 bits, got 1/],
    ['a long out of range', { _: 'tcp.ping', id: 2n ** 63n }, /tcp\.ping\.id: expected a bigint of 64 bits, got 9223372036854775808/],
    ['an object as vector', { _: 'client.workerTypesV2', types: {} }, /types: expected an array, got object/],
    ['another constructor in a vector', { _: 'client.workerTypesV2', types: [{ _: 'tcp.ping', id: 1n }] }, /expected an object of constructor client\.workerTypeV2/],
    ['a boxed field of another type', { _: 'worker.paymentStatus', signed_payment: { _: 'tcp.ping', id: 1n }, db_tokens: 0n, max_tokens: 0n }, /proxy\.SignedPayment: it has no constructor tcp\.ping/],
    ['null as a bare object', { _: 'worker.connectToProxy', params: null }, /worker\.params: expected an object with its constructor/],
  ])('%s', (_, object, message) => {
    expect(() => encodeBoxed(object as unknown as TlObject)).toThrow(internalError(message));
    // A failure leaves nothing behind in what is encoded next.
    expect(toHex(encodeBoxed({ _: 'proxy.signedPaymentEmpty' }))).toBe('64ce47b3');
  });

  it('an undefined optional field counts as absent', () => {
    expect(encodeBoxed({ ...query, public_key: undefined } as unknown as TlObject)).toEqual(encodeBoxed(query));
  });

  it('decodeBare, encodeBare: refuse names that the schema does not have', () => {
    expect(() => decodeBare('tcp.pang' as TlName, new Uint8Array(8))).toThrow(internalError(/no such TL constructor/));
    expect(() => encodeBare({ _: 'tcp.pang', id: 1n } as unknown as TlObject)).toThrow(internalError(/no such TL constructor/));
  });
});

describe('createSchema: types that the network\'s schema does not use', () => {
  it('int128, conditional vectors and nested boxed objects', () => {
    const { bare } = createSchema(parseDeclarations('p flags:# id:int128 list:flags.3?(vector Q) = P; q n:int = Q; r = Q;', false));
    const object = { _: 'p', flags: 8, id: new Uint8Array(16).fill(5), list: [{ _: 'q', n: -1 }, { _: 'r' }] };
    const writer = new TlWriter();
    bare('p').encode(writer, object);
    const bytes = writer.take();
    expect(bytes.byteLength).toBe(4 + 16 + 4 + 8 + 4);
    expect(bare('p').decode(new TlReader(bytes))).toEqual(object);
    bytes[0] = 0;
    const reader = new TlReader(bytes);
    expect(bare('p').decode(reader)).toEqual({ _: 'p', flags: 0, id: object.id });
    expect(reader.remaining).toBe(16);
  });
});
