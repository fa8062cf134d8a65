// The money of a local network as `localnet start` and `localnet status` show it: what each wallet holds, and for its node what
// is accrued, signed and claimed at each proxy contract.
import { workerStorage } from '../chain/cells/storage.ts';
import { readState } from '../chain/plans/reading.ts';
import { workerFeeOf } from '../chain/root-config.ts';
import { NotFoundError } from '../core/errors.ts';
import { pathExists } from '../core/files.ts';
import { formatTon } from '../core/units.ts';
import { localnetLayout, readDescription } from '../localnet/layout.ts';
import { LOCAL_WALLETS } from '../localnet/wallets.ts';
import { networksOf, withAccess } from './chain.ts';
import { withPaymentBook } from './payments.ts';
import { renderTable } from './table-view.ts';
import { keystoreOf, showContract, showWallet } from './wallets.ts';
import type { Address } from '@ton/core';
import type { TonAccess } from '../chain/access/types.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { BookEntry } from '../chain/payment-entry.ts';
import type { Invocation } from './command.ts';
import type { JsonValue } from './output.ts';

export interface LocalMoneyStatus {
  readonly data: JsonValue;
  readonly text: string;
}

/** Null where the network is not paid, or its chain does not run. */
export async function localMoney(invocation: Invocation): Promise<LocalMoneyStatus | null> {
  const layout = localnetLayout(invocation.settings.home);
  if (!await pathExists(layout.description) || (await readDescription(layout)).payments === 'none') return null;
  const network = await networksOf(invocation.settings).get('local');
  if (network.endpoints.length === 0) return null;
  return withAccess(invocation, network, async (access) => {
    const wallets = await walletRows(invocation, network, access);
    const entries = (await withPaymentBook(invocation, network, (book) => book.entries())).filter(({ kind }) => kind === 'worker');
    const earnings = (await Promise.all(entries.map((entry) => earningsOf(invocation, access, entry)))).flat();
    return {
      data: {
        root: network.root?.toRawString() ?? null,
        wallets: wallets.map(({ name, address, balanceNano }) => ({ name, address: address.toRawString(), balanceNano: balanceNano.toString() })),
        earnings: earnings.map(({ proxy, ...amounts }) => ({ proxy: proxy.toRawString(), ...Object.fromEntries(Object.entries(amounts).map(([name, nano]) => [name, nano.toString()])) })),
      },
      text: [
        await renderTable(['WALLET', 'TON', 'ADDRESS'], wallets.map(({ name, address, balanceNano }) => [name, formatTon(balanceNano), showWallet(address, network)])),
        ...(earnings.length === 0 ? [] : [await renderTable(['PROXY CONTRACT', 'ACCRUED', 'SIGNED', 'CLAIMED'], earnings.map(({ proxy, accruedNano, signedNano, claimedNano }) => [
          showContract(proxy, network), formatTon(accruedNano), formatTon(signedNano), formatTon(claimedNano),
        ]))]),
      ].join('\n'),
    };
  });
}

async function walletRows(invocation: Invocation, network: ChainNetwork, access: TonAccess): Promise<{ name: string; address: Address; balanceNano: bigint }[]> {
  const keystore = keystoreOf(invocation);
  const { signal } = invocation.context;
  const rows = await Promise.all(Object.values(LOCAL_WALLETS).map(async (name) => {
    try {
      const { address, globalId } = await keystore.get(name);
      return globalId === network.globalId ? [{ name, address, balanceNano: (await access.account(address, { signal })).balanceNano }] : [];
    } catch (error) {
      if (error instanceof NotFoundError) return []; // made by the next start
      throw error;
    }
  }));
  return rows.flat();
}

interface Earnings {
  readonly proxy: Address;
  readonly accruedNano: bigint;
  readonly signedNano: bigint;
  readonly claimedNano: bigint;
}

async function earningsOf({ context: { signal } }: Invocation, access: TonAccess, { contract, proxy, countedTokens, signedTokens }: BookEntry): Promise<Earnings[]> {
  const { storage } = await readState({ access, signal }, contract, (data) => workerStorage.load(data));
  if (storage === null) return [];
  const { params, tokens } = storage;
  return [{ proxy, accruedNano: workerFeeOf(params, countedTokens), signedNano: workerFeeOf(params, signedTokens), claimedNano: workerFeeOf(params, tokens) }];
}
