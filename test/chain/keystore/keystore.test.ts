import { chmodSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Address } from '@ton/core';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { toHex } from '../../../src/core/bytes.ts';
import { CocoonError } from '../../../src/core/errors.ts';
import { signerOfSeed, verifySignature } from '../../../src/chain/ed25519.ts';
import { decodeKeyFile, DEFAULT_KDF, encodeKeyFile, LOCAL_KDF, MIN_SCRYPT_N, openKeyFile } from '../../../src/chain/keystore/key-file.ts';
import type { KdfPolicy } from '../../../src/chain/keystore/key-file.ts';
import { Keystore } from '../../../src/chain/keystore/keystore.ts';
import type { NewKey } from '../../../src/chain/keystore/keystore.ts';
import { secretOfKey, secretOfWords } from '../../../src/chain/keystore/secret.ts';
import { walletV4R2, walletV5R1 } from '../../../src/chain/wallets/kinds.ts';
import { TESTNET } from '../../../src/chain/wallets/network.ts';

const WEAK: KdfPolicy = { n: 1024, allowWeakKdf: true };
const PASS = 'correct horse battery';
const seed = new Uint8Array(32).fill(9);
const newKey = (label: string, passphrase = PASS): NewKey => ({ label, network: TESTNET, passphrase, walletOf: (publicKey) => walletV5R1(publicKey, TESTNET) });

let home: string;
let folder: string;
let keystore: Keystore;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'keys-'));
  folder = join(home, 'keys');
  keystore = new Keystore({ folder, kdf: WEAK, now: () => 1_800_000_000_000 });
});
afterEach(() => { rmSync(home, { recursive: true, force: true }); });

const fileOf = (label: string): string => join(folder, `${label}.json`);

/** Writes a field and makes the digest fit again, as somebody who wants to mislead would. */
function forge(label: string, change: Record<string, unknown>): void {
  const { digest: _old, ...rest } = { ...JSON.parse(readFileSync(fileOf(label), 'utf8')) as Record<string, unknown>, ...change };
  const digest = createHash('sha256').update(`${JSON.stringify(rest, null, 2)}\n`).digest('hex');
  writeFileSync(fileOf(label), `${JSON.stringify({ ...rest, digest }, null, 2)}\n`);
}

