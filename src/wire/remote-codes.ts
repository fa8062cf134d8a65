// Error numbers that travel in protocol answers (WIRE.md section 11), and how our own errors become such an answer.
// What is not a CocoonError is a bug: its text stays here and the peer only learns that something failed.
import { CocoonError, RemoteError } from '../core/errors.ts';

export const UNSPECIFIED = 0;
export const FAILURE = 601;
export const ERROR = 602;
export const PROTOCOL_VIOLATION = 621;
export const NOT_READY = 651;
export const TIMEOUT = 652;
export const CANCELLED = 653;

export interface RemoteFailure {
  readonly code: number;
  readonly message: string;
}

/** The number and text that a peer is told about `thrown`. */
export function failureOf(thrown: unknown): RemoteFailure {
  if (thrown instanceof RemoteError) return { code: thrown.remoteCode, message: thrown.remoteMessage };
  if (!(thrown instanceof CocoonError) || thrown.code === 'E_INTERNAL') return { code: FAILURE, message: 'internal failure' };
  switch (thrown.code) {
    case 'E_TIMEOUT': return { code: TIMEOUT, message: thrown.message };
    case 'E_INTERRUPTED': return { code: CANCELLED, message: thrown.message };
    case 'E_NO_NODE': case 'E_BUSY': case 'E_ENGINE_BUSY': case 'E_CLOSED': case 'E_UNREACHABLE': case 'E_TERMINATED':
      return { code: NOT_READY, message: thrown.message };
    case 'E_PROTOCOL': case 'E_CONTEXT_LENGTH': return { code: PROTOCOL_VIOLATION, message: thrown.message };
    default: return { code: ERROR, message: thrown.message };
  }
}
