// Who may use the local endpoint and for how much: API keys with a budget each, and one budget for the whole session. What a
// request may cost at most is put aside before it is sent, so that no number of requests at once can exceed a budget.
import { createHash, timingSafeEqual } from 'node:crypto';
import { ConfigError, PolicyError } from '../../core/errors.ts';
import { formatTon, parseTon } from '../../core/units.ts';
import { HttpStatusError } from '../../http/routes.ts';
import type { HttpRequest } from '../../http/routes.ts';

/** One API key. */
export interface ApiKey {
  /** SHA-256 of the key: the key itself is not kept. */
  readonly digest: Uint8Array;
  /** nanoTON in all; null: no limit of its own. */
  readonly budgetNano: bigint | null;
}

export interface Spending {
  readonly spentNano: bigint;
  readonly reservedNano: bigint;
}

/** An amount that is put aside for one request; exactly one call of `settle` ends it. */
export interface Reserved {
  settle(costNano: bigint): void;
}

export interface Callers {
  /** Refuses (401) a request without a key that is on the list; a list that is empty admits everybody on this machine. */
  admit(request: Pick<HttpRequest, 'headers'>): Caller;
  /** Of all callers together. */
  readonly spending: Spending;
}

export interface Caller {
  /** Throws PolicyError `E_SPENDING_LIMIT` when a budget would be exceeded. */
  reserve(mostNano: bigint): Reserved;
}

const MAX_KEYS = 1_000;
const LINE = /^(\S{8,200})(?:\s+(\S+))?$/;

const digestOf = (key: string): Uint8Array => new Uint8Array(createHash('sha256').update(key).digest());

/** Keys of a file: one a line, `KEY` or `KEY BUDGET` in TON; empty lines and lines from `#` on are left out. Throws ConfigError. */
export function parseApiKeys(text: string): ApiKey[] {
  const lines = text.split('\n').map((line) => line.replace(/#.*/, '').trim());
  const keys = lines.flatMap((line, index) => {
    if (line === '') return [];
    const [, key, budget] = LINE.exec(line) ?? [];
    // The line itself is a secret.
    if (key === undefined) throw new ConfigError('E_CONFIG', `line ${index + 1} of the file of API keys is not a key of 8 to 200 characters and perhaps a budget in TON`);
    return [{ digest: digestOf(key), budgetNano: budget === undefined ? null : parseTon(budget) }];
  });
  if (keys.length === 0 || keys.length > MAX_KEYS) throw new ConfigError('E_CONFIG', `the file of API keys has ${keys.length} keys, expected 1 to ${MAX_KEYS}`);
  return keys;
}

class Budget {
  spentNano = 0n;
  reservedNano = 0n;
  readonly limitNano: bigint | null;
  readonly #name: string;

  constructor(name: string, limitNano: bigint | null) {
    this.#name = name;
    this.limitNano = limitNano;
  }

  check(mostNano: bigint): void {
    if (this.limitNano === null) return;
    const leftNano = this.limitNano - this.spentNano - this.reservedNano;
    if (mostNano > leftNano) {
      throw new PolicyError('E_SPENDING_LIMIT', `the request may cost ${formatTon(mostNano)} TON and ${formatTon(leftNano < 0n ? 0n : leftNano)} TON of the ${this.#name} are left`, {
        hint: 'ask for fewer tokens, or raise the limit',
      });
    }
  }
}

/** `sessionNano`: budget of everything together; null for none. */
export function createCallers(keys: readonly ApiKey[], sessionNano: bigint | null): Callers {
  const session = new Budget('session\'s budget', sessionNano);
  const known = keys.map((key) => ({ key, budget: new Budget('API key\'s budget', key.budgetNano) }));
  const callerOf = (budgets: readonly Budget[]): Caller => ({
    reserve(mostNano) {
      for (const budget of budgets) budget.check(mostNano);
      for (const budget of budgets) budget.reservedNano += mostNano;
      let open = true;
      return {
        settle(costNano) {
          if (!open) return;
          open = false;
          for (const budget of budgets) {
            budget.reservedNano -= mostNano;
            budget.spentNano += costNano;
          }
        },
      };
    },
  });
  const anybody = callerOf([session]);
  const callers = known.map(({ key, budget }) => ({ key, caller: callerOf([session, budget]) }));
  return {
    spending: session,
    admit({ headers }) {
      if (callers.length === 0) return anybody;
      const given = /^Bearer (.+)$/.exec(headers.authorization === undefined ? '' : String(headers.authorization))?.[1];
      const digest = digestOf(given ?? '');
      // Every key is compared, so that time tells nothing.
      const found = callers.filter(({ key }) => timingSafeEqual(key.digest, digest));
      const [first] = found;
      if (given === undefined || first === undefined) throw new HttpStatusError(401, 'E_USAGE', 'the API key is missing or not one of this endpoint\'s');
      return first.caller;
    },
  };
}
