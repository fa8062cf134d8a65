// Server-sent events: WHATWG HTML section 9.2.6, and the bounds.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CocoonError } from '../../src/core/errors.ts';
import { createSseParser } from '../../src/openai/sse-parser.ts';
import { DONE, sseBytes, sseEvent } from '../../src/openai/sse.ts';
import type { SseEvent } from '../../src/openai/sse-parser.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** All events of `bytes` cut at `cuts`, and the error's code where there is one. */
function parse(bytes: Uint8Array, cuts: readonly number[] = [], maxEventLength = 1000): { events: SseEvent[]; error: string | null } {
  const parser = createSseParser({ maxEventLength });
  const events: SseEvent[] = [];
  const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length];
  try {
    for (let i = 1; i < at.length; i += 1) events.push(...parser.push(bytes.subarray(at[i - 1], at[i])));
    parser.end();
    return { events, error: null };
  } catch (error) {
    if (!(error instanceof CocoonError)) throw error;
    return { events, error: error.code };
  }
}

const data = (...values: string[]): SseEvent[] => values.map((value) => ({ data: value, event: 'message' }));

describe('createSseParser', () => {
  it.each([
    ['one event', 'data: a\n\n', data('a')],
    ['no space after the colon', 'data:a\n\n', data('a')],
    ['only one space is dropped', 'data:  a\n\n', data(' a')],
    ['several data lines', 'data: a\ndata: b\n\n', data('a\nb')],
    ['a data line without a colon', 'data\n\n', data('')],
    ['comments and unknown fields', ': ping\n\nid: 7\nretry: 5\nwhat: x\ndata: a\n\n', data('a')],
    ['an event without data is none', 'event: x\n\ndata: a\n\n', data('a')],
    ['a named event', 'event: error\ndata: a\n\n', [{ data: 'a', event: 'error' }]],
    ['CRLF and CR line ends', 'data: a\r\n\r\ndata: b\r\rdata: c\n\n', data('a', 'b', 'c')],
    ['a byte order mark', '\u{FEFF}data: a\n\n', data('a')],
    ['text of several bytes', 'data: é世界😀\n\n', data('é世界😀')],
  ])('reads %s', (_, text, expected) => {
    expect(parse(encode(text))).toEqual({ events: expected, error: null });
  });

  it('reads what the writer writes', () => {
    const bytes = sseBytes(sseEvent('{"a":"\\n"}') + sseEvent(DONE));
    expect(parse(bytes).events).toEqual(data('{"a":"\\n"}', '[DONE]'));
  });

  it.each([
    ['inside a line', 'data: a\n\ndata: b'],
    ['before the empty line', 'data: a\n\ndata: b\n'],
  ])('refuses an end %s', (_, text) => {
    expect(parse(encode(text))).toEqual({ events: data('a'), error: 'E_CLOSED' });
  });

  it('refuses an end inside a character', () => {
    expect(parse(Uint8Array.of(...encode('data: a\n\n'), 0xf0, 0x9f)).error).toBe('E_PROTOCOL');
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(parse(Uint8Array.of(0x64, 0xff, 0x0a)).error).toBe('E_PROTOCOL');
  });

  it('refuses an event over the bound, in one line or in many, and takes one at the bound', () => {
    expect(parse(encode(`data: ${'x'.repeat(92)}\n\n`), [], 100).events).toHaveLength(1);
    expect(parse(encode(`data: ${'x'.repeat(93)}\n\n`), [], 100).error).toBe('E_PROTOCOL');
    expect(parse(encode('data: x\n'.repeat(13)), [], 100).error).toBe('E_PROTOCOL');
    expect(parse(encode(':'.repeat(101)), [], 100).error).toBe('E_PROTOCOL');
  });

  const piece = fc.constantFrom('data: ', 'data', ':', ' ', 'x', '\n', '\r', '\r\n', '\n\n', 'event: e', 'é', '😀', '{"a":1}', 'id: 1');

  it('gives the same events for any chunking', () => {
    fc.assert(fc.property(fc.array(piece, { maxLength: 60 }), fc.array(fc.nat(), { maxLength: 20 }), (pieces, cuts) => {
      const bytes = encode(pieces.join(''));
      expect(parse(bytes, cuts, 60)).toEqual(parse(bytes, [], 60));
    }));
  });

  it('throws nothing but typed errors on random bytes', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(), { maxLength: 5 }), (bytes, cuts) => {
      const { error } = parse(bytes, cuts, 100);
      expect([null, 'E_PROTOCOL', 'E_CLOSED']).toContain(error);
    }));
  });
});
