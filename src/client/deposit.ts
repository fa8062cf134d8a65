// The client's contract at a proxy: what it lacks, and the messages that give it that (WIRE.md sections 14 and 15; the
// amounts are those of our plans). Deposits follow the owner's rule and never exceed its ceilings.
import { createHash } from 'node:crypto';
import { Cell } from '@ton/core';
import type { Address } from '@ton/core';
import { equalBytes, toHex } from '../core/bytes.ts';
import { ConfigError, PolicyError } from '../core/errors.ts';
import { formatTon } from '../core/units.ts';
import type { AccountState, TonAccess } from '../chain/access/types.ts';
import { clientDeployment } from '../chain/addresses.ts';
import { changeSecretHash, changeSecretHashAndTopUp, registerClient, topUp } from '../chain/cells/client-messages.ts';
import { clientStorage, STATE } from '../chain/cells/storage.ts';
import type { ClientStorage } from '../chain/cells/storage.ts';
import type { CheckedProxy } from '../chain/follow/check-proxy.ts';
import type { HotMessage } from '../chain/hot-wallet.ts';
import { CHILD_FLOOR_NANO, REQUEST_NANO } from '../chain/plans/client.ts';
import { queryIdOf } from '../chain/plans/plan.ts';
import { readState, stateName } from '../chain/plans/reading.ts';
import { roundUp, tenYearsRent } from '../chain/plans/rent.ts';
import { priceOf } from '../chain/root-config.ts';

export interface DepositRules {
  /** Deposited when less than half of it is left; null: twice the network's least client stake. */
  readonly depositNano: bigint | null;
  /** Most that may lie with one proxy, nanoTON: the setting `client.max_deposit_per_proxy`. */
  readonly maxPerProxyNano: bigint;
  /** Most that may lie with all proxies together, nanoTON: the setting `client.max_deposit`. */
  readonly maxTotalNano: bigint;
}

export interface ClientContractState {
  readonly account: AccountState;
  /** Null where it is not deployed. */
  readonly storage: ClientStorage | null;
}

type Deployment = ReturnType<typeof clientDeployment>;

export const clientOf = (proxy: CheckedProxy, owner: Address): Deployment =>
  clientDeployment({ owner, proxy: proxy.address, proxyPublicKey: proxy.publicKey, params: proxy.root.config.params });

/** Agreed state of the client contract. Throws NetworkError, ConfigError `E_CONTRACT_STATE` where it is closing or closed. */
export async function readClient(access: TonAccess, address: Address, signal: AbortSignal): Promise<ClientContractState> {
  const read = await readState({ access, signal }, address, (data) => clientStorage.load(data));
  if (read.storage !== null && read.storage.state !== STATE.normal) {
    throw new ConfigError('E_CONTRACT_STATE', `client contract ${address.toString()} is ${stateName(read.storage.state)}`, { hint: 'use another proxy, or another wallet' });
  }
  return read;
}

export interface DepositQuestion {
  readonly proxy: CheckedProxy;
  readonly storage: ClientStorage | null;
  /** Cumulative tokens that are used by this side's own count. */
  readonly usedTokens: bigint;
  /** What lies with all other proxies, nanoTON. */
  readonly elsewhereNano: bigint;
  readonly rules: DepositRules;
}

/**
 * NanoTON to deposit now; 0n where enough is left, or where a ceiling forbids more and something is left. Throws PolicyError
 * `E_SPENDING_LIMIT` where nothing is left and a ceiling forbids the deposit.
 */
export function depositDue({ proxy, storage, usedTokens, elsewhereNano, rules }: DepositQuestion): bigint {
  const { params } = proxy.root.config;
  const wish = rules.depositNano ?? 2n * params.minClientStakeNano;
  const target = wish > params.minClientStakeNano ? wish : params.minClientStakeNano;
  const balanceNano = storage?.balanceNano ?? 0n;
  const uncharged = usedTokens > (storage?.tokensUsed ?? 0n) ? usedTokens - (storage?.tokensUsed ?? 0n) : 0n;
  const left = balanceNano - priceOf(params, uncharged);
  const leftNano = left > 0n ? left : 0n;
  if (leftNano * 2n >= target) return 0n;
  const dueNano = target - leftNano;
  const refusal = ceilingOf(balanceNano, dueNano, elsewhereNano, rules);
  if (refusal === null) return dueNano;
  if (leftNano > 0n) return 0n;
  const { reason, hint } = refusal;
  throw new PolicyError('E_SPENDING_LIMIT', `a deposit of ${formatTon(dueNano)} TON with proxy contract ${proxy.address.toString()} is not allowed: ${reason}`, { hint });
}

