// Addresses as people write them: `0:` and 64 hexadecimal digits, or 48 characters of base64 with flags and checksum.
// Refuses what does not parse exactly, another workchain than 0 and -1, and an address marked for another network.
import { Address } from '@ton/core';
import { UsageError } from '../../core/errors.ts';
import { isPublicNetwork } from './network.ts';
import type { WalletNetwork } from './network.ts';

const RAW = /^(0|-1):[0-9a-fA-F]{64}$/;
const FRIENDLY = /^[A-Za-z0-9+/_-]{48}$/;
const SHOWN_CHARS = 70;

export interface ParsedAddress {
  readonly address: Address;
  /** What the text asks for; null when it is a raw address, which says nothing. */
  readonly bounceable: boolean | null;
}

/**
 * Parses an address for use on `network`. Throws UsageError: `E_ADDRESS` when the text is no address, `E_WRONG_NETWORK` when it
 * is marked testnet-only on mainnet, or is not so marked on testnet. On other networks both are accepted.
 */
export function parseAddress(text: string, network: WalletNetwork): ParsedAddress {
  const quoted = JSON.stringify(text.length > SHOWN_CHARS ? `${text.slice(0, SHOWN_CHARS)}...` : text);
  if (RAW.test(text)) return { address: Address.parseRaw(text), bounceable: null };
  if (!FRIENDLY.test(text)) throw new UsageError('E_ADDRESS', `${quoted} is not a TON address`);
  let parsed: ReturnType<typeof Address.parseFriendly>;
  try {
    parsed = Address.parseFriendly(text);
  } catch (error) {
    throw new UsageError('E_ADDRESS', `${quoted} is not a TON address: its checksum or its flags are wrong`, { hint: 'copy it again, in full', cause: error });
  }
  const { address, isBounceable, isTestOnly } = parsed;
  if (address.workChain !== 0 && address.workChain !== -1) throw new UsageError('E_ADDRESS', `${quoted} is in workchain ${address.workChain}, expected 0 or -1`);
  if (isPublicNetwork(network) && isTestOnly !== network.testOnly) {
    const kind = isTestOnly ? 'a testnet address' : 'an address of mainnet';
    throw new UsageError('E_WRONG_NETWORK', `${quoted} is ${kind}, the network in use is ${network.name}`, {
      hint: `check the address; if it is the right account, write it as ${address.toRawString()}`,
    });
  }
  return { address, bounceable: isBounceable };
}

/** The text of an address on `network`: base64url. Wallets are shown non-bounceable, contracts bounceable. */
export function formatAddress(address: Address, network: WalletNetwork, bounceable: boolean): string {
  return address.toString({ urlSafe: true, bounceable, testOnly: network.testOnly });
}
