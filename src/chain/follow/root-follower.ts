// The root contract as a daemon sees it: read again and again, agreed by two endpoints where two are configured. Fails
// closed: what is older than allowed is an error at its next use, and neither a state nor a version ever goes back.
import type { Address } from '@ton/core';
import { abortError } from '../../core/deadline.ts';
import type { Clock } from '../../core/clock.ts';
import { asCocoonError, CocoonError, NetworkError } from '../../core/errors.ts';
import type { Log } from '../../core/log.ts';
import { backoffMs, sleep as realSleep } from '../../core/retry.ts';
import type { Sleep } from '../../core/retry.ts';
import type { TonAccess } from '../access/types.ts';
import { rootConfigOf } from '../root-config.ts';
import type { RootConfig } from '../root-config.ts';

export interface RootView {
  readonly address: Address;
  readonly config: RootConfig;
  /** Chain time of the block in which it was read, unix seconds. */
  readonly time: number;
}

export interface RootFollower {
  /** The newest view. Throws NetworkError `E_CHAIN_STALE` when it is older than `maxAgeS`: nobody acts on old prices and lists. */
  current(): RootView;
  /** Calls `listener` after each change of the root contract's data, in order of registration. Returns how to stop listening. */
  onChange(listener: (now: RootView, before: RootView) => void): () => void;
  /** Reads now; joins a read under way. Rejects with the errors of TonAccess, and `E_CHAIN_DATA` where the version goes back. */
  refresh(signal?: AbortSignal): Promise<RootView>;
  /** Ends the polling. `current` goes on until what it has is too old. Idempotent. */
  close(): Promise<void>;
}

export interface FollowRootOptions {
  readonly access: Pick<TonAccess, 'account'>;
  readonly root: Address;
  /** Between two reads, milliseconds; each wait is spread over half to all of it. */
  readonly pollMs: number;
  /** Seconds after which a view is too old to be used. */
  readonly maxAgeS: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends the first read, and the polling. */
  readonly signal: AbortSignal;
  readonly sleep?: Sleep;
}

interface Known {
  readonly view: RootView;
  readonly lt: bigint;
  /** Of the data cell, hexadecimal. */
  readonly dataHash: string;
  /** When this chain time was seen first, by the clock of this machine. */
  readonly seenMs: number;
}

/** Resolves after the first read. Rejects with its errors (see `refresh`) or the signal's reason. */
export async function followRoot(options: FollowRootOptions): Promise<RootFollower> {
  const follower = new PollingRootFollower(options);
  await follower.refresh(options.signal);
  follower.start();
  return follower;
}

class PollingRootFollower implements RootFollower {
  readonly #options: FollowRootOptions;
  readonly #listeners = new Set<(now: RootView, before: RootView) => void>();
  readonly #ending = new AbortController();
  #known: Known | null = null;
  #reading: Promise<RootView> | null = null;
  #polling: Promise<void> = Promise.resolve();

  constructor(options: FollowRootOptions) {
    this.#options = options;
  }

  start(): void {
    this.#polling = this.#poll(AbortSignal.any([this.#options.signal, this.#ending.signal]));
  }

  current(): RootView {
    const { root, maxAgeS, clock } = this.#options;
    const known = this.#known;
    if (known === null) throw new NetworkError('E_CHAIN_STALE', `root contract ${root.toString()} has not been read yet`);
    // A clock that was set back says nothing about age either way, so its distance counts; chain time that stands still, or is
    // far behind this machine's, is an endpoint that shows the past.
    const nowMs = clock.now();
    const ageS = Math.max(Math.abs(nowMs - known.seenMs) / 1000, nowMs / 1000 - known.view.time);
    if (ageS > maxAgeS) {
      throw new NetworkError('E_CHAIN_STALE', `root contract ${root.toString()} was last seen ${Math.round(ageS)} s ago, expected at most ${maxAgeS} s`);
    }
    return known.view;
  }

  onChange(listener: (now: RootView, before: RootView) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async refresh(signal?: AbortSignal): Promise<RootView> {
    if (signal?.aborted === true) throw abortError(signal);
    this.#reading ??= this.#read().finally(() => { this.#reading = null; });
    if (signal === undefined) return this.#reading;
    // The read is shared: one caller that gives up does not end it for the others.
    const reading = this.#reading;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => reject(abortError(signal));
      signal.addEventListener('abort', onAbort, { once: true });
      reading.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
    });
  }

  async close(): Promise<void> {
    this.#ending.abort(new NetworkError('E_CLOSED', 'the root contract is not followed any more'));
    await this.#polling;
  }

  async #poll(signal: AbortSignal): Promise<void> {
    const { pollMs, log, sleep = realSleep } = this.#options;
    for (;;) {
      await sleep(backoffMs(0, { baseMs: pollMs, maxMs: pollMs }), signal).catch(() => undefined);
      if (signal.aborted) return;
      await this.refresh(signal).catch((error: unknown) => {
        if (!signal.aborted) log.warn('root contract not read', { code: asCocoonError(error).code, reason: asCocoonError(error).message });
      });
    }
  }

  async #read(): Promise<RootView> {
    const { access, root, clock, signal } = this.#options;
    const account = await access.account(root, { agreed: true, signal: AbortSignal.any([signal, this.#ending.signal]) });
    const known = this.#known;
    if (account.status !== 'active' || account.data === null) {
      throw new NetworkError('E_CHAIN_DATA', `there is no root contract at ${root.toString()} (account is ${account.status})`);
    }
    const lt = account.last?.lt ?? 0n;
    // A lagging endpoint: what is known stays, and is not made younger by it.
    if (known !== null && (lt < known.lt || account.time < known.view.time)) return known.view;
    const view: RootView = { address: root, config: rootConfigOf(account.data), time: account.time };
    if (known !== null && view.config.version < known.view.config.version) {
      throw new NetworkError('E_CHAIN_DATA', `version of root contract ${root.toString()} went from ${known.view.config.version} back to ${view.config.version}`, {
        hint: 'if its owner replaced the contract on purpose, start this program again',
      });
    }
    const dataHash = account.data.hash().toString('hex');
    // Chain time that does not move is not seen anew.
    const seenMs = known !== null && known.view.time === view.time ? known.seenMs : clock.now();
    this.#known = { view, lt, dataHash, seenMs };
    if (known !== null && known.dataHash !== dataHash) this.#tell(view, known.view);
    return view;
  }

  #tell(now: RootView, before: RootView): void {
    this.#options.log.info('root contract changed', { version: now.config.version, before: before.config.version });
    for (const listener of this.#listeners) {
      try {
        listener(now, before);
      } catch (error) {
        // A listener's own trouble ends neither the read nor the other listeners.
        const known = error instanceof CocoonError ? error : asCocoonError(error);
        this.#options.log.error('a change of the root contract could not be followed', { code: known.code, reason: known.message });
      }
    }
  }
}
