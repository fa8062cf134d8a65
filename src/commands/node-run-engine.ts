// `cocoon node run-engine`: the process in which the engine of `node start` runs; it is told everything over file descriptor 3.
// Not in the help. Signals are the node's affair: it ends when the node says so, or is gone.
import { Socket } from 'node:net';
import { UsageError } from '../core/errors.ts';
import { runEngineChild } from '../node/engine/child-main.ts';
import { loadLlamaEngine } from '../node/engine/llama-engine.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

const CHANNEL_FD = 3;

export function declare(_command: Command): void {}

export async function run(_invocation: Invocation): Promise<void> {
  await runEngineChild(openChannel(), {
    load: (options, log, onProgress, signal) => loadLlamaEngine({ ...options, ownProcess: true, log, onProgress, signal }),
    kill: () => process.kill(process.pid, 'SIGKILL'),
  });
}

function openChannel(): Socket {
  try {
    return new Socket({ fd: CHANNEL_FD, readable: true, writable: true });
  } catch (cause) {
    throw new UsageError('E_USAGE', 'node run-engine is started by node start only', { cause });
  }
}
