// The writer where it grows, and what it keeps.
import { describe, expect, it } from '@jest/globals';
import { TlReader } from '../../../src/wire/tl/reader.ts';
import { TlWriter } from '../../../src/wire/tl/writer.ts';

type Scalar = readonly [name: string, write: (writer: TlWriter) => void, read: (reader: TlReader) => unknown, value: unknown];

const fixed = new Uint8Array(32).fill(3);
const SCALARS: readonly Scalar[] = [
  ['int', (w) => w.int(-7, 'x'), (r) => r.int('x'), -7],
  ['#', (w) => w.natural(7, 'x'), (r) => r.natural('x'), 7],
  ['id', (w) => w.id(0xdeadbeef), (r) => r.id('x'), 0xdeadbeef],
  ['long', (w) => w.long(-7n, 'x'), (r) => r.long('x'), -7n],
  ['double', (w) => w.double(0.25, 'x'), (r) => r.double('x'), 0.25],
  ['Bool', (w) => w.bool(true, 'x'), (r) => r.bool('x'), true],
  ['int256', (w) => w.fixed(fixed, 32, 'x'), (r) => r.fixed(32, 'x'), fixed],
  ['bytes', (w) => w.bytes(fixed, 'x'), (r) => r.bytes('x'), fixed],
  ['string', (w) => w.string('äöü', 'x'), (r) => r.string('x'), 'äöü'],
];

describe('TlWriter', () => {
  it.each(SCALARS)('%s: written where the buffer grows', (_, write, read, value) => {
    const nearGrowth = [1024, 2048, 4096].flatMap((size) => Array.from({ length: 14 }, (_unused, i) => size - 48 + 4 * i));
    for (const filled of [0, ...nearGrowth]) {
      const writer = new TlWriter();
      for (let i = 0; i < filled; i += 4) writer.int(i, 'filling');
      write(writer);
      writer.int(-1, 'end');
      const reader = new TlReader(writer.take());
      reader.fixed(filled, 'filling');
      expect(read(reader)).toEqual(value);
      expect(reader.int('end')).toBe(-1);
      reader.end('all');
    }
  });

  it('take: returns bytes of its own and leaves the writer empty', () => {
    const writer = new TlWriter();
    writer.int(1, 'x');
    const first = writer.take();
    writer.int(2, 'x');
    expect(writer.take()).toEqual(new Uint8Array([2, 0, 0, 0]));
    expect(first).toEqual(new Uint8Array([1, 0, 0, 0]));
    expect(writer.take()).toHaveLength(0);
  });

  it('a string or bytes after a used buffer have zero padding', () => {
    const writer = new TlWriter();
    writer.fixed(new Uint8Array(64).fill(0xff), 64, 'x');
    writer.take();
    writer.string('a', 'x');
    writer.bytes(new Uint8Array(0), 'x');
    expect(writer.take()).toEqual(new Uint8Array([1, 0x61, 0, 0, 0, 0, 0, 0]));
  });
});
