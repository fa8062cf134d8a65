import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { systemClock } from '../../src/core/clock.ts';
import { parseCertificate } from '../../src/tee/certificate-parse.ts';
import { createTlsIdentity } from '../../src/tee/tls-identity.ts';

describe('createTlsIdentity', () => {
  it('createTlsIdentity: renews the certificate at half of its life and keeps the key', async () => {
    const asked: Uint8Array[] = [];
    const identity = await createTlsIdentity({
      clock: systemClock, lifetimeMs: 2_000,
      evidence: (key) => { asked.push(key); return { family: 'none' }; },
    });
    try {
      const first = identity.current();
      await sleep(1_300);
      const second = identity.current();
      expect(second.certificatePem).not.toBe(first.certificatePem);
      expect(second.publicKey).toEqual(first.publicKey);
      expect(second.notAfter).toBeGreaterThan(first.notAfter);
      expect(asked).toEqual([identity.publicKey, identity.publicKey]);
    } finally {
      identity.close();
    }
  });

  it('createTlsIdentity: a failed renewal is told and the old certificate stays', async () => {
    const errors: unknown[] = [];
    let fail = false;
    const identity = await createTlsIdentity({
      clock: systemClock, lifetimeMs: 1_000, onError: (error) => errors.push(error),
      evidence: () => { if (fail) throw new Error('no evidence today'); return { family: 'none' }; },
    });
    try {
      const first = identity.current();
      fail = true;
      await sleep(700);
      expect(errors).toHaveLength(1);
      expect(identity.current()).toBe(first);
    } finally {
      identity.close();
    }
  });

  it('createTlsIdentity: certificates are valid for peers whose clock is some minutes behind', async () => {
    const identity = await createTlsIdentity({ clock: { now: () => Date.UTC(2026, 0, 1) }, evidence: () => ({ family: 'none' }) });
    identity.close();
    const { notBefore, notAfter } = parseCertificate(identity.current().certificateDer);
    expect(notBefore).toBe(Date.UTC(2026, 0, 1) - 5 * 60_000);
    expect(notAfter).toBe(Date.UTC(2026, 0, 2));
  });
});
