import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { toHex } from '../../src/core/bytes.ts';
import { ConfigError } from '../../src/core/errors.ts';
import { OID, SEV_REPORT_BYTES } from '../../src/tee/certificate-evidence.ts';
import type { CertificateEvidence } from '../../src/tee/certificate-evidence.ts';
import { makeCertificate } from '../../src/tee/certificate-make.ts';
import { makeFakeTdxQuote } from '../../src/tee/fake-tdx.ts';
import { FORBIDDEN_IMAGE_HASHES, simulatedImageHash } from '../../src/tee/image-hash.ts';
import type { Role, VerifiedPeer } from '../../src/tee/peer.ts';
import { policyKindOf } from '../../src/tee/policy.ts';
import type { Policy as AnyKind, SimulatedPolicy, TeePolicy } from '../../src/tee/policy.ts';
import { reportDataOf } from '../../src/tee/report-data.ts';
import { makeSimulatedEvidence, simulatedMeasurement } from '../../src/tee/simulated.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { DAY, NOW, buildCertificate } from './der-writer.ts';
import { acceptedOrRefused, expectRefusal } from './expect-error.ts';
import { vector } from './vectors.ts';

/** Real hardware has a verifier of its own (test/wire/attested-connections.test.ts). */
type Policy = Exclude<AnyKind, TeePolicy>;

const networkKeys = generateTlsKeys();
const network = { networkId: new Uint8Array(32).fill(6), networkPublicKey: networkKeys.publicKey };
const keys = generateTlsKeys();
const measurement = { proxy: simulatedMeasurement('proxy', '1.0.0'), worker: simulatedMeasurement('worker', '1.0.0') };

const policyFor = (role: Role, fields: Partial<SimulatedPolicy> = {}): SimulatedPolicy => ({
  kind: 'simulated', role, imageHashes: [new Uint8Array(32).fill(1), simulatedImageHash(measurement[role])], network, ...fields,
});
const fakePolicy: Policy = { kind: 'fake_tdx', acceptFakeEvidence: true };
const any: Policy = { kind: 'any' };

const verifyAt = (policy: Policy, der: Uint8Array, now = NOW + 1000): VerifiedPeer => createVerifyPeer(policy, { clock: { now: () => now } })(der);
const refusedBy = (policy: Policy, der: Uint8Array, message: RegExp): void => expectRefusal(() => verifyAt(policy, der), 'E_EVIDENCE_REFUSED', message);

const simulatedBytes = (role: Role, reportData = reportDataOf(keys.publicKey), key = networkKeys.privateKey, measured = measurement[role]): Uint8Array =>
  makeSimulatedEvidence({ role, measurement: measured, reportData, networkId: network.networkId }, key);
const certificateWith = async (evidence: CertificateEvidence): Promise<Uint8Array> =>
  (await makeCertificate({ keys, evidence, notBefore: NOW })).certificateDer;
const simulated = (evidence: Uint8Array): Promise<Uint8Array> => certificateWith({ family: 'simulated', evidence });

let proxy: Uint8Array;
let worker: Uint8Array;
let plain: Uint8Array;
let fake: Uint8Array;
beforeAll(async () => {
  proxy = await simulated(simulatedBytes('proxy'));
  worker = await simulated(simulatedBytes('worker'));
  plain = await certificateWith({ family: 'none' });
  fake = await certificateWith({ family: 'tdx', quote: makeFakeTdxQuote(keys.publicKey) });
});

describe('createVerifyPeer: what is accepted', () => {
  it('createVerifyPeer: a proxy and a worker of this local network, with every check named', () => {
    for (const [role, der] of [['proxy', proxy], ['worker', worker]] as const) {
      const peer = verifyAt(policyFor(role), der);
      expect(peer).toMatchObject({ evidence: 'simulated', role, publicKey: keys.publicKey, imageHash: simulatedImageHash(measurement[role]) });
      expect(peer.checks?.map(({ name }) => name)).toEqual(['self-signature', 'validity', 'network', 'evidence-signature', 'key-binding', 'role', 'image']);
    }
  });

  it('createVerifyPeer: under any, a certificate without evidence, and no claim about evidence that is there', () => {
    for (const der of [plain, proxy, fake]) {
      expect(verifyAt(any, der)).toMatchObject({ evidence: 'none', publicKey: keys.publicKey, imageHash: new Uint8Array(32) });
      expect(verifyAt(any, der).role).toBeUndefined();
    }
  });

  it('createVerifyPeer: under fake_tdx, the captured certificates of the C++ test mode', () => {
    const now = Date.UTC(2026, 10, 22, 14);
    for (const who of ['worker', 'proxy', 'client']) {
      const peer = verifyAt(fakePolicy, vector(`wire/cert/${who}_cert.der`), now);
      expect(peer.evidence).toBe('fake_tdx');
      expect(toHex(peer.imageHash)).toBe('5c55c8f4db4010ba9203d83536d0609856af8c847ac039e37e7dde8fbd574b61');
      expect(toHex(peer.publicKey)).toBe(toHex(vector(`wire/cert/${who}_user_claims.bin`)));
    }
    expect(verifyAt(any, vector('wire/cert/plain_cert.der'), now).evidence).toBe('none');
  });

  it('createVerifyPeer: the first and the last second of the validity', () => {
    const policy = policyFor('proxy');
    for (const now of [NOW, NOW + DAY, NOW + DAY + 999]) expect(verifyAt(policy, proxy, now).evidence).toBe('simulated');
  });

  it('createVerifyPeer: a peer keeps its own copy of the key', () => {
    const der = Uint8Array.from(proxy);
    const peer = verifyAt(policyFor('proxy'), der);
    der.fill(0);
    expect(toHex(peer.publicKey)).toBe(toHex(keys.publicKey));
  });
});

