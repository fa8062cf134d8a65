// `cocoon node close --wait` beside a drained node: what it waits for, and when it gives up. The node's side is a second handle of
// the same payment book on disk.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openPaymentBook } from '../../src/chain/payment-book.ts';
import { requireDrained, untilSigned } from '../../src/commands/node-close.ts';
import { InterruptedError } from '../../src/core/errors.ts';
import type { PaymentBook } from '../../src/chain/payment-book.ts';
import { address, ENTRY, pay } from '../chain/payment-book/fixture.ts';

const never = new AbortController().signal;
let folder = '';
/** The drained node's, and the command's own. */
let node: PaymentBook;
let book: PaymentBook;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'cocoon-close-'));
  node = await openPaymentBook(folder);
  book = await openPaymentBook(folder);
});
afterEach(async () => {
  await node.close();
  await book.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A clock that goes on with each wait, and what happens at each look but the first. */
function looks(...events: (() => Promise<unknown>)[]) {
  let nowMs = 0;
  let waits = 0;
  return {
    get waits() { return waits; },
    now: () => nowMs,
    sleep: async (ms: number): Promise<void> => {
      nowMs += ms;
      await events[waits]?.();
      waits += 1;
    },
  };
}

describe('untilSigned', () => {
  it('waits until the last proxy has signed all that was counted; what clients owe is none of its business', async () => {
    const other = { ...ENTRY, contract: address(5) };
    for (const entry of [ENTRY, other]) await node.open(entry);
    await node.open({ ...ENTRY, contract: address(6), kind: 'client' });
    await node.counted(ENTRY.contract, { tokens: 100n });
    await node.counted(other.contract, { tokens: 50n });
    await node.counted(address(6), { tokens: 7n });
    const at = looks(
      () => node.record(ENTRY.contract, pay(90n)), () => node.record(other.contract, pay(50n, 'workerPayout', other.contract)), () => node.record(ENTRY.contract, pay(100n)),
    );
    expect(await untilSigned({ entries: () => book.entries(), timeoutMs: 60_000, signal: never, sleep: at.sleep, now: at.now })).toBe(true);
    expect(at.waits).toBe(3);
  });

  it('nothing is owed: does not wait', async () => {
    await node.open(ENTRY);
    const at = looks();
    expect(await untilSigned({ entries: () => book.entries(), timeoutMs: 60_000, signal: never, sleep: at.sleep, now: at.now })).toBe(true);
    expect(at.waits).toBe(0);
  });

  it('gives up after --timeout, and at once when it is interrupted', async () => {
    await node.open(ENTRY);
    await node.counted(ENTRY.contract, { tokens: 100n });
    await node.record(ENTRY.contract, pay(99n));
    const at = looks();
    expect(await untilSigned({ entries: () => book.entries(), timeoutMs: 3_000, signal: never, sleep: at.sleep, now: at.now })).toBe(false);
    expect(at.now()).toBeGreaterThan(3_000);
    expect(at.now()).toBeLessThan(5_000);
    const ending = new AbortController();
    const interrupted = looks(async () => { ending.abort(new InterruptedError('E_INTERRUPTED', 'interrupted')); });
    await expect(untilSigned({ entries: () => book.entries(), timeoutMs: 60_000, signal: ending.signal, sleep: interrupted.sleep, now: interrupted.now }))
      .rejects.toMatchObject({ code: 'E_INTERRUPTED' });
    expect(interrupted.waits).toBe(1);
  });
});

describe('requireDrained', () => {
  it('a node that may still be asked is not closed', () => {
    expect(() => requireDrained({ state: 'drained' }, 7)).not.toThrow();
    for (const state of ['serving', 'draining'] as const) {
      expect(() => requireDrained({ state }, 7)).toThrow(expect.objectContaining({ code: 'E_STATE', message: 'the node is running as process 7 and still earns' }));
    }
  });
});
