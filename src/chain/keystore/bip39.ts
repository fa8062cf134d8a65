// BIP39 words: recognising them by their checksum, and their seed. English word list, which TON words share; no password.
import { createHash, pbkdf2 } from 'node:crypto';
import { promisify } from 'node:util';
import { mnemonicWordList } from '@ton/crypto';

const LENGTHS = new Set([12, 15, 18, 21, 24]);
const BITS_PER_WORD = 11;
const ROUNDS = 2048;
const HD_SEED_BYTES = 64;

/** Lower-case words of a text, split at white space. */
export const splitWords = (text: string): string[] => text.trim().toLowerCase().split(/\s+/).filter((word) => word !== '');

/** True when the words are in the list and their last bits are the BIP39 checksum of the rest. */
export function isBip39(words: readonly string[]): boolean {
  if (!LENGTHS.has(words.length)) return false;
  let bits = '';
  for (const word of words) {
    const index = mnemonicWordList.indexOf(word);
    if (index < 0) return false;
    bits += index.toString(2).padStart(BITS_PER_WORD, '0');
  }
  const checksumBits = bits.length / 33;
  const entropyBits = bits.length - checksumBits;
  const entropy = Buffer.from(bits.slice(0, entropyBits).match(/.{8}/g)?.map((byte) => Number.parseInt(byte, 2)) ?? []);
  const digest = createHash('sha256').update(entropy).digest();
  entropy.fill(0);
  return (digest[0] ?? 0).toString(2).padStart(8, '0').slice(0, checksumBits) === bits.slice(entropyBits);
}

/** The 64-byte seed of the words, without password: PBKDF2-HMAC-SHA512, 2048 rounds, salt "mnemonic". */
export function bip39Seed(words: readonly string[]): Promise<Buffer> {
  return promisify(pbkdf2)(words.join(' '), 'mnemonic', ROUNDS, HD_SEED_BYTES, 'sha512');
}
