// What a tcp.query and a tcp.packet carry (WIRE.md section 7): exactly one function; exactly one object or function
// (`client.runQueryEx` travels one way). A payload that cannot be read is the session's to judge; without a session's
// opinion a query is answered with an error, and a packet closes the connection.
import { asCocoonError, NetworkError, RemoteError } from '../core/errors.ts';
import type { ConnectionHandlers, TlPacket } from './connection.ts';
import { PROTOCOL_VIOLATION } from './remote-codes.ts';
import { decodeBoxed, isTlFunction, peekConstructor } from './tl/codec.ts';
import type { TlFunction } from './tl/types.ts';

const ID_BYTES = 4;

/** Throws the RemoteError that is the answer. */
export function readQuery(handlers: ConnectionHandlers, data: Uint8Array): TlFunction {
  try {
    const query = decodeBoxed(data);
    if (isTlFunction(query)) return query;
    throw new NetworkError('E_PROTOCOL', `tcp.query carries ${query._}, expected a function`);
  } catch (thrown) {
    const error = asCocoonError(thrown);
    throw handlers.onBadQuery?.(data, error) ?? new RemoteError(PROTOCOL_VIOLATION, error.message);
  }
}

/** Null for a packet to skip. Throws what closes the connection. */
export function readPacket(handlers: ConnectionHandlers, data: Uint8Array): TlPacket | null {
  try {
    return decodeBoxed(data);
  } catch (thrown) {
    const error = asCocoonError(thrown);
    if (handlers.onBadPacket !== undefined) handlers.onBadPacket(data, error);
    else if (isKnown(data)) throw error;
    return null;
  }
}

/** False for the constructor of a newer schema. */
const isKnown = (data: Uint8Array): boolean => data.byteLength < ID_BYTES || peekConstructor(data) !== null;
