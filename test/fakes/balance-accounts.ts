// Accounts with balances in memory: what clients may spend, what both sides' totals are, and every booking. For tests of what
// the proxy does around a ledger; bookings can be slow.
import { createHash } from 'node:crypto';
import { RemoteError } from '../../src/core/errors.ts';
import { unpaidAccounts } from '../../src/proxy/unpaid-accounts.ts';
import type { Accounts, ClientAccount } from '../../src/proxy/accounts.ts';
import type { TokensUsed } from '../../src/wire/answer.ts';

export interface Booking {
  readonly client: string;
  readonly worker: string;
  readonly reserved: bigint;
  readonly tokens: TokensUsed;
}

export interface BalanceAccounts extends Accounts {
  readonly bookings: readonly Booking[];
  /** Put aside now, for all clients. */
  readonly reserved: bigint;
  /** Most that was ever used and reserved of one client together. */
  readonly highest: bigint;
  used(owner: string): bigint;
}

export interface BalanceOptions {
  readonly publicKey: Uint8Array;
  /** Tokens of each client. Default: no bound. */
  readonly balance?: bigint;
  readonly bookingMs?: number;
  /** The secret of a client, by owner; default: the empty one. */
  readonly secretOf?: (owner: string) => Uint8Array;
  readonly changes?: Partial<Accounts>;
}

export function balanceAccounts({ publicKey, balance = 2n ** 62n, bookingMs = 0, secretOf, changes = {} }: BalanceOptions): BalanceAccounts {
  const base = unpaidAccounts({ publicKey, isTest: true });
  const bookings: Booking[] = [];
  const taken = new Map<string, bigint>();
  const spent = new Map<string, bigint>();
  let highest = 0n;
  const of = (map: ReadonlyMap<string, bigint>, owner: string): bigint => map.get(owner) ?? 0n;
  const add = (map: Map<string, bigint>, owner: string, tokens: bigint): void => { map.set(owner, of(map, owner) + tokens); };
  const available = ({ ownerAddress }: ClientAccount): bigint => balance - of(taken, ownerAddress) - of(spent, ownerAddress);

  return {
    ...base,
    bookings,
    get reserved() {
      return [...taken.values()].reduce((sum, tokens) => sum + tokens, 0n);
    },
    get highest() {
      return highest;
    },
    used: (owner) => of(spent, owner),
    available,
    async client(owner) {
      const client = await base.client(owner);
      return secretOf === undefined ? client : { ...client, secretHash: new Uint8Array(createHash('sha256').update(secretOf(owner)).digest()) };
    },
    reserve(client, tokens) {
      const owner = client.ownerAddress;
      if (tokens > available(client)) throw new RemoteError(651, 'balance is too low');
      const inner = base.reserve(client, tokens);
      add(taken, owner, tokens);
      highest = [highest, of(taken, owner) + of(spent, owner)].reduce((a, b) => (a > b ? a : b));
      return {
        async settle(worker, used) {
          if (bookingMs > 0) await new Promise((resolve) => { setTimeout(resolve, bookingMs); });
          add(taken, owner, -tokens);
          add(spent, owner, used.total);
          bookings.push({ client: owner, worker: worker.ownerAddress, reserved: tokens, tokens: used });
          return inner.settle(worker, used);
        },
        release() {
          add(taken, owner, -tokens);
          inner.release();
        },
      };
    },
    ...changes,
  };
}
