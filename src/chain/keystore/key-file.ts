// The file of one key, version 1. Its text is canonical: read back and written again it is the same bytes, so any change of
// any byte is noticed. Secrets are encrypted with AES-256-GCM under a scrypt key; everything else in the file, parameters,
// address, kind and label, is authenticated with them. Refuses weak or absurd scrypt parameters, unknown fields and versions.
import { createCipheriv, createDecipheriv, createHash, createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { z } from 'zod';
import { WalletError } from '../../core/errors.ts';

const scryptAsync = promisify<string, Uint8Array, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt);

/** At least this much work for every guess of a passphrase: 2^17 * r * 128 bytes = 128 MiB, about half a second. */
export const MIN_SCRYPT_N = 2 ** 17;
/** A file that asks for more than 1 GiB is not one of ours. */
const MAX_SCRYPT_N = 2 ** 20;
const SCRYPT_R = 8;
const SCRYPT_P = 1;
const SALT_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
/** 24 words of at most 8 letters fit twice. */
const MAX_SECRET_BYTES = 512;

export const LABEL = /^[a-z0-9][a-z0-9_-]{0,63}$/;

const hex = (bytes: number): z.ZodString => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));

const publicFields = {
  label: z.string().regex(LABEL),
  /** Wallet contract, or `watch` for an address without key. */
  kind: z.enum(['v5r1', 'v4r2', 'cocoon', 'watch']),
  /** Name of the network that the address belongs to, and its global id. */
  network: z.string().min(1).max(64),
  globalId: z.int().min(-(2 ** 31)).max(2 ** 31 - 1),
  address: z.string().regex(/^(0|-1):[0-9a-f]{64}$/),
  createdAt: z.iso.datetime(),
};

const encryptedFields = {
  secretKind: z.enum(['ton-mnemonic', 'bip39-mnemonic', 'raw-key']),
  publicKey: hex(32),
  /** Cold owner of a Cocoon wallet, raw address; null for the other kinds. */
  owner: publicFields.address.nullable(),
  kdf: z.strictObject({ name: z.literal('scrypt'), n: z.int().positive(), r: z.literal(SCRYPT_R), p: z.literal(SCRYPT_P), salt: hex(SALT_BYTES) }),
  cipher: z.strictObject({ name: z.literal('aes-256-gcm'), nonce: hex(NONCE_BYTES) }),
  /** Proof of the right passphrase, so that a wrong one and a damaged file are told apart; also commits to the key. */
  check: hex(32),
  ciphertext: z.string().regex(/^([0-9a-f]{2}){32,512}$/),
  tag: hex(TAG_BYTES),
};

const schema = z.literal('cocoon.key/1');
/** SHA-256 of the canonical text of everything before it: finds damage without the passphrase. */
const digest = hex(32);
const watchFile = z.strictObject({ schema, ...publicFields, kind: z.literal('watch'), digest });
const encryptedFile = z.strictObject({ schema, ...publicFields, kind: z.enum(['v5r1', 'v4r2', 'cocoon']), ...encryptedFields, digest });
const keyFile = z.discriminatedUnion('kind', [watchFile, encryptedFile]);

export type EncryptedKeyFile = z.infer<typeof encryptedFile>;
export type WatchKeyFile = z.infer<typeof watchFile>;
export type KeyFile = z.infer<typeof keyFile>;

export interface KdfPolicy {
  readonly n: number;
  /** Accepts files with less work than MIN_SCRYPT_N. For tests: no configuration leads here. */
  readonly allowWeakKdf?: boolean;
}

export const DEFAULT_KDF: KdfPolicy = { n: MIN_SCRYPT_N };

/** Keys of the local network, whose TON is worth nothing, under a passphrase of 24 random bytes that needs no work to be strong. */
export const LOCAL_KDF: KdfPolicy = { n: 2 ** 12 };
const LOCAL_NETWORK = 'local';

function damaged(path: string, what: string, cause?: unknown): WalletError {
  return new WalletError('E_KEYSTORE', `key file ${path} is damaged: ${what}`, {
    hint: 'restore it from a backup; nothing was changed', ...(cause === undefined ? {} : { cause }),
  });
}

/** One text for one content: fields in the order of the schema, two spaces, one newline at the end. */
const canonical = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;

const digestOf = (fields: object): string => createHash('sha256').update(canonical(fields)).digest('hex');

/** Text of the file, with its digest. */
export function encodeKeyFile(file: Omit<WatchKeyFile, 'digest'> | Omit<EncryptedKeyFile, 'digest'>): string {
  // Parsing orders the fields and refuses what could not be read back.
  return canonical(keyFile.parse({ ...file, digest: digestOf(orderOf(file)) }));
}

function orderOf(file: object): object {
  const { digest: _digest, ...rest } = keyFile.parse({ ...file, digest: '0'.repeat(64) });
  return rest;
}

/** Throws WalletError `E_KEYSTORE` unless the text is exactly what `encodeKeyFile` would write. */
export function decodeKeyFile(text: string, path: string, policy: KdfPolicy): KeyFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw damaged(path, 'it is not JSON', error);
  }
  const parsed = keyFile.safeParse(json);
  if (!parsed.success) throw damaged(path, `field ${parsed.error.issues[0]?.path.join('.') ?? '?'} is not as expected`);
  const file = parsed.data;
  if (digestOf(orderOf(file)) !== file.digest || canonical(file) !== text) throw damaged(path, 'its checksum does not fit its content');
  if (file.kind !== 'watch') checkWork(file.kdf.n, path, file.network, policy);
  return file;
}

