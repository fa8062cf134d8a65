// What a network's root contract says: allowed hashes, proxies, prices, stakes, delays, codes (ONCHAIN.md sections 4 and 7,
// WIRE-2026-04.md section 6). Struct versions 0 to 5; missing multipliers are ×1, missing stakes 1 TON. A proxy entry that
// cannot be read is skipped and reported; any other deviation refuses the whole configuration.
import type { Address, Cell } from '@ton/core';
import { UNBOND_DELAY_SECONDS } from './cells/bond.ts';
import type { HashSet } from './cells/dictionary.ts';
import { MULTIPLIER_ONE } from './cells/params.ts';
import type { Params } from './cells/params.ts';
import { parseEndpoint, parseProxyText } from './cells/proxy-text.ts';
import type { Endpoint, ProxyEndpoints } from './cells/proxy-text.ts';
import { PENDING_KEY, pendingChange, rootStorage } from './cells/root-storage.ts';
import type { KeyManager, PendingChange, ProxyDescription, RootSets, RootStorage, VerifiedKeys } from './cells/root-storage.ts';

export interface RegisteredProxy extends ProxyEndpoints {
  readonly seqno: number;
}

export interface SkippedProxy {
  readonly seqno: number;
  readonly reason: string;
}

export interface TrustedKeyManager extends KeyManager {
  /** Null where the contract names no key manager. */
  readonly endpoint: Endpoint | null;
  /** False in the early layout without image hash: its keys may be listed, the manager must not be trusted. */
  readonly verifiable: boolean;
}

export interface RootConfig {
  readonly owner: Address;
  /** Counts all changes. */
  readonly version: number;
  readonly params: Params;
  /** Image and model hashes as lower-case hexadecimal text. */
  readonly proxyHashes: HashSet;
  readonly workerHashes: HashSet;
  readonly modelHashes: HashSet;
  /** In ascending order of their number. */
  readonly proxies: readonly RegisteredProxy[];
  readonly skippedProxies: readonly SkippedProxy[];
  readonly lastProxySeqno: number;
  /** What the owner has announced and not yet executed; null where there is nothing. */
  readonly pendingChange: PendingChange | null;
  readonly keyManager: TrustedKeyManager | null;
  readonly verifiedKeys: VerifiedKeys | null;
}

/** The configuration in the data cell of a root contract. Throws NetworkError E_CHAIN_DATA. */
export const rootConfigOf = (data: Cell): RootConfig => configOfStorage(rootStorage.load(data));

/** The configuration in a decoded storage. */
export function configOfStorage({ owner, version, params, sets, keyManager, verifiedKeys }: RootStorage): RootConfig {
  const proxies: RegisteredProxy[] = [];
  const skippedProxies: SkippedProxy[] = [];
  for (const [seqno, description] of sets.proxies) {
    if (seqno === PENDING_KEY) continue;
    const endpoints = endpointsOf(description);
    if (typeof endpoints === 'string') skippedProxies.push({ seqno, reason: endpoints });
    else proxies.push({ seqno, ...endpoints });
  }
  const { proxyHashes, workerHashes, modelHashes, lastProxySeqno } = sets;
  return {
    owner, version, params, proxyHashes, workerHashes, modelHashes, proxies, skippedProxies, lastProxySeqno,
    pendingChange: pendingOf(sets), keyManager: keyManager === null ? null : trust(keyManager), verifiedKeys,
  };
}

// Only our own contract gives the key a meaning; in another network's an entry of another layout is nothing.
function pendingOf(sets: RootSets): PendingChange | null {
  try {
    return pendingChange(sets);
  } catch {
    return null;
  }
}

const endpointsOf = ({ text }: ProxyDescription): ProxyEndpoints | string =>
  text === null ? 'entry is not a text of type 0' : parseProxyText(text);

function trust(keyManager: KeyManager): TrustedKeyManager {
  const endpoint = parseEndpoint(keyManager.addressText);
  return { ...keyManager, endpoint: typeof endpoint === 'string' ? null : endpoint, verifiable: keyManager.imageHash !== null };
}

/** The part of the params that prices need. */
export type Prices = Pick<Params, 'pricePerTokenNano' | 'workerFeePerTokenNano'>;

/** What a client pays for `tokens` adjusted tokens, in nanoTON. */
export const priceOf = ({ pricePerTokenNano }: Prices, tokens: bigint): bigint => tokens * pricePerTokenNano;

/** What a worker earns for `tokens` adjusted tokens, in nanoTON. */
export const workerFeeOf = ({ workerFeePerTokenNano }: Prices, tokens: bigint): bigint => tokens * workerFeePerTokenNano;

/** What stays with the proxy, in nanoTON; negative where the fee exceeds the price. */
export const proxyShareOf = (prices: Prices, tokens: bigint): bigint => priceOf(prices, tokens) - workerFeeOf(prices, tokens);

/** Whole adjusted tokens that an amount of nanoTON pays for; null where tokens cost nothing. */
export const tokensFor = ({ pricePerTokenNano }: Prices, amountNano: bigint): bigint | null =>
  pricePerTokenNano === 0n ? null : amountNano / pricePerTokenNano;

export interface Usage {
  readonly promptTokens: bigint;
  /** Part of the prompt. */
  readonly cachedTokens: bigint;
  readonly completionTokens: bigint;
  /** Part of the completion. */
  readonly reasoningTokens: bigint;
}

/**
 * Price of a request before a coefficient is applied, in nanoTON, exact and rounded up: what a person is shown. The
 * number that is charged is the adjusted token count of the wire protocol (WIRE.md section 12).
 */
export function quote(params: Params, usage: Usage): bigint {
  const scaled = (usage.promptTokens - usage.cachedTokens) * BigInt(params.promptMultiplier)
    + usage.cachedTokens * BigInt(params.cachedMultiplier)
    + (usage.completionTokens - usage.reasoningTokens) * BigInt(params.completionMultiplier)
    + usage.reasoningTokens * BigInt(params.reasoningMultiplier);
  const scale = BigInt(MULTIPLIER_ONE);
  return (scaled * params.pricePerTokenNano + scale - 1n) / scale;
}

/** Least seconds by which the proxy's delay must exceed the client's, so that a client can claim before the pool is gone (H6). */
export const MIN_DELAY_MARGIN_SECONDS = 300;

/** Longest client delay: the bond's delay must not be the shorter one. */
export const MAX_CLIENT_DELAY_SECONDS = UNBOND_DELAY_SECONDS;

/** Reasons not to deploy a network with these params, or to use one; empty where there are none (ONCHAIN.md section 13, H5, H6, H10). */
export function paramsProblems(params: Params): string[] {
  const problems: string[] = [];
  if (params.workerFeePerTokenNano > params.pricePerTokenNano) {
    problems.push(`worker fee ${params.workerFeePerTokenNano} is above the price ${params.pricePerTokenNano}, expected at most the price`);
  }
  const margin = params.proxyDelaySeconds - params.clientDelaySeconds;
  if (margin < MIN_DELAY_MARGIN_SECONDS) {
    problems.push(`proxy delay exceeds client delay by ${margin} s, expected at least ${MIN_DELAY_MARGIN_SECONDS} s`);
  }
  if (params.clientDelaySeconds > MAX_CLIENT_DELAY_SECONDS) {
    problems.push(`client delay is ${params.clientDelaySeconds} s, expected at most ${MAX_CLIENT_DELAY_SECONDS} s`);
  }
  if (params.minProxyStakeNano === 0n) problems.push('minimum proxy stake is 0, expected more');
  return problems;
}