describe('createVerifyPeer: refusals of certificates, under every policy', () => {
  const policies = [any, fakePolicy, policyFor('proxy')];

  it('createVerifyPeer: no certificate', () => {
    for (const policy of policies) expectRefusal(() => verifyAt(policy, new Uint8Array(0)), 'E_NO_CERTIFICATE', /check "certificate": got none/);
  });

  it('createVerifyPeer: expired and not yet valid, to the second', () => {
    for (const policy of policies) {
      expectRefusal(() => verifyAt(policy, proxy, NOW + DAY + 1000), 'E_EVIDENCE_REFUSED', /check "validity": got a certificate valid until 2026-11-23T12:00:00\.000Z.*it has expired/);
      expectRefusal(() => verifyAt(policy, proxy, NOW - 1), 'E_EVIDENCE_REFUSED', /check "validity": got a certificate valid from 2026-11-22T12:00:00\.000Z.*not valid yet/);
    }
  });

  it('createVerifyPeer: a self-signature by another key, over other bytes, or of a key that is no point', () => {
    const other = buildCertificate({ keys, signingKey: generateTlsKeys().privateKey });
    const noPoint = buildCertificate({ keys: { privateKey: keys.privateKey, publicKey: new Uint8Array(32).fill(0xff) } });
    for (const policy of policies) {
      for (const der of [other, noPoint]) refusedBy(policy, der, /check "self-signature"/);
    }
  });

  it('createVerifyPeer: a certificate with a trailing byte', () => {
    expectRefusal(() => verifyAt(any, Buffer.concat([plain, Buffer.of(0)])), 'E_EVIDENCE_MALFORMED', /left over/);
  });
});

describe('createVerifyPeer: refusals of evidence', () => {
  it('createVerifyPeer: none, from proxies and workers', () => {
    for (const policy of [fakePolicy, policyFor('proxy'), policyFor('worker')]) {
      expectRefusal(() => verifyAt(policy, plain), 'E_NO_EVIDENCE', /check "evidence": got none/);
    }
  });

  it('createVerifyPeer: evidence that is not critical', () => {
    const der = buildCertificate({ keys, extensions: [{ oid: OID.simulated, critical: false, value: simulatedBytes('proxy') }] });
    expectRefusal(() => verifyAt(policyFor('proxy'), der), 'E_NO_EVIDENCE', /only extensions that are not critical \(1\.3\.6\.1\.4\.1\.12345\.9000\)/);
    const critical = buildCertificate({ keys, extensions: [{ oid: OID.simulated, value: simulatedBytes('proxy') }] });
    expect(verifyAt(policyFor('proxy'), critical).evidence).toBe('simulated');
  });

  it('createVerifyPeer: a worker that poses as a proxy, and the reverse', () => {
    refusedBy(policyFor('proxy', { imageHashes: [simulatedImageHash(measurement.worker)] }), worker, /check "role": got evidence of a worker, expected a proxy/);
    refusedBy(policyFor('worker', { imageHashes: [simulatedImageHash(measurement.proxy)] }), proxy, /check "role": got evidence of a proxy, expected a worker/);
  });

  it('createVerifyPeer: evidence for another TLS key', async () => {
    const der = await simulated(simulatedBytes('proxy', reportDataOf(generateTlsKeys().publicKey)));
    refusedBy(policyFor('proxy'), der, /check "key-binding": got report data [0-9a-f]{128}, expected SHA-512 of the TLS key/);
    const copied = await certificateWith({ family: 'tdx', quote: makeFakeTdxQuote(generateTlsKeys().publicKey) });
    refusedBy(fakePolicy, copied, /check "key-binding"/);
  });

  it('createVerifyPeer: another local network, another network key, a worthless signature', async () => {
    refusedBy(policyFor('proxy', { network: { ...network, networkId: new Uint8Array(32) } }), proxy, /check "network"/);
    refusedBy(policyFor('proxy', { network: { ...network, networkPublicKey: generateTlsKeys().publicKey } }), proxy, /check "evidence-signature"/);
    const forged = await simulated(simulatedBytes('proxy', undefined, keys.privateKey));
    refusedBy(policyFor('proxy'), forged, /check "evidence-signature"/);
  });

  it('createVerifyPeer: an image that is not listed, an empty list, a zero measurement', async () => {
    refusedBy(policyFor('proxy', { imageHashes: [new Uint8Array(32).fill(1)] }), proxy, /check "image": got image hash [0-9a-f]{64}, expected one of the 1 that the network allows for a proxy/);
    refusedBy(policyFor('proxy', { imageHashes: [] }), proxy, /check "image": .* list of allowed images is empty/);
    const zero = await simulated(simulatedBytes('proxy', undefined, undefined, new Uint8Array(48)));
    refusedBy(policyFor('proxy'), zero, /check "image": .* stands for simulated evidence with an all-zero measurement/);
  });

  it('createVerifyPeer: simulated evidence everywhere but on its local network', () => {
    refusedBy(fakePolicy, proxy, /check "evidence-kind": got simulated evidence/);
  });

  it('createVerifyPeer: fake TDX evidence everywhere but under its own policy', () => {
    for (const policy of [policyFor('worker'), policyFor('proxy')]) refusedBy(policy, fake, /check "evidence-kind": got the 64-byte fake TDX quote/);
  });

  it('createVerifyPeer: TDX and SEV-SNP as another network\'s', async () => {
    const tdx = await certificateWith({ family: 'tdx', quote: new Uint8Array(4000) });
    const sev = await certificateWith({ family: 'sev-snp', reportData: reportDataOf(keys.publicKey), report: new Uint8Array(SEV_REPORT_BYTES), vcekPem: new Uint8Array(10) });
    refusedBy(policyFor('proxy'), tdx, /check "evidence-kind": got Intel TDX evidence/);
    refusedBy(policyFor('proxy'), sev, /check "evidence-kind": got SEV-SNP evidence/);
    refusedBy(fakePolicy, sev, /check "evidence-kind": got SEV-SNP evidence/);
    refusedBy(fakePolicy, tdx, /check "evidence-kind": got a TDX quote of 4000 bytes, expected the fake quote of 64 bytes/);
  });
});