describe('Keystore', () => {
  it('create: makes a key that unlocks, in a private file of a private folder', async () => {
    const entry = await keystore.create(newKey('main'));
    expect(statSync(entry.path).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    const { signer } = await keystore.unlock('main', PASS);
    expect(toHex(signer.publicKey)).toBe(toHex(entry.publicKey ?? new Uint8Array()));
    expect(entry.address.equals(walletV5R1(signer.publicKey, TESTNET).address)).toBe(true);
    expect(verifySignature(signer.publicKey, seed, signer.sign(seed))).toBe(true);
    expect(entry).toMatchObject({ label: 'main', kind: 'v5r1', network: 'testnet', globalId: -3, createdAt: '2027-01-15T08:00:00.000Z', owner: null });
  });

  it('export: gives the words that lead to the same key, or the raw key', async () => {
    await keystore.create(newKey('words'));
    const exported = await keystore.export('words', PASS);
    expect(exported.kind).toBe('ton-mnemonic');
    expect(toHex(signerOfSeed((await secretOfWords(exported.text)).seed).publicKey)).toBe(toHex((await keystore.get('words')).publicKey ?? seed));
    await keystore.import(newKey('raw'), secretOfKey(seed));
    expect(await keystore.export('raw', PASS)).toEqual({ kind: 'raw-key', text: toHex(seed) });
  });

  it('keeps no secret in clear', async () => {
    await keystore.import(newKey('raw'), secretOfKey(seed));
    await keystore.create(newKey('words'));
    const word = (await keystore.export('words', PASS)).text.split(' ').slice(0, 2).join(' ');
    const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8')).join('');
    expect(texts).not.toContain(toHex(seed));
    expect(texts).not.toContain(word);
  });

  it('never replaces a key, and refuses names that are none', async () => {
    await keystore.import(newKey('main'), secretOfKey(seed));
    const before = readFileSync(fileOf('main'), 'utf8');
    await expect(keystore.create(newKey('main'))).rejects.toMatchObject({ code: 'E_STATE' });
    expect(readFileSync(fileOf('main'), 'utf8')).toBe(before);
    for (const label of ['', '../main', 'Main', 'a/b', '.a', 'x'.repeat(65)]) await expect(keystore.create(newKey(label))).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('two at once under one name: one wins, the other is told', async () => {
    const other = new Keystore({ folder, kdf: WEAK });
    const results = await Promise.allSettled([keystore.create(newKey('main')), other.create(newKey('main'))]);
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await keystore.unlock('main', PASS);
  });

  it('watch: keeps an address without a key', async () => {
    const address = walletV4R2(signerOfSeed(seed).publicKey).address;
    expect(await keystore.watch('cold', address, TESTNET)).toMatchObject({ kind: 'watch', publicKey: null });
    await expect(keystore.unlock('cold', PASS)).rejects.toMatchObject({ code: 'E_USAGE', hint: expect.stringContaining('unsigned') });
  });

  it('list: shows the good keys in order and the damaged ones apart', async () => {
    for (const label of ['b', 'a', 'c']) await keystore.import(newKey(label), secretOfKey(seed));
    await keystore.watch('w', Address.parseRaw(`0:${'1'.repeat(64)}`), TESTNET);
    writeFileSync(fileOf('c'), 'rubbish', { mode: 0o600 });
    const { keys, damaged } = await keystore.list();
    expect(keys.map(({ label }) => label)).toEqual(['a', 'b', 'w']);
    expect(damaged).toEqual([{ path: fileOf('c'), error: expect.objectContaining({ code: 'E_KEYSTORE' }) }]);
    expect(await new Keystore({ folder: join(home, 'none') }).list()).toEqual({ keys: [], damaged: [] });
  });

  it('get: says that there is no such key, and that a file was renamed', async () => {
    await expect(keystore.get('none')).rejects.toMatchObject({ code: 'E_NOT_FOUND', exitCode: 7 });
    await keystore.import(newKey('a'), secretOfKey(seed));
    renameSync(fileOf('a'), fileOf('b'));
    await expect(keystore.unlock('b', PASS)).rejects.toMatchObject({ code: 'E_KEYSTORE' });
  });

  it('refuses a file that others may read', async () => {
    await keystore.import(newKey('a'), secretOfKey(seed));
    chmodSync(fileOf('a'), 0o644);
    await expect(keystore.unlock('a', PASS)).rejects.toMatchObject({ code: 'E_STATE', hint: expect.stringContaining('chmod 600') });
  });
});

describe('passphrases and damage', () => {
  beforeEach(async () => { await keystore.import(newKey('a'), secretOfKey(seed)); });

  it('a wrong passphrase is E_PASSPHRASE, exit 4', async () => {
    for (const wrong of ['', 'correct horse batterY', `${PASS} `]) {
      await expect(keystore.unlock('a', wrong)).rejects.toMatchObject({ code: 'E_PASSPHRASE', exitCode: 4 });
      await expect(keystore.export('a', wrong)).rejects.toMatchObject({ code: 'E_PASSPHRASE' });
    }
  });

  it('the same characters composed otherwise are the same passphrase', async () => {
    await keystore.import(newKey('umlaut', 'Schl\u00fcsselbund'), secretOfKey(seed));
    await keystore.unlock('umlaut', 'Schlu\u0308sselbund');
  });

  it('every flipped byte of the file is E_KEYSTORE', async () => {
    const good = readFileSync(fileOf('a'));
    for (let at = 0; at < good.byteLength; at += 1) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] ?? 0) ^ (1 << at % 8);
      expect(() => decodeKeyFile(bad.toString('utf8'), 'f', WEAK)).toThrow(expect.objectContaining({ code: 'E_KEYSTORE', exitCode: 4 }));
    }
    expect(decodeKeyFile(good.toString('utf8'), 'f', WEAK).label).toBe('a');
  });

  it('every truncation and any addition is E_KEYSTORE', () => {
    const good = readFileSync(fileOf('a'), 'utf8');
    for (let length = 0; length < good.length; length += 7) expect(() => decodeKeyFile(good.slice(0, length), 'f', WEAK)).toThrow(CocoonError);
    for (const bad of [`${good} `, ` ${good}`, good.replace('{', '{\n  "more": 1,'), good.replace('"a"', '"\\u0061"')]) {
      expect(() => decodeKeyFile(bad, 'f', WEAK)).toThrow(expect.objectContaining({ code: 'E_KEYSTORE' }));
    }
  });

  it.each<[string, Record<string, unknown>]>([
    ['address', { address: `0:${'1'.repeat(64)}` }],
    ['kind', { kind: 'v4r2' }],
    ['network', { network: 'mainnet' }],
    ['global id', { globalId: -239 }],
    ['public key', { publicKey: '1'.repeat(64) }],
    ['kind of secret', { secretKind: 'ton-mnemonic' }],
    ['owner', { owner: `0:${'2'.repeat(64)}` }],
    ['time', { createdAt: '2020-01-01T00:00:00.000Z' }],
    ['nonce', { cipher: { name: 'aes-256-gcm', nonce: '0'.repeat(24) } }],
    ['ciphertext', { ciphertext: '0'.repeat(64) }],
    ['tag', { tag: '0'.repeat(32) }],
  ])('an altered %s with a digest that fits does not open: E_KEYSTORE', async (_name, change) => {
    await keystore.unlock('a', PASS);
    forge('a', change);
    await expect(keystore.unlock('a', PASS)).rejects.toMatchObject({ code: 'E_KEYSTORE' });
  });

  it('an altered salt or check with a digest that fits gives no key', async () => {
    const { kdf } = JSON.parse(readFileSync(fileOf('a'), 'utf8')) as { kdf: object };
    forge('a', { kdf: { ...kdf, salt: '0'.repeat(64) } });
    await expect(keystore.unlock('a', PASS)).rejects.toMatchObject({ code: 'E_PASSPHRASE', hint: expect.stringContaining('altered') });
  });

  it('a renamed label with a digest that fits does not open', async () => {
    forge('a', { label: 'b' });
    renameSync(fileOf('a'), fileOf('b'));
    await expect(keystore.unlock('b', PASS)).rejects.toMatchObject({ code: 'E_KEYSTORE' });
  });
});

