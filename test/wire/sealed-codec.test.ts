// The messages of sealing against their pinned bytes (test/vectors/seal/wire.json), and the refusal of what no honest peer sends.
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { fromClientRun, fromSealKey, fromSealOffers, fromWorkerRun, toClientRun, toSealKey, toSealOffers, toWorkerRun } from '../../src/wire/sealed-codec.ts';
import { decodeBoxed, encodeBoxed } from '../../src/wire/tl/codec.ts';
import { bytes } from '../seal/world.ts';
import type { SealedRun, SealKey, SealOffer } from '../../src/wire/sealed.ts';
import type { ClientRunSealed, CocoonSealKey, ProxyRunSealed, TlFunction, TlObject } from '../../src/wire/tl/types.ts';

const RUN: SealedRun = {
  requestId: bytes(32, 'request'), keyId: bytes(16, 'key'), suite: { kem: 0x647a, kdf: 1, aead: 1 }, paramsVersion: 3, model: 'cocoon-tiny',
  maxTokens: 100, maxCoefficient: 4_000, timeoutMs: 114_000, timestampMs: 1_800_000_000_123, clientContract: 'EQclient', enc: bytes(32, 'enc'), sealed: bytes(40, 'sealed'),
};
const KEY: SealKey = {
  certificate: bytes(50, 'certificate'), evidence: { evidence: { family: 'simulated', evidence: bytes(217, 'evidence') }, gpus: new Uint8Array(0) },
  record: bytes(60, 'record'), signature: bytes(64, 'signature'),
};
const OFFER: SealOffer = { record: bytes(60, 'record'), signature: bytes(64, 'signature'), coefficient: 1_000, running: 1, capacity: 4 };
const HOP = { coefficient: 1_000n, signed_payment: { _: 'proxy.signedPaymentEmpty' }, timeout: 108.3 } as const;

const MESSAGES: Readonly<Record<string, TlObject | TlFunction>> = {
  'client.runSealed': toClientRun(RUN.requestId, RUN, true),
  'proxy.runSealed': toWorkerRun(bytes(32, 'hop'), RUN, HOP),
  'cocoon.sealKey': toSealKey(KEY),
  'cocoon.sealKey tdx': toSealKey({ ...KEY, evidence: { evidence: { family: 'tdx', quote: bytes(30, 'quote') }, gpus: bytes(20, 'gpus') } }),
  'cocoon.sealOffers': toSealOffers([OFFER]),
  'cocoon.publishSealKey': { _: 'cocoon.publishSealKey', key: toSealKey(KEY) },
  'cocoon.sealKeyAccepted': { _: 'cocoon.sealKeyAccepted' },
  'cocoon.getSealOffers': { _: 'cocoon.getSealOffers', model_name: 'cocoon-tiny', limit: 8 },
  'cocoon.getSealKey': { _: 'cocoon.getSealKey', key_id: RUN.keyId },
};

// UPDATE_VECTORS=1 writes them.
const path = new URL('../vectors/seal/wire.json', import.meta.url);
const made = Object.fromEntries(Object.entries(MESSAGES).map(([name, message]) => [name, toHex(encodeBoxed(message))]));
if (process.env['UPDATE_VECTORS'] === '1') writeFileSync(path, `${JSON.stringify({ about: 'SPEC.md section 10: messages of sealing with their constructor ids, little-endian.', messages: made }, null, 2)}\n`);
const { messages } = JSON.parse(readFileSync(path, 'utf8')) as { messages: Record<string, string> };

describe('messages of sealing', () => {
  it.each(Object.keys(MESSAGES))('%s: has its pinned bytes', (name) => {
    expect(made[name]).toBe(messages[name]);
    expect(decodeBoxed(fromHex(messages[name] ?? ''))).toEqual(MESSAGES[name]);
  });

  it('fromClientRun, fromWorkerRun: what was sent', () => {
    expect(fromClientRun(MESSAGES['client.runSealed'] as ClientRunSealed, RUN.clientContract)).toEqual({ run: RUN, streamed: true });
    expect(fromWorkerRun(MESSAGES['proxy.runSealed'] as ProxyRunSealed)).toEqual(RUN);
  });

  it.each<[string, Partial<ClientRunSealed>]>([
    ['a negative suite', { kem: -1 }], ['a suite beyond 16 bits', { aead: 65_536 }], ['a negative limit', { max_tokens: -1 }], ['a negative price', { max_coefficient: -1 }],
    ['a negative version', { params_version: -1 }], ['a negative time limit', { timeout_ms: -1n }], ['a time beyond any clock', { timestamp_ms: 2n ** 60n }],
    ['an encapsulation that no suite has', { enc: new Uint8Array(2_049) }],
  ])('fromClientRun, fromWorkerRun: null for %s', (_name, change) => {
    expect(fromClientRun({ ...MESSAGES['client.runSealed'] as ClientRunSealed, ...change }, '')).toBeNull();
    expect(fromWorkerRun({ ...MESSAGES['proxy.runSealed'] as ProxyRunSealed, ...change as object })).toBeNull();
  });

  it('fromSealKey: copies what came, and refuses what is too large', () => {
    const message = MESSAGES['cocoon.sealKey'] as CocoonSealKey;
    const key = fromSealKey(message);
    expect(key).toEqual(KEY);
    expect(key.certificate).not.toBe(message.certificate);
    const large: readonly Partial<CocoonSealKey>[] = [
      { certificate: new Uint8Array(65_537) }, { record: new Uint8Array(16_385) }, { signature: new Uint8Array(65) },
      { evidence: { _: 'attest.tdx', quote: new Uint8Array(40_961), gpus: new Uint8Array(0) } },
      { evidence: { _: 'attest.sevSnp', report: new Uint8Array(1_184), vek: new Uint8Array(40_000), gpus: new Uint8Array(0) } },
      { evidence: { _: 'attest.simulated', evidence: new Uint8Array(217), gpus: new Uint8Array(512 * 1024 + 1) } },
    ];
    for (const change of large) expect(() => fromSealKey({ ...message, ...change })).toThrow(expect.objectContaining({ code: 'E_PROTOCOL' }));
  });

  it('fromSealOffers: what came; refuses more than 16, what is too large, and numbers below 0', () => {
    const of = (offers: readonly SealOffer[]) => fromSealOffers(toSealOffers(offers));
    expect(of([OFFER, OFFER])).toEqual([OFFER, OFFER]);
    for (const offers of [Array.from({ length: 17 }, () => OFFER), [{ ...OFFER, record: new Uint8Array(16_385) }], [{ ...OFFER, running: -1 }], [{ ...OFFER, coefficient: -1 }]]) {
      expect(() => of(offers)).toThrow(expect.objectContaining({ code: 'E_PROTOCOL' }));
    }
  });
});
