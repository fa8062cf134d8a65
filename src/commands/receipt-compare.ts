// `cocoon receipt compare A B`: two receipts of one node for one request that differ show that the node lied. Gives what the bond
// contract takes as proof of that, and sends nothing.
import { resolve } from 'node:path';
import { contradictionOf } from '../client/receipt-judge.ts';
import { toHex } from '../core/bytes.ts';
import { writeFileAtomic } from '../core/files.ts';
import { networkInUse } from './chain.ts';
import { readReceipt } from './receipt-input.ts';
import { renderTable } from './table-view.ts';
import { accountOf, chooseKey, showContract, showWallet } from './wallets.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command
    .argument('<first>', 'receipt that `cocoon infer --receipt` wrote')
    .argument('<second>', 'another receipt for the same request')
    .option('--reporter <wallet>', 'wallet or address that the reporter\'s part goes to (default: the setting `wallet`, or the only wallet)')
    .option('--out <file>', 'write the body of the message to the bond contract, as a BoC');
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [first = '', second = ''], settings, context: { cwd }, out } = invocation;
  const { reporter, out: file }: { readonly reporter?: string; readonly out?: string } = invocation.options;
  const receipts = [await readReceipt(invocation, first), await readReceipt(invocation, second)] as const;
  const network = await networkInUse(settings);
  const { address } = reporter === undefined ? await chooseKey(invocation, network) : await accountOf(invocation, network, reporter);
  const proof = contradictionOf(receipts, address);
  if (file !== undefined) await writeFileAtomic(resolve(cwd, file), proof.message, { mode: 0o644 });
  const hashes = proof.receipts.map(toHex);
  out.result({
    contradict: true, bond: proof.bond.toRawString(), receiptKey: toHex(proof.key), receipts: hashes, reporter: address.toRawString(), message: Buffer.from(proof.message).toString('base64'), file: file ?? null,
  });
  await out.text(await renderTable(['WHAT', 'VALUE'], [
    ['verdict', 'the receipts contradict each other'], ['bond', showContract(proof.bond, network)], ['receipt key', toHex(proof.key)], ...hashes.map((hash, index) => [`receipt ${index + 1}`, hash]),
    ['reporter', showWallet(address, network)], ['message', file ?? Buffer.from(proof.message).toString('base64')],
  ]));
  await out.note('send the message with 0.2 TON to the bond: it is slashed if it lists the key');
}
