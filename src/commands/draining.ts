// Waiting until a node that takes nothing new has finished what it had.
import { abortError } from '../core/deadline.ts';
import { sleep } from '../core/retry.ts';
import { NodeState } from '../node/daemon/state.ts';
import { askAdmin } from './admin.ts';
import type { Invocation } from './command.ts';

const LOOK_MS = 250;

export const activeRequests = ({ requests }: Pick<NodeState, 'requests'>): number => requests.running + requests.queued;

/** Tells the node to take nothing new; `keep`: also after a restart. */
export const tellDrain = (invocation: Invocation, keep: boolean): Promise<NodeState> => askAdmin(invocation, 'node', '/drain', NodeState, { keep });

/** Takes work again. */
export const tellResume = (invocation: Invocation): Promise<NodeState> => askAdmin(invocation, 'node', '/resume', NodeState, {});

/** Requests that still run after `timeoutMs`: 0 when it is drained. Throws the signal's reason. */
export async function untilDrained(invocation: Invocation, timeoutMs: number): Promise<number> {
  const { context: { signal }, out } = invocation;
  const endsMs = performance.now() + timeoutMs;
  let told = -1;
  for (;;) {
    const left = activeRequests(await askAdmin(invocation, 'node', '/state', NodeState));
    if (left === 0 || performance.now() > endsMs) return left;
    if (left !== told && out.interactive) await out.note(`${left} ${left === 1 ? 'request runs' : 'requests run'}`);
    told = left;
    await sleep(LOOK_MS, signal).catch(() => undefined);
    if (signal.aborted) throw abortError(signal);
  }
}
