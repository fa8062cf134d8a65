// `cocoon node status`: how the node that runs here is: what it does, its proxies and their evidence, its engine, its money. Exit
// 11 unless it serves or was told not to.
import { abortError } from '../core/deadline.ts';
import { DaemonError } from '../core/errors.ts';
import { sleep } from '../core/retry.ts';
import { isHealthy, NodeState } from '../node/daemon/state.ts';
import { askAdmin } from './admin.ts';
import { declareDaemon } from './daemon.ts';
import { findDaemon, notRunning } from './daemon-place.ts';
import { renderNodeState } from './node-view.ts';
import { wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

const DEFAULT_EVERY_S = 2;
const CLEAR = '\u001b[H\u001b[2J';

export function declare(command: Command): void {
  command
    .option('--watch', 'show it again and again, until Ctrl-C')
    .option('--every <seconds>', `between two looks of --watch (default: ${DEFAULT_EVERY_S})`, wholeNumber(1, 3_600));
  declareDaemon(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { out, options, context } = invocation;
  if (options['watch'] !== true) {
    const state = await readNodeState(invocation);
    out.result(state);
    await out.text(await renderNodeState(state));
    requireHealthy(state);
    return;
  }
  const everyMs = (typeof options['every'] === 'number' ? options['every'] : DEFAULT_EVERY_S) * 1000;
  while (!context.signal.aborted) {
    const state = await readNodeState(invocation);
    await out.event(state);
    await out.text(`${context.stdout.isTTY ? CLEAR : ''}${await renderNodeState(state)}${context.stdout.isTTY ? '' : '\n'}`);
    await sleep(everyMs, context.signal).catch(() => undefined);
  }
  throw abortError(context.signal);
}

/** Throws DaemonError `E_NOT_RUNNING` where no node runs, or one that cannot be asked yet. */
export async function readNodeState(invocation: Invocation): Promise<NodeState> {
  const { record, place } = await findDaemon(invocation, 'node');
  if (record === null) {
    invocation.out.result({ state: 'stopped' });
    throw notRunning('node');
  }
  if (record.state === 'failed') throw new DaemonError('E_NOT_RUNNING', `the node is ending: ${record.facts['error'] ?? 'it failed'}`, { hint: `its log is ${place.log}` });
  try {
    return await askAdmin(invocation, 'node', '/state', NodeState);
  } catch (cause) {
    if (record.state !== 'starting' || !(cause instanceof DaemonError)) throw cause;
    invocation.out.result({ state: 'starting' });
    throw new DaemonError('E_NOT_RUNNING', `the node, process ${record.pid}, is starting: it loads its model`, { cause, hint: `its log is ${place.log}` });
  }
}

function requireHealthy(state: NodeState): void {
  if (!isHealthy(state)) throw new DaemonError('E_NOT_RUNNING', `the node is ${state.state}: ${state.warnings[0] ?? 'no proxy has accepted it yet'}`, { hint: 'run `cocoon node logs` and `cocoon node doctor`' });
}
