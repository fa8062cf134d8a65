// `cocoon node close`: collects what proxies still owe to this machine's nodes, and says what is left: accrued and not signed.
// The protocol has no message that asks a proxy to wind a node down: a proxy signs what it commits, within its commit interval, and
// a drained node that is still connected hears of it. Exit 12 while something is left.
import { abortError } from '../core/deadline.ts';
import { readDaemonRecord, isAlive } from '../core/daemon-record.ts';
import { CocoonError, ConfigError } from '../core/errors.ts';
import { sleep as realSleep } from '../core/retry.ts';
import { formatTon } from '../core/units.ts';
import { join } from 'node:path';
import { networkInUse } from './chain.ts';
import { readNodeState } from './node-status.ts';
import { withPaymentBook } from './payments.ts';
import { claimWithOptions, declareClaiming } from './wallet-claim.ts';
import { showContract } from './wallets.ts';
import type { Command } from 'commander';
import type { BookEntry } from '../chain/payment-entry.ts';
import type { Sleep } from '../core/retry.ts';
import type { NodeState } from '../node/daemon/state.ts';
import type { Invocation } from './command.ts';

const LOOK_MS = 500;

export function declare(command: Command): void {
  declareClaiming(command);
  command.addHelpText('after', '\nDrain the node first and leave it connected: a proxy signs what it has committed on chain, within a minute or two of the last answer.\nWith --wait the command waits for these signatures, at most --timeout. A worker contract is closed by its proxy\'s last payout,\nwhich also returns the contract\'s spare TON to the owner.');
}

/** What was counted and what is signed, as the book says now. */
type Totals = Pick<BookEntry, 'kind' | 'countedTokens' | 'signedTokens'>;

export interface SignedWait {
  /** Reads the book anew: the drained node, a process of its own, writes into it. */
  entries(): Promise<readonly Totals[]>;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly sleep?: Sleep;
  /** Milliseconds of a clock that is never set. Default `performance.now`. */
  readonly now?: () => number;
}

/** Waits until every proxy has signed all that was counted here; false where it has not after `timeoutMs`. Throws the signal's reason. */
export async function untilSigned({ entries, timeoutMs, signal, sleep = realSleep, now = () => performance.now() }: SignedWait): Promise<boolean> {
  const endsMs = now() + timeoutMs;
  for (;;) {
    const isSigned = (await entries()).every(({ kind, countedTokens, signedTokens }) => kind !== 'worker' || countedTokens <= signedTokens);
    if (isSigned || now() > endsMs) return isSigned;
    await sleep(LOOK_MS, signal).catch(() => undefined);
    if (signal.aborted) throw abortError(signal);
  }
}

/** Throws ConfigError `E_STATE` for a node that may still be asked. */
export function requireDrained({ state }: Pick<NodeState, 'state'>, pid: number): void {
  if (state !== 'drained') throw new ConfigError('E_STATE', `the node is running as process ${pid} and still earns`, { hint: 'run `cocoon node drain` first' });
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, out } = invocation;
  const record = await readDaemonRecord(join(settings.home, 'run', 'node.json'));
  const network = await networkInUse(settings);
  if (record !== null && isAlive(record)) {
    requireDrained(await readNodeState(invocation), record.pid);
    if (invocation.options['wait'] === true) {
      await withPaymentBook(invocation, network, (book) => untilSigned({ entries: () => book.entries(), timeoutMs: settings.durationMs('timeout'), signal: invocation.context.signal }));
    }
  }
  const rows = await claimWithOptions(invocation, network);
  const unsigned = rows.filter(({ entry }) => entry.countedTokens > entry.signedTokens);
  for (const { entry, accruedNano, signedNano } of unsigned) {
    await out.warn(`${showContract(entry.proxy, network)} has not signed ${formatTon((accruedNano ?? 0n) - (signedNano ?? 0n))} TON of what was accrued`);
  }
  const unclaimed = rows.filter(({ entry, claimedTokens }) => entry.signedTokens > claimedTokens);
  if (unsigned.length + unclaimed.length === 0 || invocation.options['dryRun'] === true) return;
  throw new CocoonError('E_INCOMPLETE', `${unsigned.length + unclaimed.length} of ${rows.length} proxies still owe something`, { hint: 'run the command again when they have signed, or without --min-amount and --max-fee-percent' });
}
