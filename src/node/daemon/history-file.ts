// Keeps the day of samples that the operator's page draws over a restart: written from time to time and at the end.
import { z } from 'zod';
import { asCocoonError } from '../../core/errors.ts';
import { readBounded, writeFileAtomic } from '../../core/files.ts';
import type { Log } from '../../core/log.ts';
import type { Monitor } from './monitor.ts';

const EVERY_MS = 300_000;
const MAX_BYTES = 2 << 20;

/** Beside the daemon's record. */
export const historyFile = (record: string): string => `${record.replace(/\.json$/, '')}.history`;

const EarlierHistory = z.object({ coarse: z.array(z.unknown()).max(10_000) });

/** A drawing that begins anew is no reason not to start. */
export async function readHistory(path: string): Promise<unknown> {
  try {
    return EarlierHistory.parse(JSON.parse(Buffer.from(await readBounded(path, MAX_BYTES)).toString('utf8'))).coarse;
  } catch {
    return undefined;
  }
}

/** Returns how to write it a last time and stop. */
export function keepHistory(path: string, monitor: Pick<Monitor, 'history'>, log: Pick<Log, 'warn'>): () => Promise<void> {
  const write = (): Promise<void> => writeFileAtomic(path, JSON.stringify({ coarse: monitor.history().coarse.samples }))
    .catch((error: unknown) => log.warn('what is drawn could not be kept', { reason: asCocoonError(error).message }));
  const timer = setInterval(() => void write(), EVERY_MS);
  timer.unref();
  return async () => {
    clearInterval(timer);
    await write();
  };
}
