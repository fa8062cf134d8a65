// Commitments while the chain does not answer: who has a limit keeps it.
import { describe, expect, it } from '@jest/globals';
import { Address } from '@ton/core';
import { abortError } from '../../../src/core/deadline.ts';
import { silentLog } from '../../../src/core/log.ts';
import { Committer } from '../../../src/proxy/paid/commitments.ts';
import type { PaidContext } from '../../../src/proxy/paid/context.ts';
import type { ContractBook } from '../../../src/proxy/paid/contract-book.ts';

describe('Committer', () => {
  it('commit: a caller with a limit is not held up by a commitment that was under way before', async () => {
    const ending = new AbortController();
    let sent = 0;
    const context = {
      ending: ending.signal, log: silentLog, clock: { now: () => 0 },
      ledger: { uncommitted: true, beginCommitment: async () => ({ seqno: 1, session: new Uint8Array(32) }), endCommitment: async () => undefined },
      // A chain that shows nothing: the transfer waits until its caller gives up.
      wallet: {
        send: (_key: string, _messages: unknown, { signal }: { signal: AbortSignal }) => new Promise((_resolve, reject) => {
          sent += 1;
          signal.addEventListener('abort', () => reject(abortError(signal)), { once: true });
        }),
      },
    } as unknown as PaidContext;
    const book = { instance: { contract: new Address(0, Buffer.alloc(32)) } } as unknown as ContractBook;
    const committer = new Committer(context, { all: () => [], target: () => book });
    const first = committer.commit();
    const startedMs = performance.now();
    await expect(committer.commit(AbortSignal.timeout(50))).rejects.toMatchObject({ code: 'E_CLOSED' });
    expect([sent, performance.now() - startedMs < 5_000]).toEqual([1, true]);
    ending.abort();
    await expect(first).rejects.toMatchObject({ code: 'E_CLOSED' });
    await committer.ended();
  });
});
