// One node's keys and one client's request, for the tests of sealing. Everything is fixed, so that vectors can be made of it.
import { createHash } from 'node:crypto';
import { signerOfSeed, verifySignature } from '../../src/chain/ed25519.ts';
import { createKeyRing } from '../../src/seal/key-ring.ts';
import { verifyKeyRecord } from '../../src/seal/key-record.ts';
import { MANDATORY_SUITE } from '../../src/seal/suites.ts';
import type { ExpectedRecord, KeyRecord, SignedKeyRecord } from '../../src/seal/key-record.ts';
import type { KeyRing } from '../../src/seal/key-ring.ts';
import type { Routing } from '../../src/seal/request.ts';

export const bytes = (size: number, label: string): Uint8Array =>
  new Uint8Array(createHash('shake256', { outputLength: size }).update(label).digest());

export const NOW_S = 1_800_000_000;
export const tls = signerOfSeed(bytes(32, 'tls'));
export const receipts = signerOfSeed(bytes(32, 'receipt'));
export const ROOT = `0:${'ab'.repeat(32)}`;
export const MODEL = 'cocoon-tiny@0123:4567';

export const FACTS = {
  tlsPublicKey: tls.publicKey, receiptKey: receipts.publicKey, imageHash: bytes(32, 'image'), model: MODEL, root: ROOT,
  cpuEvidence: bytes(32, 'quote'), gpuEvidence: bytes(32, 'gpu'),
};

export const EXPECTED: ExpectedRecord = {
  tlsPublicKey: tls.publicKey, imageHash: FACTS.imageHash, cpuEvidence: FACTS.cpuEvidence, root: ROOT, model: 'cocoon-tiny', nowS: NOW_S, verifySignature,
};

export const ring = (): Promise<KeyRing> => createKeyRing({
  facts: () => FACTS, vouch: async () => ({ gpuEvidence: FACTS.gpuEvidence, voucher: undefined }), sign: (message) => tls.sign(message), nowS: NOW_S,
});

export const routingOf = (keyId: Uint8Array, suite = MANDATORY_SUITE): Routing => ({
  requestId: bytes(32, 'request'), keyId, suite, root: ROOT, paramsVersion: 3, proxyPublicKey: bytes(32, 'proxy'),
  clientContract: 'EQclient', model: 'cocoon-tiny', maxTokens: 100, maxCoefficient: 4000, timeoutMs: 120_000, timestampMs: NOW_S * 1000,
});

export const recordOf = (signed: SignedKeyRecord): KeyRecord => verifyKeyRecord(signed, EXPECTED);
