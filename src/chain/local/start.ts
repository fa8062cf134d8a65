// Runs a local chain: opens its folder, serves it on this machine, makes a block every tick. The entry to this folder.
import { toHex } from '../../core/bytes.ts';
import type { Address } from '@ton/core';
import { systemClock } from '../../core/clock.ts';
import type { Clock } from '../../core/clock.ts';
import { ConfigError } from '../../core/errors.ts';
import { silentLog } from '../../core/log.ts';
import type { Log } from '../../core/log.ts';
import { problemReply } from '../../http/routes.ts';
import { createHttpServer } from '../../http/server.ts';
import { adminRoutes } from './admin-routes.ts';
import type { FeeEra } from './config.ts';
import { Faults } from './faults.ts';
import { ADMIN_TOKEN_FILE } from './folder.ts';
import { makeSecret } from './genesis.ts';
import { LocalChain } from './local-chain.ts';
import { RPC_PATH, rpcProblem, rpcRoutes } from './rpc-routes.ts';

export interface LocalChainServerOptions {
  /** Folder of this chain; made when absent. */
  readonly dir: string;
  /** Default 0: any free one. */
  readonly port?: number;
  /** Default 127.0.0.1; other addresses than this machine's own are refused. */
  readonly host?: string;
  /** Fee parameters of a new chain. Default `gas400`. */
  readonly era?: FeeEra;
  /** Global id of a new chain: a negative int32 other than -239 and -3. Default: random, so that chains do not share signatures. */
  readonly globalId?: number;
  /** Milliseconds between blocks. Default 1000; null: only when the admin interface asks. */
  readonly tickMs?: number | null;
  readonly clock?: Clock;
  readonly log?: Log;
}

export interface RunningLocalChain {
  /** URL for TonClient. */
  readonly endpoint: string;
  /** As stored when the chain was made. */
  readonly globalId: number;
  readonly era: FeeEra;
  readonly faucetAddress: Address;
  /** For localChainAdmin. */
  readonly adminToken: string;
  /** The chain itself, for those in the same process. */
  readonly chain: LocalChain;
  /** Finishes running requests and the block in progress. Idempotent. */
  close(): Promise<void>;
}

const BODY_LIMIT_BYTES = 256 * 1024;
const DEFAULT_TICK_MS = 1000;
const MIN_TICK_MS = 5;
const CLOSE_MS = 2000;

/** Calls `tick` again and again, `tickMs` after the last call ended; a failure is logged and the next tick tries again. */
function startTicking(chain: LocalChain, tickMs: number, log: Log): () => void {
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const schedule = (): void => {
    timer = setTimeout(() => {
      chain.tick().catch((error: unknown) => {
        if (!stopped) log.error('no block could be made', { error: error instanceof Error ? error.message : String(error) });
      }).finally(() => {
        if (!stopped) schedule();
      });
    }, tickMs);
  };
  schedule();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}

/** Serves when it resolves. Throws `E_STATE` (in use, damaged, another chain) or `E_CONFIG` (address, port, tick). */
export async function startLocalChain(options: LocalChainServerOptions): Promise<RunningLocalChain> {
  const { dir, host = '127.0.0.1', port = 0, tickMs = DEFAULT_TICK_MS, clock = systemClock, log = silentLog } = options;
  if (tickMs !== null && !(tickMs >= MIN_TICK_MS && tickMs <= 3_600_000)) {
    throw new ConfigError('E_CONFIG', `a block every ${tickMs} ms is not possible, expected ${MIN_TICK_MS} to 3600000`);
  }
  const chain = await LocalChain.open({
    dir, clock, log, ...(options.era === undefined ? {} : { era: options.era }), ...(options.globalId === undefined ? {} : { globalId: options.globalId }),
  });
  try {
    const adminToken = toHex(await makeSecret(dir, ADMIN_TOKEN_FILE));
    const faults = new Faults(clock);
    const server = await createHttpServer({
      host, port, log, loopbackOnly: true, bodyLimitBytes: BODY_LIMIT_BYTES,
      routes: [...rpcRoutes({ chain, faults, log }), ...adminRoutes({ chain, faults, token: adminToken })],
      onProblem: (problem, { path }) => path.startsWith('/api/') ? rpcProblem(problem) : problemReply(problem),
    });
    const stopTicking = tickMs === null ? () => undefined : startTicking(chain, tickMs, log);
    return {
      endpoint: `${server.url}${RPC_PATH}`, globalId: chain.globalId, era: chain.state.genesis.era, faucetAddress: chain.faucetAddress, adminToken, chain,
      close: async () => {
        stopTicking();
        await server.close(CLOSE_MS);
        await chain.close();
      },
    };
  } catch (error) {
    await chain.close();
    throw error;
  }
}
