// Which wallet contract a new or imported key gets: --kind and, for the Cocoon wallet, its cold owner.
import { parseAddress } from '../chain/wallets/address-text.ts';
import { UsageError } from '../core/errors.ts';
import { oneOf } from './values.ts';
import { walletKindOf } from './wallets.ts';
import type { Address } from '@ton/core';
import type { Command } from 'commander';
import type { WalletKind, WalletKindName } from '../chain/wallets/kinds.ts';
import type { WalletNetwork } from '../chain/wallets/network.ts';
import type { Invocation } from './command.ts';

const KINDS: readonly WalletKindName[] = ['v5r1', 'v4r2', 'cocoon'];

interface KindOptions {
  readonly kind?: WalletKindName;
  readonly owner?: string;
}

export function declareKind(command: Command): void {
  command
    .option('--kind <kind>', 'v5r1, v4r2, or cocoon: a hot wallet that a cold owner controls (default: v5r1)', oneOf(KINDS))
    .option('--owner <address>', 'cold owner of a cocoon wallet');
}

export interface WalletChoice {
  readonly walletOf: (publicKey: Uint8Array) => WalletKind;
  readonly owner?: Address;
}

/** Throws UsageError when --owner and --kind do not fit, or the owner is no address of this network. */
export function walletChoice({ options }: Pick<Invocation, 'options'>, network: WalletNetwork): WalletChoice {
  const { kind = 'v5r1', owner: text }: KindOptions = options;
  if ((kind === 'cocoon') !== (text !== undefined)) {
    throw new UsageError('E_USAGE', kind === 'cocoon' ? 'a cocoon wallet needs its cold owner' : '--owner is for --kind cocoon', { hint: 'cocoon wallet new NAME --kind cocoon --owner ADDRESS' });
  }
  const owner = text === undefined ? null : parseAddress(text, network).address;
  return { walletOf: (publicKey) => walletKindOf(kind, publicKey, network, owner), ...(owner !== null && { owner }) };
}
