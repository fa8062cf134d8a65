// The keystore: one encrypted file a key in a private folder. Secrets leave it in two ways only: as a signer (unlock) and,
// when asked for by name, as text (export). Never replaces a file; every write is verified by opening what was written.
import { join } from 'node:path';
import { Address } from '@ton/core';
import { equalBytes, fromHex, toHex } from '../../core/bytes.ts';
import { ConfigError, NotFoundError, UsageError, WalletError } from '../../core/errors.ts';
import { ensureFolder, listFolder, pathExists, readBounded, removeLeftovers, writeFileAtomic } from '../../core/files.ts';
import { withLock } from '../../core/lock.ts';
import { signerOfSeed } from '../ed25519.ts';
import type { Signer } from '../ed25519.ts';
import type { WalletKind, WalletKindName } from '../wallets/kinds.ts';
import type { WalletNetwork } from '../wallets/network.ts';
import { DEFAULT_KDF, decodeKeyFile, encodeKeyFile, LABEL, openKeyFile, sealKeyFile } from './key-file.ts';
import type { EncryptedKeyFile, KdfPolicy, KeyFile } from './key-file.ts';
import { newMnemonic, secretOfContent } from './secret.ts';
import type { Secret, SecretKind } from './secret.ts';

export interface KeystoreOptions {
  /** Folder of the key files, made with mode 0700 when it is missing. */
  readonly folder: string;
  /** How long to wait for another process that writes. Default 10 s. */
  readonly lockTimeoutMs?: number;
  /** Unix milliseconds, for createdAt. */
  readonly now?: () => number;
  /** For tests only: cheaper scrypt. */
  readonly kdf?: KdfPolicy;
}

/** What is known about a key without its passphrase. */
export interface KeyEntry {
  readonly label: string;
  readonly kind: WalletKindName | 'watch';
  readonly network: string;
  readonly globalId: number;
  readonly address: Address;
  /** 32 bytes; null for watch-only. */
  readonly publicKey: Uint8Array | null;
  readonly owner: Address | null;
  readonly createdAt: string;
  readonly path: string;
}

export interface KeyList {
  readonly keys: readonly KeyEntry[];
  /** Files that cannot be read, with the error of each. */
  readonly damaged: readonly { readonly path: string; readonly error: WalletError | ConfigError }[];
}

export interface UnlockedKey {
  readonly entry: KeyEntry;
  readonly signer: Signer;
}

export interface ExportedSecret {
  readonly kind: SecretKind;
  /** The words, or the 32-byte seed in hexadecimal. */
  readonly text: string;
}

export interface NewKey {
  readonly label: string;
  readonly network: WalletNetwork;
  readonly passphrase: string;
  /** The wallet contract of this key: decides kind and address. */
  readonly walletOf: (publicKey: Uint8Array) => WalletKind;
  /** Cold owner of a Cocoon wallet. */
  readonly owner?: Address;
  /** Default: the keystore's own. */
  readonly kdf?: KdfPolicy;
}

const MAX_FILE_BYTES = 16_384;
const LOCK_TIMEOUT_MS = 10_000;
const SUFFIX = '.json';

export class Keystore {
  readonly #folder: string;
  readonly #lockTimeoutMs: number;
  readonly #now: () => number;
  readonly #kdf: KdfPolicy;

  constructor(options: KeystoreOptions) {
    this.#folder = options.folder;
    this.#lockTimeoutMs = options.lockTimeoutMs ?? LOCK_TIMEOUT_MS;
    this.#now = options.now ?? Date.now;
    this.#kdf = options.kdf ?? DEFAULT_KDF;
  }

  #path(label: string): string {
    if (!LABEL.test(label)) {
      throw new UsageError('E_USAGE', `${JSON.stringify(label.slice(0, 80))} is no name for a key, expected up to 64 of a-z, 0-9, - and _, starting with a letter or digit`);
    }
    return join(this.#folder, `${label}${SUFFIX}`);
  }

  /** Makes a key of 24 new words. Throws `E_STATE` when the label is taken, `E_USAGE` when it is no label. */
  async create(key: NewKey): Promise<KeyEntry> {
    const secret = await newMnemonic();
    try {
      return await this.import(key, secret);
    } finally {
      secret.dispose();
    }
  }

