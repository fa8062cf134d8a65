// The wallets of a local network, by name in the keystore, and the file with the passphrase of all of them. Nothing of it is
// worth anything outside this machine: the chain that knows these wallets is made here.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { ensureFolder, pathExists, writeFileAtomic } from '../core/files.ts';
import type { LocalnetLayout } from './layout.ts';

/** `owner`: of the root and the proxy contract. `operator`: the node's owner, who is paid. The others are hot wallets. */
export const LOCAL_WALLETS = { owner: 'local-owner', operator: 'local-operator', proxy: 'local-proxy', node: 'local-node', client: 'local-client' } as const;
export type LocalWalletRole = keyof typeof LOCAL_WALLETS;

const PASSPHRASE_BYTES = 24;

/** Mode 0600. */
export const localPassphraseFile = ({ root }: LocalnetLayout): string => join(root, 'passphrase');

/** True for the name of a wallet that a local network made. */
export const isLocalWallet = (name: string): boolean => Object.values(LOCAL_WALLETS).some((known) => known === name);

/** Makes the passphrase where there is none; its path. */
export async function ensureLocalPassphrase(layout: LocalnetLayout): Promise<string> {
  const path = localPassphraseFile(layout);
  await ensureFolder(layout.root);
  if (!await pathExists(path)) await writeFileAtomic(path, `${randomBytes(PASSPHRASE_BYTES).toString('base64url')}\n`, { exclusive: true });
  return path;
}
