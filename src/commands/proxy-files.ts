// What a paid proxy keeps on disk for one network: the key that signs payments, and its ledger. Losing the key loses the
// right to sign for the contract; the file is private and never leaves the machine.
import { randomBytes } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureFolder, pathExists, readBounded, writeFileAtomic } from '../core/files.ts';
import { fromHex, toHex } from '../core/bytes.ts';
import { ConfigError } from '../core/errors.ts';
import { signerOfSeed } from '../chain/ed25519.ts';
import type { Signer } from '../chain/ed25519.ts';
import type { WalletNetwork } from '../chain/wallets/network.ts';

export interface ProxyFiles {
  readonly folder: string;
  readonly ledger: string;
  readonly key: string;
}

export function proxyFiles(home: string, { name, globalId }: Pick<WalletNetwork, 'name' | 'globalId'>): ProxyFiles {
  const folder = join(home, 'proxy', `${name}_${globalId}`);
  return { folder, ledger: join(folder, 'ledger.db'), key: join(folder, 'payment-key') };
}

/** Puts away key and ledger of a contract that is closed; the next key begins a new one. Nothing is deleted. */
export async function retireProxyFiles(files: ProxyFiles, publicKey: Uint8Array): Promise<void> {
  await rename(files.folder, `${files.folder}.closed-${toHex(publicKey).slice(0, 16)}`);
}

/** The payment key, made on first use. Throws ConfigError `E_STATE` for a file that others may read or that is no key. */
export async function paymentKey({ folder, key }: ProxyFiles): Promise<Signer> {
  await ensureFolder(folder);
  if (!await pathExists(key)) await writeFileAtomic(key, `${randomBytes(32).toString('hex')}\n`, { exclusive: true });
  const text = Buffer.from(await readBounded(key, 256, { private: true })).toString('latin1').trim();
  if (!/^[0-9a-f]{64}$/.test(text)) throw new ConfigError('E_STATE', `${key} is no key of 32 bytes in hexadecimal`, { hint: 'restore it from a backup: payments signed with another key are worth nothing' });
  return signerOfSeed(fromHex(text));
}
