// When the peer of a connection is judged again, and what each outcome does to the connection.
import { describe, expect, it } from '@jest/globals';
import { deferred } from '../../src/core/deferred.ts';
import { AttestationError, NetworkError } from '../../src/core/errors.ts';
import type { CocoonError } from '../../src/core/errors.ts';
import { keepAppraised } from '../../src/wire/keep-appraised.ts';
import type { OpenConnection } from '../../src/wire/open-connection.ts';
import { manualTimers } from '../fakes/manual-timers.ts';
import { PEER } from './peers.ts';

const REFUSED = new AttestationError('E_EVIDENCE_REFUSED', 'no longer');
const TROUBLE = new NetworkError('E_COLLATERAL', 'service is down');

function watched(leftMs: number) {
  const timers = manualTimers();
  const closed = deferred<CocoonError | null>();
  const state = { leftMs, renewals: 0, outcome: null as unknown, listener: (_now: boolean): void => undefined, listening: false, aborted: null as CocoonError | null, hold: Promise.resolve() as Promise<unknown> };
  const standing = {
    leftMs: () => state.leftMs,
    async renew(signal: AbortSignal) {
      state.renewals += 1;
      await Promise.race([state.hold, new Promise((_resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)); })]);
      if (state.outcome !== null) throw state.outcome;
      state.leftMs = leftMs;
    },
    onChange(listener: (now: boolean) => void) {
      state.listener = listener;
      state.listening = true;
      return () => { state.listening = false; };
    },
  };
  const connection = {
    peer: { ...PEER, standing }, remoteAddress: '192.0.2.1:1', closed: closed.promise,
    abort(reason: CocoonError) {
      state.aborted = reason;
      closed.resolve(reason);
    },
  } as unknown as OpenConnection;
  keepAppraised(connection, timers);
  return { timers, state, closed };
}

describe('keepAppraised', () => {
  it('keepAppraised: judges again when the verdict ends, over and over', async () => {
    const { timers, state } = watched(60_000);
    await timers.advance(59_999);
    expect(state.renewals).toBe(0);
    await timers.advance(1);
    expect(state.renewals).toBe(1);
    await timers.advance(180_000);
    expect([state.renewals, state.aborted]).toEqual([4, null]);
  });

  it('keepAppraised: cuts a peer that no longer passes, with that error', async () => {
    const { timers, state } = watched(60_000);
    state.outcome = REFUSED;
    await timers.advance(60_000);
    expect([state.aborted, state.listening, timers.pending]).toEqual([REFUSED, false, 0]);
  });

  it('keepAppraised: judges at once when the lists change, and once more when they change meanwhile', async () => {
    const { timers, state } = watched(60_000);
    const hold = deferred<void>();
    state.hold = hold.promise;
    state.listener(true);
    state.listener(true);
    state.listener(true);
    expect(state.renewals).toBe(1);
    hold.resolve();
    await timers.advance(0);
    expect([state.renewals, state.aborted]).toEqual([2, null]);
    state.listener(true);
    await timers.advance(0);
    expect(state.renewals).toBe(3);
  });

  it('keepAppraised: sets its timer anew when the peer has shown something that ends sooner', async () => {
    const { timers, state } = watched(60_000);
    state.leftMs = 5_000;
    state.listener(false);
    await timers.advance(5_000);
    expect(state.renewals).toBe(1);
  });

  it('keepAppraised: trouble while the verdict stands is tried again; once it has ended the peer is cut', async () => {
    const { timers, state } = watched(60_000);
    state.outcome = TROUBLE;
    state.listener(true);
    await timers.advance(0);
    expect([state.renewals, state.aborted]).toEqual([1, null]);
    await timers.advance(10_000);
    expect([state.renewals, state.aborted]).toEqual([2, null]);
    state.outcome = null;
    await timers.advance(10_000);
    expect([state.renewals, state.aborted]).toEqual([3, null]);
    state.outcome = TROUBLE;
    state.leftMs = 0;
    await timers.advance(60_000);
    expect(state.aborted).toBe(TROUBLE);
  });

  it('keepAppraised: never spins, and a bug cuts the connection', async () => {
    const { timers, state } = watched(0);
    await timers.advance(10_000);
    expect(state.renewals).toBeLessThanOrEqual(10);
    state.outcome = new TypeError('bug');
    await timers.advance(1_000);
    expect(state.aborted?.code).toBe('E_INTERNAL');
  });

  it('keepAppraised: ends with the connection, a judging included', async () => {
    const { timers, state, closed } = watched(60_000);
    state.hold = new Promise(() => undefined);
    state.listener(true);
    closed.resolve(null);
    await timers.advance(0);
    expect([state.listening, timers.pending, state.aborted]).toEqual([false, 0, null]);
    await timers.advance(600_000);
    expect(state.renewals).toBe(1);
  });

  it('keepAppraised: does nothing for a peer without evidence', () => {
    const timers = manualTimers();
    keepAppraised({ peer: PEER } as unknown as OpenConnection, timers);
    expect(timers.pending).toBe(0);
  });
});
