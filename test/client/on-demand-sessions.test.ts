// Sessions that are dialled when they are needed.
import { describe, expect, it } from '@jest/globals';
import { onDemandSessions } from '../../src/client/on-demand-sessions.ts';
import { deferred } from '../../src/core/deferred.ts';
import { FundsError } from '../../src/core/errors.ts';
import type { ConnectedProxy, Connector } from '../../src/client/connect.ts';

type Ask = Parameters<Connector['connect']>[0];

function fakeConnector() {
  const asked: Ask[] = [];
  const ends: (() => void)[] = [];
  const state: { error: Error | null; delayMs: number } = { error: null, delayMs: 0 };
  const connector: Pick<Connector, 'connect'> = {
    connect: async (options) => {
      asked.push(options);
      await new Promise((resolve) => { setTimeout(resolve, state.delayMs); });
      if (state.error !== null) throw state.error;
      if (options.signal.aborted) throw options.signal.reason;
      const closed = deferred<null>();
      ends.push(() => closed.resolve(null));
      return { address: `proxy-${ends.length}`, session: { closed: closed.promise, close: () => closed.resolve(null) } } as unknown as ConnectedProxy;
    },
  };
  return { connector, asked, ends, state };
}

const signal = new AbortController().signal;

describe('onDemandSessions', () => {
  it('dials once for everybody, and again only when the session is gone', async () => {
    const { connector, asked, ends } = fakeConnector();
    const seen: string[] = [];
    const sessions = onDemandSessions({ connector, onConnected: async ({ address }) => { seen.push(address); } });
    expect(sessions.sessions()).toEqual([]);
    const [a, b] = await Promise.all([sessions.acquire({ timeoutMs: 9, signal }), sessions.acquire({ timeoutMs: 9, signal })]);
    expect([a, b.address, asked.length]).toEqual([b, 'proxy-1', 1]);
    expect(sessions.sessions()).toEqual([a]);
    ends[0]?.();
    await Promise.resolve();
    expect(sessions.sessions()).toEqual([]);
    expect((await sessions.acquire({ timeoutMs: 9, signal })).address).toBe('proxy-2');
    expect(seen).toEqual(['proxy-1', 'proxy-2']);
  });

  it('another proxy than those excepted is dialled beside the open one', async () => {
    const { connector, asked } = fakeConnector();
    const sessions = onDemandSessions({ connector });
    const { address } = await sessions.acquire({ timeoutMs: 9, signal });
    expect((await sessions.acquire({ timeoutMs: 9, signal, except: new Set([address]) })).address).toBe('proxy-2');
    expect(asked[1]?.except).toEqual(new Set([address]));
    expect(sessions.sessions()).toHaveLength(2);
  });

  it('what connecting throws is thrown at once, to everybody who waits; later it is tried anew', async () => {
    const { connector, state } = fakeConnector();
    const sessions = onDemandSessions({ connector });
    const broke = new FundsError('E_FUNDS', 'no');
    state.error = broke;
    const outcomes = await Promise.allSettled([sessions.acquire({ timeoutMs: 9, signal }), sessions.acquire({ timeoutMs: 9, signal })]);
    expect(outcomes).toEqual([{ status: 'rejected', reason: broke }, { status: 'rejected', reason: broke }]);
    state.error = null;
    await expect(sessions.acquire({ timeoutMs: 9, signal })).resolves.toMatchObject({ address: 'proxy-1' });
  });

  it('close: ends what is open and what is being dialled', async () => {
    const { connector, state } = fakeConnector();
    const sessions = onDemandSessions({ connector });
    const first = await sessions.acquire({ timeoutMs: 9, signal });
    state.delayMs = 5;
    const second = sessions.acquire({ timeoutMs: 9, signal, except: new Set([first.address]) });
    sessions.close();
    await expect(second).rejects.toMatchObject({ code: 'E_CLOSED' });
    await expect(first.session.closed).resolves.toBeNull();
  });
});
