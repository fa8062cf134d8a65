// `cocoon wallet history [NAME|ADDRESS]`: the newest transactions of an account, and what this machine still waits for.
import { historyEntry } from '../chain/history.ts';
import { outboxName } from '../chain/plans/carry-out.ts';
import { chainTime } from '../chain/plans/reading.ts';
import { Outbox } from '../chain/sending/outbox.ts';
import { lastAttempt, statusOf } from '../chain/sending/record.ts';
import { formatTon } from '../core/units.ts';
import { join } from 'node:path';
import { networkInUse, withAccess } from './chain.ts';
import { renderTable } from './table-view.ts';
import { wholeNumber } from './values.ts';
import { accountOf, chooseKey, showWallet } from './wallets.ts';
import type { Command } from 'commander';
import type { HistoryEntry, HistoryMessage } from '../chain/history.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { JsonValue } from './output.ts';
import type { Invocation } from './command.ts';

const DEFAULT_LIMIT = 20;

export function declare(command: Command): void {
  command
    .argument('[account]', 'name of a wallet, or an address (default: the setting `wallet`, or the only wallet)')
    .option('--limit <n>', `most transactions (default: ${DEFAULT_LIMIT})`, wholeNumber(1, 1_000));
}

const messageData = ({ peer, valueNano, what, bounced }: HistoryMessage): JsonValue => ({ peer: peer?.toRawString() ?? null, valueNano: valueNano.toString(), what, bounced });

function rowsOf({ time, incoming, outgoing, feesNano, problem }: HistoryEntry, network: ChainNetwork): string[][] {
  const row = (sign: string, { peer, valueNano, what, bounced }: HistoryMessage): string[] =>
    [chainTime(time), `${sign}${formatTon(valueNano)}`, peer === null ? 'external' : showWallet(peer, network), bounced ? 'bounced' : what ?? '', '', ''];
  const rows = [...(incoming === null || incoming.peer === null ? [] : [row('+', incoming)]), ...outgoing.map((message) => row('-', message))];
  const [first = [chainTime(time), '0', '', '', '', ''], ...others] = rows;
  return [[...first.slice(0, 4), formatTon(feesNano), problem ?? ''], ...others];
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [name], settings, options, context: { signal }, out } = invocation;
  const network = await networkInUse(settings);
  const { address } = name === undefined ? await chooseKey(invocation, network) : await accountOf(invocation, network, name);
  const limit = typeof options['limit'] === 'number' ? options['limit'] : DEFAULT_LIMIT;
  await withAccess(invocation, network, async (access) => {
    const { transactions, complete } = await access.transactions(address, { afterLt: 0n, limit }, { signal });
    const entries = transactions.map(historyEntry);
    const outbox = new Outbox(join(settings.home, 'outbox', outboxName(network.globalId, address)), address.toRawString());
    const pending = (await outbox.list()).filter((record) => statusOf(record) === 'pending').map((record) => ({ key: record.key, messageHash: lastAttempt(record).messageHash, validUntil: lastAttempt(record).validUntil }));
    out.result({
      address: address.toRawString(), network: network.name, complete, pending,
      transactions: entries.map(({ lt, hash, time, incoming, outgoing, feesNano, problem }) => ({
        lt: lt.toString(), hash, time, feesNano: feesNano.toString(), problem,
        incoming: incoming === null ? null : messageData(incoming), outgoing: outgoing.map(messageData),
      })),
    });
    for (const { messageHash, validUntil } of pending) await out.warn(`message ${messageHash} was sent and is not confirmed; it is valid until ${chainTime(validUntil)}`);
    await out.text(await renderTable(['TIME', 'TON', 'ACCOUNT', 'WHAT', 'FEES', 'PROBLEM'], entries.flatMap((entry) => rowsOf(entry, network))));
  });
}