  /** Stores a secret that exists already; the caller disposes of it. Same errors as `create`. */
  async import(key: NewKey, secret: Secret): Promise<KeyEntry> {
    const path = this.#path(key.label);
    const { publicKey } = signerOfSeed(secret.seed);
    const wallet = key.walletOf(publicKey);
    const sealed = await sealKeyFile({
      label: key.label, kind: wallet.name, network: key.network.name, globalId: key.network.globalId, address: wallet.address.toRawString(),
      createdAt: new Date(this.#now()).toISOString(), secretKind: secret.kind, publicKey: toHex(publicKey), owner: key.owner?.toRawString() ?? null,
    }, secret.content, key.passphrase, key.kdf ?? this.#kdf);
    const text = encodeKeyFile(sealed);
    await this.#write(path, text);
    await this.#openText(text, path, key.passphrase).then(({ secret: copy }) => copy.dispose());
    return this.get(key.label);
  }

  /** Stores an address without a key. */
  async watch(label: string, address: Address, network: WalletNetwork): Promise<KeyEntry> {
    const path = this.#path(label);
    await this.#write(path, encodeKeyFile({
      schema: 'cocoon.key/1', label, kind: 'watch', network: network.name, globalId: network.globalId,
      address: address.toRawString(), createdAt: new Date(this.#now()).toISOString(),
    }));
    return this.get(label);
  }

  /** Throws `E_STATE` when the label is taken, `E_USAGE` when it is no label: asked before anybody types a passphrase for it. */
  async requireFree(label: string): Promise<void> {
    const path = this.#path(label);
    if (await pathExists(path)) throw new ConfigError('E_STATE', `there is a key named ${label} already (${path})`, { hint: 'choose another name' });
  }

  /** What a key file elsewhere says of itself, a backup for example. Throws `E_KEYSTORE`, NotFoundError. */
  async peek(path: string): Promise<KeyEntry> {
    return entryOf((await this.#load(path)).file, path);
  }

  #write(path: string, text: string): Promise<void> {
    return this.#locked(async () => {
      await removeLeftovers(this.#folder);
      await writeFileAtomic(path, text, { exclusive: true });
    });
  }

