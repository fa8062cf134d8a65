// Keys of the keystore as wallets of a network: which one a command means, its contract, and accounts by name or address.
import { join } from 'node:path';
import { Keystore } from '../chain/keystore/keystore.ts';
import { formatAddress, parseAddress } from '../chain/wallets/address-text.ts';
import { cocoonWallet, walletV4R2, walletV5R1 } from '../chain/wallets/kinds.ts';
import { walletSubwallet } from '../chain/addresses.ts';
import { contractCode } from '../chain/code.ts';
import { ConfigError, NotFoundError, UsageError } from '../core/errors.ts';
import { isLocalWallet } from '../localnet/wallets.ts';
import type { Address } from '@ton/core';
import type { TonAccess } from '../chain/access/types.ts';
import type { KeyEntry } from '../chain/keystore/keystore.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { ParsedAddress } from '../chain/wallets/address-text.ts';
import type { WalletKind } from '../chain/wallets/kinds.ts';
import type { WalletNetwork } from '../chain/wallets/network.ts';
import type { Invocation } from './command.ts';

export function keystoreOf({ settings, context }: Pick<Invocation, 'settings' | 'context'>): Keystore {
  return new Keystore({ folder: join(settings.home, 'keys'), now: () => context.clock.now(), ...(context.weakKdf !== undefined && { kdf: context.weakKdf }) });
}

/** Addresses of wallets are shown non-bounceable, so that a new one can receive. */
export const showWallet = (address: Address, network: WalletNetwork): string => formatAddress(address, network, false);
export const showContract = (address: Address, network: WalletNetwork): string => formatAddress(address, network, true);

/** The network part of a key's own record, for showing its address wherever it belongs. */
export const networkOfKey = ({ network, globalId }: KeyEntry): WalletNetwork => ({ name: network, globalId, testOnly: globalId === -3 });

function requireSameChain(entry: KeyEntry, network: WalletNetwork): KeyEntry {
  if (entry.globalId === network.globalId) return entry;
  throw new UsageError('E_WRONG_NETWORK', `wallet ${entry.label} belongs to network ${entry.network} (global id ${entry.globalId}), the network in use is ${network.name} (${network.globalId})`, {
    hint: `name the network with --network, or make a wallet for this one: \`cocoon wallet new NAME --network ${network.name}\``,
  });
}

/** The key that --wallet or the setting `wallet` names, or the only one of this network. */
export async function chooseKey(invocation: Invocation, network: WalletNetwork, name?: string): Promise<KeyEntry> {
  const keystore = keystoreOf(invocation);
  const wanted = name ?? (typeof invocation.options['wallet'] === 'string' ? invocation.options['wallet'] : invocation.settings.text('wallet'));
  if (wanted !== undefined) return requireSameChain(await keystore.get(wanted), network);
  const all = (await keystore.list()).keys.filter(({ globalId }) => globalId === network.globalId);
  // Those that the local network made for itself are not what is meant while there is another.
  const own = all.filter(({ label }) => !isLocalWallet(label));
  const keys = own.length > 0 ? own : all;
  const [only, ...others] = keys;
  if (only === undefined) throw new NotFoundError('E_NOT_FOUND', `there is no wallet for network ${network.name}`, { hint: `make one with \`cocoon wallet new NAME --network ${network.name}\`` });
  if (others.length > 0) throw new UsageError('E_USAGE', `there are several wallets (${keys.map(({ label }) => label).join(', ')}), expected --wallet`, { hint: 'run `cocoon config set wallet NAME` to choose one for good' });
  return only;
}

/** The contract of a key on a network. `code`: of a Cocoon wallet. Throws UsageError for a watch-only address. */
export function walletKindOf(kind: WalletKind['name'], publicKey: Uint8Array, network: WalletNetwork, owner: Address | null, code = contractCode): WalletKind {
  if (kind === 'v5r1') return walletV5R1(publicKey, network);
  if (kind === 'v4r2') return walletV4R2(publicKey);
  if (owner === null) throw new UsageError('E_USAGE', 'a Cocoon wallet needs its cold owner', { hint: 'add --owner ADDRESS' });
  return cocoonWallet({ code: code('wallet'), owner, publicKey, subwallet: walletSubwallet(network.globalId, owner) });
}

/** The wallet of a stored key, with its address checked; a Cocoon wallet deployed with earlier code is used with that code. */
export async function walletOf(entry: KeyEntry, network: ChainNetwork, access: TonAccess): Promise<WalletKind> {
  const { kind, publicKey, owner, address } = entry;
  if (kind === 'watch' || publicKey === null) throw new UsageError('E_USAGE', `${entry.label} is watch-only: there is no key to use`);
  const wallet = walletKindOf(kind, publicKey, network, owner);
  if (wallet.address.equals(address)) return wallet;
  const { code } = kind === 'cocoon' ? await access.account(address) : { code: null };
  const earlier = code === null ? wallet : walletKindOf(kind, publicKey, network, owner, () => code);
  if (earlier.address.equals(address)) return earlier;
  throw new ConfigError('E_STATE', `wallet ${entry.label} has address ${address.toString()}, but its key gives ${wallet.address.toString()}`, { hint: 'the wallet was made with another version of its contract; use that version of cocoon to empty it' });
}

export interface NamedAccount extends ParsedAddress {
  /** As it is shown. */
  readonly text: string;
  /** Null where it is no key of the keystore. */
  readonly entry: KeyEntry | null;
}

/** An account by the name of a key or by its address. Throws UsageError `E_ADDRESS`, `E_WRONG_NETWORK`, or NotFoundError. */
export async function accountOf(invocation: Invocation, network: WalletNetwork, text: string): Promise<NamedAccount> {
  if (/^[a-z0-9][a-z0-9_-]{0,40}$/.test(text)) {
    const entry = await chooseKey(invocation, network, text);
    return { address: entry.address, bounceable: false, text: showWallet(entry.address, network), entry };
  }
  const parsed = parseAddress(text, network);
  return { ...parsed, text, entry: null };
}
