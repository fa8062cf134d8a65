// A request sealed to a node: opened by its key only, with exactly what was authenticated, once, in time.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { SealError } from '../../src/seal/errors.ts';
import { createKeyRing } from '../../src/seal/key-ring.ts';
import { CLOCK_SKEW_S } from '../../src/seal/key-record.ts';
import { pad, requestBucket, unpad } from '../../src/seal/padding.ts';
import { ReplayGuard } from '../../src/seal/replay.ts';
import { encodeRouting, openRequest, prepareSeal, sealedSize } from '../../src/seal/request.ts';
import { HYBRID_SUITE, loadSuite, MANDATORY_SUITE } from '../../src/seal/suites.ts';
import type { Routing } from '../../src/seal/request.ts';
import type { SuiteId } from '../../src/seal/suites.ts';
import { bytes, FACTS, NOW_S, recordOf, ring, routingOf, tls } from './world.ts';

const NOW_MS = NOW_S * 1000;
const PROMPT = new TextEncoder().encode('{"messages":[{"role":"user","content":"a secret"}]}');

async function sealed(suiteId: SuiteId = MANDATORY_SUITE) {
  const keys = await ring();
  const current = keys.current();
  const suite = await loadSuite(suiteId);
  const offered = recordOf(current.signed).suites.find(({ kem }) => kem === suiteId.kem);
  if (suite === null || offered === undefined) throw new Error('no suite');
  const routing = routingOf(current.keyId, suiteId);
  const request = prepareSeal({ suite, publicKey: offered.publicKey, record: current.signed.record }).seal(routing, PROMPT);
  const open = (change: Partial<Routing> = {}, nowMs = NOW_MS) => openRequest({
    ...keys.find(current.keyId, NOW_S).open(suiteId), record: current.signed.record, routing: { ...routing, ...change },
    enc: request.enc, sealed: request.sealed, nowMs,
  });
  return { keys, current, routing, request, open, suite };
}

describe('prepareSeal and openRequest', () => {
  it.each([['X25519', MANDATORY_SUITE], ['X-Wing', HYBRID_SUITE]] as const)('openRequest: what was sealed, with %s', async (_name, suiteId) => {
    const { open, request } = await sealed(suiteId);
    const opened = open();
    expect(opened.request).toEqual(PROMPT);
    expect(opened.answer.secret).toEqual(request.answer.secret);
    expect(Buffer.from(request.sealed).includes('secret')).toBe(false);
    expect(request.sealed.byteLength).toBe(sealedSize(PROMPT.byteLength));
  });

  const changes: readonly [string, Partial<Routing>][] = [
    ['request id', { requestId: bytes(32, 'other') }], ['key id', { keyId: bytes(16, 'other') }], ['root', { root: '' }],
    ['version of the parameters', { paramsVersion: 4 }], ['proxy', { proxyPublicKey: bytes(32, 'other') }], ['client contract', { clientContract: 'EQother' }],
    ['model', { model: 'large' }], ['token limit', { maxTokens: 101 }], ['price limit', { maxCoefficient: 4001 }], ['time limit', { timeoutMs: 1 }],
    ['time', { timestampMs: NOW_MS + 1 }], ['suite', { suite: { ...MANDATORY_SUITE, aead: 3 } }],
  ];
  it.each(changes)('openRequest: refuses another %s', async (_name, change) => {
    const { open } = await sealed();
    expect(() => open(change)).toThrow(SealError);
  });

  it('prepareSeal: an encapsulation is used once', async () => {
    const { current, routing, suite } = await sealed();
    const prepared = prepareSeal({ suite, publicKey: recordOf(current.signed).suites.find(({ kem }) => kem === MANDATORY_SUITE.kem)?.publicKey ?? PROMPT, record: current.signed.record });
    prepared.seal(routing, PROMPT);
    expect(() => prepared.seal(routing, PROMPT)).toThrow(RangeError);
  });

  it('openRequest: refuses what is too old or from the future', async () => {
    const { open } = await sealed();
    expect(open({}, NOW_MS + CLOCK_SKEW_S * 1000).request).toEqual(PROMPT);
    expect(() => open({}, NOW_MS + CLOCK_SKEW_S * 1000 + 1)).toThrow('away from this clock');
    expect(() => open({}, NOW_MS - CLOCK_SKEW_S * 1000 - 1)).toThrow('away from this clock');
  });

  it('openRequest: refuses another record, another node\'s key and every changed bit', async () => {
    const { keys, current, routing, request } = await sealed();
    const other = await ring();
    const open = (bytesOf: Uint8Array, from = keys, record = current.signed.record) => () => openRequest({
      ...from.current().open(MANDATORY_SUITE), record, routing, enc: request.enc, sealed: bytesOf, nowMs: NOW_MS,
    });
    expect(open(request.sealed)()).toMatchObject({ request: PROMPT });
    expect(open(request.sealed, other)).toThrow(SealError);
    expect(open(request.sealed, keys, other.current().signed.record)).toThrow(SealError);
    fc.assert(fc.property(fc.nat(request.sealed.byteLength * 8 - 1), (bit) => {
      const changed = Uint8Array.from(request.sealed);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(open(changed)).toThrow(SealError);
    }), { numRuns: 50 });
  });

  it('encodeRouting: two routings never have the same encoding', () => {
    const a = { ...routingOf(bytes(16, 'key')), root: 'ab', clientContract: 'c' };
    expect(encodeRouting(a)).not.toEqual(encodeRouting({ ...a, root: 'a', clientContract: 'bc' }));
  });
});

