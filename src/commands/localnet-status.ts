// `cocoon localnet status`: what of the local network runs, and where. Exit 11 unless everything is ready;
// a chain that was started alone is everything.
import { DaemonError } from '../core/errors.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { localnetStatus } from '../localnet/network.ts';
import { localMoney } from './localnet-money.ts';
import { renderTable } from './table-view.ts';
import type { Command } from 'commander';
import type { RoleStatus } from '../localnet/network.ts';
import type { LocalMoneyStatus } from './localnet-money.ts';
import type { JsonValue } from './output.ts';
import type { Invocation } from './command.ts';

export function declare(_command: Command): void {}

/** The status as the JSON document shows it. */
export function statusData(status: readonly RoleStatus[], money: LocalMoneyStatus | null): JsonValue {
  return {
    attestation: 'simulated', payments: money === null ? 'none' : 'chain', ...(money !== null && { money: money.data }),
    parts: status.map(({ role, state, record }) => ({ role, state, pid: record?.pid ?? null, facts: { ...record?.facts } })),
  };
}

export async function renderStatus(status: readonly RoleStatus[], money: LocalMoneyStatus | null): Promise<string> {
  const rows = status.map(({ role, state, record }) => [
    role, state, record === null ? '-' : String(record.pid),
    Object.entries(record?.facts ?? {}).map(([name, value]) => `${name}=${value}`).join(' '),
  ]);
  return `${await renderTable(['PART', 'STATE', 'PROCESS', 'FACTS'], rows)}${money === null ? '' : `\n${money.text}`}`;
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, out } = invocation;
  const status = await localnetStatus(localnetLayout(settings.home));
  const money = await localMoney(invocation);
  out.result(statusData(status, money));
  await out.text(await renderStatus(status, money));
  const isChainOnly = status.every(({ role, state }) => role === 'chain' || state === 'stopped') && status.some(({ role }) => role === 'chain');
  const missing = status.filter(({ role, state }) => state !== 'ready' && !(isChainOnly && role !== 'chain')).map(({ role, state }) => `${role} is ${state}`);
  if (missing.length > 0) {
    throw new DaemonError('E_NOT_RUNNING', `the local network is not ready: ${missing.join(', ')}`, { hint: 'run `cocoon localnet start --detach`' });
  }
}
