// HPKE base mode against RFC 9180's own vectors, and against another implementation with both KEMs.
import { describe, expect, it } from '@jest/globals';
import { Aes128Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { XWing } from '@hpke/hybridkem-x-wing';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../src/core/bytes.ts';
import { AES_128_GCM, CHACHA20_POLY1305, nonceOf } from '../../../src/seal/hpke/aead.ts';
import { createReceiver, createSender } from '../../../src/seal/hpke/context.ts';
import { X25519 } from '../../../src/seal/hpke/x25519.ts';
import { loadXWing } from '../../../src/seal/hpke/x-wing.ts';
import { SealError } from '../../../src/seal/errors.ts';
import { readVectors } from '../vectors.ts';

interface HpkeCase {
  readonly name: string;
  readonly aead: number;
  readonly pkRm: string;
  readonly skRm: string;
  readonly skEm: string;
  readonly enc: string;
  readonly info: string;
  readonly pt: string;
  readonly aad: string;
  readonly ct: string;
  readonly exports: Readonly<Record<string, string>>;
}

describe('RFC 9180 vectors', () => {
  it.each(readVectors<{ cases: HpkeCase[] }>('hpke').cases)('createSender, createReceiver: $name', (vector) => {
    const suite = { kem: X25519, aead: vector.aead === 1 ? AES_128_GCM : CHACHA20_POLY1305 };
    const sender = createSender(suite, fromHex(vector.pkRm), fromHex(vector.info), () => fromHex(vector.skEm));
    expect(toHex(sender.enc)).toBe(vector.enc);
    expect(toHex(sender.seal(fromHex(vector.aad), fromHex(vector.pt)))).toBe(vector.ct);

    const key = X25519.keyOf(fromHex(vector.skRm));
    expect(toHex(key.publicKey)).toBe(vector.pkRm);
    const receiver = createReceiver(suite, key, fromHex(vector.enc), fromHex(vector.info));
    expect(toHex(receiver.open(fromHex(vector.aad), fromHex(vector.ct)))).toBe(vector.pt);
    for (const [label, value] of Object.entries(vector.exports)) {
      expect(toHex(receiver.export(fromHex(label), 32))).toBe(value);
      expect(toHex(sender.export(fromHex(label), 32))).toBe(value);
    }
  });
});

describe('another implementation', () => {
  const info = fromHex('01020304');
  const aad = fromHex('aabb');
  const plaintext = new TextEncoder().encode('what only the node may read');

  it.each(['X25519', 'X-Wing'] as const)('createSender, createReceiver: %s in both directions', async (name) => {
    const kem = name === 'X25519' ? X25519 : await loadXWing();
    const theirs = new CipherSuite({ kem: name === 'X25519' ? new DhkemX25519HkdfSha256() : new XWing(), kdf: new HkdfSha256(), aead: new Aes128Gcm() });
    const suite = { kem, aead: AES_128_GCM };

    const seed = fromHex('7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26');
    const key = kem.keyOf(seed);
    const theirSender = await theirs.createSenderContext({ recipientPublicKey: await theirs.kem.deserializePublicKey(key.publicKey), info });
    const sealed = [await theirSender.seal(plaintext, aad), await theirSender.seal(plaintext, aad)];
    const receiver = createReceiver(suite, key, new Uint8Array(theirSender.enc), info);
    for (const ciphertext of sealed) expect(receiver.open(aad, new Uint8Array(ciphertext))).toEqual(plaintext);
    expect(receiver.export(aad, 40)).toEqual(new Uint8Array(await theirSender.export(aad, 40)));

    const pair = await theirs.kem.generateKeyPair();
    const sender = createSender(suite, new Uint8Array(await theirs.kem.serializePublicKey(pair.publicKey)), info);
    const theirReceiver = await theirs.createRecipientContext({ recipientKey: pair.privateKey, enc: sender.enc, info });
    expect(new Uint8Array(await theirReceiver.open(sender.seal(aad, plaintext), aad))).toEqual(plaintext);
  });
});

describe('refusals', () => {
  const suite = { kem: X25519, aead: AES_128_GCM };
  const key = X25519.keyOf(new Uint8Array(32).fill(7));

  it('open: any changed bit of ciphertext, data or encapsulation, and another info', () => {
    const info = Uint8Array.of(1);
    const sender = createSender(suite, key.publicKey, info);
    const sealed = sender.seal(Uint8Array.of(9), Uint8Array.of(1, 2, 3));
    fc.assert(fc.property(fc.nat(sealed.byteLength * 8 - 1), (bit) => {
      const changed = Uint8Array.from(sealed); // slice() of a Buffer is no copy
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(() => createReceiver(suite, key, sender.enc, info).open(Uint8Array.of(9), changed)).toThrow(SealError);
    }));
    expect(() => createReceiver(suite, key, sender.enc, info).open(Uint8Array.of(8), sealed)).toThrow(SealError);
    expect(() => createReceiver(suite, key, sender.enc, Uint8Array.of(2)).open(Uint8Array.of(9), sealed)).toThrow(SealError);
    expect(() => createReceiver(suite, key, sender.enc.slice(1), info)).toThrow('31 bytes');
    expect(() => createReceiver(suite, key, sender.enc, info).open(Uint8Array.of(9), new Uint8Array(15))).toThrow(SealError);
  });

  it('open: a ciphertext out of its order', () => {
    const sender = createSender(suite, key.publicKey, new Uint8Array(0));
    const first = sender.seal(new Uint8Array(0), Uint8Array.of(1));
    const second = sender.seal(new Uint8Array(0), Uint8Array.of(2));
    const receiver = createReceiver(suite, key, sender.enc, new Uint8Array(0));
    expect(() => receiver.open(new Uint8Array(0), second)).toThrow(SealError);
    expect(receiver.open(new Uint8Array(0), first)).toEqual(Uint8Array.of(1));
    expect(receiver.open(new Uint8Array(0), second)).toEqual(Uint8Array.of(2));
  });

  it('createSender: a public key of small order', () => {
    expect(() => createSender(suite, new Uint8Array(32), new Uint8Array(0))).toThrow(SealError);
    expect(() => createReceiver(suite, key, new Uint8Array(32), new Uint8Array(0))).toThrow(SealError);
  });

  it('nonceOf: is the base for the first and differs for each number', () => {
    const base = new Uint8Array(12).fill(0xff);
    expect(nonceOf(base, 0)).toEqual(base);
    expect(toHex(nonceOf(base, 2 ** 40 + 1))).toBe('fffffffffffffefffffffffe');
  });
});
