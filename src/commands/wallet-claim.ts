// `cocoon wallet claim`: collects what proxies have signed for this machine's nodes; with --payment one payout from a file.
import { resolve } from 'node:path';
import { readRoot } from '../chain/plans/reading.ts';
import { claimPlan, MAX_PAYMENT_FILE_BYTES, paymentOfFile } from '../chain/plans/worker.ts';
import { parseAddress } from '../chain/wallets/address-text.ts';
import { NotFoundError, UsageError } from '../core/errors.ts';
import { readBounded } from '../core/files.ts';
import { formatTon } from '../core/units.ts';
import { networkInUse, pollMsOf, requireRoot } from './chain.ts';
import { claimAll, claimData, currentClaims, renderClaims, untilClaimable, withClaimLock } from './claiming.ts';
import { withPaymentBook } from './payments.ts';
import { proxyOf } from './proxy-option.ts';
import { knownOwner } from './role-wallet.ts';
import { declareSending, outboxFolder, sendPlan, withSending } from './sending.ts';
import { tonAmount, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { ChainNetwork } from '../chain/networks.ts';
import type { ClaimRow } from '../chain/plans/claims.ts';
import type { ClaimSource } from './claiming.ts';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';
import type { Sending } from './sending.ts';

interface ClaimOptions {
  readonly all?: boolean;
  readonly proxy?: string;
  readonly minAmount?: bigint;
  readonly maxFeePercent?: number;
  readonly wait?: boolean;
  readonly payment?: string;
  readonly dryRun?: boolean;
}

/** The options of claiming from the book, here and in `node close`. */
export function declareClaiming(command: Command): void {
  command
    .option('--all', 'claim from every proxy (default unless --proxy is given)')
    .option('--proxy <address>', 'claim from this proxy contract only')
    .option('--min-amount <ton>', 'leave payouts below this amount for later', tonAmount(true))
    .option('--max-fee-percent <n>', 'leave payouts for later whose fees are more than this share (default: the setting node.max_fee_percent)', wholeNumber(0, 10_000))
    .option('--wait', 'wait until something can be claimed, at most --timeout');
  declareSending(command);
}

export function declare(command: Command): void {
  command.option('--payment <file>', 'deliver one signed payout from a file, as its bytes or their base64');
  declareClaiming(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { payment }: ClaimOptions = invocation.options;
  const network = await networkInUse(invocation.settings);
  if (payment === undefined) await claimWithOptions(invocation, network);
  else await claimFile(invocation, network, payment);
}

/** Claims from the book as the options say; the rows as they are afterwards. */
export async function claimWithOptions(invocation: Invocation, network: ChainNetwork): Promise<readonly ClaimRow[]> {
  const { all = false, proxy }: ClaimOptions = invocation.options;
  if (all && proxy !== undefined) throw new UsageError('E_USAGE', 'cannot use both --all and --proxy');
  return withPaymentBook(invocation, network, (book) => withSending(invocation, network, async (sending) => {
    const source = await sourceOf(invocation, network, sending, book);
    return claimFromBook(invocation, network, sending, source);
  }, 'node'));
}

async function claimFile(invocation: Invocation, network: ChainNetwork, file: string): Promise<void> {
  const { options, context } = invocation;
  for (const name of ['all', 'minAmount', 'maxFeePercent', 'wait']) {
    if (options[name] !== undefined) throw new UsageError('E_USAGE', `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} does not go with --payment`);
  }
  const payment = paymentOfFile(await readBounded(resolve(context.cwd, file), MAX_PAYMENT_FILE_BYTES));
  const root = requireRoot(network);
  const proxy = options['proxy'] === undefined ? null : proxyOf(invocation, network);
  await sendPlan(invocation, network, async (plan) => claimPlan(plan, payment, proxy === null ? null : { root: await readRoot(plan, root), proxy }));
}

async function sourceOf(invocation: Invocation, network: ChainNetwork, { context, entry, wallet }: Sending, book: ClaimSource['book']): Promise<ClaimSource> {
  const { settings, options } = invocation;
  const { proxy, minAmount = 0n, maxFeePercent }: ClaimOptions = options;
  return {
    context, book, root: requireRoot(network), wallet: await wallet(), pollMs: pollMsOf(network),
    rules: {
      proxy: proxy === undefined ? null : parseAddress(proxy, network).address, minAmountNano: minAmount,
      maxFeePercent: maxFeePercent ?? settings.integer('node.max_fee_percent') ?? null, owner: await knownOwner(invocation, network, 'node', entry) ?? entry.address,
    },
  };
}

async function claimFromBook(invocation: Invocation, network: ChainNetwork, sending: Sending, source: ClaimSource): Promise<readonly ClaimRow[]> {
  const { out, settings, context: { signal } } = invocation;
  const { dryRun = false, wait = false, proxy }: ClaimOptions = invocation.options;
  const timeoutMs = settings.durationMs('timeout');
  if (wait) await untilClaimable(source, timeoutMs);
  const transfers: JsonValue[] = [];
  let rows: readonly ClaimRow[] = [];
  let paidNano = 0n;
  const tell = (status: string): void => out.result({ status, network: network.name, wallet: sending.entry.label, paidNano: paidNano.toString(), claims: claimData(rows), transfers });
  const claim = (): Promise<ClaimRow[]> => claimAll(source, async (plan, payouts) => {
    const index = transfers.length;
    const outcome = await sending.carryOut(plan, (data) => { transfers[index] = data; tell('planned'); }, String(index));
    if (outcome !== 'sent') return 'stop';
    paidNano += payouts.reduce((sum, { payoutNano }) => sum + payoutNano, 0n);
    tell('claimed');
    return 'sent';
  }, async (now) => {
    rows = now;
    tell(paidNano > 0n ? 'claimed' : 'nothing');
    if (transfers.length > 0) return;
    if (proxy !== undefined && rows.length === 0) throw new NotFoundError('E_NOT_FOUND', `no node of this machine has worked for the proxy contract ${proxy}`, { hint: 'run `cocoon wallet claim --dry-run` to see the known ones' });
    if (rows.length > 0) await out.text(await renderClaims(rows, network));
  }, timeoutMs);
  rows = dryRun ? await claim() : await withClaimLock(outboxFolder(invocation, network, source.wallet), source.wallet.address, { timeoutMs, signal }, claim);
  if (transfers.length === 0) await out.note('there is nothing to claim');
  else if (paidNano > 0n) {
    rows = await currentClaims(source);
    tell('claimed');
    await out.line(`claimed ${formatTon(paidNano)} TON`);
  }
  const failed = rows.flatMap(({ error }) => error === null ? [] : [error]);
  for (const error of failed) await out.warn(error.message);
  if (failed[0] !== undefined) throw failed[0];
  return rows;
}
