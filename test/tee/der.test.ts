import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { DerReader, MAX_DER_DEPTH, TAG, contextTag } from '../../src/tee/der.ts';
import { sequence, tlv, oid as writeOid } from './der-writer.ts';
import { acceptedOrRefused, expectRefusal } from './expect-error.ts';

const MAX = 1 << 20;
const reader = (hex: string): DerReader => DerReader.of(fromHex(hex), 'test', MAX);
const malformed = (action: () => unknown, message: RegExp): void => expectRefusal(action, 'E_EVIDENCE_MALFORMED', message);

describe('DerReader.of', () => {
  it('of: refuses an input over the limit before reading it', () => {
    malformed(() => DerReader.of(new Uint8Array(11), 'thing', 10), /thing has 11 bytes, expected at most 10/);
    expect(DerReader.of(new Uint8Array(10), 'thing', 10).done).toBe(false);
  });
});

describe('DerReader.any', () => {
  it('any: gives views of the input, not copies', () => {
    const bytes = fromHex('0403aabbcc');
    const element = DerReader.of(bytes, 'test', MAX).any('value');
    expect(element.content.buffer).toBe(bytes.buffer);
    expect(toHex(element.content)).toBe('aabbcc');
    expect(toHex(element.raw)).toBe('0403aabbcc');
  });

  it('any: reads lengths of every form at their boundaries', () => {
    for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
      const input = DerReader.of(tlv(TAG.octetString, new Uint8Array(length)), 'test', MAX);
      expect(input.octetString('value')).toHaveLength(length);
      input.end();
    }
  });

  it.each([
    ['', /ends early/],
    ['30', /ends early/],
    ['3080', /indefinite length/],
    ['30800000', /indefinite length/],
    ['0402aa', /claims 2 bytes, expected at most the 1 that are left/],
    ['04847fffffff', /claims 2147483647 bytes/],
    ['0484ffffffff', /claims 4294967295 bytes/],
    ['04850000000001aa', /length of 5 bytes, expected at most 4/],
    ['04ffaa', /length of 127 bytes/],
    ['0482ff', /ends early/],
    ['048101aa', /not written in the shortest form/],
    ['04820080', /not written in the shortest form/],
    ['1f0100', /multi-byte tag/],
    ['bf8101', /multi-byte tag/],
  ])('any: refuses %s', (hex, message) => {
    malformed(() => reader(hex).any('value'), message);
  });
});

describe('DerReader structure', () => {
  it('element: names the tag seen and the tag wanted', () => {
    malformed(() => reader('0500').element(TAG.sequence, 'body'), /body in test, byte 0, is null 0x05, expected sequence 0x30/);
    malformed(() => reader('').element(TAG.sequence, 'body'), /is absent, expected sequence 0x30/);
    malformed(() => reader('2403040100').octetString('body'), /is tag 0x24, expected octetString 0x04/);
  });

  it('optional: consumes nothing when the tag differs', () => {
    const input = reader('0500');
    expect(input.optional(contextTag(0, true), 'version')).toBeNull();
    expect(input.optionalNested('version', contextTag(0, true))).toBeNull();
    expect(input.nextTag).toBe(TAG.null);
    expect(input.optional(TAG.null, 'null')?.content).toHaveLength(0);
    expect(input.nextTag).toBeNull();
    expect(input.done).toBe(true);
  });

  it('end: refuses bytes left over, inside and outside', () => {
    const input = reader('300205000500');
    const inner = input.nested('body');
    malformed(() => inner.end(), /body has 2 bytes left over at byte 0/);
    malformed(() => input.end(), /test has 2 bytes left over at byte 4/);
  });

  it('nested: refuses nesting beyond the limit and allows it up to there', () => {
    let bytes: Uint8Array = new Uint8Array(0);
    for (let i = 0; i <= MAX_DER_DEPTH; i += 1) bytes = sequence(bytes);
    let input = DerReader.of(bytes, 'test', MAX);
    for (let i = 0; i < MAX_DER_DEPTH; i += 1) input = input.nested('level');
    malformed(() => input.nested('level'), new RegExp(`nested deeper than ${MAX_DER_DEPTH} levels`));
  });
});

