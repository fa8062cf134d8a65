// An established Cocoon connection: framed TL packets over a verified byte stream (WIRE.md section 7).
// This file is the interface that sessions are written against; open-connection.ts implements it.
import type { CocoonError, RemoteError } from '../core/errors.ts';
import type { Attester } from '../tee/fresh-attestation.ts';
import type { VerifiedPeer } from '../tee/peer.ts';
import type { TlFunction, TlObject } from './tl/types.ts';

/** What a `tcp.packet` carries: an object, or a function sent one way (`client.runQueryEx`, `proxy.runQueryEx`). */
export type TlPacket = TlObject | TlFunction;

export interface QueryOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface SendOptions {
  /** May leave a few milliseconds later, together with what is sent next: for packets that nobody waits for. Order is kept. */
  readonly lazy?: boolean;
}

/** What the owner of a connection does with what the peer sends. Set once, right after the connection is made. */
export interface ConnectionHandlers {
  /** A `tcp.query`. The returned object is the answer; a rejection becomes `tcp.queryError` as remote-codes.ts says. */
  onQuery(query: TlFunction): Promise<TlObject>;
  /**
   * A `tcp.packet`. Reading goes on when the returned promise settles, so it must not wait for an answer of the same
   * peer; a rejection closes the connection.
   */
  onPacket(packet: TlPacket): void | Promise<void>;
  /**
   * A `tcp.query` whose `data` is not one well-formed function. The returned error is the answer; the connection stays.
   * Without this handler the answer is code 621.
   */
  onBadQuery?(data: Uint8Array, error: CocoonError): RemoteError;
  /**
   * A `tcp.packet` whose `data` is not one well-formed object or function. Returning skips it; throwing closes the connection.
   * Without this handler an unknown constructor is skipped (a newer peer may have sent it) and anything else closes.
   */
  onBadPacket?(data: Uint8Array, error: CocoonError): void;
}

/** What ties evidence to the TLS session under a connection (fresh-attestation.ts). */
export interface ChannelBinding {
  /** 32 bytes that both ends of this TLS session export, and nobody else. */
  readonly exporter: Uint8Array;
  /** Answers a challenge of the peer for this side; null where this side has no evidence. */
  readonly attest: Attester | null;
}

export interface Connection {
  /** "ip:port" of the other end. */
  readonly remoteAddress: string;
  readonly peer: VerifiedPeer;
  /** Absent on a connection without TLS. */
  readonly channel?: ChannelBinding;
  /** Resolves once, when the connection is gone; the value says why, null when this side closed it in order. */
  readonly closed: Promise<CocoonError | null>;
  /** Bytes accepted by `send`, `query` and answers to the peer's queries, and not yet taken by the socket. */
  readonly bufferedBytes: number;

  /** Queries and packets that came before this call are held back, and reading with them; none is lost. */
  handle(handlers: ConnectionHandlers): void;
  /**
   * Sets the largest payload accepted from the peer, at most 2^24 bytes. A connection starts with a small limit, because
   * a peer that has not said who it is may not make this side buffer megabytes; a session raises it after its handshake.
   */
  setMaxFrameBytes(bytes: number): void;
  /**
   * Sends a `tcp.query`. Rejects with RemoteError, NetworkError E_TIMEOUT, the signal's reason, E_TOO_LARGE (more than
   * 2^24 bytes), E_BUSY (too many open queries or bytes waiting), or E_CLOSED as soon as the connection ends.
   */
  query(query: TlFunction, options: QueryOptions): Promise<TlObject>;
  /** Sends a `tcp.packet`; resolves when the socket wants more (back-pressure), rejects with E_CLOSED, E_TOO_LARGE or E_BUSY. */
  send(packet: TlPacket, options?: SendOptions): Promise<void>;
  /**
   * Sends a `tcp.ping` and resolves with the milliseconds until its `tcp.pong` was read; rejects with E_CLOSED when the connection
   * ends before, and with E_BUSY when too much waits already. To be used towards peers that answer pings of either side.
   */
  ping(): Promise<number>;
  /**
   * Ends the connection: reads nothing more, fails open queries with E_CLOSED at once, delivers what is buffered and the
   * answers of `onQuery` calls still running (so "throw a RemoteError and close" reaches the peer), then disconnects; at
   * most the closing time of the connection's options later it is cut. Idempotent; the first reason counts.
   */
  close(reason?: CocoonError): void;
}
