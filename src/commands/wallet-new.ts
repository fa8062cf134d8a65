// `cocoon wallet new NAME`: a new key, encrypted at rest. Its words are shown with --show-secret only.
import { networkInUse } from './chain.ts';
import { declarePassphrase, passphraseOf } from './passphrase.ts';
import { declareKind, walletChoice } from './wallet-kind.ts';
import { keystoreOf, showWallet } from './wallets.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<name>', 'name of the wallet: a-z, 0-9, - and _').option('--show-secret', 'print the 24 words, for writing down');
  declareKind(command);
  declarePassphrase(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [label = ''], settings, options, out } = invocation;
  const network = await networkInUse(settings);
  const choice = walletChoice(invocation, network);
  const keystore = keystoreOf(invocation);
  await keystore.requireFree(label);
  const passphrase = await passphraseOf(invocation, { subject: `key ${label}`, purpose: 'new' });
  const entry = await keystore.create({ label, network, passphrase, ...choice });
  const secret = options['showSecret'] === true ? await keystore.export(label, passphrase) : null;
  const address = showWallet(entry.address, network);
  out.result({ name: label, kind: entry.kind, network: network.name, address, raw: entry.address.toRawString(), file: entry.path, ...(secret !== null && { secret: { kind: secret.kind, text: secret.text } }) });
  await out.line(address);
  if (secret !== null) await out.line(secret.text);
  else await out.note(`make a copy: cocoon wallet export ${label} --backup FILE`);
}