describe('DerReader values', () => {
  it('boolean: accepts ff and 00 only', () => {
    expect(reader('0101ff').boolean('flag')).toBe(true);
    expect(reader('010100').boolean('flag')).toBe(false);
    for (const hex of ['010101', '0100', '0102ffff']) malformed(() => reader(hex).boolean('flag'), /expected 00 or ff/);
  });

  it('optionalTrue: is false when absent and refuses an explicit FALSE', () => {
    expect(reader('0101ff').optionalTrue('flag')).toBe(true);
    expect(reader('0500').optionalTrue('flag')).toBe(false);
    expect(reader('').optionalTrue('flag')).toBe(false);
    malformed(() => reader('010100').optionalTrue('flag'), /explicit FALSE/);
  });

  it('unsigned: gives the magnitude and refuses other encodings', () => {
    expect(toHex(reader('020100').unsigned('n', 4))).toBe('00');
    expect(toHex(reader('02020080').unsigned('n', 4))).toBe('80');
    expect(reader('02047fffffff').smallInteger('n')).toBe(2_147_483_647);
    malformed(() => reader('0200').unsigned('n', 4), /is empty/);
    malformed(() => reader('020180').unsigned('n', 4), /is negative/);
    malformed(() => reader('02020001').unsigned('n', 4), /needless leading zero/);
    malformed(() => reader('02050100000000').smallInteger('n'), /has 5 bytes, expected at most 4/);
  });

  it('bitString: checks the count and the value of unused bits', () => {
    expect(reader('03020780').bitString('b')).toEqual({ bytes: Uint8Array.of(0x80), unusedBits: 7 });
    expect(reader('030100').bitStringBytes('b')).toHaveLength(0);
    malformed(() => reader('0300').bitString('b'), /count of unused bits/);
    malformed(() => reader('03020880').bitString('b'), /count of unused bits/);
    malformed(() => reader('030101').bitString('b'), /count of unused bits/);
    malformed(() => reader('03020781').bitString('b'), /unused bits that are set/);
    malformed(() => reader('03020780').bitStringBytes('b'), /7 unused bits, expected whole bytes/);
  });

  it('oid: decodes arcs and refuses encodings that are not one', () => {
    for (const text of ['1.3.101.112', '1.3.6.1.4.1.12345.9000', '2.5.29.19', '2.999.1', '0.9.2342.19200300.100.1.25', '1.2.840.113741.1.13.1']) {
      expect(DerReader.of(text === '2.999.1' ? fromHex('0603883701') : writeOid(text), 'test', MAX).oid('id')).toBe(text);
    }
    for (const hex of ['0600', '060180', '06022a80', '06032a8001', '06092affffffffffffff7f', `0641${'2a'.repeat(65)}`]) {
      malformed(() => reader(hex).oid('id'), /is not an object identifier/);
    }
  });

  it('time: reads both forms to the second in UTC', () => {
    const time = (tag: number, text: string): number => DerReader.of(tlv(tag, Buffer.from(text)), 'test', MAX).time('t');
    expect(time(TAG.utcTime, '261122133756Z')).toBe(Date.UTC(2026, 10, 22, 13, 37, 56));
    expect(time(TAG.utcTime, '491231235959Z')).toBe(Date.UTC(2049, 11, 31, 23, 59, 59));
    expect(time(TAG.utcTime, '500101000000Z')).toBe(Date.UTC(1950, 0, 1));
    expect(time(TAG.generalizedTime, '99991231235959Z')).toBe(Date.UTC(9999, 11, 31, 23, 59, 59));
    for (const text of ['2611221337Z', '261122133756', '261122133756+0100', '261322133756Z', '260230133756Z', '261122243756Z', '261122136056Z', '261122133760Z', '26112213375Z0', '-61122133756Z', '']) {
      malformed(() => time(TAG.utcTime, text), /is not a time in UTC/);
    }
    malformed(() => time(TAG.generalizedTime, '20261122133756.5Z'), /is not a time in UTC/);
    malformed(() => time(TAG.generalizedTime, '00001322133756Z'), /is not a time in UTC/);
    malformed(() => time(TAG.octetString, '261122133756Z'), /expected UTCTime or GeneralizedTime/);
  });
});

/** Reads whatever is there, by the types found, as deep as allowed; returns the number of elements. */
function walk(input: DerReader): number {
  let count = 0;
  while (!input.done) {
    count += 1;
    const tag = input.nextTag ?? 0;
    if (tag === TAG.boolean) input.boolean('x');
    else if (tag === TAG.integer) input.unsigned('x', 64);
    else if (tag === TAG.bitString) input.bitString('x');
    else if (tag === TAG.oid) input.oid('x');
    else if (tag === TAG.utcTime || tag === TAG.generalizedTime) input.time('x');
    else if ((tag & 0x20) !== 0) count += walk(input.nested('x', tag));
    else input.any('x');
  }
  input.end();
  return count;
}

describe('DerReader properties', () => {
  it('DerReader: random bytes give values or the typed error, and never more elements than bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      let elements = 0;
      acceptedOrRefused(() => { elements = walk(DerReader.of(bytes, 'test', MAX)); });
      expect(elements).toBeLessThanOrEqual(bytes.length);
    }), { numRuns: 2000 });
  });

  it('DerReader: trees read back completely', () => {
    const { tree } = fc.letrec<{ tree: Uint8Array }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small', maxDepth: 8 },
        fc.uint8Array({ maxLength: 300 }).map((bytes) => tlv(TAG.octetString, bytes)),
        fc.array(tie('tree'), { maxLength: 4 }).map((parts) => sequence(...parts)),
      ),
    }));
    fc.assert(fc.property(tree, (bytes) => { walk(DerReader.of(bytes, 'test', MAX)); }), { numRuns: 300 });
  });

  it('DerReader: object identifiers read back', () => {
    const arcs = fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 39 }), fc.array(fc.integer({ min: 0, max: 2 ** 40 }), { maxLength: 8 }));
    fc.assert(fc.property(arcs, ([a, b, rest]) => {
      const text = [a, b, ...rest].join('.');
      expect(DerReader.of(writeOid(text), 'test', MAX).oid('id')).toBe(text);
    }));
  });
});