describe('scrypt cost', () => {
  it('little work is enough for keys of the local network, and for no other', async () => {
    const local = { name: 'local', globalId: -70_000, testOnly: false };
    const strict = new Keystore({ folder });
    await strict.import({ label: 'local-node', network: local, passphrase: PASS, walletOf: (publicKey) => walletV5R1(publicKey, local), kdf: LOCAL_KDF }, secretOfKey(seed));
    await expect(strict.unlock('local-node', PASS)).resolves.toMatchObject({ entry: { network: 'local' } });
    await expect(strict.import({ ...newKey('test-node'), kdf: LOCAL_KDF }, secretOfKey(seed))).rejects.toMatchObject({ code: 'E_KEYSTORE' });
    forge('local-node', { network: 'testnet' });
    await expect(strict.get('local-node')).rejects.toMatchObject({ code: 'E_KEYSTORE', message: expect.stringContaining('scrypt cost 4096') });
  });


  it('is 2^17 by default, and a weaker file is refused outside of tests', async () => {
    expect([DEFAULT_KDF, MIN_SCRYPT_N]).toEqual([{ n: 131_072 }, 131_072]);
    await keystore.import(newKey('weak'), secretOfKey(seed));
    await expect(new Keystore({ folder }).get('weak')).rejects.toMatchObject({ code: 'E_KEYSTORE', message: expect.stringContaining('scrypt cost 1024') });
    await expect(new Keystore({ folder, kdf: { n: 65_536 } }).import(newKey('weaker'), secretOfKey(seed))).rejects.toMatchObject({ code: 'E_KEYSTORE' });
  });

  it('refuses absurd costs before any work', async () => {
    await keystore.import(newKey('a'), secretOfKey(seed));
    const { kdf } = JSON.parse(readFileSync(fileOf('a'), 'utf8')) as { kdf: object };
    for (const n of [2 ** 21, 2 ** 30, 131_073]) {
      forge('a', { kdf: { ...kdf, n } });
      await expect(keystore.unlock('a', PASS)).rejects.toMatchObject({ code: 'E_KEYSTORE' });
    }
  });

  it('works at full strength', async () => {
    const strong = new Keystore({ folder });
    await strong.import(newKey('strong'), secretOfKey(seed));
    const file = decodeKeyFile(readFileSync(fileOf('strong'), 'utf8'), 'f', DEFAULT_KDF);
    expect(file.kind === 'watch' ? 0 : file.kdf.n).toBe(131_072);
    expect(file.kind === 'watch' ? '' : toHex(await openKeyFile(file, PASS, 'f'))).toBe(toHex(seed));
  });
});

