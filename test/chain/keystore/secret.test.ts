import { createHmac } from 'node:crypto';
import { mnemonicNew, mnemonicToPrivateKey } from '@ton/crypto';
import { describe, expect, it } from '@jest/globals';
import { toHex } from '../../../src/core/bytes.ts';
import { signerOfSeed } from '../../../src/chain/ed25519.ts';
import { bip39Seed, isBip39, splitWords } from '../../../src/chain/keystore/bip39.ts';
import { newMnemonic, secretOfContent, secretOfKey, secretOfKeyText, secretOfWords } from '../../../src/chain/keystore/secret.ts';

const BIP39_12 = `${'abandon '.repeat(11)}about`;
const BIP39_24 = `${'abandon '.repeat(23)}art`;
const seed = new Uint8Array(32).fill(5);
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

describe('newMnemonic', () => {
  it('makes 24 TON words whose key is the one that @ton/crypto derives', async () => {
    const secret = await newMnemonic();
    const words = text(secret.content).split(' ');
    expect(words).toHaveLength(24);
    const { secretKey, publicKey } = await mnemonicToPrivateKey(words);
    expect(toHex(secret.seed)).toBe(secretKey.subarray(0, 32).toString('hex'));
    expect(toHex(signerOfSeed(secret.seed).publicKey)).toBe(publicKey.toString('hex'));
    expect(text((await newMnemonic()).content)).not.toBe(text(secret.content));
  });
});

describe('secretOfWords', () => {
  it('takes TON words in any case and spacing', async () => {
    const words = await mnemonicNew(24);
    const secret = await secretOfWords(`  ${words.join('\n ').toUpperCase()}\n`);
    expect(secret.kind).toBe('ton-mnemonic');
    expect(toHex(secret.seed)).toBe((await mnemonicToPrivateKey(words)).secretKey.subarray(0, 32).toString('hex'));
    expect(toHex((await secretOfContent('ton-mnemonic', secret.content)).seed)).toBe(toHex(secret.seed));
  });

  it('detects BIP39 words of either length and asks for the flag', async () => {
    for (const words of [BIP39_12, BIP39_24]) {
      await expect(secretOfWords(words)).rejects.toMatchObject({ code: 'E_SECRET', exitCode: 2, hint: expect.stringContaining('--bip39') });
    }
  });

  it('derives BIP39 words at m/44\'/607\'/0\' (SLIP-10)', async () => {
    const derive = (key: Buffer, data: Buffer): Buffer => createHmac('sha512', key).update(data).digest();
    let node = derive(Buffer.from('ed25519 seed'), await bip39Seed(splitWords(BIP39_12)));
    for (const index of [44, 607, 0]) {
      const suffix = Buffer.alloc(4);
      suffix.writeUInt32BE(0x8000_0000 + index);
      node = derive(node.subarray(32), Buffer.concat([Buffer.of(0), node.subarray(0, 32), suffix]));
    }
    const secret = await secretOfWords(BIP39_12, { bip39: true });
    expect(secret.kind).toBe('bip39-mnemonic');
    expect(toHex(secret.seed)).toBe(node.subarray(0, 32).toString('hex'));
    expect(toHex((await secretOfContent('bip39-mnemonic', secret.content)).seed)).toBe(toHex(secret.seed));
  });

  it('refuses TON words under the flag, wrong words, wrong counts, wrong checksums; and repeats no word', async () => {
    const words = await mnemonicNew(24);
    const swapped = [...words.slice(0, 22), words[23], words[22]];
    const cases: [string, boolean, RegExp][] = [
      [words.slice(0, 23).join(' '), false, /has 23 words, expected 24/],
      [['qwertz', ...words.slice(1)].join(' '), false, /word 1 of 24 is not in the word list/],
      ['', false, /has 0 words/],
      [BIP39_12.replace('about', 'abandon'), true, /checksum is wrong/],
      ...(isBip39(words) ? [] : [[words.join(' '), true, /are not BIP39 words/] as [string, boolean, RegExp]]),
    ];
    for (const [input, bip39, message] of cases) {
      const error = await secretOfWords(input, { bip39 }).then(() => null, (thrown: Error) => thrown);
      expect(error).toMatchObject({ code: 'E_SECRET', message: expect.stringMatching(message) });
      expect(error?.message).not.toMatch(/qwertz|abandon/);
    }
    // One exchange in 256 keeps the TON checksum: then it is simply another wallet.
    if (words[22] !== words[23]) await secretOfWords(swapped.join(' ')).catch((error: unknown) => expect(error).toMatchObject({ code: 'E_SECRET' }));
  });
});

describe('bip39Seed', () => {
  it('gives the published seed of the twelve-word vector without password', async () => {
    // BIP39 words "abandon x 11 about", empty password.
    expect((await bip39Seed(splitWords(BIP39_12))).toString('hex')).toBe('5eb00bbddcf069084889a8ab9155568165f5c453ccb85e70811aaed6f6da5fc1'
      + '9a5ac40b389cd370d086206dec8aa6c43daea6690f20ad3d8d48b2d2ce9e38e4');
  });
});

describe('secretOfKey', () => {
  it('takes a seed, or a seed with its public key', () => {
    const { publicKey } = signerOfSeed(seed);
    for (const secret of [
      secretOfKey(seed), secretOfKey(Buffer.concat([seed, publicKey])), secretOfKeyText(toHex(seed)), secretOfKeyText(`${toHex(seed).toUpperCase()}\n`),
      secretOfKeyText(Buffer.from(seed).toString('base64')), secretOfKeyText(Buffer.concat([seed, publicKey]).toString('base64')),
    ]) {
      expect([secret.kind, toHex(secret.seed)]).toEqual(['raw-key', toHex(seed)]);
    }
  });

  it('refuses other lengths, other texts and halves that do not match', () => {
    const wrongHalf = Buffer.concat([seed, signerOfSeed(new Uint8Array(32).fill(6)).publicKey]);
    for (const make of [
      () => secretOfKey(new Uint8Array(31)), () => secretOfKey(new Uint8Array(65)), () => secretOfKey(wrongHalf),
      () => secretOfKeyText('zz'), () => secretOfKeyText(toHex(seed).slice(1)), () => secretOfKeyText(wrongHalf.toString('hex')),
    ]) expect(make).toThrow(expect.objectContaining({ code: 'E_SECRET' }));
  });

  it('dispose: overwrites seed and content', () => {
    const secret = secretOfKey(seed);
    secret.dispose();
    expect([...secret.seed, ...secret.content].every((byte) => byte === 0)).toBe(true);
    expect(seed[0]).toBe(5);
  });
});
