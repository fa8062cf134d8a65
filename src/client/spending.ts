// A bound on what a run may spend: the highest cost of each attempt is put aside before it is sent, and what it cost in the end
// takes its place. Refuses the attempt for which not enough is left, before anything of it leaves this machine.
import { deferred } from '../core/deferred.ts';
import { PolicyError } from '../core/errors.ts';
import { formatTon } from '../core/units.ts';
import { NO_TOKENS } from '../wire/answer.ts';
import { reservationOf } from './bounds.ts';
import type { TokenMultipliers } from '../openai/token-price.ts';
import type { TokensUsed } from '../wire/answer.ts';
import type { ClientAccounts, RequestBounds } from './accounts.ts';

/** What adjusted tokens cost now. */
export interface TokenPrice {
  /** nanoTON of an adjusted token. */
  readonly perTokenNano: bigint;
  readonly multipliers: TokenMultipliers;
}

/** What one attempt may cost, put aside. */
export interface Reserved {
  /** `told`: what was billed; null when nobody said. Only the first call counts. */
  settle(told: TokensUsed | null): void;
}

export interface Spending {
  /** What was spent: told costs, and the highest cost of what broke off without a word. */
  readonly spentNano: bigint;
  /** Puts aside what one attempt may cost. Throws PolicyError `E_MAX_SPEND`. */
  reserve(bounds: RequestBounds): Reserved;
  /** Resolves when an attempt that runs now has ended, which may leave more; null when none runs. */
  next(): Promise<void> | null;
}

/** All that may be read and generated, at the highest price that is accepted: what the proxy puts aside too (WIRE.md section 12). */
export const mostCostNano = (bounds: RequestBounds, { perTokenNano, multipliers }: TokenPrice): bigint => reservationOf(bounds, multipliers) * perTokenNano;

/** `maxNano`: null for no bound. `price` is asked for at each attempt; null where nobody pays. */
export function createSpending(maxNano: bigint | null, price: () => TokenPrice | null): Spending {
  let spentNano = 0n;
  let asideNano = 0n;
  let running = 0;
  let change = deferred<void>();
  return {
    get spentNano() {
      return spentNano;
    },
    next: () => (running === 0 ? null : change.promise),
    reserve(bounds) {
      const now = price();
      const mostNano = now === null ? 0n : mostCostNano(bounds, now);
      const leftNano = maxNano === null ? null : maxNano - spentNano - asideNano;
      if (maxNano !== null && leftNano !== null && mostNano > leftNano) {
        throw new PolicyError('E_MAX_SPEND', `a request that may cost ${formatTon(mostNano)} TON is not sent: ${formatTon(leftNano > 0n ? leftNano : 0n)} of --max-spend ${formatTon(maxNano)} TON is left`, {
          hint: 'raise --max-spend, or lower --max-tokens or --max-price',
        });
      }
      asideNano += mostNano;
      running += 1;
      let open = true;
      return {
        settle(told) {
          if (!open) return;
          open = false;
          asideNano -= mostNano;
          // What broke off may be billed without our ever being told; more than was put aside nobody can bill.
          const toldNano = told === null ? mostNano : told.total * (now?.perTokenNano ?? 0n);
          spentNano += toldNano < mostNano ? toldNano : mostNano;
          running -= 1;
          change.resolve();
          change = deferred<void>();
        },
      };
    },
  };
}

/** The same accounts; what every single attempt at a proxy may cost is put aside in `spending` before the attempt is paid for. */
export function boundedAccounts(accounts: ClientAccounts, spending: Spending): ClientAccounts {
  return {
    ownerAddress: accounts.ownerAddress,
    minConfigVersion: () => accounts.minConfigVersion(),
    open() {
      const account = accounts.open();
      const begin = account.begin.bind(account);
      account.begin = async (bounds) => {
        const reserved = spending.reserve(bounds);
        try {
          const meter = await begin(bounds);
          return {
            delivered: (bytes) => meter.delivered(bytes),
            ended(tokens, counted) {
              reserved.settle(tokens);
              meter.ended(tokens, counted);
            },
            lost(told) {
              reserved.settle(told ?? null);
              meter.lost(told);
            },
          };
        } catch (error) {
          reserved.settle(NO_TOKENS); // nothing was sent
          throw error;
        }
      };
      return account;
    },
  };
}
