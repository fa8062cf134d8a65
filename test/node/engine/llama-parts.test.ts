// The parts of the scheduler by themselves: batches, text, stop strings, the event channel, the gate.
import { describe, expect, it, jest } from '@jest/globals';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { shareBatch } from '../../../src/node/engine/llama-batch.ts';
import { createEventChannel } from '../../../src/node/engine/llama-channel.ts';
import { createStopMatcher, createTextAssembler } from '../../../src/node/engine/llama-text.ts';
import type { BatchItem } from '../../../src/node/engine/llama-batch.ts';
import type { EngineEvent } from '../../../src/node/engine.ts';

const prompt = (id: number, left: number, waited = 0) => ({ id, left, answering: false, waited });
const answer = (id: number, waited = 0) => ({ id, left: 1, answering: true, waited });
const shares = (items: readonly BatchItem[], size: number, promptShare = size) => shareBatch(items, size, promptShare).map(({ item: { id }, amount }) => [id, amount]);

describe('shareBatch', () => {
  it('orders a batch by sequence id', () => {
    expect(shares([answer(3), answer(0), answer(2)], 512)).toEqual([[0, 1], [2, 1], [3, 1]]);
  });

  it('gives every answer its token before any prompt, the shortest prompt first', () => {
    expect(shares([prompt(0, 100), answer(1), prompt(2, 30), answer(3)], 42)).toEqual([[0, 10], [1, 1], [2, 30], [3, 1]]);
  });

  it('holds answers up for a share of the batch only; prompts alone take all of it', () => {
    expect(shares([prompt(0, 400), answer(1)], 512, 64)).toEqual([[0, 64], [1, 1]]);
    expect(shares([prompt(0, 400)], 512, 64)).toEqual([[0, 400]]);
  });

  it('takes a prompt whole that is little longer than its share, but nothing beyond the batch', () => {
    expect(shares([prompt(0, 96), answer(1)], 512, 64)).toEqual([[0, 96], [1, 1]]);
    expect(shares([prompt(0, 97), answer(1)], 512, 64)).toEqual([[0, 64], [1, 1]]);
    expect(shares([prompt(0, 90), answer(1)], 80, 79)).toEqual([[0, 79], [1, 1]]);
    expect(shares([prompt(0, 90)], 80, 64)).toEqual([[0, 80]]);
  });

  it('holds answers up for a share of each prompt, so that many start together', () => {
    expect(shares([prompt(0, 400), answer(1), prompt(2, 80), prompt(3, 300)], 512, 64)).toEqual([[1, 1], [2, 80], [3, 112]]);
    expect(shares([answer(0), ...Array.from({ length: 15 }, (_, at) => prompt(at + 1, 80))], 512, 64)).toHaveLength(1 + 7);
  });

  it('takes the answers first that have waited, when they are more than a batch holds', () => {
    expect(shares([answer(0), answer(1, 2), answer(2, 1)], 2)).toEqual([[1, 1], [2, 1]]);
    expect(shares([answer(0), answer(1), answer(2)], 3)).toEqual([[0, 1], [1, 1], [2, 1]]);
  });

  it('lets a long prompt come to its turn, however many short ones arrive', () => {
    const long = 4_000;
    let waited = 0;
    while (!shares([prompt(0, long, waited), prompt(1, 64)], 64, 64).some(([id]) => id === 0)) waited += 1;
    expect(waited).toBeLessThan(80);
    expect(waited).toBeGreaterThan(10);
  });

  it('never takes more than there is, never less than it could', () => {
    fc.assert(fc.property(fc.array(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 16 }), fc.integer({ min: 16, max: 512 }), (lengths, size) => {
      const result = shareBatch(lengths.map((length, id) => prompt(id, length)), size, 1);
      const taken = result.reduce((sum, { amount }) => sum + amount, 0);
      expect(taken).toBe(Math.min(size, lengths.reduce((sum, length) => sum + length, 0)));
      for (const { item: { left }, amount } of result) {
        expect(amount).toBeGreaterThan(0);
        expect(amount).toBeLessThanOrEqual(left);
      }
    }));
  });
});