describe('backup and restore', () => {
  beforeEach(async () => { await keystore.import(newKey('a'), secretOfKey(seed)); });

  it('a backup restores to a key that signs the same', async () => {
    const target = join(home, 'copy.json');
    await keystore.backup('a', target, PASS);
    expect(statSync(target).mode & 0o777).toBe(0o600);
    const other = new Keystore({ folder: join(home, 'other'), kdf: WEAK });
    expect(await other.restore(target, PASS)).toMatchObject({ label: 'a', kind: 'v5r1' });
    const [one, two] = await Promise.all([keystore.unlock('a', PASS), other.unlock('a', PASS)]);
    expect(toHex(one.signer.sign(seed))).toBe(toHex(two.signer.sign(seed)));
    expect(await other.restore(target, PASS)).toMatchObject({ label: 'a' });
  });

  it('makes no backup of a key that does not open, and overwrites nothing', async () => {
    const target = join(home, 'copy.json');
    await expect(keystore.backup('a', target, 'wrong passphrase')).rejects.toMatchObject({ code: 'E_PASSPHRASE' });
    await expect(keystore.backup('a', target, null)).rejects.toMatchObject({ code: 'E_PASSPHRASE' });
    expect(existsSync(target)).toBe(false);
    writeFileSync(target, 'mine');
    await expect(keystore.backup('a', target, PASS)).rejects.toMatchObject({ code: 'E_STATE' });
    expect(readFileSync(target, 'utf8')).toBe('mine');
  });

  it('restores nothing that is damaged, and nothing over another key', async () => {
    const target = join(home, 'copy.json');
    await keystore.backup('a', target, PASS);
    const other = new Keystore({ folder: join(home, 'other'), kdf: WEAK });
    await other.import(newKey('a'), secretOfKey(new Uint8Array(32).fill(1)));
    await expect(other.restore(target, PASS)).rejects.toMatchObject({ code: 'E_STATE' });
    cpSync(target, `${target}.bad`);
    writeFileSync(`${target}.bad`, readFileSync(target, 'utf8').replace(/"tag": "../, '"tag": "zz'), { mode: 0o600 });
    await expect(other.restore(`${target}.bad`, PASS)).rejects.toMatchObject({ code: 'E_KEYSTORE' });
  });

  it('watch-only needs no passphrase', async () => {
    await keystore.watch('cold', Address.parseRaw(`0:${'1'.repeat(64)}`), TESTNET);
    await keystore.backup('cold', join(home, 'cold.json'), null);
    expect(await new Keystore({ folder: join(home, 'other') }).restore(join(home, 'cold.json'), null)).toMatchObject({ kind: 'watch' });
  });
});

it('encodeKeyFile: orders fields by the schema, whatever order they come in', () => {
  const fields = { schema: 'cocoon.key/1', label: 'w', kind: 'watch', network: 'testnet', globalId: -3, address: `0:${'1'.repeat(64)}`, createdAt: '2027-01-15T08:00:00.000Z' } as const;
  const reversed = Object.fromEntries(Object.entries(fields).reverse()) as typeof fields;
  expect(encodeKeyFile(reversed)).toBe(encodeKeyFile(fields));
});
