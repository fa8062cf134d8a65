// An established Cocoon connection: framed TL packets over a verified byte stream (WIRE.md section 7).
// This file is the interface that sessions are written against; open-connection.ts implements it.
import type { CocoonError } from '../core/errors.ts';
import type { VerifiedPeer } from '../tee/peer.ts';
import type { TlFunction, TlObject } from './tl/types.ts';

export interface QueryOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** What the owner of a connection does with what the peer sends. Set once, right after the connection is made. */
export interface ConnectionHandlers {
  /** A `tcp.query`. The returned object is the answer; a RemoteError becomes `tcp.queryError` with its code, anything else code 601. */
  onQuery(query: TlFunction): Promise<TlObject>;
  /** A `tcp.packet`. Reading goes on when the returned promise settles; a rejection closes the connection. */
  onPacket(packet: TlObject): void | Promise<void>;
}

export interface Connection {
  /** "ip:port" of the other end. */
  readonly remoteAddress: string;
  readonly peer: VerifiedPeer;
  /** Resolves once, when the connection is gone; the value says why, null when this side closed it in order. */
  readonly closed: Promise<CocoonError | null>;
  /** Bytes accepted by `send` and `query` and not yet taken by the socket. */
  readonly bufferedBytes: number;

  handle(handlers: ConnectionHandlers): void;
  /** Sends a `tcp.query`. Rejects with RemoteError, NetworkError E_TIMEOUT, or E_CLOSED as soon as the connection ends. */
  query(query: TlFunction, options: QueryOptions): Promise<TlObject>;
  /** Sends a `tcp.packet`; resolves when the socket wants more (back-pressure), rejects with E_CLOSED. */
  send(packet: TlObject): Promise<void>;
  /** Ends the connection after what is buffered has been written, at most `timeoutMs` later. Idempotent. */
  close(reason?: CocoonError): void;
}