/** Which of the owner's two ceilings a deposit would break, with the setting that raises it; null where it breaks none. */
function ceilingOf(balanceNano: bigint, dueNano: bigint, elsewhereNano: bigint, rules: DepositRules): { readonly reason: string; readonly hint: string } | null {
  // The total first: where it is the narrower one, the other setting would not help.
  if (elsewhereNano + balanceNano + dueNano > rules.maxTotalNano) {
    return {
      reason: `at most ${formatTon(rules.maxTotalNano)} TON may lie with all proxies together, and ${formatTon(elsewhereNano + balanceNano)} do`,
      hint: 'raise the limit (client.max_deposit), or take back what lies with other proxies: cocoon wallet withdraw',
    };
  }
  if (balanceNano + dueNano <= rules.maxPerProxyNano) return null;
  return {
    reason: `at most ${formatTon(rules.maxPerProxyNano)} TON may lie with one proxy, and ${formatTon(balanceNano)} lie with this one`,
    hint: 'raise the limit (client.max_deposit_per_proxy)',
  };
}

export interface Intent {
  readonly key: string;
  readonly messages: readonly HotMessage[];
}

export interface PrepareQuestion {
  readonly client: Deployment;
  readonly state: ClientContractState;
  readonly amountNano: bigint;
  /** SHA-256 of the secret, 32 bytes. */
  readonly secretHash: Uint8Array;
  /** Gets spare TON back. */
  readonly wallet: Address;
}

/**
 * What deploys the contract, deposits and sets the hash, in this order; null where nothing is to be done. Its key names what is
 * asked of this state of the contract, so the same need after a crash is the same intent, and never a second deposit.
 */
export function prepareIntent({ client, state, amountNano, secretHash, wallet }: PrepareQuestion): Intent | null {
  const { account, storage } = state;
  const isKnown = storage !== null && equalBytes(storage.secretHash, secretHash);
  if (isKnown && amountNano === 0n) return null;
  const key = keyOf('client', [client.address.toRawString(), String(account.last?.lt ?? 0n), String(amountNano), toHex(secretHash)]);
  const queryId = queryIdOf(key);
  const body = isKnown
    ? topUp.store({ queryId, amountNano, sendExcessesTo: wallet })
    : amountNano === 0n
      ? changeSecretHash.store({ queryId, secretHash, sendExcessesTo: wallet })
      : changeSecretHashAndTopUp.store({ queryId, amountNano, secretHash, sendExcessesTo: wallet });
  const request: HotMessage = { to: client.address, valueNano: amountNano + REQUEST_NANO, body };
  return { key, messages: storage === null ? [deployMessage(client), request] : [request] };
}

/** Proves on chain that the connection with this nonce is the owner's (WIRE.md section 9.2). */
export function registerIntent(client: Address, nonce: bigint, wallet: Address): Intent {
  const key = keyOf('register', [client.toRawString(), String(nonce)]);
  return { key, messages: [{ to: client, valueNano: REQUEST_NANO, body: registerClient.store({ queryId: queryIdOf(key), nonce, sendExcessesTo: wallet }) }] };
}

/** The contract and its rent for ten years, with the empty body that deploys it. */
export function deployMessage({ address, init }: Deployment): HotMessage {
  return { to: address, valueNano: roundUp(CHILD_FLOOR_NANO + tenYearsRent(init.code, init.data)), body: Cell.EMPTY, init };
}

const keyOf = (what: string, parts: readonly string[]): string => `${what}:${createHash('sha256').update(parts.join(' ')).digest('hex')}`;
