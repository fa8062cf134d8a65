// `cocoon localnet status`: what of the local network runs, and where. Exit 11 unless everything is ready;
// a chain that was started alone is everything.
import { DaemonError } from '../core/errors.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { localnetStatus } from '../localnet/network.ts';
import { renderTable } from './table-view.ts';
import type { Command } from 'commander';
import type { RoleStatus } from '../localnet/network.ts';
import type { JsonValue } from './output.ts';
import type { Invocation } from './command.ts';

export function declare(_command: Command): void {}

/** The status as the JSON document shows it. */
export function statusData(status: readonly RoleStatus[]): JsonValue {
  return {
    attestation: 'simulated',
    parts: status.map(({ role, state, record }) => ({ role, state, pid: record?.pid ?? null, facts: { ...record?.facts } })),
  };
}

export async function renderStatus(status: readonly RoleStatus[]): Promise<string> {
  const rows = status.map(({ role, state, record }) => [
    role, state, record === null ? '-' : String(record.pid),
    Object.entries(record?.facts ?? {}).map(([name, value]) => `${name}=${value}`).join(' '),
  ]);
  return renderTable(['PART', 'STATE', 'PROCESS', 'FACTS'], rows);
}

export async function run({ settings, out }: Invocation): Promise<void> {
  const status = await localnetStatus(localnetLayout(settings.home));
  out.result(statusData(status));
  await out.text(await renderStatus(status));
  const isChainOnly = status.every(({ role, state }) => role === 'chain' || state === 'stopped') && status.some(({ role }) => role === 'chain');
  const missing = status.filter(({ role, state }) => state !== 'ready' && !(isChainOnly && role !== 'chain')).map(({ role, state }) => `${role} is ${state}`);
  if (missing.length > 0) {
    throw new DaemonError('E_NOT_RUNNING', `the local network is not ready: ${missing.join(', ')}`, { hint: 'run `cocoon localnet start --detach`' });
  }
}