describe('createKeyRing', () => {
  it('rotate: the old key opens until it is over, then nothing does', async () => {
    const keys = await ring();
    const old = keys.current();
    await keys.rotate(NOW_S + 1800);
    expect(keys.current().keyId).not.toEqual(old.keyId);
    expect(keys.find(old.keyId, NOW_S + 2000).keyId).toEqual(old.keyId);
    expect(() => keys.find(old.keyId, NOW_S + 2400)).toThrow('is over');
    await keys.rotate(NOW_S + 3600);
    expect(() => keys.find(old.keyId, NOW_S + 2000)).toThrow(SealError);
    keys.close();
    expect(() => keys.find(keys.current().keyId, NOW_S)).toThrow(SealError);
  });
});

describe('createKeyRing, what it keeps', () => {
  it('expire: erases what is over and nothing else', async () => {
    const keys = await ring();
    const old = keys.current();
    await keys.rotate(NOW_S + 1800);
    keys.expire(NOW_S + 2399);
    expect(keys.find(old.keyId, NOW_S + 2399)).toBe(old);
    keys.expire(NOW_S + 2400);
    expect(() => keys.find(old.keyId, NOW_S + 2399)).toThrow('not one of');
    expect(keys.find(keys.current().keyId, NOW_S + 2400)).toBe(keys.current());
  });

  it('rotate: keeps two keys, whatever the clock says', async () => {
    const keys = await ring();
    const made = [keys.current()];
    for (let count = 0; count < 3; count += 1) {
      await keys.rotate(NOW_S - 86_400);
      made.push(keys.current());
    }
    const found = made.map(({ keyId }) => {
      try {
        return keys.find(keyId, NOW_S - 86_400).keyId.byteLength > 0;
      } catch {
        return false;
      }
    });
    expect(found).toEqual([false, false, true, true]);
  });

  it('rotate: erases what is over also where nothing vouches for a new key', async () => {
    let vouches = true;
    const keys = await createKeyRing({
      facts: () => FACTS, nowS: NOW_S, sign: (message) => tls.sign(message),
      vouch: async () => {
        if (!vouches) throw new Error('no evidence now');
        return { gpuEvidence: FACTS.gpuEvidence, voucher: undefined };
      },
    });
    const old = keys.current();
    vouches = false;
    await expect(keys.rotate(NOW_S + 2400)).rejects.toThrow('no evidence now');
    expect(() => keys.find(old.keyId, NOW_S)).toThrow('not one of');
  });
});

