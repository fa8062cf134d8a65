// Deploys a node's worker contract, in the background. A message that was executed without effect (its value was too little, or
// the network lost what it caused) is sent again under another key: later each time, and never more than MAX_DEPLOYMENTS times in
// the life of a contract, because each one pays.
import type { Address } from '@ton/core';
import { Cell } from '@ton/core';
import { asCocoonError } from '../core/errors.ts';
import type { TonAccess } from '../chain/access/types.ts';
import type { CodeAndData } from '../chain/cells/wallet-messages.ts';
import type { HotWallet } from '../chain/hot-wallet.ts';
import type { Log } from '../core/log.ts';

export interface WorkerDeployment {
  readonly access: Pick<TonAccess, 'account'>;
  readonly wallet: Pick<HotWallet, 'send'>;
  readonly address: Address;
  readonly init: CodeAndData;
  /** Sent along each time, nanoTON. */
  readonly valueNano: bigint;
  readonly log: Log;
  /** Resolves after so many milliseconds. Default: real time, which does not keep the process. */
  readonly wait?: (ms: number) => Promise<void>;
}

export const MAX_DEPLOYMENTS = 4;
/** How long the first one may take to show; twice as long for each one after it. */
const SHOWS_MS = 300_000;
/** Looks in a row that may fail. */
const MAX_LOOKS = 5;

const realWait = (ms: number): Promise<void> => new Promise((resolve) => { setTimeout(resolve, ms).unref(); });

/**
 * Resolves true when the contract is there, false when MAX_DEPLOYMENTS had no effect. Asked again, also by another process, it goes
 * on where it was: what was paid is not paid again. Rejects as `HotWallet.send` where nothing was executed, with NetworkError
 * where the chain does not answer.
 */
export async function deployWorker({ access, wallet, address, init, valueNano, log, wait = realWait }: WorkerDeployment): Promise<boolean> {
  const name = `worker:${address.toRawString()}`;
  for (let count = 0; count < MAX_DEPLOYMENTS; count += 1) {
    try {
      await wallet.send(count === 0 ? name : `${name}:${count}`, [{ to: address, valueNano, body: Cell.EMPTY, init }]);
    } catch (error) {
      // Only what was executed and came to nothing needs another key.
      if (asCocoonError(error).code !== 'E_TX_FAILED') throw error;
    }
    if (await shows(access, address, wait, SHOWS_MS * 2 ** count)) return true;
    log.warn('a deployment of the worker contract had no effect', { contract: address.toString(), number: count + 1, most: MAX_DEPLOYMENTS });
  }
  return false;
}

/** Whether the contract is there when it should be. A chain that cannot be asked is no reason to pay again. */
async function shows(access: WorkerDeployment['access'], address: Address, wait: (ms: number) => Promise<void>, waitMs: number): Promise<boolean> {
  for (let failed = 1; ; failed += 1) {
    await wait(waitMs);
    try {
      return (await access.account(address, { agreed: true })).status === 'active';
    } catch (error) {
      if (failed >= MAX_LOOKS) throw error;
    }
  }
}