  async #locked<T>(work: () => Promise<T>): Promise<T> {
    await ensureFolder(this.#folder);
    return withLock(this.#folder, work, {
      timeoutMs: this.#lockTimeoutMs, busy: (holder) => new ConfigError('E_STATE', `the keystore ${this.#folder} is in use by ${holder}`),
    });
  }

  async #load(path: string): Promise<{ readonly file: KeyFile; readonly text: string }> {
    const bytes = await readBounded(path, MAX_FILE_BYTES, { private: true });
    // Bytes that are no UTF-8 become replacement characters, which the canonical form refuses.
    const text = Buffer.from(bytes).toString('utf8');
    return { file: decodeKeyFile(text, path, this.#kdf), text };
  }

  /** Throws NotFoundError, or WalletError `E_KEYSTORE` when the file is damaged or has another key's content. */
  async get(label: string): Promise<KeyEntry> {
    return entryOf(await this.#file(label), this.#path(label));
  }

  async #file(label: string): Promise<KeyFile> {
    const path = this.#path(label);
    if (!await pathExists(path)) throw new NotFoundError('E_NOT_FOUND', `there is no key named ${label}`, { hint: 'cocoon wallet list shows the keys' });
    const { file } = await this.#load(path);
    if (file.label !== label) throw new WalletError('E_KEYSTORE', `key file ${path} holds key ${file.label}, expected ${label}`, { hint: 'give the file its old name' });
    return file;
  }

  /** All keys in order of label; damaged files are listed apart. */
  async list(): Promise<KeyList> {
    const keys: KeyEntry[] = [];
    const damaged: { path: string; error: WalletError | ConfigError }[] = [];
    for (const name of await listFolder(this.#folder)) {
      if (!name.endsWith(SUFFIX) || name.startsWith('.')) continue;
      try {
        keys.push(await this.get(name.slice(0, -SUFFIX.length)));
      } catch (error) {
        if (error instanceof WalletError || error instanceof ConfigError) damaged.push({ path: join(this.#folder, name), error });
        else if (!(error instanceof UsageError)) throw error;
      }
    }
    return { keys, damaged };
  }

  /** A signer for the key. Throws `E_PASSPHRASE`, `E_KEYSTORE`, NotFoundError, UsageError for a watch-only address. */
  async unlock(label: string, passphrase: string): Promise<UnlockedKey> {
    const path = this.#path(label);
    const { secret, signer, file } = await this.#openFile(await this.#file(label), path, passphrase);
    secret.dispose();
    return { entry: entryOf(file, path), signer };
  }

  /** The secret as text, to be shown to the owner and to nobody else. Same errors as `unlock`. */
  async export(label: string, passphrase: string): Promise<ExportedSecret> {
    const { secret } = await this.#openFile(await this.#file(label), this.#path(label), passphrase);
    const text = secret.kind === 'raw-key' ? toHex(secret.content) : new TextDecoder().decode(secret.content);
    secret.dispose();
    return { kind: secret.kind, text };
  }

  async #openText(text: string, path: string, passphrase: string): Promise<OpenKey> {
    return this.#openFile(decodeKeyFile(text, path, this.#kdf), path, passphrase);
  }

  async #openFile(file: KeyFile, path: string, passphrase: string): Promise<OpenKey> {
    if (file.kind === 'watch') {
      throw new UsageError('E_USAGE', `${file.label} is watch-only: there is no key to use`, { hint: 'make an unsigned transaction and sign it where the key is' });
    }
    const content = await openKeyFile(file, passphrase, path);
    try {
      const secret = await secretOfContent(file.secretKind, content);
      const signer = signerOfSeed(secret.seed);
      if (!equalBytes(signer.publicKey, fromHex(file.publicKey))) {
        secret.dispose();
        throw new WalletError('E_KEYSTORE', `key file ${path} names another public key than its secret has`);
      }
      return { file, secret, signer };
    } finally {
      content.fill(0);
    }
  }

  /**
   * Copies a key's file to `target` (never over an existing file), reads the copy back and opens it with the passphrase.
   * `passphrase` is not needed for watch-only. Throws `E_STATE`, `E_PASSPHRASE`, `E_KEYSTORE`.
   */
  async backup(label: string, target: string, passphrase: string | null): Promise<void> {
    const path = this.#path(label);
    const file = await this.#file(label);
    // Opened before it is copied: a backup of a key that does not open would be false comfort.
    await this.#check(file, path, passphrase);
    const { text } = await this.#load(path);
    await writeFileAtomic(target, text, { exclusive: true });
    const copy = await this.#load(target);
    if (copy.text !== text) throw new WalletError('E_KEYSTORE', `the copy ${target} differs from ${path}`);
    await this.#check(copy.file, target, passphrase);
  }

  /** Takes a key from a backup after opening it; the label is the one in the file. A key that is there already stays as it is. */
  async restore(source: string, passphrase: string | null): Promise<KeyEntry> {
    const { file, text } = await this.#load(source);
    await this.#check(file, source, passphrase);
    const path = this.#path(file.label);
    if (await pathExists(path)) {
      const present = await this.#load(path).then((loaded) => loaded.text, () => undefined);
      if (present === text) return this.get(file.label);
      throw new ConfigError('E_STATE', `there is another key named ${file.label} already (${path})`, { hint: 'move that file away first, if it is damaged or not needed' });
    }
    await this.#write(path, text);
    return this.get(file.label);
  }

  async #check(file: KeyFile, path: string, passphrase: string | null): Promise<void> {
    if (file.kind === 'watch') return;
    if (passphrase === null) throw new WalletError('E_PASSPHRASE', `the passphrase of key ${file.label} is needed to check that the copy opens`);
    (await this.#openFile(file, path, passphrase)).secret.dispose();
  }
}

interface OpenKey {
  readonly file: EncryptedKeyFile;
  readonly secret: Secret;
  readonly signer: Signer;
}

function entryOf(file: KeyFile, path: string): KeyEntry {
  return {
    label: file.label, kind: file.kind, network: file.network, globalId: file.globalId, address: Address.parseRaw(file.address),
    publicKey: file.kind === 'watch' ? null : fromHex(file.publicKey),
    owner: file.kind === 'watch' || file.owner === null ? null : Address.parseRaw(file.owner),
    createdAt: file.createdAt, path,
  };
}
