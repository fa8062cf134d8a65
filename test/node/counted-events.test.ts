// Counts of an answer that is not read to its end.
import { describe, expect, it } from '@jest/globals';
import { countedEvents } from '../../src/node/counted-events.ts';
import { EngineStoppedError } from '../../src/node/engine.ts';
import type { EngineEvent } from '../../src/node/engine.ts';

const USAGE = { promptTokens: 5, cachedTokens: 1, completionTokens: 3 };
const text = (piece: string): EngineEvent => ({ type: 'text', text: piece });
const FINISH: EngineEvent = { type: 'finish', reason: 'cancelled', usage: USAGE };

async function* of(...items: readonly (EngineEvent | Error | Promise<never>)[]): AsyncGenerator<EngineEvent, void, void> {
  for (const item of items) {
    if (item instanceof Error) throw item;
    yield await item;
  }
}

async function leaveAfter(events: AsyncIterable<EngineEvent>, count: number): Promise<number> {
  let seen = 0;
  for await (const _ of events) {
    seen += 1;
    if (seen === count) break;
  }
  return seen;
}

describe('countedEvents', () => {
  it('read to its end: every event, and the counts of the last', async () => {
    const events = countedEvents(of(text('a'), text('b'), FINISH));
    expect(await leaveAfter(events, 99)).toBe(3);
    expect(await events.counts(1_000)).toEqual(USAGE);
  });

  it('left early: the rest is read for its counts', async () => {
    const events = countedEvents(of(text('a'), text('b'), text('c'), FINISH));
    await leaveAfter(events, 1);
    expect(await events.counts(1_000)).toEqual(USAGE);
  });

  it('left early: nothing is taken before counts is called, and a loop that ended with the last event ends the engine\'s', async () => {
    let taken = 0;
    let ended = false;
    async function* engine(): AsyncGenerator<EngineEvent, void, void> {
      try {
        for (; taken < 1_000; taken += 1) yield text('a');
        yield FINISH;
      } finally {
        ended = true;
      }
    }
    const left = countedEvents(engine());
    await leaveAfter(left, 2);
    await new Promise((resolve) => { setImmediate(resolve); });
    expect([taken, ended]).toEqual([1, false]);
    await left.counts(1_000);
    expect([taken, ended]).toEqual([1_000, true]);
    [taken, ended] = [999, false];
    await leaveAfter(countedEvents(engine()), 2); // the last event is the second one
    expect(ended).toBe(true);
  });

  it('a failure with counts, a failure without, an end without', async () => {
    const stopped = countedEvents(of(text('a'), new EngineStoppedError('broken', USAGE)));
    await expect(leaveAfter(stopped, 99)).rejects.toThrow('broken');
    expect(await stopped.counts(1_000)).toEqual(USAGE);
    const broken = countedEvents(of(text('a'), new Error('broken')));
    await leaveAfter(broken, 1);
    expect(await broken.counts(1_000)).toBeNull();
    expect(await countedEvents(of(text('a'))).counts(1_000)).toBeNull();
  });

  it('an engine that never says is not waited for', async () => {
    const events = countedEvents(of(text('a'), new Promise<never>(() => undefined)));
    await leaveAfter(events, 1);
    const startedMs = performance.now();
    expect(await events.counts(20)).toBeNull();
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });
});
