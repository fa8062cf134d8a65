// `cocoon node close`: collects what proxies still owe to this machine's nodes, and says what is left: accrued and not signed,
// or a contract that its proxy has not closed with a last payout. Exit 12 while something is left.
import { readDaemonRecord, isAlive } from '../core/daemon-record.ts';
import { CocoonError, ConfigError } from '../core/errors.ts';
import { formatTon } from '../core/units.ts';
import { join } from 'node:path';
import { networkInUse } from './chain.ts';
import { claimWithOptions, declareClaiming } from './wallet-claim.ts';
import { showContract } from './wallets.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  declareClaiming(command);
  command.addHelpText('after', '\nStop the node first. A proxy signs what it has committed on chain: with --wait the command waits until something can be claimed.\nA worker contract is closed by its proxy\'s last payout, which also returns the contract\'s spare TON to the owner.');
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, out } = invocation;
  const record = await readDaemonRecord(join(settings.home, 'run', 'node.json'));
  if (record !== null && isAlive(record)) throw new ConfigError('E_STATE', `the node is running as process ${record.pid} and still earns`, { hint: 'stop it first' });
  const network = await networkInUse(settings);
  const rows = await claimWithOptions(invocation, network);
  const unsigned = rows.filter(({ entry }) => entry.countedTokens > entry.signedTokens);
  for (const { entry, accruedNano, signedNano } of unsigned) {
    await out.warn(`${showContract(entry.proxy, network)} has not signed ${formatTon((accruedNano ?? 0n) - (signedNano ?? 0n))} TON of what was accrued`);
  }
  const unclaimed = rows.filter(({ entry, claimedTokens }) => entry.signedTokens > claimedTokens);
  if (unsigned.length + unclaimed.length === 0 || invocation.options['dryRun'] === true) return;
  throw new CocoonError('E_INCOMPLETE', `${unsigned.length + unclaimed.length} of ${rows.length} proxies still owe something`, { hint: 'run the command again when they have signed, or without --min-amount and --max-fee-percent' });
}