describe('ReplayGuard', () => {
  const SKEW_MS = CLOCK_SKEW_S * 1000;

  it('admit: refuses a repeat for as long as its time would be accepted, and to the last millisecond', () => {
    const guard = new ReplayGuard();
    guard.admit(Uint8Array.of(1), NOW_MS);
    // A request that was 120 s from the future when it came is in time until 240 s later, that millisecond included.
    for (const laterMs of [0, 1, 2 * SKEW_MS - 1, 2 * SKEW_MS]) expect(() => guard.admit(Uint8Array.of(1), NOW_MS + laterMs)).toThrow('was sent before');
    guard.admit(Uint8Array.of(2), NOW_MS + 4 * SKEW_MS);
    expect(guard.size).toBe(1);
  });

  it('admit: a clock that is set back lets nothing through again', () => {
    const guard = new ReplayGuard();
    guard.admit(Uint8Array.of(1), NOW_MS);
    guard.admit(Uint8Array.of(2), NOW_MS + 3600_000); // by now the first one is forgotten
    for (const backMs of [0, SKEW_MS, 2 * SKEW_MS, 3600_000 - SKEW_MS - 1]) expect(() => guard.admit(Uint8Array.of(1), NOW_MS + backMs)).toThrow('clock of this node');
    guard.admit(Uint8Array.of(3), NOW_MS + 3600_000 - SKEW_MS); // corrections of a clock are no attack
    expect(() => guard.admit(Uint8Array.of(3), NOW_MS + 3600_000 + SKEW_MS)).toThrow('was sent before');
    expect(() => guard.admit(Uint8Array.of(4), Number.NaN)).toThrow(SealError);
  });

  it('admit: whatever the clock does, nothing passes twice while its time is accepted', () => {
    const request = fc.record({ id: fc.nat(5), stepMs: fc.integer({ min: -5 * SKEW_MS, max: 5 * SKEW_MS }), awayMs: fc.integer({ min: -SKEW_MS, max: SKEW_MS }) });
    fc.assert(fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
      const guard = new ReplayGuard();
      const timestamps = new Map<number, number>();
      let nowMs = NOW_MS;
      const passed: number[] = [];
      for (const { id, stepMs, awayMs } of requests) {
        nowMs += stepMs;
        const timestampMs = timestamps.get(id) ?? nowMs + awayMs;
        timestamps.set(id, timestampMs);
        if (Math.abs(nowMs - timestampMs) > SKEW_MS) continue; // refused by its time (openRequest)
        try {
          guard.admit(Uint8Array.of(id), nowMs);
          passed.push(id);
        } catch (error) {
          expect(error).toBeInstanceOf(SealError);
        }
      }
      expect(passed).toEqual([...new Set(passed)]);
    }), { numRuns: 500 });
  });

  it('admit: refuses new ones rather than forgetting old ones', () => {
    const guard = new ReplayGuard(2);
    guard.admit(Uint8Array.of(1), NOW_MS);
    guard.admit(Uint8Array.of(2), NOW_MS + 1);
    expect(() => guard.admit(Uint8Array.of(3), NOW_MS + 2)).toThrow('more than 2');
    expect(() => guard.admit(Uint8Array.of(1), NOW_MS + 2)).toThrow('was sent before');
    guard.admit(Uint8Array.of(3), NOW_MS + 4 * SKEW_MS);
  });
});

describe('padding', () => {
  it('pad and unpad: give the text back; lengths within a bucket are the same', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 5_000 }), (text) => {
      const padded = pad(text, requestBucket);
      expect(unpad(padded)).toEqual(text);
      expect(padded.byteLength).toBe(requestBucket(text.byteLength + 4));
    }));
    expect(requestBucket(1)).toBe(512);
    expect(requestBucket(513)).toBe(576);
    expect(requestBucket(100_000)).toBe(106_496);
    for (let size = 1; size < 70_000; size += 37) {
      expect(requestBucket(size)).toBeGreaterThanOrEqual(size);
      expect(requestBucket(size)).toBeLessThanOrEqual(Math.max(512, size * 1.125 + 1));
    }
  });

  it('unpad: refuses lengths beyond the text and padding that says something', () => {
    expect(() => unpad(new Uint8Array(3))).toThrow(SealError);
    expect(() => unpad(Uint8Array.of(0, 0, 0, 2, 1))).toThrow(SealError);
    expect(() => unpad(Uint8Array.of(0, 0, 0, 1, 1, 1))).toThrow('padding is not zero');
  });
});
