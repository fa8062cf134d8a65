// `cocoon node logs`: the log of the node on this machine, also of one that has ended. It holds no prompts and no answers.
import { abortError } from '../core/deadline.ts';
import { NotFoundError, UsageError } from '../core/errors.ts';
import { pathExists } from '../core/files.ts';
import { followLog, readLog } from '../core/log-read.ts';
import { declareDaemon } from './daemon.ts';
import { findDaemon } from './daemon-place.ts';
import { printable } from './output.ts';
import { parseSeconds, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { LogLine } from '../core/log-read.ts';
import type { LocalRole } from '../localnet/layout.ts';
import type { Invocation } from './command.ts';

const DEFAULT_LINES = 200;
const MAX_LINES = 1_000_000;

export function declare(command: Command): void {
  command
    .option('-f, --follow', 'go on with what comes, until Ctrl-C')
    .option('--since <time>', 'from this time on: 30m, 12h, 7d, or an ISO date')
    .option('-n, --lines <n>', `last lines (default: ${DEFAULT_LINES}, with --since all)`, wholeNumber(1, MAX_LINES));
  declareDaemon(command);
}

export const run = (invocation: Invocation): Promise<void> => showLogs(invocation, 'node');

/** Throws NotFoundError where there is no log: a daemon in the foreground writes to its terminal. */
export async function showLogs(invocation: Invocation, role: LocalRole): Promise<void> {
  const { options, out, context } = invocation;
  const sinceMs = typeof options['since'] === 'string' ? sinceOf(options['since'], context.clock.now()) : undefined;
  const { place: { log } } = await findDaemon(invocation, role);
  if (!await pathExists(log)) {
    throw new NotFoundError('E_NOT_FOUND', `there is no log at ${log}`, { hint: `a ${role} that was started without --detach writes to its terminal, or to the journal: journalctl -u cocoon-${role}` });
  }
  const last = typeof options['lines'] === 'number' ? options['lines'] : sinceMs === undefined ? DEFAULT_LINES : MAX_LINES;
  const { lines, end } = await readLog(log, { last, ...(sinceMs !== undefined && { sinceMs }) });
  const show = async (line: LogLine): Promise<void> => {
    await out.event({ at: line.atMs === null ? null : new Date(line.atMs).toISOString(), level: line.level, message: line.message, fields: JSON.stringify(line.fields) });
    await out.line(render(line));
  };
  for (const line of lines) await show(line);
  if (options['follow'] !== true) return;
  for await (const line of followLog(log, end, context.signal)) await show(line);
  throw abortError(context.signal);
}

function sinceOf(text: string, nowMs: number): number {
  const atMs = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : nowMs - parseSeconds(text) * 1000;
  if (!Number.isFinite(atMs)) throw new UsageError('E_USAGE', `cannot use the time ${JSON.stringify(text.slice(0, 40))}: expected 30m, 12h, 7d or an ISO date`);
  return atMs;
}

const shown = (value: unknown): string => (typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value) ?? 'undefined');

function render({ atMs, level, message, fields }: LogLine): string {
  if (level === null) return printable(message);
  const rest = Object.entries(fields).map(([name, value]) => ` ${name}=${shown(value)}`).join('');
  return printable(`${atMs === null ? '' : `${new Date(atMs).toISOString()} `}${level.padEnd(5)} ${message}${rest}`);
}
