// Secrets that a person brings: 24 TON words, BIP39 words (only when said so), a raw 32-byte seed or a 64-byte key.
// All become a 32-byte Ed25519 seed. Refuses words of the other kind, wrong checksums and keys whose halves do not match.
import { deriveEd25519Path, mnemonicNew, mnemonicToPrivateKey, mnemonicValidate, mnemonicWordList } from '@ton/crypto';
import { UsageError } from '../../core/errors.ts';
import { equalBytes } from '../../core/bytes.ts';
import { signerOfSeed } from '../ed25519.ts';
import { bip39Seed, isBip39, splitWords } from './bip39.ts';

export type SecretKind = 'ton-mnemonic' | 'bip39-mnemonic' | 'raw-key';

/** A secret and what it is kept as. `dispose` overwrites the buffers; texts of words remain until the garbage collector takes them. */
export interface Secret {
  readonly kind: SecretKind;
  /** 32 bytes, from which the key pair follows. */
  readonly seed: Uint8Array;
  /** UTF-8 of the words joined by one space, or the 32 seed bytes: what is stored and exported. */
  readonly content: Uint8Array;
  dispose(): void;
}

const WORDS = 24;
const SEED_BYTES = 32;
const KEY_BYTES = 64;
/** m/44'/607'/0': the path of TON in wallets that use BIP39 words. */
const BIP39_PATH = [44, 607, 0];

function secretOf(kind: SecretKind, seed: Uint8Array, content: Uint8Array): Secret {
  return {
    kind, seed, content,
    dispose: () => {
      seed.fill(0);
      content.fill(0);
    },
  };
}

function unknownWord(words: readonly string[]): number {
  return words.findIndex((word) => !mnemonicWordList.includes(word));
}

/** A new secret of 24 TON words from the system's random generator. */
export async function newMnemonic(): Promise<Secret> {
  return secretOfTonWords(await mnemonicNew(WORDS));
}

async function secretOfTonWords(words: string[]): Promise<Secret> {
  const { secretKey } = await mnemonicToPrivateKey(words);
  const seed = Uint8Array.from(secretKey.subarray(0, SEED_BYTES));
  secretKey.fill(0);
  return secretOf('ton-mnemonic', seed, new TextEncoder().encode(words.join(' ')));
}

async function secretOfBip39Words(words: readonly string[]): Promise<Secret> {
  const hdSeed = await bip39Seed(words);
  const derived = await deriveEd25519Path(hdSeed, BIP39_PATH);
  hdSeed.fill(0);
  const seed = Uint8Array.from(derived);
  derived.fill(0);
  return secretOf('bip39-mnemonic', seed, new TextEncoder().encode(words.join(' ')));
}

export interface MnemonicOptions {
  /** True: the words are BIP39 words of another wallet; the key is derived at m/44'/607'/0'. Default false. */
  readonly bip39?: boolean;
}

/** The secret of a mnemonic. Throws UsageError `E_SECRET` that never repeats a word, only its position. */
export async function secretOfWords(text: string, options: MnemonicOptions = {}): Promise<Secret> {
  const words = splitWords(text);
  const unknown = unknownWord(words);
  if (unknown >= 0) throw new UsageError('E_SECRET', `word ${unknown + 1} of ${words.length} is not in the word list`);
  if (options.bip39 === true) {
    if (!isBip39(words)) throw new UsageError('E_SECRET', `the ${words.length} words are not BIP39 words: number or checksum is wrong`);
    return secretOfBip39Words(words);
  }
  if (words.length === WORDS && await mnemonicValidate(words)) return secretOfTonWords(words);
  if (isBip39(words)) {
    throw new UsageError('E_SECRET', 'these are BIP39 words of another kind of wallet, not TON words', {
      hint: 'add --bip39 to import the key that TON wallets derive from them (m/44\'/607\'/0\')',
    });
  }
  throw new UsageError('E_SECRET', words.length === WORDS
    ? 'the words have a wrong checksum: one is mistyped, two are exchanged, or the mnemonic has a password'
    : `the mnemonic has ${words.length} words, expected ${WORDS}`);
}

/** The secret of a raw key: 32-byte seed, or 64 bytes of seed and public key. Throws UsageError `E_SECRET`. */
export function secretOfKey(key: Uint8Array): Secret {
  if (key.byteLength !== SEED_BYTES && key.byteLength !== KEY_BYTES) {
    throw new UsageError('E_SECRET', `the key has ${key.byteLength} bytes, expected ${SEED_BYTES} or ${KEY_BYTES}`);
  }
  const seed = Uint8Array.from(key.subarray(0, SEED_BYTES));
  if (key.byteLength === KEY_BYTES && !equalBytes(signerOfSeed(seed).publicKey, key.subarray(SEED_BYTES))) {
    throw new UsageError('E_SECRET', 'the key\'s second half is not the public key of the first');
  }
  return secretOf('raw-key', seed, Uint8Array.from(seed));
}

/** Raw key from text: hexadecimal or base64 of 32 or 64 bytes. Throws UsageError `E_SECRET`. */
export function secretOfKeyText(text: string): Secret {
  const trimmed = text.trim();
  const isHex = /^([0-9a-fA-F]{64}|[0-9a-fA-F]{128})$/.test(trimmed);
  if (!isHex && !/^([A-Za-z0-9+/_-]{43}=?|[A-Za-z0-9+/_-]{86}(==)?)$/.test(trimmed)) {
    throw new UsageError('E_SECRET', 'the key is neither hexadecimal nor base64 of 32 or 64 bytes');
  }
  const key = Buffer.from(trimmed, isHex ? 'hex' : 'base64');
  const secret = secretOfKey(key);
  key.fill(0);
  return secret;
}

/** The secret again from what was stored. Throws what the constructors above throw. */
export async function secretOfContent(kind: SecretKind, content: Uint8Array): Promise<Secret> {
  if (kind === 'raw-key') return secretOfKey(content);
  const words = splitWords(new TextDecoder('utf-8', { fatal: true }).decode(content));
  return kind === 'bip39-mnemonic' ? secretOfBip39Words(words) : secretOfTonWords(words);
}
