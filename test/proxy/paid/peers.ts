// What tests say and read on behalf of clients and nodes.
import type { Address } from '@ton/core';
import type { TokensUsed } from '../../../src/wire/answer.ts';
import { parsePayment } from '../../../src/chain/signed-payment.ts';
import type { PaidAccounts } from '../../../src/proxy/paid/paid-accounts.ts';
import type { Person } from './fixture.ts';

export const text = (address: Address): string => address.toString({ bounceable: false });
export const textOf = (who: Person): string => text(who.wallet.address);
export const used = (total: bigint): TokensUsed => ({ prompt: total, cached: 0n, completion: 0n, reasoning: 0n, total });

/** Tokens of the signed payment that is handed out; -1n for none. */
export function signedTokens(side: { status(): { signedPayment: Uint8Array | null } }): bigint {
  const { signedPayment } = side.status();
  if (signedPayment === null) return -1n;
  const { claim } = parsePayment(signedPayment);
  return 'tokens' in claim ? claim.tokens : -1n;
}

/** One finished request. */
export async function request(accounts: PaidAccounts, client: Person, nodeOwner: Person, tokens: bigint): Promise<void> {
  const account = await accounts.client(textOf(client));
  await accounts.reserve(account, tokens).settle(await accounts.worker(textOf(nodeOwner)), used(tokens));
}
