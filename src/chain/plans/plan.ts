// A plan: what a wallet is about to send, each message with its purpose, before anything is signed. The same question gives the
// same messages but for their query id, which names the attempt; so a repeated command finds what it began.
import { createHash } from 'node:crypto';
import { loadMessageRelaxed, TupleReader } from '@ton/core';
import type { Address, Sender } from '@ton/core';
import { CocoonError } from '../../core/errors.ts';
import type { TonAccess } from '../access/types.ts';
import type { ModedMessage } from '../cells/wallet-messages.ts';
import { collectingSender } from '../contracts/provider.ts';
import type { ContractReads } from '../contracts/provider.ts';
import type { Signer } from '../ed25519.ts';
import { checkFunds, summaryOf } from '../wallets/transfer.ts';
import type { WalletKind } from '../wallets/kinds.ts';

export interface PlanStep {
  /** For people: `deposit of 5 TON, spare TON comes back`. */
  readonly purpose: string;
  /** Hands exactly one message to the sender. */
  send(via: Sender, queryId: bigint): Promise<void>;
}

export interface Plan {
  /** The same text for the same question: names it in the outbox. */
  readonly name: string;
  readonly steps: readonly PlanStep[];
  /** What the reader should know before he agrees. */
  readonly warnings: readonly string[];
  /** Results that are known beforehand: addresses, times. Text only, for output. */
  readonly facts: Readonly<Record<string, string>>;
}

export interface PlannedMessage {
  readonly purpose: string;
  readonly to: Address;
  readonly amountNano: bigint;
  /** True: everything that the wallet holds. */
  readonly all: boolean;
  readonly bounce: boolean;
  readonly deploys: boolean;
  readonly message: ModedMessage;
}

/** The plan's messages with a query id. Throws what its steps throw. */
export async function messagesOf(plan: Plan, from: Address, queryId: bigint): Promise<PlannedMessage[]> {
  const planned: PlannedMessage[] = [];
  for (const { purpose, send } of plan.steps) {
    const via = collectingSender(from);
    await send(via, queryId);
    const [message, ...others] = via.messages;
    if (message === undefined || others.length > 0) throw new CocoonError('E_INTERNAL', `step "${purpose}" has ${via.messages.length} messages, expected one`);
    const { to, valueNano, all } = summaryOf(message);
    const { info, init } = loadMessageRelaxed(message.message.beginParse());
    planned.push({ purpose, to, amountNano: valueNano, all, bounce: info.type === 'internal' && info.bounce, deploys: Boolean(init), message });
  }
  return planned;
}

/** Query id of an attempt: follows from its key, so that the same attempt has the same bytes. */
export const queryIdOf = (key: string): bigint => createHash('sha256').update(key).digest().readBigUInt64BE();

export interface PlanEstimate {
  /** What the wallet holds. */
  readonly balanceNano: bigint;
  /** Fees of the wallet's own transaction. What the messages cost at their destinations is paid from their amounts. */
  readonly feesNano: bigint;
  /** Unix seconds of the chain. */
  readonly time: number;
}

/** A signature of the right size: fees do not depend on its bits, and estimates do not check them. */
const PLACEHOLDER: Signer = { publicKey: new Uint8Array(32), sign: () => new Uint8Array(64) };
const VALID_FOR_S = 60;

export interface EstimateOptions {
  readonly access: TonAccess;
  readonly wallet: WalletKind;
  readonly messages: readonly PlannedMessage[];
  readonly signal: AbortSignal;
}

/** What the plan costs. Throws NetworkError, UsageError where the wallet cannot carry the messages. */
export async function estimatePlan({ access, wallet, messages, signal }: EstimateOptions): Promise<PlanEstimate> {
  const account = await access.account(wallet.address, { agreed: true, signal });
  const { balanceNano, time, status } = account;
  const seqno = status === 'active' && account.data !== null ? wallet.readSeqno(account.data) : 0;
  const body = await wallet.buildExternal(seqno, time + VALID_FOR_S, messages.map(({ message }) => message), PLACEHOLDER);
  const { totalNano } = await access.estimateFee(wallet.address, body, status === 'active' ? undefined : wallet.init, { signal });
  return { balanceNano, feesNano: totalNano, time };
}

/** Throws FundsError when the wallet cannot pay for the plan. */
export function checkPlanFunds(wallet: WalletKind, messages: readonly PlannedMessage[], { balanceNano, feesNano }: PlanEstimate): void {
  checkFunds({ balanceNano, feesNano, minBalanceNano: wallet.minBalanceNano, messages: messages.map(({ message }) => message) });
}

/** TonAccess as the contract wrappers read it. */
export function readsOf(access: TonAccess): ContractReads {
  return {
    account: (address, options) => access.account(address, options),
    transactions: (address, query, options) => access.transactions(address, query, options),
    runGetMethod: async (address, method, stack, options) => {
      const result = await access.runGetMethod(address, method, stack, options);
      return { exitCode: result.exitCode, stack: new TupleReader([...result.stack]) };
    },
  };
}