describe('createVerifyPeer: properties', () => {
  it('createVerifyPeer: a flip of any bit pattern in any byte of a simulated certificate is refused', () => {
    const verify = createVerifyPeer(policyFor('proxy'), { clock: { now: () => NOW } });
    expect(verify(proxy).evidence).toBe('simulated');
    const accepted: number[] = [];
    for (let at = 0; at < proxy.length; at += 1) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const changed = Uint8Array.from(proxy);
        changed[at] = (changed[at] ?? 0) ^ flip;
        if (acceptedOrRefused(() => verify(changed))) accepted.push(at);
      }
    }
    expect(accepted).toEqual([]);
  });

  it('createVerifyPeer: two certificates spliced anywhere are refused', () => {
    const verify = createVerifyPeer(policyFor('proxy'), { clock: { now: () => NOW } });
    fc.assert(fc.property(fc.nat(), fc.nat(), (a, b) => {
      const spliced = Buffer.concat([proxy.subarray(0, a % proxy.length), worker.subarray(b % worker.length)]);
      expect(acceptedOrRefused(() => verify(spliced))).toBe(spliced.equals(proxy));
    }), { numRuns: 1000 });
  });
});

describe('policies', () => {
  const configError = (policy: Policy, message: RegExp): void => {
    const create = (): unknown => createVerifyPeer(policy, { clock: { now: () => NOW } });
    expect(create).toThrow(ConfigError);
    expect(create).toThrow(message);
  };

  it('checkPolicy: refuses to list a hash that stands for nothing', () => {
    for (const [hash, meaning] of FORBIDDEN_IMAGE_HASHES) {
      const imageHashes = [new Uint8Array(Buffer.from(hash, 'hex'))];
      for (const policy of [policyFor('proxy', { imageHashes }), policyFor('worker', { imageHashes })]) {
        configError(policy, /must never be listed: it stands for /);
        expect(() => createVerifyPeer(policy, { clock: { now: () => NOW } })).toThrow(meaning);
      }
    }
  });

  it('checkPolicy: refuses image hashes, network ids and network keys of another length', () => {
    configError(policyFor('proxy', { imageHashes: [new Uint8Array(31)] }), /has 31 bytes, expected 32/);
    configError(policyFor('proxy', { network: { ...network, networkId: new Uint8Array(31) } }), /network id of 32 bytes, got 31/);
    configError(policyFor('proxy', { network: { ...network, networkPublicKey: new Uint8Array(33) } }), /network public key of 32 bytes, got 33/);
  });

  it('checkPolicy: refuses fake_tdx without its explicit flag', () => {
    configError({ kind: 'fake_tdx', acceptFakeEvidence: false as unknown as true }, /expected the explicit flag/);
  });

  it('policyKindOf: knows the names of both generations and no others', () => {
    const kinds = ['any', 'fake_tdx', 'fake_tee', 'tdx', 'tee', 'simulated'].map((name) => policyKindOf(name));
    expect(kinds).toEqual(['any', 'fake_tdx', 'fake_tdx', 'tee', 'tee', 'simulated']);
    for (const name of ['', 'ANY', 'none', 'constructor']) expect(() => policyKindOf(name)).toThrow(/unknown attestation policy/);
  });
});
