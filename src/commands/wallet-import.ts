// `cocoon wallet import NAME`: a key that exists already, from its words or bytes; an address alone; or a backup.
import { resolve } from 'node:path';
import { secretOfKeyText, secretOfWords } from '../chain/keystore/secret.ts';
import { parseAddress } from '../chain/wallets/address-text.ts';
import { UsageError } from '../core/errors.ts';
import { readBounded } from '../core/files.ts';
import { networkInUse } from './chain.ts';
import { declarePassphrase, passphraseOf } from './passphrase.ts';
import { declareKind, walletChoice } from './wallet-kind.ts';
import { keystoreOf, networkOfKey, showWallet } from './wallets.ts';
import type { Command } from 'commander';
import type { KeyEntry } from '../chain/keystore/keystore.ts';
import type { Secret } from '../chain/keystore/secret.ts';
import type { Invocation } from './command.ts';

const MAX_SECRET_FILE_BYTES = 4096;

interface ImportOptions {
  readonly secretFile?: string;
  readonly bip39?: boolean;
  readonly watch?: string;
  readonly backup?: string;
}

export function declare(command: Command): void {
  command
    .argument('[name]', 'name of the wallet; a backup carries its own')
    .option('--secret-file <file>', 'read the 24 words, or the key, from a file of mode 0600 (default: asked for)')
    .option('--bip39', 'the words are BIP39 words of another kind of wallet')
    .option('--watch <address>', 'keep the address only: transactions are signed elsewhere')
    .option('--backup <file>', 'take the key from a file that `wallet export --backup` wrote');
  declareKind(command);
  declarePassphrase(command);
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [label], options, out } = invocation;
  const { watch, backup, secretFile, bip39 }: ImportOptions = options;
  if ([watch, backup, secretFile].filter((given) => given !== undefined).length > 1) throw new UsageError('E_USAGE', 'expected one of --secret-file, --watch and --backup');
  if ((label === undefined) !== (backup !== undefined)) throw new UsageError('E_USAGE', backup === undefined ? 'the wallet has no name' : 'a backup carries its own name', { hint: 'run `cocoon wallet import --help`' });
  if (bip39 === true && (watch ?? backup) !== undefined) throw new UsageError('E_USAGE', '--bip39 is for words');
  const entry = backup !== undefined ? await fromBackup(invocation, backup)
    : watch !== undefined ? await fromAddress(invocation, label ?? '', watch)
    : await fromSecret(invocation, label ?? '', options);
  const address = showWallet(entry.address, networkOfKey(entry));
  out.result({ name: entry.label, kind: entry.kind, network: entry.network, address, raw: entry.address.toRawString(), file: entry.path });
  await out.line(address);
}

async function fromBackup(invocation: Invocation, file: string): Promise<KeyEntry> {
  const path = resolve(invocation.context.cwd, file);
  const keystore = keystoreOf(invocation);
  const isWatch = (await keystore.peek(path)).kind === 'watch';
  return keystore.restore(path, isWatch ? null : await passphraseOf(invocation, { subject: `backup ${file}`, purpose: 'unlock' }));
}

async function fromAddress(invocation: Invocation, label: string, text: string): Promise<KeyEntry> {
  const network = await networkInUse(invocation.settings);
  return keystoreOf(invocation).watch(label, parseAddress(text, network).address, network);
}

async function fromSecret(invocation: Invocation, label: string, options: ImportOptions): Promise<KeyEntry> {
  const network = await networkInUse(invocation.settings);
  const choice = walletChoice(invocation, network);
  const keystore = keystoreOf(invocation);
  await keystore.requireFree(label);
  const secret = await readSecret(invocation, options);
  try {
    const passphrase = await passphraseOf(invocation, { subject: `key ${label}`, purpose: 'new' });
    return await keystore.import({ label, network, passphrase, ...choice }, secret);
  } finally {
    secret.dispose();
  }
}

/** Words, or one word that is a key. Throws UsageError `E_SECRET`, which never repeats what was given. */
async function readSecret({ context }: Invocation, { secretFile, bip39 }: ImportOptions): Promise<Secret> {
  if (secretFile === undefined && context.prompts === null) {
    throw new UsageError('E_NO_TERMINAL', 'the words or the key are needed and there is no terminal to ask on', { hint: 'use --secret-file' });
  }
  const text = secretFile !== undefined
    ? Buffer.from(await readBounded(resolve(context.cwd, secretFile), MAX_SECRET_FILE_BYTES, { private: true })).toString('utf8')
    : await context.prompts?.secret('The 24 words, or the key') ?? '';
  return /\s/.test(text.trim()) || bip39 === true ? secretOfWords(text, { bip39: bip39 === true }) : secretOfKeyText(text);
}
