// Reads the log of a daemon and the files that were put away before it (log-file.ts): from a time on, or its end, and on as it
// grows. Lines that are not JSON are those of native libraries and of a crash; they have the time of the line before them.
import { open } from 'node:fs/promises';
import { pathExists } from './files.ts';
import { LOG_BOUNDS } from './log-file.ts';
import { sleep } from './retry.ts';

export interface LogLine {
  /** Null where no line before says when. */
  readonly atMs: number | null;
  readonly level: string | null;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const CHUNK_BYTES = 64 * 1024;
/** Longer lines are cut. */
const MAX_LINE = 64 * 1024;
const FOLLOW_MS = 250;
const LEVELS: Readonly<Record<number, string>> = { 10: 'trace', 20: 'debug', 30: 'info', 40: 'warn', 50: 'error', 60: 'fatal' };

/** Makes lines of text that comes in pieces. */
function lineReader(): (text: string) => LogLine[] {
  let rest = '';
  let atMs: number | null = null;
  return (text) => {
    const lines = `${rest}${text}`.split('\n');
    rest = (lines.pop() ?? '').slice(0, MAX_LINE);
    return lines.filter((line) => line !== '').map((line) => {
      const parsed = parseLine(line.slice(0, MAX_LINE));
      atMs = parsed.atMs ?? atMs;
      return { ...parsed, atMs };
    });
  };
}

function parseLine(line: string): LogLine {
  try {
    const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
    if (typeof msg !== 'string' || typeof time !== 'string') throw new SyntaxError('another program\'s JSON');
    return { atMs: Date.parse(time), level: typeof level === 'number' ? LEVELS[level] ?? String(level) : null, message: msg, fields };
  } catch {
    return { atMs: null, level: null, message: line, fields: {} };
  }
}

async function* chunksOf(path: string, from: number): AsyncGenerator<{ readonly text: string; readonly end: number }> {
  const file = await open(path);
  try {
    let position = from;
    const decoder = new TextDecoder();
    for (;;) {
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(CHUNK_BYTES), position });
      if (bytesRead === 0) return;
      position += bytesRead;
      yield { text: decoder.decode(buffer.subarray(0, bytesRead), { stream: true }), end: position };
    }
  } finally {
    await file.close();
  }
}

/** Lines of all files from `sinceMs` on, or the last `last` lines. */
export async function readLog(path: string, { sinceMs, last }: { readonly sinceMs?: number; readonly last: number }): Promise<{ readonly lines: LogLine[]; readonly end: number }> {
  const read = lineReader();
  let lines: LogLine[] = [];
  let end = 0;
  for (const file of [...Array.from({ length: LOG_BOUNDS.keep }, (_, at) => `${path}.${LOG_BOUNDS.keep - at}`), path]) {
    if (!await pathExists(file)) continue;
    end = 0;
    for await (const chunk of chunksOf(file, 0)) {
      end = chunk.end;
      const found = read(chunk.text).filter(({ atMs }) => sinceMs === undefined || (atMs !== null && atMs >= sinceMs));
      lines = [...lines, ...found].slice(-last);
    }
  }
  return { lines, end };
}

/** What comes after `from` bytes, until the signal. A file that was emptied meanwhile is read from its begin. */
export async function* followLog(path: string, from: number, signal: AbortSignal): AsyncGenerator<LogLine> {
  const read = lineReader();
  let position = from;
  while (!signal.aborted) {
    const file = await open(path).catch(() => null);
    const size = file === null ? 0 : (await file.stat()).size;
    await file?.close();
    if (size < position) position = 0;
    if (size > position) {
      for await (const { text, end } of chunksOf(path, position)) {
        position = end;
        yield* read(text);
      }
    }
    await sleep(FOLLOW_MS, signal).catch(() => undefined);
  }
}
