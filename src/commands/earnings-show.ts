// `cocoon earnings show`: what the nodes of this machine earned, by day, from their own journal, and what the payment book says of it
// in all. Reads files only.
import { formatTon } from '../core/units.ts';
import { bar, byDay } from '../node/earnings/by-day.ts';
import { readJournal } from '../node/earnings/journal.ts';
import { networkInUse } from './chain.ts';
import { journalFolder } from './earnings.ts';
import { isPaid } from './network.ts';
import { withPaymentBook } from './payments.ts';
import { renderTable } from './table-view.ts';
import { wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { RevenueDay } from '../node/earnings/by-day.ts';
import type { Invocation } from './command.ts';

const DEFAULT_DAYS = 30;
const MAX_DAYS = 3_660;
const DAY_MS = 86_400_000;
const BAR_WIDTH = 40;
const COLUMNS = ['day', 'requests', 'prompt', 'cached', 'completion', 'tokens', 'nano'] as const;

export function declare(command: Command): void {
  command
    .option('--days <n>', `days up to today, UTC (default: ${DEFAULT_DAYS})`, wholeNumber(1, MAX_DAYS))
    .option('--csv', 'comma-separated values instead of a drawing');
}

export async function run(invocation: Invocation): Promise<void> {
  const { options, out, settings, context } = invocation;
  const days = typeof options['days'] === 'number' ? options['days'] : DEFAULT_DAYS;
  const network = await isPaid(settings) ? await networkInUse(settings) : null;
  const nowMs = context.clock.now();
  const { lines, damaged } = await readJournal(journalFolder(settings, network), nowMs - days * DAY_MS);
  if (damaged > 0) await out.warn(`${damaged} lines of the journal cannot be read and are left out`);
  const found = byDay(lines, nowMs, days);
  const book = network === null ? [] : (await withPaymentBook(invocation, network, (opened) => opened.entries())).filter(({ kind }) => kind === 'worker');
  const total = (of: (entry: (typeof book)[number]) => bigint): bigint => book.reduce((sum, entry) => sum + of(entry), 0n);
  const [accrued, signed, claimed] = [total(({ countedTokens }) => countedTokens), total(({ signedTokens }) => signedTokens), total(({ claimedTokens }) => claimedTokens)];
  out.result({
    network: network?.name ?? 'local', days: found.map(({ tokens, nano, unpriced, ...day }) => ({ ...day, tokens: String(tokens), nano: String(nano), unpriced: String(unpriced) })),
    book: { accruedTokens: String(accrued), signedTokens: String(signed), claimedTokens: String(claimed) },
  });
  if (options['csv'] === true) {
    await out.text(`${COLUMNS.join(',')}\n${found.map((day) => COLUMNS.map((column) => String(day[column])).join(',')).join('\n')}\n`);
    return;
  }
  await out.text(await draw(found));
  if (network !== null) await out.line(`\nin all, by the payment book: ${accrued} tokens accrued, ${signed} signed, ${claimed} claimed`);
}

async function draw(days: readonly RevenueDay[]): Promise<string> {
  // Where nothing is paid, what was done is drawn.
  const paid = days.some(({ nano }) => nano > 0n);
  const value = ({ nano, tokens }: RevenueDay): bigint => (paid ? nano : tokens);
  const greatest = days.reduce((most, day) => (value(day) > most ? value(day) : most), 0n);
  const sum = days.reduce((total, day) => total + value(day), 0n);
  const table = await renderTable(['DAY', paid ? 'TON' : 'TOKENS', 'REQUESTS', ''], days.map((day) => [day.day, paid ? formatTon(day.nano) : String(day.tokens), String(day.requests), bar(value(day), greatest, BAR_WIDTH)]));
  const unpriced = days.reduce((total, day) => total + day.unpriced, 0n);
  return `${table}\n${paid ? `${formatTon(sum)} TON` : `${sum} tokens`} in ${days.length} days${unpriced === 0n ? '' : `, and ${unpriced} tokens whose fee was not known`}\n`;
}
