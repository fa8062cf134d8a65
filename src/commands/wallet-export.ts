// `cocoon wallet export NAME`: an encrypted copy that was checked to open, or the secret itself with --show-secret.
import { resolve } from 'node:path';
import { UsageError } from '../core/errors.ts';
import { declarePassphrase, passphraseOf } from './passphrase.ts';
import { keystoreOf } from './wallets.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

interface ExportOptions {
  readonly backup?: string;
  readonly showSecret?: boolean;
}

export function declare(command: Command): void {
  command
    .argument('<name>', 'name of the wallet')
    .option('--backup <file>', 'write an encrypted copy, and check that it opens')
    .option('--show-secret', 'print the words, or the key');
  declarePassphrase(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [label = ''], options, context, out } = invocation;
  const { backup, showSecret = false }: ExportOptions = options;
  if ((backup !== undefined) === showSecret) throw new UsageError('E_USAGE', 'expected one of --backup FILE and --show-secret', { hint: 'a backup stays encrypted, a shown secret does not' });
  const keystore = keystoreOf(invocation);
  const { kind } = await keystore.get(label);
  const passphrase = kind === 'watch' ? null : await passphraseOf(invocation, { subject: `key ${label}`, purpose: 'unlock', label });
  if (backup !== undefined) {
    await keystore.backup(label, resolve(context.cwd, backup), passphrase);
    out.result({ name: label, backup });
    await out.note(`wrote ${backup}; it opens with the passphrase of ${label}`);
    return;
  }
  const secret = await keystore.export(label, passphrase ?? '');
  out.result({ name: label, secret: { kind: secret.kind, text: secret.text } });
  await out.line(secret.text);
}
