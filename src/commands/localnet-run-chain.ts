// `cocoon localnet run-chain`: the process of the local chain; `localnet start --chain-only` runs it. Not in the help.
import { recordChain } from '../localnet/chain.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { declareDaemon, runDaemon } from './daemon.ts';
import { oneOf, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { FeeEra } from '../chain/local/config.ts';
import type { Invocation } from './command.ts';

/** Milliseconds between blocks; a wallet's transfer takes two or three of them. */
const DEFAULT_BLOCK_MS = 400;

interface RunChainOptions {
  readonly port?: number;
  readonly era?: FeeEra;
  readonly blockMs?: number;
}

const ERAS: readonly FeeEra[] = ['gas400', 'gas66'];

/** Options of the chain, here and in `localnet start`. */
export function declareChain(command: Command): void {
  command
    .option('--port <n>', 'port of the chain\'s HTTP API (default: any free one)', wholeNumber(1, 65_535))
    .option('--era <era>', `fee prices of a new chain: ${ERAS.join(' or ')} (default: gas400)`, oneOf(ERAS))
    .option('--block-ms <n>', `milliseconds between blocks (default: ${DEFAULT_BLOCK_MS})`, wholeNumber(20, 60_000));
}

export function declare(command: Command): void {
  declareChain(command);
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, context } = invocation;
  const { port, era, blockMs }: RunChainOptions = invocation.options;
  const layout = localnetLayout(settings.home);
  await runDaemon('chain', invocation, async (log) => {
    // Loaded here, because `localnet start` shares the options above and needs no chain in its process.
    const { startLocalChain } = await import('../chain/local/start.ts');
    const running = await startLocalChain({
      dir: layout.chain, tickMs: blockMs ?? DEFAULT_BLOCK_MS, clock: context.clock, log, ...(port !== undefined && { port }), ...(era !== undefined && { era }),
    });
    const { endpoint, globalId, faucetAddress, chain } = running;
    try {
      await recordChain(layout, { chainId: chain.state.genesis.chainId, globalId });
    } catch (error) {
      await running.close();
      throw error;
    }
    return {
      facts: { endpoint, globalId: String(globalId), era: running.era, faucet: faucetAddress.toRawString() },
      ended: new Promise(() => {}), // only a signal ends a chain
      close: () => running.close(),
    };
  });
}
