// Where passphrases come from: a terminal prompt, a file, an open descriptor or a systemd credential; never an argument.
// Refuses files that others may read, more than one line, text that is not UTF-8, and new passphrases that are too short.
import { read } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { UsageError, WalletError } from '../../core/errors.ts';
import { readBounded, systemErrorCode } from '../../core/files.ts';
import { sleep as realSleep } from '../../core/retry.ts';

export type PassphraseSource =
  | { readonly kind: 'prompt' }
  | { readonly kind: 'file'; readonly path: string }
  /** An open file descriptor, for example 3 of `3<file`. */
  | { readonly kind: 'descriptor'; readonly fd: number }
  /** A file in $CREDENTIALS_DIRECTORY, as `LoadCredential=` of systemd makes it. */
  | { readonly kind: 'credential'; readonly name: string };

export interface PassphrasePorts {
  /** Asks on the terminal without echo; absent when there is no terminal. */
  readonly prompt?: (question: string) => Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface PassphraseRequest {
  /** What the passphrase is for, as the prompt shows it: `key main`. */
  readonly subject: string;
  /** `new`: must be long enough, and is asked for twice on a terminal. */
  readonly purpose: 'unlock' | 'new';
}

/** Characters of a new passphrase, at least. */
export const MIN_PASSPHRASE_CHARS = 10;
const MAX_BYTES = 4096;
const CREDENTIAL_NAME = /^[A-Za-z0-9_.-]{1,128}$/;
const DESCRIPTOR_TIMEOUT_MS = 30_000;
const DESCRIPTOR_POLL_MS = 20;
/** Default credential name: `LoadCredential=cocoon-passphrase:/path`. */
export const CREDENTIAL = 'cocoon-passphrase';

function decode(bytes: Uint8Array, from: string): string {
  try {
    // One newline, because editors and echo add one; more would be part of something else.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r?\n$/, '');
  } catch (error) {
    throw new WalletError('E_PASSPHRASE', `the passphrase from ${from} is not UTF-8 text`, { cause: error });
  }
}

async function readDescriptor(fd: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(MAX_BYTES + 1);
  const deadline = performance.now() + DESCRIPTOR_TIMEOUT_MS;
  let length = 0;
  while (length < buffer.byteLength) {
    try {
      const { bytesRead } = await promisify(read)(fd, buffer, length, buffer.byteLength - length, null);
      if (bytesRead === 0) break;
      length += bytesRead;
    } catch (error) {
      if (systemErrorCode(error) === 'EOF') break;
      // A pipe that its writer made non-blocking has nothing to read yet.
      if (systemErrorCode(error) !== 'EAGAIN' || performance.now() > deadline) {
        throw new WalletError('E_PASSPHRASE', `cannot read the passphrase from descriptor ${fd}: ${systemErrorCode(error) ?? 'failed'}`, { cause: error });
      }
      await realSleep(DESCRIPTOR_POLL_MS);
    }
  }
  if (length > MAX_BYTES) throw new WalletError('E_PASSPHRASE', `the passphrase from descriptor ${fd} is longer than ${MAX_BYTES} bytes`);
  return buffer.subarray(0, length);
}

async function ask({ subject, purpose }: PassphraseRequest, { prompt }: PassphrasePorts): Promise<string> {
  if (prompt === undefined) {
    throw new UsageError('E_NO_TERMINAL', `the passphrase of ${subject} is needed and there is no terminal to ask on`, {
      hint: 'use --passphrase-file, a file descriptor, or a systemd credential',
    });
  }
  if (purpose === 'unlock') return prompt(`Passphrase of ${subject}`);
  const passphrase = await prompt(`New passphrase for ${subject}`);
  checkPassphrase(passphrase, purpose);
  if (await prompt('The same again') !== passphrase) throw new WalletError('E_PASSPHRASE', 'the two passphrases differ');
  return passphrase;
}

function credentialPath(name: string, env: PassphrasePorts['env']): string {
  const folder = env['CREDENTIALS_DIRECTORY'];
  if (folder === undefined || folder === '') throw new WalletError('E_PASSPHRASE', 'no systemd credentials: CREDENTIALS_DIRECTORY is not set', { hint: 'add LoadCredential= to the unit' });
  if (!CREDENTIAL_NAME.test(name)) throw new UsageError('E_USAGE', `${JSON.stringify(name.slice(0, 80))} is no name of a credential`);
  return join(folder, name);
}

function checkPassphrase(passphrase: string, purpose: PassphraseRequest['purpose']): string {
  if (passphrase === '') throw new WalletError('E_PASSPHRASE', 'the passphrase is empty');
  if (/[\r\n\0]/.test(passphrase)) throw new WalletError('E_PASSPHRASE', 'the passphrase has more than one line');
  const { length } = [...passphrase];
  if (purpose === 'new' && length < MIN_PASSPHRASE_CHARS) {
    throw new WalletError('E_PASSPHRASE', `the new passphrase has ${length} characters, expected at least ${MIN_PASSPHRASE_CHARS}`);
  }
  return passphrase;
}

/** Reads a passphrase. Throws WalletError `E_PASSPHRASE`, UsageError `E_NO_TERMINAL`, or ConfigError `E_STATE` for a file that others may read. */
export async function readPassphrase(source: PassphraseSource, request: PassphraseRequest, ports: PassphrasePorts): Promise<string> {
  switch (source.kind) {
    case 'prompt': return checkPassphrase(await ask(request, ports), request.purpose);
    case 'descriptor': return checkPassphrase(decode(await readDescriptor(source.fd), `descriptor ${source.fd}`), request.purpose);
    case 'file': return checkPassphrase(decode(await readBounded(source.path, MAX_BYTES, { private: true }), source.path), request.purpose);
    case 'credential': {
      const path = credentialPath(source.name, ports.env);
      // systemd grants the service's user through an access list, whose mask shows as group bits.
      return checkPassphrase(decode(await readBounded(path, MAX_BYTES, { forbiddenMode: 0o007 }), `credential ${source.name}`), request.purpose);
    }
  }
}
