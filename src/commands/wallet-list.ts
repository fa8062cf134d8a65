// `cocoon wallet list`: every key of the keystore, of all networks, without its passphrase.
import { renderTable } from './table-view.ts';
import { keystoreOf, networkOfKey, showWallet } from './wallets.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(_command: Command): void {}

export async function run(invocation: Invocation): Promise<void> {
  const { out } = invocation;
  const { keys, damaged } = await keystoreOf(invocation).list();
  for (const { error } of damaged) await out.warn(error.message);
  const rows = keys.map((entry) => ({
    name: entry.label, kind: entry.kind, network: entry.network, address: showWallet(entry.address, networkOfKey(entry)), raw: entry.address.toRawString(),
    owner: entry.owner === null ? null : showWallet(entry.owner, networkOfKey(entry)), created: entry.createdAt,
  }));
  out.result({ wallets: rows, damaged: damaged.map(({ path, error }) => ({ path, error: error.message })) });
  await out.text(await renderTable(['NAME', 'KIND', 'NETWORK', 'ADDRESS'], rows.map(({ name, kind, network, address }) => [name, kind, network, address])));
}
