// What one connection may cost this side, in bytes, calls and time (WIRE.md sections 7 and 17). The defaults are the
// protocol's where it has one; the others keep an honest peer far away from them.
import { MAX_FRAME_BYTES } from './framing.ts';

/** `dialer` is the side that made the TCP connection. */
export type ConnectionRole = 'dialer' | 'acceptor';

export interface ConnectionLimits {
  /** Largest payload accepted at first; `Connection.setMaxFrameBytes` changes it. */
  readonly maxFrameBytes: number;
  /** Queries of the peer that are being answered at the same time; further ones are answered with error 651. */
  readonly maxInboundQueries: number;
  /** Bytes of those queries; a query that would exceed them is answered with error 651, unless it is the only one. */
  readonly maxInboundQueryBytes: number;
  /** Own queries without an answer at the same time; further ones reject with E_BUSY. */
  readonly maxOutboundQueries: number;
  /** Bytes waiting for the socket after which `send` and `query` reject with E_BUSY, for a caller that ignores back-pressure. */
  readonly maxBufferedBytes: number;
  /** Bytes of answers and pongs waiting for the socket after which nothing more is read from the peer. */
  readonly maxReplyBytes: number;
}

export interface ConnectionTimeouts {
  /** For the exchange of `tcp.connect` and `tcp.connected`; the peer may have to fetch collateral about this side before. */
  readonly handshakeMs: number;
  /** The dialer pings after this long without receiving, or without sending. */
  readonly pingMs: number;
  /** Without a received byte for this long the connection is dead. */
  readonly silenceMs: number;
  /** From the first to the last byte of one frame. */
  readonly frameMs: number;
  /** The peer takes nothing of what is waiting for it for this long. */
  readonly stallMs: number;
  /** From `close` until the connection is cut. */
  readonly closeMs: number;
}

/** A peer that has not authenticated is read in small frames. A dialer has verified the peer already. */
const MAX_FIRST_FRAME_BYTES = 64 * 1024;

export function connectionLimits(role: ConnectionRole, given: Partial<ConnectionLimits> = {}): ConnectionLimits {
  return {
    maxFrameBytes: role === 'dialer' ? MAX_FRAME_BYTES : MAX_FIRST_FRAME_BYTES,
    maxInboundQueries: 64,
    maxInboundQueryBytes: 2 * MAX_FRAME_BYTES,
    maxOutboundQueries: 1024,
    maxBufferedBytes: 4 * MAX_FRAME_BYTES,
    maxReplyBytes: 1024 * 1024,
    ...given,
  };
}

export function connectionTimeouts(role: ConnectionRole, given: Partial<ConnectionTimeouts> = {}): ConnectionTimeouts {
  return {
    handshakeMs: 35_000,
    pingMs: 10_000,
    silenceMs: role === 'dialer' ? 20_000 : 60_000,
    frameMs: 120_000,
    stallMs: 60_000,
    closeMs: 2_000,
    ...given,
  };
}
