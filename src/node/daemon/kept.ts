// What the operator told the node and what must hold after a restart or a reboot: that it is drained. A small private file beside
// the daemon's record. One that cannot be read counts as drained: a node must not take work that it was told not to take.
import { z } from 'zod';
import { NotFoundError } from '../../core/errors.ts';
import { readBounded, removeFile, writeFileAtomic } from '../../core/files.ts';
import type { Log } from '../../core/log.ts';

const Kept = z.strictObject({ version: z.literal(1), drainedSinceMs: z.number().nullable() });

export interface KeptState {
  /** When it was told to drain; null while it may take work. */
  readonly drainedSinceMs: number | null;
  /** Durable when it resolves. Throws ConfigError `E_STATE`. */
  setDrained(sinceMs: number | null): Promise<void>;
}

/** Beside the daemon's record. */
export const keptFile = (record: string): string => `${record.replace(/\.json$/, '')}.kept`;

const MAX_BYTES = 4_096;

export async function openKept(path: string, nowMs: number, log: Pick<Log, 'warn'>): Promise<KeptState> {
  let drainedSinceMs: number | null = null;
  try {
    ({ drainedSinceMs } = Kept.parse(JSON.parse(Buffer.from(await readBounded(path, MAX_BYTES)).toString('utf8'))));
  } catch (error) {
    if (!(error instanceof NotFoundError)) {
      log.warn('what the operator told this node cannot be read, so it takes no work', { file: path });
      drainedSinceMs = nowMs;
    }
  }
  return {
    get drainedSinceMs() {
      return drainedSinceMs;
    },
    async setDrained(sinceMs) {
      if (sinceMs === null) await removeFile(path);
      else await writeFileAtomic(path, `${JSON.stringify({ version: 1, drainedSinceMs: sinceMs })}\n`);
      drainedSinceMs = sinceMs;
    },
  };
}
