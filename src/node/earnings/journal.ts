// What a node was paid for, as it came: an append-only journal of sums, one line a minute and proxy in which something was
// delivered, one private file a month (UTC). The payment book says what is owed in all; this says when it was earned. A crash costs
// the last minute of it, a damaged line only itself. Holds no request and nobody's address but the proxies' contracts.
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { ensureFolder, listFolder } from '../../core/files.ts';
import type { Clock } from '../../core/clock.ts';
import type { Log } from '../../core/log.ts';
import type { UsageCounts } from '../../openai/usage.ts';
import type { TokensUsed } from '../../wire/answer.ts';

const count = z.int().min(0);

const Line = z.strictObject({
  /** End of the minute or so that is summed up, unix milliseconds. */
  atMs: z.number(),
  /** Address of the proxy's contract; empty on a network without contracts. */
  proxy: z.string().max(100),
  /** Base name. */
  model: z.string().max(1_024),
  requests: count,
  /** By the engine's count. */
  prompt: count, cached: count, completion: count,
  /** Adjusted tokens, which are what is paid, and nanoTON by the fee of that time; null where the fee was not known. */
  tokens: z.string().regex(/^\d{1,20}$/),
  nano: z.string().regex(/^\d{1,30}$/).nullable(),
});
export type RevenueLine = z.infer<typeof Line>;

export interface RevenueJournal {
  /** One answer, whole or cut short, that was counted. `usage` null: the engine's count is not known. */
  delivered(proxy: string, tokens: TokensUsed, usage: UsageCounts | null): void;
  /** Writes what is left. Idempotent. */
  close(): Promise<void>;
}

export interface JournalOptions {
  readonly folder: string;
  readonly model: string;
  /** What an adjusted token earns now, nanoTON; null where that is not known. */
  feeNano(): bigint | null;
  readonly clock: Clock;
  readonly log: Pick<Log, 'warn'>;
  readonly flushMs?: number;
}

const FLUSH_MS = 60_000;
/** Longer than any line that is written here. */
const MAX_LINE = 4_096;
const FILE = /^\d{4}-\d\d\.jsonl$/;

interface Sum { requests: number; prompt: number; cached: number; completion: number; tokens: bigint; nano: bigint | null }

export function openJournal({ folder, model, feeNano, clock, log, flushMs = FLUSH_MS }: JournalOptions): RevenueJournal {
  let sums = new Map<string, Sum>();
  let timer: NodeJS.Timeout | undefined;
  let last: Promise<void> = Promise.resolve();

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    const written = sums;
    sums = new Map();
    const atMs = clock.now();
    const lines = [...written].map(([proxy, { tokens, nano, ...sum }]): RevenueLine => ({ atMs, proxy, model, ...sum, tokens: String(tokens), nano: nano === null ? null : String(nano) }));
    if (lines.length > 0) {
      last = last.then(() => append(folder, atMs, lines)).catch((error: unknown) => log.warn('earnings could not be written down', { reason: String(error), lost: lines.length }));
    }
    return last;
  };

  return {
    delivered(proxy, { total }, usage) {
      const fee = feeNano();
      const sum = sums.get(proxy) ?? { requests: 0, prompt: 0, cached: 0, completion: 0, tokens: 0n, nano: 0n };
      sums.set(proxy, sum);
      sum.requests += 1;
      sum.prompt += usage?.promptTokens ?? 0;
      sum.cached += usage?.cachedTokens ?? 0;
      sum.completion += usage?.completionTokens ?? 0;
      sum.tokens += total;
      sum.nano = sum.nano === null || fee === null ? null : sum.nano + total * fee;
      timer ??= setTimeout(() => void flush(), flushMs);
      timer.unref();
    },
    close: flush,
  };
}

async function append(folder: string, atMs: number, lines: readonly RevenueLine[]): Promise<void> {
  await ensureFolder(folder);
  const file = await open(join(folder, `${new Date(atMs).toISOString().slice(0, 7)}.jsonl`), 'a+', 0o600);
  try {
    const { size } = await file.stat();
    // A line that a crash cut off must not swallow the next one.
    const tail = size === 0 ? null : (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer.toString();
    await file.appendFile(`${tail === null || tail === '\n' ? '' : '\n'}${lines.map((line) => `${JSON.stringify(line)}\n`).join('')}`);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** Every line from `fromMs` on, in the order of the files; `damaged` counts those that cannot be read. A folder that is not there is empty. */
export async function readJournal(folder: string, fromMs: number): Promise<{ readonly lines: RevenueLine[]; readonly damaged: number }> {
  const first = `${new Date(Math.max(0, fromMs)).toISOString().slice(0, 7)}.jsonl`;
  const lines: RevenueLine[] = [];
  let damaged = 0;
  for (const name of (await listFolder(folder)).filter((file) => FILE.test(file) && file >= first)) {
    const reader = createInterface({ input: createReadStream(join(folder, name), { encoding: 'utf8' }), crlfDelay: Infinity });
    for await (const text of reader) {
      if (text === '') continue;
      const line = text.length > MAX_LINE ? null : parseLine(text);
      if (line === null) damaged += 1;
      else if (line.atMs >= fromMs) lines.push(line);
    }
  }
  return { lines, damaged };
}

function parseLine(text: string): RevenueLine | null {
  try {
    return Line.parse(JSON.parse(text));
  } catch {
    return null;
  }
}
