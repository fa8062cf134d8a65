// Commands that wait for the chain: they look again and again until what they wait for is there or --timeout is over.
import { abortError } from '../core/deadline.ts';
import { NetworkError } from '../core/errors.ts';
import { sleep } from '../core/retry.ts';
import type { Invocation } from './command.ts';

/** Least milliseconds between two looks. */
const LEAST_POLL_MS = 300;

/** Resolves when `look` says so. Throws NetworkError `E_TIMEOUT` with `what`, or the signal's reason. */
export async function pollUntil({ settings, context: { signal } }: Pick<Invocation, 'settings' | 'context'>, pollMs: number, look: () => Promise<boolean>, what: string): Promise<void> {
  const timeoutMs = settings.durationMs('timeout');
  const ends = performance.now() + timeoutMs;
  while (!await look()) {
    if (performance.now() > ends) throw new NetworkError('E_TIMEOUT', `${what} within ${timeoutMs} ms`, { hint: 'run the same command again, or raise --timeout' });
    await sleep(Math.max(pollMs, LEAST_POLL_MS), signal).catch(() => {});
    if (signal.aborted) throw abortError(signal);
  }
}
