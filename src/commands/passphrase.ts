// Where a command's passphrase comes from: its options, a systemd credential, the file that the settings name, or the terminal.
// Never an argument or a variable.
import { join, resolve } from 'node:path';
import { CREDENTIAL, readPassphrase } from '../chain/keystore/passphrase.ts';
import { pathExists } from '../core/files.ts';
import { UsageError } from '../core/errors.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { isLocalWallet, localPassphraseFile } from '../localnet/wallets.ts';
import { wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { PassphraseRequest, PassphraseSource } from '../chain/keystore/passphrase.ts';
import type { Invocation } from './command.ts';

interface PassphraseOptions {
  readonly passphraseFile?: string;
  readonly passphraseFd?: number;
  readonly passphraseCredential?: string;
}

export function declarePassphrase(command: Command): void {
  command
    .option('--passphrase-file <file>', 'read the passphrase from a file of mode 0600')
    .option('--passphrase-fd <n>', 'read the passphrase from an open file descriptor', wholeNumber(0, 1_023))
    .option('--passphrase-credential <name>', `read the passphrase from a systemd credential (default: ${CREDENTIAL} where there is one)`);
}

async function sourceOf({ options, settings, context: { env, cwd } }: Invocation, label: string | undefined): Promise<PassphraseSource> {
  const { passphraseFile, passphraseFd, passphraseCredential }: PassphraseOptions = options;
  const given: PassphraseSource[] = [
    ...(passphraseFile === undefined ? [] : [{ kind: 'file' as const, path: resolve(cwd, passphraseFile) }]),
    ...(passphraseFd === undefined ? [] : [{ kind: 'descriptor' as const, fd: passphraseFd }]),
    ...(passphraseCredential === undefined ? [] : [{ kind: 'credential' as const, name: passphraseCredential }]),
  ];
  const [first, ...others] = given;
  if (others.length > 0) throw new UsageError('E_USAGE', 'the passphrase is to come from more than one place', { hint: 'give one of --passphrase-file, --passphrase-fd, --passphrase-credential' });
  if (first !== undefined) return first;
  const credentials = env['CREDENTIALS_DIRECTORY'];
  const hasCredential = credentials !== undefined && credentials !== '' && await pathExists(join(credentials, CREDENTIAL));
  if (hasCredential) return { kind: 'credential', name: CREDENTIAL };
  // The wallets of the local network have a passphrase of their own, whatever the others have.
  if (label !== undefined && isLocalWallet(label)) return { kind: 'file', path: localPassphraseFile(localnetLayout(settings.home)) };
  const stored = settings.text('passphrase_file');
  return stored === undefined || label === undefined ? { kind: 'prompt' } : { kind: 'file', path: resolve(settings.home, stored) };
}

/** As `passphraseOf` where only the terminal has it, so that another process could not get it; else null. */
export async function neededPassphrase(invocation: Invocation, request: PassphraseRequest & { readonly label?: string }): Promise<string | null> {
  return (await sourceOf(invocation, request.label)).kind === 'prompt' ? passphraseOf(invocation, request) : null;
}

/** The passphrase for a key; `label` names one of the keystore that exists. Throws `E_PASSPHRASE`, `E_NO_TERMINAL`. */
export async function passphraseOf(invocation: Invocation, request: PassphraseRequest & { readonly label?: string }): Promise<string> {
  const { prompts, env } = invocation.context;
  const ports = prompts === null ? { env } : { env, prompt: (question: string) => prompts.secret(question) };
  return readPassphrase(await sourceOf(invocation, request.label), request, ports);
}
