// Transfers as people ask for them: amount, destination, comment; and the check that the wallet can pay them.
import { beginCell, Cell, comment, internal, loadMessageRelaxed, SendMode, storeMessageRelaxed } from '@ton/core';
import type { Address, StateInit } from '@ton/core';
import { FundsError, UsageError } from '../../core/errors.ts';
import { formatTon } from '../../core/units.ts';
import type { ModedMessage } from '../cells/wallet-messages.ts';

export interface TransferRequest {
  readonly to: Address;
  /** 'all': everything the wallet holds; then it must be the only transfer. */
  readonly valueNano: bigint | 'all';
  readonly bounce: boolean;
  /** A text comment, or a body made elsewhere. */
  readonly body?: string | Cell;
  readonly init?: StateInit;
}

/** Longest text comment, in UTF-8 bytes. */
export const MAX_COMMENT_BYTES = 512;

/** The message of a transfer. Fees are paid on top of the value. Throws UsageError on a value of 0 or less, or a long comment. */
export function transferOf(request: TransferRequest): ModedMessage {
  const { to, valueNano, bounce, body, init } = request;
  if (valueNano !== 'all' && valueNano <= 0n) throw new UsageError('E_USAGE', `the amount is ${formatTon(valueNano)} TON, expected more than 0`);
  if (typeof body === 'string' && Buffer.byteLength(body) > MAX_COMMENT_BYTES) {
    throw new UsageError('E_USAGE', `the comment has ${Buffer.byteLength(body)} bytes, expected at most ${MAX_COMMENT_BYTES}`);
  }
  const content = typeof body === 'string' ? comment(body) : body ?? Cell.EMPTY;
  const message = internal({ to, value: valueNano === 'all' ? 0n : valueNano, bounce, body: content, ...(init === undefined ? {} : { init }) });
  const mode = valueNano === 'all' ? SendMode.CARRY_ALL_REMAINING_BALANCE : SendMode.PAY_GAS_SEPARATELY;
  return { mode, message: beginCell().store(storeMessageRelaxed(message)).endCell() };
}

/** What one outgoing message asks of the wallet, for plans and records. */
export interface TransferSummary {
  readonly to: Address;
  readonly valueNano: bigint;
  /** True when the mode carries the whole balance; `valueNano` is then 0. */
  readonly all: boolean;
}

/** Throws UsageError when the message is not an internal one. */
export function summaryOf({ mode, message }: ModedMessage): TransferSummary {
  const { info } = loadMessageRelaxed(message.beginParse());
  if (info.type !== 'internal') throw new UsageError('E_USAGE', 'a wallet sends internal messages only');
  return { to: info.dest, valueNano: info.value.coins, all: (mode & SendMode.CARRY_ALL_REMAINING_BALANCE) !== 0 };
}

export interface FundsQuestion {
  readonly balanceNano: bigint;
  /** Fees of the wallet's own transaction, as estimated. */
  readonly feesNano: bigint;
  /** The contract sends nothing unless it holds more than this (after the import fee). */
  readonly minBalanceNano: bigint;
  readonly messages: readonly ModedMessage[];
}

/** Throws FundsError naming the missing amount when balance does not cover values, fees and the wallet's minimum. */
export function checkFunds({ balanceNano, feesNano, minBalanceNano, messages }: FundsQuestion): void {
  const values = messages.map(summaryOf);
  const totalNano = values.reduce((sum, { valueNano }) => sum + valueNano, 0n);
  const neededNano = totalNano + feesNano;
  if (balanceNano < neededNano) {
    throw new FundsError('E_FUNDS', `the wallet holds ${formatTon(balanceNano)} TON, ${formatTon(totalNano)} and about ${formatTon(feesNano)} of fees are needed: `
      + `${formatTon(neededNano - balanceNano)} TON are missing`);
  }
  if (minBalanceNano > 0n && balanceNano <= minBalanceNano + feesNano) {
    throw new FundsError('E_FUNDS', `the wallet holds ${formatTon(balanceNano)} TON and sends only while it holds more than ${formatTon(minBalanceNano)} TON and fees: `
      + `${formatTon(minBalanceNano + feesNano - balanceNano + 1n)} TON are missing`);
  }
}
