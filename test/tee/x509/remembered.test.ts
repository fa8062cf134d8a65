// What is remembered of signatures is nothing but that they verified: every changed part is verified anew and refused, failures
// are not kept, and the memory has a bound.
import { createPublicKey, sign } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { authorityVerifies, forgetAuthorities } from '../../../src/tee/x509/remembered.ts';
import type { SubjectKey } from '../../../src/tee/x509/algorithms.ts';
import { parseX509 } from '../../../src/tee/x509/certificate.ts';
import { verifyChain } from '../../../src/tee/x509/chain.ts';
import { commonName, makeCertificate, makeKey } from './forge.ts';

const NOW = Date.UTC(2026, 0, 1);
const signer = makeKey();
const other = makeKey();
const keyOf = ({ spki }: { readonly spki: Uint8Array }): SubjectKey => ({ kind: 'p256', spki });
const message = Buffer.from('a list of revoked certificates');
const der = sign('sha256', message, signer.privateKey);
const raw = sign('sha256', message, { key: signer.privateKey, dsaEncoding: 'ieee-p1363' });
const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.map((byte, index) => (index === at ? byte ^ 1 : byte));

afterEach(forgetAuthorities);

describe('authorityVerifies', () => {
  it('a signature that verified is known again, whatever objects it comes in', () => {
    for (let i = 0; i < 3; i += 1) expect(authorityVerifies(keyOf({ spki: signer.spki.slice() }), 'ecdsa-sha256', message.subarray(), der.subarray())).toBe(true);
    expect(authorityVerifies(keyOf(signer), 'ecdsa-sha256', message, raw, 'ieee-p1363')).toBe(true);
  });

  it('whatever else is asked is verified, and refused', () => {
    const key = keyOf(signer);
    expect(authorityVerifies(key, 'ecdsa-sha256', message, der)).toBe(true);
    for (let i = 0; i < 2; i += 1) {
      expect(authorityVerifies(keyOf(other), 'ecdsa-sha256', message, der)).toBe(false);
      expect(authorityVerifies(key, 'ecdsa-sha384', message, der)).toBe(false);
      expect(authorityVerifies(key, 'ecdsa-sha256', message, der, 'ieee-p1363')).toBe(false);
      expect(authorityVerifies({ kind: 'p384', spki: signer.spki }, 'rsa-pss-sha384', message, der)).toBe(false);
      for (let at = 0; at < message.length; at += 1) expect(authorityVerifies(key, 'ecdsa-sha256', flipped(message, at), der)).toBe(false);
      for (let at = 0; at < der.length; at += 7) expect(authorityVerifies(key, 'ecdsa-sha256', message, flipped(der, at))).toBe(false);
      // The same bytes, divided otherwise.
      expect(authorityVerifies(key, 'ecdsa-sha256', Buffer.concat([message, der.subarray(0, 1)]), der.subarray(1))).toBe(false);
      expect(authorityVerifies(key, 'ecdsa-sha256', message.subarray(0, -1), Buffer.concat([message.subarray(-1), der]))).toBe(false);
    }
    expect(authorityVerifies(key, 'ecdsa-sha256', message, der)).toBe(true);
  });

  it('a key whose bytes are no point verifies nothing, also after it was tried', () => {
    const bent = keyOf({ spki: flipped(signer.spki, 80) });
    expect(() => createPublicKey({ key: Buffer.from(bent.spki), format: 'der', type: 'spki' })).toThrow();
    for (let i = 0; i < 2; i += 1) expect(authorityVerifies(bent, 'ecdsa-sha256', message, der)).toBe(false);
  });
});

describe('verifyChain: with what is remembered', () => {
  const names = { root: commonName('Root CA'), middle: commonName('Middle CA'), leaf: commonName('Leaf') };
  const middleKey = makeKey();
  const root = makeCertificate({ key: signer, signer, subject: names.root, issuer: names.root, serial: 1, isCa: true, pathLength: 1 });
  const middle = (by = signer): Uint8Array => makeCertificate({ key: middleKey, signer: by, subject: names.middle, issuer: names.root, serial: 2, isCa: true, pathLength: 0 });
  const leaf = (by = middleKey, changes = {}): Uint8Array => makeCertificate({ key: other, signer: by, subject: names.leaf, issuer: names.middle, serial: 3, ...changes });
  const verify = (...chain: readonly Uint8Array[]): void => verifyChain(chain.map((one) => parseX509(one)), { root, length: 3, nowMs: NOW });

  it('validity, roles and the root are judged again when every signature is known', () => {
    const good = [leaf(), middle(), root];
    for (let i = 0; i < 2; i += 1) {
      verify(...good);
      const chain = good.map((one) => parseX509(one));
      expect(() => verifyChain(chain, { root, length: 3, nowMs: NOW + 1e12 })).toThrow(/chain-validity/);
      expect(() => verifyChain(chain, { root: good[1] ?? root, length: 3, nowMs: NOW })).toThrow(/chain-root/);
      expect(() => verifyChain(chain, { root, length: 2, nowMs: NOW })).toThrow(/chain-length/);
      expect(() => verifyChain(chain, { root, length: 3, nowMs: NOW, authorityLeaf: true })).toThrow(/chain-ca/);
    }
  });

  it('a forged authority is found out before its own signatures are looked at', () => {
    const forged = middle(other);
    for (let i = 0; i < 2; i += 1) expect(() => verify(leaf(), forged, root)).toThrow(/signature of certificate "Middle CA"/);
    verify(leaf(), middle(), root);
    expect(() => verify(leaf(other), middle(), root)).toThrow(/signature of certificate "Leaf"/);
  });
});
