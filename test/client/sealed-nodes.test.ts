// Which nodes a client seals to: records that evidence vouches for, until the lists of the network change, also while it is judged.
import { sign } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { createSealedNodes } from '../../src/client/sealed-nodes.ts';
import type { SealedNodes } from '../../src/client/sealed-nodes.ts';
import { silentLog } from '../../src/core/log.ts';
import { cpuEvidenceDigest, gpuEvidenceDigest } from '../../src/seal/evidence.ts';
import { createKeyRing } from '../../src/seal/key-ring.ts';
import { makeCertificate } from '../../src/tee/certificate-make.ts';
import type { PeerFreshness, PeerStanding, VerifiedPeer } from '../../src/tee/peer.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import type { SealKey } from '../../src/wire/sealed.ts';

const NOW_MS = Date.UTC(2026, 10, 22);
const clock = { now: () => NOW_MS };
const NO_GPUS = new Uint8Array(0);

/** A node with its key, and lists that a test changes. */
async function world(freshness: (change: () => void) => PeerFreshness['verify']) {
  const keys = generateTlsKeys();
  const { certificateDer } = makeCertificate({ keys, evidence: { family: 'simulated', evidence: new Uint8Array(217) }, notBefore: NOW_MS - 1000 });
  const imageHash = new Uint8Array(32).fill(1);
  const ring = await createKeyRing({
    nowS: NOW_MS / 1000,
    facts: () => ({ tlsPublicKey: keys.publicKey, receiptKey: new Uint8Array(32), imageHash, model: 'a@b:c', root: '', cpuEvidence: cpuEvidenceDigest(certificateDer) }),
    vouch: async () => ({ gpuEvidence: gpuEvidenceDigest(NO_GPUS), voucher: null }),
    sign: (message) => new Uint8Array(sign(null, message, keys.privateKey)),
  });
  const listeners = new Set<(judgeNow: boolean) => void>();
  const change = (): void => { for (const listener of listeners) listener(true); };
  const standing: PeerStanding = {
    leftMs: () => 1000, renew: async () => undefined,
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const peer: VerifiedPeer = { evidence: 'simulated', publicKey: keys.publicKey, imageHash, standing, freshness: { verify: freshness(change), notShown: () => undefined } };
  const { signed } = ring.current();
  const key: SealKey = { ...signed, certificate: certificateDer, evidence: { evidence: { family: 'simulated', evidence: new Uint8Array(217) }, gpus: NO_GPUS } };
  const nodes: SealedNodes = createSealedNodes({ verifyNode: async () => peer, root: '', clock, log: silentLog });
  return { nodes, signed, fetch: async () => key, change, listeners };
}

describe('createSealedNodes', () => {
  it('verify: a node serves until the lists change, and is judged anew then', async () => {
    const { nodes, signed, fetch, change, listeners } = await world(() => async () => undefined);
    const first = await nodes.verify(signed, fetch);
    expect([first.isUsable(), await nodes.verify(signed, fetch) === first, listeners.size]).toEqual([true, true, 1]);
    change();
    expect([first.isUsable(), listeners.size]).toEqual([false, 0]);
    const second = await nodes.verify(signed, fetch);
    expect([second === first, second.isUsable()]).toEqual([false, true]);
  });

  it('verify: lists that change while the evidence for the record is judged end its use', async () => {
    let judged = 0;
    const { nodes, signed, fetch, listeners } = await world((change) => async () => {
      judged += 1;
      if (judged === 1) change();
    });
    const first = await nodes.verify(signed, fetch);
    expect(first.isUsable()).toBe(false);
    const second = await nodes.verify(signed, fetch);
    expect([second.isUsable(), judged, listeners.size]).toEqual([true, 2, 1]);
  });

  it('verify: nothing listens any more for a node that was refused', async () => {
    const { nodes, signed, fetch, listeners } = await world(() => async () => { throw new Error('not fresh'); });
    await expect(nodes.verify(signed, fetch)).rejects.toThrow('not fresh');
    expect(listeners.size).toBe(0);
  });
});
