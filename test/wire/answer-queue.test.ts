// The bounded queue between a connection and one reader.
import { describe, expect, it } from '@jest/globals';
import { NetworkError } from '../../src/core/errors.ts';
import { createAnswerQueue } from '../../src/wire/answer-queue.ts';
import type { QueuedEvent } from '../../src/wire/answer-queue.ts';

const part = (size: number): QueuedEvent => ({ kind: 'part', bytes: new Uint8Array(size) });
const ERROR = new NetworkError('E_CLOSED', 'gone');

describe('createAnswerQueue', () => {
  it('push: keeps the order, and hands to a reader that waits', async () => {
    const queue = createAnswerQueue(10_000);
    const waiting = queue.next();
    queue.push(part(1), 1);
    queue.push(part(2), 2);
    queue.push(part(3), 3);
    expect(await waiting).toEqual(part(1));
    expect([await queue.next(), await queue.next()]).toEqual([part(2), part(3)]);
  });

  it('push: is false beyond the limit, and the reader gets E_BACKLOG instead of what was queued', async () => {
    const queue = createAnswerQueue(1_000);
    expect(queue.push(part(400), 400)).toBe(true);
    expect(queue.push(part(400), 400)).toBe(false);
    await expect(queue.next()).rejects.toMatchObject({ code: 'E_BACKLOG' });
    await expect(queue.unlessAborted(new Promise(() => {}))).rejects.toMatchObject({ code: 'E_BACKLOG' });
  });

  it('push: takes one event of any size, and counts empty ones', () => {
    const large = createAnswerQueue(1_000);
    expect(large.push(part(1_000_000), 1_000_000)).toBe(true);
    const empty = createAnswerQueue(1_000);
    expect([1, 2, 3, 4].map(() => empty.push(part(0), 0))).toEqual([true, true, true, false]);
  });

  it('next: room comes back as events are read', async () => {
    const queue = createAnswerQueue(1_000);
    for (let round = 0; round < 50; round++) {
      expect(queue.push(part(600), 600)).toBe(true);
      await queue.next();
    }
  });

  it('push: does not keep a large buffer alive for a small part', async () => {
    const queue = createAnswerQueue(1_000);
    const frame = new Uint8Array(65_536).fill(7);
    queue.push({ kind: 'part', bytes: frame.subarray(10, 20) }, 10);
    const event = await queue.next();
    expect(event.kind === 'part' ? [event.bytes, event.bytes.buffer.byteLength] : null).toEqual([new Uint8Array(10).fill(7), 10]);
  });

  it('finish: comes after what is queued; abort: at once', async () => {
    const finished = createAnswerQueue(1_000);
    finished.push(part(1), 1);
    finished.finish(ERROR);
    expect(finished.push(part(2), 2)).toBe(true);
    expect(await finished.next()).toEqual(part(1));
    await expect(finished.next()).rejects.toBe(ERROR);
    const aborted = createAnswerQueue(1_000);
    aborted.push(part(1), 1);
    aborted.abort(ERROR);
    await expect(aborted.next()).rejects.toBe(ERROR);
    await expect(aborted.unlessAborted(Promise.resolve())).rejects.toBe(ERROR);
    const waiting = createAnswerQueue(1_000);
    const next = waiting.next();
    waiting.finish(ERROR);
    await expect(next).rejects.toBe(ERROR);
  });
});

describe('unlessAborted', () => {
  it('unlessAborted: gives what the work gives, until the queue is aborted', async () => {
    const queue = createAnswerQueue(1_000);
    await expect(queue.unlessAborted(Promise.resolve(7))).resolves.toBe(7);
    await expect(queue.unlessAborted(Promise.reject(new Error('no')))).rejects.toThrow('no');
    const waiting = queue.unlessAborted(new Promise(() => {}));
    queue.abort(ERROR);
    await expect(waiting).rejects.toBe(ERROR);
  });
});
