// `cocoon receipt show FILE`: what a receipt says. Nothing of it is judged: that is `receipt verify`.
import { openReceipt } from '../client/receipt-file.ts';
import { isZero, toHex } from '../core/bytes.ts';
import { formatTon } from '../core/units.ts';
import { decodeKeyRecord } from '../seal/key-record.ts';
import { printable } from './output.ts';
import { readReceipt } from './receipt-input.ts';
import { renderTable } from './table-view.ts';
import type { Command } from 'commander';
import type { ReceiptFile } from '../client/receipt-file.ts';
import type { JsonValue } from './output.ts';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<file>', 'receipt that `cocoon infer --receipt` wrote');
}

const iso = (seconds: number): string => new Date(seconds * 1000).toISOString();

/** What the receipt states, for the JSON document. */
export function receiptData(file: ReceiptFile): { readonly [key: string]: JsonValue } {
  const { receipt: { core, record: { record: bytes }, usage, coefficient, pricePerTokenNano, paramsVersion, proxyPublicKey } } = openReceipt(file);
  const record = decodeKeyRecord(bytes);
  return {
    network: file.network, time: iso(core.time), requestId: toHex(core.requestId), requestHash: toHex(core.requestHash), answerHash: toHex(core.responseHash),
    model: record.model, imageHash: toHex(record.imageHash), nodeTlsKey: toHex(record.tlsPublicKey), receiptKey: toHex(record.receiptKey),
    cpuEvidence: toHex(record.cpuEvidence), gpuEvidence: isZero(record.gpuEvidence) ? null : toHex(record.gpuEvidence),
    tokens: Object.fromEntries(Object.entries(usage).map(([kind, count]) => [kind, count.toString()])), price: coefficient,
    pricePerTokenNano: pricePerTokenNano.toString(), costNano: (core.tokens * pricePerTokenNano).toString(), paramsVersion,
    proxyKey: toHex(proxyPublicKey), bond: core.bond.toRawString(), globalId: core.globalId, root: record.root || null,
  };
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [name = ''], out } = invocation;
  const data = receiptData(await readReceipt(invocation, name));
  out.result(data);
  const { tokens, price, costNano, gpuEvidence, root, pricePerTokenNano, globalId, ...rest } = data;
  const counts = tokens as Readonly<Record<string, string>>;
  await out.text(await renderTable(['WHAT', 'VALUE'], [
    ...Object.entries(rest).map(([key, value]) => [key, printable(String(value))]),
    ['gpuEvidence', String(gpuEvidence ?? 'none')], ['root', String(root ?? 'none')],
    ['tokens', `${counts['total']} billed: ${counts['prompt']} prompt, ${counts['cached']} cached, ${counts['completion']} completion, ${counts['reasoning']} reasoning`],
    ['price', `×${Number(price) / 1000}, ${String(pricePerTokenNano)} nanoTON a token`], ['cost', `${formatTon(BigInt(String(costNano)))} TON on TON network ${String(globalId)}`],
  ]));
  await out.note('nothing of this has been checked: run `cocoon receipt verify`');
}
