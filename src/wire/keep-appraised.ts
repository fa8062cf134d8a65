// Judges the peer of a long connection again: when its verdict ends, when it has reached its greatest age, and at once when
// the network's lists change. A peer that no longer passes is cut off with the attestation error, and one about which
// nothing can be known in time with the error that says why.
import { withDeadline } from '../core/deadline.ts';
import { AttestationError, asCocoonError, NetworkError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';
import type { PeerStanding } from '../tee/peer.ts';
import type { OpenConnection } from './open-connection.ts';
import { systemTimers } from './timers.ts';
import type { Timers } from './timers.ts';

/** Judging again may fetch newer collateral, so a verdict that has just ended is relied on for this long at most. */
const RENEW_MS = 30_000;
/** Between attempts while the verdict still stands, and at least between two renewals. */
const RETRY_MS = 10_000;
const PAUSE_MS = 1_000;

/** Watches until the connection has ended. Does nothing for a peer without evidence. */
export function keepAppraised(connection: OpenConnection, timers: Timers = systemTimers): void {
  const { standing } = connection.peer;
  if (standing !== undefined) new Appraiser(connection, standing, timers).start();
}

class Appraiser {
  readonly #connection: OpenConnection;
  readonly #standing: PeerStanding;
  readonly #timers: Timers;
  readonly #ended = new AbortController();
  #stopTimer: () => void = () => undefined;
  #renewing = false;
  /** The lists have changed while the peer was being judged. */
  #again = false;

  constructor(connection: OpenConnection, standing: PeerStanding, timers: Timers) {
    this.#connection = connection;
    this.#standing = standing;
    this.#timers = timers;
  }

  start(): void {
    const forget = this.#standing.onChange((judgeNow) => {
      if (this.#renewing) this.#again ||= judgeNow;
      else if (judgeNow) void this.#renew();
      else this.#schedule();
    });
    void this.#connection.closed.then((reason) => {
      forget();
      this.#stopTimer();
      this.#ended.abort(reason ?? new NetworkError('E_CLOSED', 'the connection was closed'));
    });
    this.#schedule();
  }

  #schedule(delayMs: number = this.#standing.leftMs()): void {
    this.#stopTimer();
    if (this.#ended.signal.aborted) return;
    this.#stopTimer = this.#timers.after(Math.max(PAUSE_MS, delayMs), () => void this.#renew());
  }

  async #renew(): Promise<void> {
    this.#stopTimer();
    this.#renewing = true;
    let failure: CocoonError | null = null;
    try {
      do {
        this.#again = false;
        failure = await this.#once();
      } while (this.#again && failure === null);
    } finally {
      this.#renewing = false;
    }
    if (this.#ended.signal.aborted) return;
    if (failure === null) this.#schedule();
    // Trouble with the services or the chain is no verdict about the peer while the last one stands.
    else if (failure instanceof AttestationError || failure.code === 'E_INTERNAL' || this.#standing.leftMs() <= 0) this.#connection.abort(failure);
    else this.#schedule(Math.min(RETRY_MS, this.#standing.leftMs()));
  }

  async #once(): Promise<CocoonError | null> {
    const late = (): NetworkError => new NetworkError('E_TIMEOUT', `peer ${this.#connection.remoteAddress} could not be judged again within ${RENEW_MS} ms`);
    try {
      await withDeadline((signal) => this.#standing.renew(signal), { timeoutMs: RENEW_MS, signal: this.#ended.signal, late });
      return null;
    } catch (error) {
      return asCocoonError(error);
    }
  }
}
