// The node's money as the operator wants to see it: accrued, signed and claimed of each proxy in tokens and nanoTON, what its hot
// wallet holds, and since when a proxy owes something without having signed more. Reads only.
import { sleep } from '../../core/retry.ts';
import type { Clock } from '../../core/clock.ts';
import type { ProxyMoney } from '../accounts.ts';
import type { MoneyState } from './state.ts';

export interface MoneySource {
  readonly owner: string;
  readonly walletAddress: string;
  /** nanoTON below which the hot wallet cannot pay its fees for long. */
  readonly neededNano: bigint;
  /** What the hot wallet holds. May reject. */
  balance(signal: AbortSignal): Promise<bigint>;
  money(): readonly ProxyMoney[];
  /** What an adjusted token earns now, nanoTON; null where the root contract cannot be read. */
  feeNano(): bigint | null;
}

export interface MoneyWatch {
  current(): MoneyState;
  close(): Promise<void>;
}

const BALANCE_MS = 60_000;

export function watchMoney(source: MoneySource, clock: Clock, everyMs: number = BALANCE_MS): MoneyWatch {
  const ending = new AbortController();
  const debts = new Map<string, { signed: bigint; sinceMs: number }>();
  let balanceNano: bigint | null = null;
  let feeNano: bigint | null = null;

  const poll = async (): Promise<void> => {
    while (!ending.signal.aborted) {
      // What was read last stays shown: a chain that is silent for a while does not change what the wallet holds.
      balanceNano = await source.balance(ending.signal).catch(() => balanceNano);
      await sleep(everyMs, ending.signal).catch(() => undefined);
    }
  };
  const polling = poll();

  /** Since when this proxy has owed without signing more. */
  const owedSince = ({ contract, accruedTokens, signedTokens }: ProxyMoney): number | null => {
    if (accruedTokens <= signedTokens) {
      debts.delete(contract);
      return null;
    }
    const known = debts.get(contract);
    if (known !== undefined && known.signed === signedTokens) return known.sinceMs;
    const sinceMs = clock.now();
    debts.set(contract, { signed: signedTokens, sinceMs });
    return sinceMs;
  };

  return {
    current() {
      feeNano = source.feeNano() ?? feeNano;
      const fee = feeNano ?? 0n;
      const proxies = source.money();
      const sum = (tokens: (money: ProxyMoney) => bigint): string => String(proxies.reduce((total, money) => total + tokens(money) * fee, 0n));
      return {
        owner: source.owner,
        wallet: { address: source.walletAddress, balanceNano: balanceNano === null ? null : String(balanceNano), neededNano: String(source.neededNano) },
        accruedNano: sum(({ accruedTokens }) => accruedTokens), signedNano: sum(({ signedTokens }) => signedTokens), claimedNano: sum(({ claimedTokens }) => claimedTokens),
        proxies: proxies.map((money) => ({
          proxy: money.proxy, contract: money.contract, accruedTokens: String(money.accruedTokens), signedTokens: String(money.signedTokens), claimedTokens: String(money.claimedTokens),
          accruedNano: String(money.accruedTokens * fee), signedNano: String(money.signedTokens * fee), claimedNano: String(money.claimedTokens * fee),
          owedNano: money.owedNano === null ? null : String(money.owedNano), owedSinceMs: owedSince(money), blocked: money.blocked,
        })),
      };
    },
    async close() {
      ending.abort();
      await polling;
    },
  };
}
