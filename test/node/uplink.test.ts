// The uplink: dials again with back-off, starts it anew after a connection that held, never again after a refusal.
import { describe, expect, it } from '@jest/globals';
import { deferred } from '../../src/core/deferred.ts';
import { AttestationError, NetworkError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { runUplink } from '../../src/node/uplink.ts';
import type { CocoonError } from '../../src/core/errors.ts';
import type { UplinkState } from '../../src/node/uplink.ts';
import type { WorkerSession } from '../../src/wire/worker-session.ts';

function session(): { session: WorkerSession; end: (reason: CocoonError | null) => void; closedBy: CocoonError[] } {
  const closed = deferred<CocoonError | null>();
  const closedBy: CocoonError[] = [];
  const close = (reason?: CocoonError): void => {
    if (reason !== undefined) closedBy.push(reason);
    closed.resolve(reason ?? null);
  };
  return { session: { version: 5, closed: closed.promise, close } as unknown as WorkerSession, end: closed.resolve, closedBy };
}

/** Runs an uplink whose attempts are `attempts` in order; ends it after the last one. */
async function play(attempts: readonly (() => Promise<WorkerSession>)[]) {
  const controller = new AbortController();
  const waits: number[] = [];
  const states: UplinkState['kind'][] = [];
  let made = 0;
  await runUplink('p:1', {
    open: async () => {
      const attempt = attempts[made];
      made += 1;
      if (attempt !== undefined) return attempt();
      controller.abort(new NetworkError('E_CLOSED', 'stopping'));
      throw new NetworkError('E_CLOSED', 'stopping');
    },
    log: silentLog, random: () => 0, sleep: async (ms) => { waits.push(ms); },
  }, controller.signal, ({ kind }) => states.push(kind));
  return { waits, states, made };
}

const refused = async (): Promise<WorkerSession> => { throw new NetworkError('E_UNREACHABLE', 'refused'); };

describe('runUplink', () => {
  it('waits longer after each failure, up to a limit', async () => {
    const { waits, states } = await play(Array.from({ length: 8 }, () => refused));
    expect(waits).toEqual([250, 500, 1_000, 2_000, 4_000, 5_000, 5_000, 5_000]);
    expect(states.slice(0, 4)).toEqual(['connecting', 'waiting', 'connecting', 'waiting']);
  });

  it('a connection that was accepted and lost at once is a failure like the others', async () => {
    const lost = async (): Promise<WorkerSession> => {
      const made = session();
      made.end(null);
      return made.session;
    };
    const { waits, states } = await play([lost, lost, lost]);
    expect(waits).toEqual([250, 500, 1_000]);
    expect(states.slice(0, 3)).toEqual(['connecting', 'ready', 'waiting']);
  });

  it('a refused proxy is final', async () => {
    const { waits, states, made } = await play([refused, async () => { throw new AttestationError('E_EVIDENCE_REFUSED', 'no'); }, refused]);
    expect([waits, states.at(-1), made]).toEqual([[250], 'refused', 2]);
  });

  it('a proxy that loses its standing while it is connected is dialled again, and refused for good if it still fails then', async () => {
    const lost = async (): Promise<WorkerSession> => {
      const made = session();
      made.end(new AttestationError('E_EVIDENCE_REFUSED', 'no longer'));
      return made.session;
    };
    const { waits, states, made } = await play([lost, async () => { throw new AttestationError('E_EVIDENCE_REFUSED', 'still no'); }, refused]);
    expect([waits, states, made]).toEqual([[250], ['connecting', 'ready', 'waiting', 'connecting', 'refused'], 2]);
  });

  it('what is no error of ours does not end it', async () => {
    const { made } = await play([async () => { throw new TypeError('bug'); }, refused]);
    expect(made).toBe(3);
  });

  it('abort: closes the session with the reason and ends; while waiting it ends at once', async () => {
    const controller = new AbortController();
    const reason = new NetworkError('E_CLOSED', 'the node is stopping');
    const open = session();
    const running = runUplink('p:1', { open: async () => open.session, log: silentLog }, controller.signal, ({ kind }) => {
      if (kind === 'ready') setImmediate(() => controller.abort(reason));
    });
    await running;
    expect(open.closedBy).toEqual([reason]);

    const waiting = new AbortController();
    const startedMs = performance.now();
    await runUplink('p:1', { open: refused, log: silentLog, random: () => 0.999 }, waiting.signal, ({ kind }) => {
      if (kind === 'waiting') setImmediate(() => waiting.abort(reason));
    });
    expect(performance.now() - startedMs).toBeLessThan(450);
  });

  it('abort during an attempt that succeeds all the same: the session is closed', async () => {
    const controller = new AbortController();
    const open = session();
    await runUplink('p:1', {
      open: async () => {
        controller.abort(new NetworkError('E_CLOSED', 'the node is stopping'));
        return open.session;
      },
      log: silentLog,
    }, controller.signal, () => undefined);
    expect(open.closedBy).toHaveLength(1);
  });
});
