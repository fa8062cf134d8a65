// Fees of delivering an external message, found by executing it on a copy of the account without checking its signature.
import { beginCell, Cell, loadShardAccount, loadTransaction, storeShardAccount } from '@ton/core';
import type { Address, StateInit } from '@ton/core';
import { invalid, RpcError } from './rpc-error.ts';
import { buildExternalMessage, refusalText } from './external.ts';
import type { Engine, Executed } from './engine.ts';
import { NO_ACCOUNT, startLt } from './produce.ts';
import type { ChainView } from './state.ts';

export interface EstimateRequest {
  readonly address: Address;
  readonly body: Cell;
  /** Of an account that is not deployed yet; ignored for others, as on chain. */
  readonly init: StateInit | undefined;
  readonly ignoreSignature: boolean;
}

export interface FeeEstimate {
  readonly importNano: bigint;
  readonly storageNano: bigint;
  readonly gasNano: bigint;
  readonly forwardNano: bigint;
}

/** Lent to an account that is too poor to execute its message: what it costs is asked before the money is there. */
const LOAN_NANO = 10n ** 12n;

/** The ShardAccount with more TON; an account that never existed becomes one without code. */
function richer(account: string, address: Address, time: number): string {
  const shard = loadShardAccount(Cell.fromBase64(account).beginParse());
  const existing = shard.account ?? {
    addr: address,
    storage: { lastTransLt: 0n, balance: { coins: 0n }, state: { type: 'uninit' as const } },
    storageStats: { used: { cells: 0n, bits: 0n }, lastPaid: time, duePayment: null, storageExtra: null },
  };
  const balance = { ...existing.storage.balance, coins: existing.storage.balance.coins + LOAN_NANO };
  return beginCell().store(storeShardAccount({ ...shard, account: { ...existing, storage: { ...existing.storage, balance } } })).endCell().toBoc().toString('base64');
}

function feesOf(boc: string): FeeEstimate {
  const { description, totalFees } = loadTransaction(Cell.fromBase64(boc).beginParse());
  if (description.type !== 'generic') throw new RpcError(500, `the message caused a transaction of type ${description.type}`);
  const { storagePhase, computePhase, actionPhase } = description;
  const storageNano = storagePhase?.storageFeesCollected ?? 0n;
  const gasNano = computePhase.type === 'vm' ? computePhase.gasFees : 0n;
  const importNano = totalFees.coins - storageNano - gasNano - (actionPhase?.totalActionFees ?? 0n);
  return { importNano, storageNano, gasNano, forwardNano: actionPhase?.totalFwdFees ?? 0n };
}

/** True when the transaction did what it was asked to: money was not what it lacked. */
function worked(result: Executed): result is Extract<Executed, { ok: true }> {
  if (!result.ok) return false;
  const { description } = loadTransaction(Cell.fromBase64(result.transaction).beginParse());
  return description.type === 'generic' && !description.aborted && description.actionPhase?.skippedActions === 0;
}

/** Throws RpcError: 422 for an address without code when no init is given, 500 when the contract does not accept the message. */
export async function estimateFees(engine: Engine, view: ChainView, request: EstimateRequest): Promise<FeeEstimate> {
  const { address, body, init, ignoreSignature } = request;
  const raw = address.toRawString();
  const account = view.account(raw) ?? NO_ACCOUNT;
  const isActive = loadShardAccount(Cell.fromBase64(account).beginParse()).account?.storage.state.type === 'active';
  if (!isActive && init === undefined) throw invalid(`account ${raw} has no code; give init_code and init_data`);
  const message = buildExternalMessage(address, body, isActive ? undefined : init);
  const run = (state: string): Promise<Executed> => engine.transaction({
    account: state, message, now: view.time, lt: startLt(view.seqno + 1), seed: Buffer.alloc(32), ignoreSignature,
  });
  const asIs = await run(account);
  const result = worked(asIs) ? asIs : await run(richer(account, address, view.time));
  if (result.ok) return feesOf(result.transaction);
  throw new RpcError(500, refusalText(raw, asIs.ok ? result : asIs));
}
