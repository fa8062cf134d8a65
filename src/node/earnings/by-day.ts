// Lines of the journal of earnings as days (UTC), also those on which nothing was earned.
import type { RevenueLine } from './journal.ts';

export interface RevenueDay {
  /** `2026-11-22`. */
  readonly day: string;
  readonly requests: number;
  readonly prompt: number;
  readonly cached: number;
  readonly completion: number;
  readonly tokens: bigint;
  readonly nano: bigint;
  /** Adjusted tokens whose fee was not known when they were delivered; they are not in `nano`. */
  readonly unpriced: bigint;
}

const DAY_MS = 86_400_000;
export const dayOf = (atMs: number): string => new Date(atMs).toISOString().slice(0, 10);

/** `days` days up to that of `nowMs`, the oldest first. */
export function byDay(lines: readonly RevenueLine[], nowMs: number, days: number): RevenueDay[] {
  const found = new Map<string, RevenueDay>();
  for (let back = days - 1; back >= 0; back -= 1) {
    const day = dayOf(nowMs - back * DAY_MS);
    found.set(day, { day, requests: 0, prompt: 0, cached: 0, completion: 0, tokens: 0n, nano: 0n, unpriced: 0n });
  }
  for (const line of lines) {
    const sum = found.get(dayOf(line.atMs));
    if (sum === undefined) continue;
    const tokens = BigInt(line.tokens);
    found.set(sum.day, {
      ...sum, requests: sum.requests + line.requests, prompt: sum.prompt + line.prompt, cached: sum.cached + line.cached, completion: sum.completion + line.completion,
      tokens: sum.tokens + tokens, nano: sum.nano + (line.nano === null ? 0n : BigInt(line.nano)), unpriced: sum.unpriced + (line.nano === null ? tokens : 0n),
    });
  }
  return [...found.values()];
}

const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** A bar of at most `width` characters, in eighths of one; what is not nothing shows at least the thinnest. */
export function bar(value: bigint, greatest: bigint, width: number): string {
  if (value <= 0n || greatest <= 0n) return '';
  const eighths = Math.max(1, Number(value * BigInt(width * 8) / greatest));
  return `${'█'.repeat(Math.floor(eighths / 8))}${EIGHTHS[eighths % 8] ?? ''}`;
}
