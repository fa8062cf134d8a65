// The transaction executor and TVM of @ton/sandbox as pure functions: account and message in, account and transaction out.
// The only importer of @ton/sandbox. Its Blockchain class is not used: it keeps every transaction and has no durable state.
import type { Address, Cell, TupleItem } from '@ton/core';
import type { Executor } from '@ton/sandbox';
import { CocoonError, NetworkError } from '../../core/errors.ts';
import { chainConfig } from './config.ts';
import type { ChainConfig, FeeEra } from './config.ts';

export interface TransactionArgs {
  /** ShardAccount, base64 BoC. */
  readonly account: string;
  /** Message, as a cell of its own. */
  readonly message: Cell;
  /** Unix seconds. */
  readonly now: number;
  readonly lt: bigint;
  /** 32 bytes. */
  readonly seed: Buffer;
  /** Signature checks succeed whatever is signed: for estimates only. Default false. */
  readonly ignoreSignature?: boolean;
}

export type Executed =
  | { readonly ok: true; /** base64 BoC */ readonly transaction: string; /** ShardAccount, base64 BoC */ readonly account: string }
  /** Nothing happened. `exitCode` null: refused before any code ran. */
  | { readonly ok: false; readonly reason: string; readonly exitCode: number | null; readonly vmLog: string };

export interface GetMethodArgs {
  readonly address: Address;
  readonly code: Cell;
  readonly data: Cell;
  readonly balanceNano: bigint;
  readonly methodId: number;
  readonly stack: TupleItem[];
  readonly now: number;
}

export interface GetMethodResult {
  readonly exitCode: number;
  readonly gasUsed: number;
  /** Serialised TVM stack, base64 BoC. */
  readonly stack: string;
}

export interface Engine {
  readonly config: ChainConfig;
  transaction(args: TransactionArgs): Promise<Executed>;
  /** Throws NetworkError E_CHAIN_REFUSED when the method cannot even be started. */
  getMethod(args: GetMethodArgs): Promise<GetMethodResult>;
}

/** As public gateways allow for get methods. */
const GET_METHOD_GAS = 1_000_000n;

// Compiling the executor takes a second and it keeps no state of a chain, so all chains of a process share it.
let shared: Promise<Executor> | undefined;

function executor(): Promise<Executor> {
  shared ??= import('@ton/sandbox').then(({ Executor: loaded }) => loaded.create());
  return shared;
}

/** After a trap inside the executor its memory cannot be trusted: what failed is tried once more with a new one. */
async function run<T>(use: (executor: Executor) => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    const current = executor();
    try {
      return await use(await current);
    } catch (error) {
      if (shared === current) shared = undefined;
      if (attempt > 0) throw new CocoonError('E_INTERNAL', `the transaction executor failed: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
}

/** Loads the executor and prepares the configuration of one chain. */
export async function createEngine(era: FeeEra, globalId: number): Promise<Engine> {
  const { defaultConfig } = await import('@ton/sandbox');
  await executor();
  const config = chainConfig(defaultConfig, era, globalId);
  return {
    config,
    transaction: ({ account, message, now, lt, seed, ignoreSignature = false }) => run(async (exec): Promise<Executed> => {
      const { result } = await exec.runTransaction({
        config: config.boc, libs: null, verbosity: 'short', shardAccount: account, message, now, lt, randomSeed: seed, ignoreChksig: ignoreSignature, debugEnabled: false,
      });
      if (result.success) return { ok: true, transaction: result.transaction, account: result.shardAccount };
      return { ok: false, reason: result.error, exitCode: result.vmResults?.vmExitCode ?? null, vmLog: result.vmResults?.vmLog ?? '' };
    }),
    getMethod: async ({ address, code, data, balanceNano, methodId, stack, now }) => {
      const { output } = await run((exec) => exec.runGetMethod({
        code, data, methodId, stack, config: config.boc, verbosity: 'short', address, unixTime: now, balance: balanceNano,
        randomSeed: Buffer.alloc(32), gasLimit: GET_METHOD_GAS, debugEnabled: false,
      }));
      if (!output.success) throw new NetworkError('E_CHAIN_REFUSED', `the get method cannot be run: ${output.error}`);
      return { exitCode: output.vm_exit_code, gasUsed: Number(output.gas_used), stack: output.stack };
    },
  };
}
