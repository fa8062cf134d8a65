// Accounts of a network without contracts: nobody pays and nothing is signed. Totals are counted in memory so that both
// sides see what they used; addresses have the form of TON addresses, but no contract is at them.
import { createHash } from 'node:crypto';
import { Address } from '@ton/core';
import { RemoteError } from '../core/errors.ts';
import { unpaidAddress } from '../chain/unpaid-address.ts';
import { UNIT_MULTIPLIERS } from '../openai/token-price.ts';
import type { Accounts, ClientAccount, Reservation, WorkerAccount } from './accounts.ts';
import type { PaymentStatus, ProxyIdentity } from '../wire/peer-info.ts';

/** Most owners whose totals are kept; the least recently added is forgotten first. There is nothing to lose: nobody pays. */
const MAX_OWNERS = 10_000;

/** The secret of a client where there is no money to protect: empty, as clients of unpaid networks expect (WIRE.md 9.2). */
const NO_SECRET_HASH = new Uint8Array(createHash('sha256').update('').digest());

/** Counters travel as signed 64-bit numbers; one that is full stays there. */
const MAX_TOTAL = 2n ** 63n - 1n;

class Totals {
  readonly #tokens = new Map<string, bigint>();

  get(owner: string): bigint {
    return this.#tokens.get(owner) ?? 0n;
  }

  add(owner: string, tokens: bigint): void {
    const sum = this.get(owner) + tokens;
    const total = sum > MAX_TOTAL ? MAX_TOTAL : sum;
    this.#tokens.delete(owner);
    this.#tokens.set(owner, total);
    const oldest = this.#tokens.keys().next();
    if (this.#tokens.size > MAX_OWNERS && oldest.done !== true) this.#tokens.delete(oldest.value);
  }

  status(owner: string): PaymentStatus {
    const tokens = this.get(owner);
    return { signedPayment: null, dbTokens: tokens, maxTokens: tokens };
  }
}

export function unpaidAccounts(options: { readonly publicKey: Uint8Array; readonly isTest: boolean }): Accounts {
  const clients = new Totals();
  const workers = new Totals();
  const proxy: ProxyIdentity = {
    publicKey: options.publicKey,
    ownerAddress: unpaidAddress('proxy-owner', options.publicKey),
    contractAddress: unpaidAddress('proxy', options.publicKey),
    isTest: options.isTest,
  };
  const contractOf = (kind: 'client' | 'worker', owner: string): string =>
    unpaidAddress(kind, Buffer.concat([options.publicKey, Address.parse(owner).hash]));

  return {
    proxy,
    configVersion: () => 0,
    multipliers: () => UNIT_MULTIPLIERS,
    canary: () => null,
    onInactive: () => () => {},
    available: () => MAX_TOTAL,

    checkAddress(address) {
      try {
        Address.parseFriendly(address);
      } catch {
        throw new RemoteError(0, 'Failed to parse account address');
      }
    },

    async client(ownerAddress): Promise<ClientAccount> {
      return {
        ownerAddress,
        contractAddress: contractOf('client', ownerAddress),
        secretHash: NO_SECRET_HASH,
        authorize: async (method) => {
          if (method.kind === 'long') throw new RemoteError(602, 'this network has no chain to register on');
        },
        status: () => clients.status(ownerAddress),
        isActive: () => true,
      };
    },

    async worker(ownerAddress): Promise<WorkerAccount> {
      return {
        ownerAddress,
        contractAddress: contractOf('worker', ownerAddress),
        compare: (claim) => {
          const status = workers.status(ownerAddress);
          return { status, agreed: claim.maxTokens <= status.maxTokens };
        },
        extendedCompare: async () => {},
        status: () => workers.status(ownerAddress),
        bondNano: () => 0n,
        isActive: () => true,
        onSigned: () => () => {}, // nothing ever is
      };
    },

    reserve(client): Reservation {
      return {
        async settle(worker, tokens) {
          clients.add(client.ownerAddress, tokens.total);
          workers.add(worker.ownerAddress, tokens.total);
          return { client: clients.status(client.ownerAddress), worker: workers.status(worker.ownerAddress) };
        },
        release: () => {},
      };
    },
  };
}
