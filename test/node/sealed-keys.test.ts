// A node's keys over time: replaced every half hour, erased when they are over, by whatever the clock says.
import { describe, expect, it } from '@jest/globals';
import { silentLog } from '../../src/core/log.ts';
import { RemoteError } from '../../src/core/errors.ts';
import { createSealing } from '../../src/node/sealed-keys.ts';
import { makeCertificate } from '../../src/tee/certificate-make.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import type { SealedRun } from '../../src/wire/sealed.ts';

const START_MS = Date.UTC(2026, 10, 22);
const EVIDENCE = { family: 'simulated', evidence: new Uint8Array(217) } as const;

/** What opening a request to a key is refused with: the node does not have it, or it does not open. */
function refusalOf(open: () => unknown): string {
  try {
    open();
  } catch (error) {
    if (error instanceof RemoteError) return error.remoteMessage;
    throw error;
  }
  return 'opened';
}

describe('createSealing', () => {
  it('createSealing: a key is erased ten minutes after the next one was made, and stays so when the clock is set back', async () => {
    let nowMs = START_MS;
    const waits: { readonly ms: number; readonly over: () => void }[] = [];
    const made = makeCertificate({ keys: generateTlsKeys(), evidence: EVIDENCE, notBefore: START_MS });
    const sealing = await createSealing({
      identity: () => ({ ...made, attest: async () => ({ evidence: EVIDENCE, gpus: new Uint8Array(0) }) }),
      imageHash: new Uint8Array(32), model: 'a@b:c', root: '', clock: { now: () => nowMs }, log: silentLog,
      sleep: (ms) => new Promise((resolve) => { waits.push({ ms, over: resolve }); }),
    });
    const pass = async (): Promise<number> => {
      const wait = waits.shift();
      if (wait === undefined) throw new Error('nothing waits');
      nowMs += wait.ms;
      wait.over();
      while (waits.length === 0) await new Promise((resolve) => { setImmediate(resolve); });
      return wait.ms;
    };
    const run = (keyId: Uint8Array): SealedRun => ({
      requestId: new Uint8Array(32), keyId, suite: { kem: 0x20, kdf: 1, aead: 1 }, paramsVersion: 0, clientContract: '', model: 'a', maxTokens: 1, maxCoefficient: 1000, timeoutMs: 1000,
      timestampMs: nowMs, enc: new Uint8Array(32), sealed: new Uint8Array(600),
    });
    const tried = (keyId: Uint8Array): string => refusalOf(() => sealing.open(run(keyId), { proxyPublicKey: new Uint8Array(32), coefficient: 0n, price: 0 }));
    const first = sealing.keys().keyId;
    expect(tried(first)).toContain('sealed request refused');
    expect(await pass() + await pass()).toBe(1_800_000);
    expect(sealing.keys().keyId).not.toEqual(first);
    expect(tried(first)).toContain('sealed request refused'); // it still opens what was sealed to it
    await pass();
    nowMs = START_MS + 1000;
    expect(tried(first)).toContain('is not one of this node');
    sealing.close();
  });

  it('createSealing: needs evidence of its own', async () => {
    const made = makeCertificate({ keys: generateTlsKeys(), evidence: EVIDENCE, notBefore: START_MS });
    await expect(createSealing({ identity: () => made, imageHash: new Uint8Array(32), model: 'a@b:c', root: '', clock: { now: () => START_MS }, log: silentLog })).rejects.toThrow('no evidence');
  });
});
