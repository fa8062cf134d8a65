// Captured streams in chunks of any size, every violation, and memory while a frame is incomplete.
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { NetworkError } from '../../src/core/errors.ts';
import { encodeFrame, FrameReader, MAX_FRAME_BYTES } from '../../src/wire/framing.ts';

const sessions = fileURLToPath(new URL('../vectors/wire/sessions/', import.meta.url));

/** What precedes the frames in a captured stream: SOCKS5 and peer info units have no sequence of frames. */
interface Line { readonly dir: string; readonly kind: string; readonly hex?: string }

interface CapturedStream { readonly name: string; readonly stream: Uint8Array; readonly frames: readonly string[] }

/** Each raw stream without what precedes its frames, and the frames that the capture cut it into. */
function capturedStreams(): CapturedStream[] {
  return readdirSync(sessions).filter((name) => name.endsWith('.bin')).map((name) => {
    const [, session, side] = /^(.*)\.(c2s|s2c|opener|acceptor)\.bin$/.exec(name)!;
    const dir = side === 'c2s' || side === 'opener' ? 'opener->acceptor' : 'acceptor->opener';
    const lines = readFileSync(`${sessions}${session}.jsonl`, 'utf8').trim().split('\n').map((line) => JSON.parse(line) as Line)
      .filter((line) => line.dir === dir && line.hex !== undefined);
    const preamble = lines.filter(({ kind }) => kind !== 'frame').reduce((sum, { hex }) => sum + hex!.length / 2, 0);
    const frames = lines.filter(({ kind }) => kind === 'frame').map(({ hex }) => hex!);
    return { name, stream: new Uint8Array(readFileSync(sessions + name)).subarray(preamble), frames };
  });
}

function readInChunks(reader: FrameReader, stream: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const payloads: Uint8Array[] = [];
  for (let offset = 0, i = 0; offset < stream.byteLength; i++) {
    const size = sizes[i % sizes.length]!;
    payloads.push(...reader.push(stream.slice(offset, offset + size)));
    offset += size;
  }
  return payloads;
}

const header = (length: number, seqno: number): Uint8Array => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, length, true);
  new DataView(bytes.buffer).setInt32(4, seqno, true);
  return bytes;
};

const allocated = (): number => {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

describe('FrameReader: captured streams', () => {
  it.each(capturedStreams().map((one) => [one.name, one] as const))('%s in chunks of any size', (_, { stream, frames }) => {
    expect(frames.length).toBeGreaterThan(5);
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 }), (sizes) => {
      const reader = new FrameReader();
      const payloads = readInChunks(reader, stream, sizes);
      expect(payloads.map((payload, seqno) => toHex(encodeFrame(seqno, payload)))).toEqual(frames);
      expect(reader.bufferedBytes).toBe(0);
    }), { numRuns: 20 });
  });
});

describe('FrameReader: properties', () => {
  it('any payloads come out as they went in, in chunks of any size', () => {
    const payloads = fc.array(fc.uint8Array({ minLength: 4, maxLength: 9000, size: 'max' }), { minLength: 1, maxLength: 6 });
    const sizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 5000 })), { minLength: 1, maxLength: 8 });
    fc.assert(fc.property(payloads, sizes, (sent, cut) => {
      const stream = Buffer.concat(sent.map((payload, seqno) => encodeFrame(seqno, payload)));
      const received = readInChunks(new FrameReader(), stream, cut);
      expect(received.length).toBe(sent.length);
      for (const [i, payload] of received.entries()) expect(Buffer.compare(payload, sent[i]!)).toBe(0);
    }), { numRuns: 200 });
  });

  it('random bytes give payloads within the limit or E_PROTOCOL', () => {
    const chunks = fc.array(fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.tuple(fc.nat(20), fc.nat(3)).map(([length, seqno]) => header(length, seqno)),
    ), { maxLength: 12 });
    fc.assert(fc.property(chunks, (all) => {
      const reader = new FrameReader({ maxFrameBytes: 64 });
      try {
        for (const chunk of all) {
          for (const payload of reader.push(chunk)) {
            expect(payload.byteLength).toBeGreaterThanOrEqual(4);
            expect(payload.byteLength).toBeLessThanOrEqual(64);
          }
          expect(reader.bufferedBytes).toBeLessThan(8 + 64);
        }
      } catch (error) {
        if (!(error instanceof NetworkError) || error.code !== 'E_PROTOCOL') throw error;
      }
    }), { numRuns: 2000 });
  });
});

