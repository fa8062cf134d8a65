// Watches over a connection that should be doing something (WIRE.md section 7, timers): pings, and the four ways to be
// dead: silence, a frame that never ends, a peer that takes nothing, and, first of all, no handshake.
import { NetworkError } from '../core/errors.ts';
import type { ConnectionRole, ConnectionTimeouts } from './limits.ts';

/** What the watch sees each time it looks; times are performance.now(). */
export interface Sight {
  /** False while this side itself does not read: then the peer's silence means nothing. */
  readonly listening: boolean;
  /** Bytes of a frame that is not complete. */
  readonly partialBytes: number;
  /** Bytes waiting for the socket, when it last took some, and when the last frame was queued. */
  readonly bufferedBytes: number;
  readonly progressAt: number;
  readonly sentAt: number;
}

export interface Watched {
  readonly role: ConnectionRole;
  look(): Sight;
  ping(): void;
  dead(error: NetworkError): void;
}

/** Deadlines are looked at this many times within the shortest of them. */
const LOOKS = 10;

export class KeepAlive {
  readonly #watched: Watched;
  readonly #timeouts: ConnectionTimeouts;
  readonly #timer: NodeJS.Timeout;
  #receivedAt = performance.now();
  #frameStartedAt: number | null = null;
  #pingedAt = 0;

  constructor(watched: Watched, timeouts: ConnectionTimeouts) {
    this.#watched = watched;
    this.#timeouts = timeouts;
    const shortest = Math.min(timeouts.pingMs, timeouts.silenceMs, timeouts.frameMs, timeouts.stallMs);
    this.#timer = setInterval(() => this.#look(), Math.max(1, shortest / LOOKS));
  }

  /** Bytes came in, with or without the end of a frame in them, and `partialBytes` of the next one are held. */
  received(completedFrame: boolean, partialBytes: number): void {
    this.#receivedAt = performance.now();
    if (completedFrame) this.#frameStartedAt = null;
    if (partialBytes > 0) this.#frameStartedAt ??= this.#receivedAt;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const { listening, partialBytes, bufferedBytes, progressAt, sentAt } = this.#watched.look();
    const { silenceMs, frameMs, stallMs, pingMs } = this.#timeouts;
    const now = performance.now();
    if (bufferedBytes > 0 && now - progressAt >= stallMs) return this.#dead(`took none of ${bufferedBytes} waiting bytes for ${stallMs} ms`);
    if (!listening) {
      this.#receivedAt = now;
      if (this.#frameStartedAt !== null) this.#frameStartedAt = now;
    }
    if (now - this.#receivedAt >= silenceMs) return this.#dead(`sent nothing for ${silenceMs} ms`);
    if (partialBytes > 0 && this.#frameStartedAt !== null && now - this.#frameStartedAt >= frameMs) {
      return this.#dead(`did not complete a frame within ${frameMs} ms`);
    }
    // Also after a time without sending: an acceptor counts what it receives, however much it sends itself.
    const idleSince = Math.min(this.#receivedAt, sentAt);
    if (this.#watched.role === 'dialer' && now - Math.max(idleSince, this.#pingedAt) >= pingMs) {
      this.#pingedAt = now;
      this.#watched.ping();
    }
  }

  #dead(what: string): void {
    this.#watched.dead(new NetworkError('E_TIMEOUT', `peer ${what}`));
  }
}
