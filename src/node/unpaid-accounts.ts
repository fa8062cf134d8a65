// Accounts of a node on a network without contracts: it claims nothing, is owed nothing, and every kind of token has the same price.
import { unpaidAddress } from '../chain/unpaid-address.ts';
import { UNIT_MULTIPLIERS } from '../openai/token-price.ts';
import type { CocoonError } from '../core/errors.ts';
import type { NodeAccounts } from './accounts.ts';

/** `publicKey`: the node's TLS key, 32 bytes; names its owner where nobody is paid. */
export function unpaidAccounts(publicKey: Uint8Array): NodeAccounts {
  return {
    ownerAddress: unpaidAddress('worker-owner', publicKey),
    multipliers: () => UNIT_MULTIPLIERS,
    open: () => ({
      checkProxy: async () => ({ chainTokens: 0n, dbTokens: 0n, maxTokens: 0n }),
      compared: () => {},
      paymentStatus: () => {},
      requestPayment: () => {},
      begin: () => {},
      delivered: () => {},
      blocked: false,
      onBlocked: () => () => {},
      failed: new Promise<CocoonError>(() => {}),
      close: async () => {},
    }),
    money: () => [],
  };
}
