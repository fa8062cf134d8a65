import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { joinPieces } from '../../src/node/join-pieces.ts';
import type { EngineEvent } from '../../src/node/engine.ts';

const usage = { promptTokens: 1, cachedTokens: 0, completionTokens: 3 };
const text = (value: string): EngineEvent => ({ type: 'text', text: value });
const finish: EngineEvent = { type: 'finish', reason: 'stop', usage };

async function* script(...steps: readonly (EngineEvent | number | Error | 'stall')[]): AsyncGenerator<EngineEvent, void, void> {
  for (const step of steps) {
    if (step instanceof Error) throw step;
    if (step === 'stall') await new Promise(() => {});
    else if (typeof step === 'number') await sleep(step);
    else yield step;
  }
}

async function collect(events: AsyncIterable<EngineEvent>): Promise<EngineEvent[]> {
  const all: EngineEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

describe('joinPieces', () => {
  it('joinPieces: the first piece goes at once, fast ones are joined, the end does not wait', async () => {
    const startedMs = performance.now();
    const events = await collect(joinPieces(script(text('a'), text('b'), text('c'), finish), 60_000));
    expect(events).toEqual([text('a'), text('bc'), finish]);
    expect(performance.now() - startedMs).toBeLessThan(10_000);
  });

  it('joinPieces: slow pieces are passed on as they are', async () => {
    expect(await collect(joinPieces(script(text('a'), 30, text('b'), 30, finish), 5))).toEqual([text('a'), text('b'), finish]);
  });

  it('joinPieces: a piece waits for the interval and no longer, also when the engine stalls', async () => {
    const joined = joinPieces(script(text('a'), text('b'), 'stall', finish), 20);
    expect(await joined.next()).toEqual({ done: false, value: text('a') });
    expect(await joined.next()).toEqual({ done: false, value: text('b') });
  });

  it('joinPieces: text before a failure goes first, then the failure', async () => {
    const seen: EngineEvent[] = [];
    const failing = (async () => { for await (const event of joinPieces(script(text('a'), text('b'), new Error('engine')), 60_000)) seen.push(event); })();
    await expect(failing).rejects.toThrow('engine');
    expect(seen).toEqual([text('a'), text('b')]);
  });

  it('joinPieces: leaving the loop ends the engine\'s answer', async () => {
    let ended = false;
    const engine = (async function* (): AsyncGenerator<EngineEvent, void, void> {
      try {
        for (;;) yield text('x');
      } finally {
        ended = true;
      }
    })();
    for await (const event of joinPieces(engine, 1)) if (event.type === 'text') break;
    expect(ended).toBe(true);
  });
});