/** Tokens are bytes. */
const bytesToText = (tokens: readonly number[]): string => new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(tokens));

describe('createTextAssembler', () => {
  it('never splits a character, and loses nothing', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 40 }), (text) => {
      const assembler = createTextAssembler(bytesToText, []);
      const pieces = [...new TextEncoder().encode(text)].map((byte) => assembler.push(byte));
      expect([...pieces, assembler.flush()].join('')).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text)));
      const whole = new Set(Array.from(text));
      for (const piece of pieces) for (const character of piece) expect(whole.has(character) || character === '\u{FFFD}').toBe(true);
    }));
  });

  it('sends bytes that are not text as they decode, without holding them for ever', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const assembler = createTextAssembler(bytesToText, []);
      let held = 0;
      for (const byte of bytes) {
        held = assembler.push(byte) === '' ? held + 1 : 0;
        expect(held).toBeLessThan(8);
      }
    }));
  });

  it('holds what may become a character and gives it up at the end', () => {
    const assembler = createTextAssembler(bytesToText, []);
    expect([0x41, 0xf0, 0x9f].map((byte) => assembler.push(byte))).toEqual(['A', '', '']);
    expect(assembler.flush()).toBe('\u{FFFD}');
  });

  it('shows the tokens before, of the prompt too', () => {
    const seen: string[] = [];
    const assembler = createTextAssembler((tokens, previous) => {
      seen.push(`${previous.join(',')}|${tokens.join(',')}`);
      return 'x';
    }, [1, 2, 3, 4, 5]);
    assembler.push(6);
    assembler.push(7);
    expect(seen).toEqual(['2,3,4,5|6', '3,4,5,6|7']);
  });
});

describe('createStopMatcher', () => {
  const run = (stops: string[], pieces: string[]): { sent: string[]; stopped: boolean } => {
    const matcher = createStopMatcher(stops);
    const sent: string[] = [];
    for (const piece of pieces) {
      const { text, stopped } = matcher.push(piece);
      sent.push(text);
      if (stopped) return { sent, stopped };
    }
    return { sent: [...sent, matcher.flush()], stopped: false };
  };

  it('holds the beginning of a stop string until it is decided', () => {
    expect(run(['END'], ['a E', 'N', 'x', 'END b'])).toEqual({ sent: ['a ', '', 'ENx', ''], stopped: true });
    expect(run(['END'], ['a EN'])).toEqual({ sent: ['a ', 'EN'], stopped: false });
  });

  it('stops at the first of several', () => {
    expect(run(['b', 'aa'], ['xaab'])).toEqual({ sent: ['x'], stopped: true });
    expect(run(['abc', 'b'], ['a', 'b'])).toEqual({ sent: ['', 'a'], stopped: true });
  });

  it('sends exactly the text before the first stop string, for any pieces', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
    fc.assert(fc.property(fc.array(letters.filter((s) => s !== ''), { maxLength: 4 }), fc.array(letters, { maxLength: 12 }), (stops, pieces) => {
      const text = pieces.join('');
      const { sent, stopped } = run(stops, pieces);
      // pieces after the one that completes a stop string are never looked at
      const first = Math.min(...stops.map((stop) => text.indexOf(stop)).filter((index) => index >= 0));
      if (!stopped) expect(sent.join('')).toBe(text);
      else for (const stop of stops) expect(sent.join('').includes(stop)).toBe(false);
      expect(stopped).toBe(Number.isFinite(first));
    }));
  });
});

