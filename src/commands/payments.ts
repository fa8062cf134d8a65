// Where the payment book of a network lies, and which proxies are known from it: what this machine's clients and nodes have
// been signed, by proxy contract.
import { join } from 'node:path';
import { openPaymentBook } from '../chain/payment-book.ts';
import { parseAddress } from '../chain/wallets/address-text.ts';
import { NotFoundError, UsageError } from '../core/errors.ts';
import { readDaemonRecord } from '../core/daemon-record.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { Address } from '@ton/core';
import type { PaymentBook } from '../chain/payment-book.ts';
import type { BookEntry } from '../chain/payment-entry.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { Settings } from '../core/settings.ts';
import type { Invocation } from './command.ts';

/** The global id keeps apart the books of local chains that were made one after the other. */
export const paymentFolder = ({ home }: Settings, { name, globalId }: ChainNetwork): string => join(home, 'payments', `${name}_${globalId}`);

export async function withPaymentBook<T>({ settings }: Pick<Invocation, 'settings'>, network: ChainNetwork, work: (book: PaymentBook) => Promise<T>): Promise<T> {
  const book = await openPaymentBook(paymentFolder(settings, network));
  try {
    return await work(book);
  } finally {
    await book.close();
  }
}

/**
 * The proxy contract that a command is about: --proxy, else the only one that the book knows for this side, else the local
 * network's. Throws UsageError when there are several, NotFoundError when none is known.
 */
export async function chosenProxy(invocation: Invocation, network: ChainNetwork, side: BookEntry['kind'] | 'own'): Promise<Address> {
  const { options, settings } = invocation;
  if (typeof options['proxy'] === 'string') return parseAddress(options['proxy'], network).address;
  const known = side === 'own' ? [] : (await withPaymentBook(invocation, network, (book) => book.entries())).filter(({ kind }) => kind === side).map(({ proxy }) => proxy.toRawString());
  const local = network.kind === 'local' ? (await readDaemonRecord(localnetLayout(settings.home).record('proxy')))?.facts['contract'] : undefined;
  const own = side === 'own' ? (await readDaemonRecord(join(settings.home, 'run', 'proxy.json')))?.facts['contract'] : undefined;
  const [only, ...others] = [...new Set([...known, ...[local, own].flatMap((fact) => fact === undefined ? [] : [parseAddress(fact, network).address.toRawString()])])];
  if (only === undefined) throw new NotFoundError('E_NOT_FOUND', `no proxy contract is known in network ${network.name}`, { hint: 'name it with --proxy ADDRESS' });
  if (others.length > 0) throw new UsageError('E_USAGE', `${others.length + 1} proxy contracts are known, expected --proxy`, { hint: `one of them: --proxy ${Address.parseRaw(only).toString()}` });
  return Address.parseRaw(only);
}
