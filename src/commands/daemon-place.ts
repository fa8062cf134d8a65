// Which daemon of a role a command is about: the one with the named record, else this home's own, else that of its local network.
import { runningRecord } from '../core/daemon-process.ts';
import { DaemonError } from '../core/errors.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { placeOf as localPlace } from '../localnet/process.ts';
import { pathExists } from '../core/files.ts';
import { placeOf } from './detach.ts';
import type { DaemonPlace } from '../core/daemon-process.ts';
import type { DaemonRecord } from '../core/daemon-record.ts';
import type { LocalRole } from '../localnet/layout.ts';
import type { Invocation } from './command.ts';

export interface FoundDaemon {
  readonly place: DaemonPlace;
  /** Null: it does not run. */
  readonly record: DaemonRecord | null;
}

export async function findDaemon(invocation: Invocation, role: LocalRole): Promise<FoundDaemon> {
  const own = placeOf(invocation, role);
  const record = await runningRecord(own);
  const { options, settings } = invocation;
  if (record !== null || options['runFile'] !== undefined || settings.text('network') !== 'local') return { place: own, record };
  const local = localPlace(localnetLayout(settings.home), role);
  if (!await pathExists(local.record) && (await pathExists(own.log) || !await pathExists(local.log))) return { place: own, record: null };
  return { place: local, record: await runningRecord(local) };
}

export const notRunning = (role: LocalRole): DaemonError =>
  new DaemonError('E_NOT_RUNNING', `no ${role} is running on this machine`, { hint: `start one with \`cocoon ${role} start\`, or name its record with --run-file` });

/** Throws DaemonError `E_NOT_RUNNING`. */
export async function requireDaemon(invocation: Invocation, role: LocalRole): Promise<FoundDaemon & { readonly record: DaemonRecord }> {
  const { place, record } = await findDaemon(invocation, role);
  if (record === null) throw notRunning(role);
  return { place, record };
}