describe('createEventChannel', () => {
  const finish: EngineEvent = { type: 'finish', reason: 'stop', usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 1 } };
  const collect = async (events: AsyncIterable<EngineEvent>) => {
    const all: EngineEvent[] = [];
    for await (const event of events) all.push(event);
    return all;
  };

  it('joins pieces for a slow reader', async () => {
    const channel = createEventChannel({ bound: 100 }, new AbortController().signal);
    void channel.text('a');
    void channel.text('b');
    channel.finish(finish);
    await expect(collect(channel.events())).resolves.toEqual([{ type: 'text', text: 'ab' }, finish]);
  });

  it('gives the text before an error, then the error', async () => {
    const channel = createEventChannel({ bound: 100 }, new AbortController().signal);
    void channel.text('a');
    channel.fail(new Error('gone'));
    const events = channel.events();
    await expect(events.next()).resolves.toEqual({ done: false, value: { type: 'text', text: 'a' } });
    await expect(events.next()).rejects.toThrow('gone');
  });

  it('makes the writer wait at the bound until text is read', async () => {
    const channel = createEventChannel({ bound: 3 }, new AbortController().signal);
    expect(channel.text('ab')).toBeUndefined();
    let room = false;
    const waiting = channel.text('c')?.then(() => {
      room = true;
    });
    await Promise.resolve();
    expect(room).toBe(false);
    await channel.events().next();
    await waiting;
    expect(room).toBe(true);
  });

  it('lets the writer go when the signal aborts', async () => {
    const abort = new AbortController();
    const channel = createEventChannel({ bound: 1 }, abort.signal);
    const waiting = channel.text('abc');
    abort.abort();
    await expect(waiting).resolves.toBeUndefined();
    expect(channel.text('more')).toBeUndefined();
  });

  it('with an interval: the first piece does not wait, fast ones are joined, the end does not wait', async () => {
    const channel = createEventChannel({ bound: 100, intervalMs: 60_000 }, new AbortController().signal);
    const events = channel.events();
    const first = events.next();
    void channel.text('a');
    await expect(first).resolves.toEqual({ done: false, value: { type: 'text', text: 'a' } });
    const rest = collect(events);
    for (const piece of 'bcd') {
      void channel.text(piece);
      await turn();
    }
    channel.finish(finish);
    await expect(rest).resolves.toEqual([{ type: 'text', text: 'bcd' }, finish]);
  });

  it('with an interval: a piece waits for it and no longer, also when nothing follows', async () => {
    const channel = createEventChannel({ bound: 100, intervalMs: 50 }, new AbortController().signal);
    const events = channel.events();
    void channel.text('a');
    await events.next();
    const startedMs = performance.now();
    void channel.text('b');
    await expect(events.next()).resolves.toEqual({ done: false, value: { type: 'text', text: 'b' } });
    expect(performance.now() - startedMs).toBeGreaterThan(40);
  });

  it('with an interval: a timer that comes early is not waited for again', async () => {
    const channel = createEventChannel({ bound: 100, intervalMs: 60_000 }, new AbortController().signal);
    const events = channel.events();
    void channel.text('a');
    await events.next();
    const timers = jest.spyOn(globalThis, 'setTimeout').mockImplementation((done) => setImmediate(done) as unknown as NodeJS.Timeout);
    try {
      void channel.text('b');
      await expect(events.next()).resolves.toEqual({ done: false, value: { type: 'text', text: 'b' } });
      expect(timers).toHaveBeenCalledTimes(1);
    } finally {
      timers.mockRestore();
    }
  });

  it('with an interval: a full channel and a failure do not wait', async () => {
    const channel = createEventChannel({ bound: 3, intervalMs: 60_000 }, new AbortController().signal);
    const events = channel.events();
    void channel.text('a');
    await events.next();
    const full = events.next();
    const room = channel.text('bcd');
    await expect(full).resolves.toEqual({ done: false, value: { type: 'text', text: 'bcd' } });
    await room;
    void channel.text('e');
    channel.fail(new Error('gone'));
    await expect(events.next()).resolves.toEqual({ done: false, value: { type: 'text', text: 'e' } });
    await expect(events.next()).rejects.toThrow('gone');
  });
});
