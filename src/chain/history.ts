// Transactions of an account as a person reads them: what came in, what went out, what it cost, and whether it worked.
import type { Address, Message, Transaction } from '@ton/core';
import { CocoonError } from '../core/errors.ts';
import { toHex } from '../core/bytes.ts';
import { comment } from './cells/comment.ts';
import { leadingOp } from './cells/message.ts';
import { opName, OP } from './opcodes.ts';
import { explainExit } from './sending/exit-text.ts';

export interface HistoryMessage {
  /** Null: an external message, which has no sender and no value. */
  readonly peer: Address | null;
  readonly valueNano: bigint;
  /** Text of a comment, or the name of the operation; null when it is neither. */
  readonly what: string | null;
  readonly bounced: boolean;
}

export interface HistoryEntry {
  readonly lt: bigint;
  readonly hash: string;
  /** Unix seconds of the chain. */
  readonly time: number;
  readonly incoming: HistoryMessage | null;
  readonly outgoing: readonly HistoryMessage[];
  /** Fees of the transaction and of carrying its messages away. */
  readonly feesNano: bigint;
  /** Null when it worked. */
  readonly problem: string | null;
}

export function historyEntry(transaction: Transaction): HistoryEntry {
  const { lt, now, totalFees, inMessage, outMessages, description } = transaction;
  const outgoing = outMessages.values();
  const carriedNano = outgoing.reduce((sum, { info }) => sum + (info.type === 'internal' ? info.forwardFee : 0n), 0n);
  return {
    lt, hash: toHex(transaction.hash()), time: now,
    incoming: inMessage ? messageOf(inMessage, 'in') : null,
    outgoing: outgoing.map((message) => messageOf(message, 'out')),
    feesNano: totalFees.coins + carriedNano,
    problem: problemOf(description),
  };
}

function problemOf(description: Transaction['description']): string | null {
  if (description.type !== 'generic' || !description.aborted) return null;
  const { computePhase: compute, actionPhase: action } = description;
  // No code to run is how payments reach an account that is not deployed yet.
  if (compute.type === 'skipped') return null;
  return explainExit(compute.exitCode, action?.resultCode ?? null);
}

function messageOf({ info, body }: Message, direction: 'in' | 'out'): HistoryMessage {
  if (info.type !== 'internal') return { peer: null, valueNano: 0n, what: null, bounced: false };
  const op = leadingOp(body);
  return {
    peer: direction === 'in' ? info.src : info.dest, valueNano: info.value.coins, bounced: info.bounced,
    what: info.bounced || op === null ? null : op === OP.text ? commentOf(body) : opName(op) ?? null,
  };
}

function commentOf(body: Parameters<typeof comment.load>[0]): string | null {
  try {
    return comment.load(body).text.slice(0, 200);
  } catch (error) {
    if (error instanceof CocoonError) return null;
    throw error;
  }
}