function checkWork(n: number, path: string, network: string, policy: KdfPolicy): void {
  const isPower = Number.isInteger(Math.log2(n));
  const enough = n >= MIN_SCRYPT_N || (network === LOCAL_NETWORK && n >= LOCAL_KDF.n) || policy.allowWeakKdf === true;
  if (!isPower || !enough || n > MAX_SCRYPT_N) {
    throw new WalletError('E_KEYSTORE', `key file ${path} has scrypt cost ${n}, expected a power of two from ${MIN_SCRYPT_N} to ${MAX_SCRYPT_N}`);
  }
}

interface DerivedKeys {
  readonly encryption: Buffer;
  readonly check: Buffer;
}

async function deriveKeys(passphrase: string, kdf: EncryptedKeyFile['kdf']): Promise<DerivedKeys> {
  // NFKC: the same characters typed on another keyboard are the same passphrase.
  const options = { N: kdf.n, r: kdf.r, p: kdf.p, maxmem: 128 * kdf.n * kdf.r + (1 << 20) };
  const keys = await scryptAsync(passphrase.normalize('NFKC'), Buffer.from(kdf.salt, 'hex'), 2 * KEY_BYTES, options);
  return { encryption: keys.subarray(0, KEY_BYTES), check: keys.subarray(KEY_BYTES) };
}

type Sealed = 'check' | 'ciphertext' | 'tag' | 'digest';

/** Everything in the file but what depends on the passphrase, in canonical form. */
function associatedData(file: Omit<EncryptedKeyFile, Sealed>): Buffer {
  const { schema: name, label, kind, network, globalId, address, createdAt, secretKind, publicKey, owner, kdf, cipher } = file;
  return Buffer.from(canonical({ schema: name, label, kind, network, globalId, address, createdAt, secretKind, publicKey, owner, kdf, cipher }));
}

/** Depends on the passphrase alone, so that a right passphrase on an altered file is told from a wrong one. */
const checkValue = (key: Buffer): Buffer => createHmac('sha256', key).update('cocoon.key/1 check').digest();

export type KeyDescription = Omit<EncryptedKeyFile, Sealed | 'schema' | 'kdf' | 'cipher'>;

/** A file with `secret` encrypted under `passphrase`. Throws `E_KEYSTORE` when the policy's cost is not allowed. */
export async function sealKeyFile(description: KeyDescription, secret: Uint8Array, passphrase: string, policy: KdfPolicy): Promise<Omit<EncryptedKeyFile, 'digest'>> {
  checkWork(policy.n, '(new)', description.network, policy);
  if (secret.byteLength > MAX_SECRET_BYTES) throw new WalletError('E_KEYSTORE', `the secret has ${secret.byteLength} bytes, expected at most ${MAX_SECRET_BYTES}`);
  const head = {
    ...description, schema: 'cocoon.key/1' as const,
    kdf: { name: 'scrypt' as const, n: policy.n, r: SCRYPT_R as 8, p: SCRYPT_P as 1, salt: randomBytes(SALT_BYTES).toString('hex') },
    cipher: { name: 'aes-256-gcm' as const, nonce: randomBytes(NONCE_BYTES).toString('hex') },
  };
  const aad = associatedData(head);
  const keys = await deriveKeys(passphrase, head.kdf);
  try {
    const cipher = createCipheriv('aes-256-gcm', keys.encryption, Buffer.from(head.cipher.nonce, 'hex'), { authTagLength: TAG_BYTES });
    cipher.setAAD(aad);
    const ciphertext = Buffer.concat([cipher.update(secret), cipher.final()]);
    return { ...head, check: checkValue(keys.check).toString('hex'), ciphertext: ciphertext.toString('hex'), tag: cipher.getAuthTag().toString('hex') };
  } finally {
    keys.encryption.fill(0);
    keys.check.fill(0);
  }
}

/**
 * The secret of a file; the caller overwrites it after use. Throws WalletError: `E_PASSPHRASE` when the passphrase is wrong,
 * `E_KEYSTORE` when it is right and the file was altered nevertheless.
 */
export async function openKeyFile(file: EncryptedKeyFile, passphrase: string, path: string): Promise<Uint8Array> {
  const aad = associatedData(file);
  const keys = await deriveKeys(passphrase, file.kdf);
  try {
    if (!timingSafeEqual(checkValue(keys.check), Buffer.from(file.check, 'hex'))) {
      throw new WalletError('E_PASSPHRASE', `wrong passphrase for key ${file.label}`, {
        hint: `if you are sure of it, the parameters in ${path} were altered: restore the file from a backup`,
      });
    }
    const decipher = createDecipheriv('aes-256-gcm', keys.encryption, Buffer.from(file.cipher.nonce, 'hex'), { authTagLength: TAG_BYTES });
    decipher.setAAD(aad).setAuthTag(Buffer.from(file.tag, 'hex'));
    try {
      return new Uint8Array(Buffer.concat([decipher.update(Buffer.from(file.ciphertext, 'hex')), decipher.final()]));
    } catch (error) {
      throw damaged(path, 'its content was altered', error);
    }
  } finally {
    keys.encryption.fill(0);
    keys.check.fill(0);
  }
}