describe('FrameReader: violations', () => {
  it.each([
    ['a length of 0', header(0, 0), /frame 0: expected a length of 4 to 16777216 bytes, got 0/],
    ['a length of 3', header(3, 0), /got 3/],
    ['a length of 2^24 + 1', header(MAX_FRAME_BYTES + 1, 0), /got 16777217/],
    ['the largest length', header(2 ** 32 - 1, 0), /got 4294967295/],
    ['a first number of 1', header(4, 1), /frame 0: expected this sequence number, got 1/],
    ['a negative number', header(4, -1), /got -1/],
  ])('%s', (_, bytes, message) => {
    const reader = new FrameReader();
    const refusal = expect.objectContaining({ code: 'E_PROTOCOL', message: expect.stringMatching(message) });
    expect(() => reader.push(bytes)).toThrow(refusal);
    expect(() => reader.push(encodeFrame(0, new Uint8Array(4)))).toThrow(refusal);
    expect(reader.bufferedBytes).toBeLessThanOrEqual(8);
  });

  it.each([0, 2])('number %i after 0 is refused', (seqno) => {
    const reader = new FrameReader();
    expect(reader.push(encodeFrame(0, new Uint8Array(4)))).toEqual([new Uint8Array(4)]);
    expect(() => reader.push(encodeFrame(seqno, new Uint8Array(4)))).toThrow(/frame 1: expected this sequence number/);
  });

  it('lengths of 4 and 2^24 are accepted', () => {
    const reader = new FrameReader();
    const largest = new Uint8Array(MAX_FRAME_BYTES).fill(7);
    expect(reader.push(encodeFrame(0, new Uint8Array(4)))).toHaveLength(1);
    const [payload] = readInChunks(reader, encodeFrame(1, largest), [65536]);
    expect(Buffer.compare(payload!, largest)).toBe(0);
  });

  it('setMaxFrameBytes: a smaller limit holds until it is raised', () => {
    const frame = encodeFrame(0, new Uint8Array(100));
    expect(() => new FrameReader({ maxFrameBytes: 99 }).push(frame)).toThrow(/expected a length of 4 to 99 bytes, got 100/);
    const reader = new FrameReader({ maxFrameBytes: 100 });
    expect(reader.push(frame)).toHaveLength(1);
    expect(() => reader.setMaxFrameBytes(MAX_FRAME_BYTES + 1)).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
    reader.setMaxFrameBytes(101);
    expect(reader.push(encodeFrame(1, new Uint8Array(101)))).toHaveLength(1);
    expect(() => reader.push(encodeFrame(2, new Uint8Array(102)))).toThrow(/got 102/);
  });

  it.each([3, 0, -1, 4.5, Number.NaN, MAX_FRAME_BYTES + 1])('a limit of %d is refused', (maxFrameBytes) => {
    expect(() => new FrameReader({ maxFrameBytes })).toThrow(expect.objectContaining({ code: 'E_INTERNAL' }));
  });
});

describe('FrameReader: memory', () => {
  it('headers that announce 16 MiB cost nothing until bytes come', () => {
    const before = allocated();
    const readers = Array.from({ length: 1000 }, () => new FrameReader());
    for (const reader of readers) {
      reader.push(header(MAX_FRAME_BYTES, 0));
      reader.push(new Uint8Array(1));
    }
    expect(allocated() - before).toBeLessThan(32 * 2 ** 20);
    expect(readers.every((reader) => reader.bufferedBytes === 9)).toBe(true);
  });

  it('a large frame in tiny chunks is neither quadratic nor kept chunk by chunk', () => {
    const length = 2 ** 20;
    const reader = new FrameReader();
    reader.push(header(length, 0));
    const one = new Uint8Array(1).fill(3);
    const before = allocated();
    const start = performance.now();
    for (let i = 0; i < length - 1; i++) reader.push(one);
    expect(reader.bufferedBytes).toBe(8 + length - 1);
    const [payload] = reader.push(one);
    expect(payload!.byteLength).toBe(length);
    expect(payload!.every((byte) => byte === 3)).toBe(true);
    // Copying everything on each push would be half a terabyte.
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(allocated() - before).toBeLessThan(256 * 2 ** 20);
  });

  it('a payload that lies in one chunk is a view into it, and no Buffer', () => {
    const chunk = Buffer.from(encodeFrame(0, new Uint8Array([1, 2, 3, 4])));
    const [payload] = new FrameReader().push(chunk);
    expect(payload!.buffer).toBe(chunk.buffer);
    expect(Object.getPrototypeOf(payload)).toBe(Uint8Array.prototype);
  });
});

describe('encodeFrame', () => {
  it('writes length, number and payload', () => {
    expect(toHex(encodeFrame(2 ** 31 - 1, fromHex('7c62e9bb0900000000000000')))).toBe('0c000000ffffff7f7c62e9bb0900000000000000');
  });

  it.each([
    ['a payload of more than 2^24 bytes', 0, MAX_FRAME_BYTES + 1, 'E_TOO_LARGE'],
    ['a payload of less than an id', 0, 3, 'E_INTERNAL'],
    ['a negative number', -1, 4, 'E_INTERNAL'],
    ['a number beyond int32', 2 ** 31, 4, 'E_INTERNAL'],
    ['a number that is not whole', 0.5, 4, 'E_INTERNAL'],
  ])('refuses %s', (_, seqno, length, code) => {
    expect(() => encodeFrame(seqno, new Uint8Array(length))).toThrow(expect.objectContaining({ code }));
  });
});
