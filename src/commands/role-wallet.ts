// Which wallet and which owner a role uses on a network: the flag, the role's setting, on a local network the wallets that
// `localnet start` made, else the wallet of all commands. A role's hot wallet and its owner are always different accounts.
import { LOCAL_WALLETS } from '../localnet/wallets.ts';
import { ConfigError, NotFoundError } from '../core/errors.ts';
import { accountOf, chooseKey, keystoreOf, showWallet } from './wallets.ts';
import type { Address } from '@ton/core';
import type { KeyEntry } from '../chain/keystore/keystore.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { LocalWalletRole } from '../localnet/wallets.ts';
import type { SettingKey } from '../core/settings.ts';
import type { Invocation } from './command.ts';

/** Who sends: `owner` is the owner of the network and of its proxy contract. */
export type WalletRole = Exclude<LocalWalletRole, 'operator'>;

const WALLET_SETTING: Readonly<Partial<Record<WalletRole, SettingKey>>> = { client: 'client.wallet', node: 'node.wallet', proxy: 'proxy.wallet' };

/** The key of a role. Throws what choosing a wallet throws. */
export async function roleKey(invocation: Invocation, network: ChainNetwork, role: WalletRole): Promise<KeyEntry> {
  const { options, settings } = invocation;
  const setting = WALLET_SETTING[role];
  const named = typeof options['wallet'] === 'string' ? options['wallet'] : (setting === undefined ? undefined : settings.text(setting)) ?? settings.text('wallet');
  if (named !== undefined) return chooseKey(invocation, network, named);
  return await localKey(invocation, network, role) ?? chooseKey(invocation, network);
}

/** A wallet that `localnet start` made; null where there is none. */
async function localKey(invocation: Invocation, network: ChainNetwork, role: LocalWalletRole): Promise<KeyEntry | null> {
  if (network.kind !== 'local') return null;
  try {
    const entry = await keystoreOf(invocation).get(LOCAL_WALLETS[role]);
    return entry.globalId === network.globalId ? entry : null;
  } catch (error) {
    if (error instanceof NotFoundError) return null;
    throw error;
  }
}

const OWNER = { node: { setting: 'node.owner', local: 'operator' }, proxy: { setting: 'proxy.owner', local: 'owner' } } as const;

/** The cold address that a role's earnings go to, as far as it is known: --owner, its setting, the hot wallet's own owner, the local network's. */
export async function knownOwner(invocation: Invocation, network: ChainNetwork, role: 'node' | 'proxy', hot: Pick<KeyEntry, 'owner'>): Promise<Address | null> {
  const { options, settings } = invocation;
  const { setting, local } = OWNER[role];
  const text = typeof options['owner'] === 'string' ? options['owner'] : settings.text(setting);
  if (text !== undefined) return (await accountOf(invocation, network, text)).address;
  return hot.owner ?? (await localKey(invocation, network, local))?.address ?? null;
}

/** Throws ConfigError. */
export function unknownOwner(role: 'node' | 'proxy'): never {
  throw new ConfigError('E_CONFIG', `the owner of the ${role} is not known`, { hint: `name the cold address that its earnings go to: cocoon config set ${OWNER[role].setting} ADDRESS` });
}

/**
 * As `knownOwner`. Throws ConfigError when none is known, or when it is the hot wallet: who steals the machine's key must not get
 * what it has earned.
 */
export async function roleOwner(invocation: Invocation, network: ChainNetwork, role: 'node' | 'proxy', hot: Pick<KeyEntry, 'address' | 'label' | 'owner'>): Promise<Address> {
  const { setting } = OWNER[role];
  const owner = await knownOwner(invocation, network, role, hot);
  if (owner === null) return unknownOwner(role);
  if (owner.equals(hot.address)) {
    throw new ConfigError('E_CONFIG', `the owner of the ${role}, ${showWallet(owner, network)}, is its hot wallet ${hot.label}`, { hint: `use another address: cocoon config set ${setting} ADDRESS, or another wallet: cocoon config set ${role}.wallet NAME` });
  }
  return owner;
}
