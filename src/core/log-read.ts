// Reads the log of a daemon and the files that were put away before it (log-file.ts): from a time on, or its end, and on as it
// grows. Lines that are not JSON are those of native libraries and of a crash; they have the time of the line before them.
import { open, stat } from 'node:fs/promises';
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

const NEWLINE = 0x0a;

/**
 * Text from `from` bytes on, cut at the ends of lines. What is there of a last line is left for later, or comes too where the file
 * is `finished`. `end`: bytes read of the file.
 */
async function* chunksOf(path: string, from: number, finished = false): AsyncGenerator<{ readonly text: string; readonly end: number }> {
  const file = await open(path);
  try {
    let position = from;
    for (let length = CHUNK_BYTES; ;) {
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(length), position });
      const end = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
      if (bytesRead === 0 || (end === 0 && bytesRead < length && !finished)) return;
      // A line that is longer than anything that would be shown is taken as it comes.
      const taken = end > 0 ? end : finished || length >= MAX_LINE * 2 ? bytesRead : 0;
      length = taken === 0 ? length * 2 : CHUNK_BYTES;
      position += taken;
      if (taken > 0) yield { text: buffer.toString('utf8', 0, taken), end: position };
    }
  } finally {
    await file.close();
  }
}

/** Lines of all files from `sinceMs` on, or the last `last` lines. `end`: where in the newest of them the next line begins. */
export async function readLog(path: string, { sinceMs, last }: { readonly sinceMs?: number; readonly last: number }): Promise<{ readonly lines: LogLine[]; readonly end: number }> {
  const read = lineReader();
  let lines: LogLine[] = [];
  let end = 0;
  for (const file of [...Array.from({ length: LOG_BOUNDS.keep }, (_, at) => `${path}.${LOG_BOUNDS.keep - at}`), path]) {
    if (!await pathExists(file)) continue;
    end = 0;
    for await (const chunk of chunksOf(file, 0, file !== path)) {
      end = chunk.end;
      const found = read(chunk.text).filter(({ atMs }) => sinceMs === undefined || (atMs !== null && atMs >= sinceMs));
      lines = [...lines, ...found].slice(-last);
    }
  }
  return { lines, end };
}

interface FileNow {
  readonly size: number;
  /** Another one for another file under the same name. */
  readonly identity: string;
}

const fileNow = (path: string): Promise<FileNow | null> =>
  stat(path, { bigint: true }).then(({ size, ino, mtimeNs }) => ({ size: Number(size), identity: `${ino} ${mtimeNs}` }), () => null);

/**
 * What comes after `from` bytes, where a line begins, until the signal. A file that was put away meanwhile is read to its end first;
 * one that was emptied otherwise is read from its begin.
 */
export async function* followLog(path: string, from: number, signal: AbortSignal): AsyncGenerator<LogLine> {
  const read = lineReader();
  let position = from;
  let put = (await fileNow(`${path}.1`))?.identity;
  while (!signal.aborted) {
    const size = (await fileNow(path))?.size ?? 0;
    const old = await fileNow(`${path}.1`);
    if (size < position) {
      if (old !== null && old.identity !== put && old.size > position) for await (const { text } of chunksOf(`${path}.1`, position, true)) yield* read(text);
      position = 0;
      put = old?.identity;
    }
    if (size > position) {
      for await (const { text, end } of chunksOf(path, position)) {
        position = end;
        yield* read(text);
      }
    }
    await sleep(FOLLOW_MS, signal).catch(() => undefined);
  }
}
