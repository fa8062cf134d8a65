// Whose trouble an error is: this machine and what was asked, the TON network, the proxies, or the nodes behind them; and a board
// of the last trouble of each, for health and statistics. An error alone never says that a part is well again: an answer does.
import { AttestationError, NetworkError, RemoteError } from '../core/errors.ts';
import type { CocoonError } from '../core/errors.ts';

export type Fault = 'local' | 'ton' | 'proxy' | 'node';

/** Numbers of the protocol that a proxy answers for its nodes (WIRE.md section 11). */
const NODE_GONE = 651;

const LOCAL: ReadonlySet<string> = new Set([
  'E_CONFIG', 'E_STATE', 'E_FUNDS', 'E_USAGE', 'E_INTERNAL', 'E_REQUEST', 'E_CONTEXT_LENGTH', 'E_SPENDING_LIMIT', 'E_TOO_LARGE', 'E_BACKLOG',
  'E_INTERRUPTED', 'E_TERMINATED', 'E_PASSPHRASE', 'E_KEYSTORE', 'E_ADDRESS',
]);
const NODE: ReadonlySet<string> = new Set(['E_NO_NODE', 'E_NO_SEAL', 'E_ENGINE', 'E_ENGINE_BUSY', 'E_NOT_FOUND']);

/** Whose trouble an error is. */
export function faultOf({ code, cause }: CocoonError): Fault {
  if (code.startsWith('E_CHAIN') || code === 'E_TX_EXPIRED' || code === 'E_TX_FAILED' || code === 'E_UNCONFIRMED') return 'ton';
  if (NODE.has(code)) return 'node';
  if (LOCAL.has(code)) return 'local';
  return code === 'E_CLOSED' && cause instanceof RemoteError && cause.remoteCode === NODE_GONE ? 'node' : 'proxy';
}

/** How nodes fail; each class has a circuit of its own. */
export type NodeFailure = 'busy' | 'lost' | 'engine';

/** How the nodes behind a proxy failed a request; null when it was not they. */
export function nodeFailureOf(error: CocoonError): NodeFailure | null {
  if (faultOf(error) !== 'node') return null;
  if (error.code === 'E_NO_NODE' || error.code === 'E_NO_SEAL' || error.code === 'E_ENGINE_BUSY' || error.code === 'E_NOT_FOUND') return 'busy';
  return error.code === 'E_CLOSED' ? 'lost' : 'engine';
}

/** What another proxy or node may do better: everything but what is wrong with the request, the money or the evidence, and what is late. */
export function mayTryAgain(error: CocoonError): boolean {
  if (error instanceof AttestationError) return error.code === 'E_SEAL'; // a request that is sealed anew may go another way
  if (error.code === 'E_TIMEOUT' || LOCAL.has(error.code)) return false;
  return error instanceof NetworkError || error.code === 'E_REMOTE' || NODE.has(error.code);
}

export interface Trouble {
  readonly fault: Fault;
  readonly code: string;
  readonly message: string;
  /** Unix milliseconds. */
  readonly atMs: number;
}

export interface FaultBoard {
  note(error: CocoonError): void;
  /** An answer was complete: proxy and node are well. */
  answered(): void;
  /** The last trouble of each part that nothing good has followed, latest first. */
  troubles(): readonly Trouble[];
}

/** Trouble that is older says nothing about now. */
const STALE_MS = 300_000;

/** `now`: Unix milliseconds. */
export function createFaultBoard(now: () => number): FaultBoard {
  const last = new Map<Fault, Trouble>();
  return {
    note(error) {
      const fault = faultOf(error);
      last.set(fault, { fault, code: error.code, message: error.message, atMs: now() });
    },
    answered() {
      last.delete('proxy');
      last.delete('node');
    },
    troubles: () => [...last.values()].filter(({ atMs }) => now() - atMs < STALE_MS).toSorted((a, b) => b.atMs - a.atMs),
  };
}
