import { createHash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { fakeTdxImageHash, isFakeTdxQuote, makeFakeTdxQuote } from '../../src/tee/fake-tdx.ts';
import { FORBIDDEN_IMAGE_HASHES, isForbiddenImageHash, sevImageHash, simulatedImageHash, tdxImageHash } from '../../src/tee/image-hash.ts';
import { reportDataOf } from '../../src/tee/report-data.ts';
import { makeSimulatedEvidence, parseSimulatedEvidence, simulatedMeasurement, verifySimulatedEvidence } from '../../src/tee/simulated.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import { expectRefusal } from './expect-error.ts';
import { jsonVector, vector } from './vectors.ts';

interface ImagesVector {
  readonly tdx: Readonly<Record<'mr_td' | 'mr_config_id' | 'mr_owner' | 'mr_owner_config' | 'serialized_report' | 'image_hash', string>> & { readonly rtmr: readonly [string, string, string, string] };
  readonly sev: { readonly measurement: string; readonly serialized_report: string; readonly image_hash: string };
  readonly hash_of_absent_attestation: { readonly tdx_all_zero_report: string; readonly sev_all_zero_report: string };
  readonly report_data_rule: { readonly tls_public_key: string; readonly report_data: string };
}

const images = jsonVector('wire-2026-04/attestation-images.json') as ImagesVector;
const sha256 = (...parts: readonly Uint8Array[]): string => createHash('sha256').update(Buffer.concat(parts)).digest('hex');

describe('image hashes (WIRE.md section 4, WIRE-2026-04.md section 7.3)', () => {
  it('tdxImageHash: reproduces the vector', () => {
    const { tdx } = images;
    const [rtmr0, rtmr1, rtmr2, rtmr3] = tdx.rtmr;
    const fields = {
      mrTd: tdx.mr_td, mrConfigId: tdx.mr_config_id, mrOwner: tdx.mr_owner, mrOwnerConfig: tdx.mr_owner_config, rtmr0, rtmr1, rtmr2, rtmr3,
    };
    const measured = Object.fromEntries(Object.entries(fields).map(([name, hex]) => [name, fromHex(hex)])) as Record<keyof typeof fields, Uint8Array>;
    expect(toHex(tdxImageHash(measured))).toBe(tdx.image_hash);
    expect(() => tdxImageHash({ ...measured, rtmr2: new Uint8Array(47) })).toThrow(RangeError);
  });

  it('tdxImageHash: takes the registers as they stand in the AttestedPeerInfo frame (WIRE.md section 6)', () => {
    const frame = fromHex(images.tdx.serialized_report);
    const register = (index: number): Uint8Array => frame.subarray(index * 48, (index + 1) * 48);
    expect(toHex(tdxImageHash({
      mrTd: register(0), mrConfigId: register(1), mrOwner: register(2), mrOwnerConfig: register(3),
      rtmr0: register(4), rtmr1: register(5), rtmr2: register(6), rtmr3: register(7),
    }))).toBe(images.tdx.image_hash);
    expect(toHex(sevImageHash(fromHex(images.sev.serialized_report).subarray(0, 48)))).toBe(images.sev.image_hash);
  });

  it('sevImageHash: reproduces the vector', () => {
    expect(toHex(sevImageHash(fromHex(images.sev.measurement)))).toBe(images.sev.image_hash);
    expect(() => sevImageHash(new Uint8Array(32))).toThrow(RangeError);
  });

  it('simulatedImageHash: is SHA-256 of the tag, the measurement and 64 zero bytes', () => {
    const measurement = new Uint8Array(48).fill(9);
    expect(toHex(simulatedImageHash(measurement))).toBe(sha256(Buffer.from('cocoon-simulated'), measurement, new Uint8Array(64)));
  });

  it('fakeTdxImageHash: is the captured hash of all three programs, and a forbidden one', () => {
    for (const who of ['worker', 'proxy', 'client']) {
      expect(Buffer.from(fakeTdxImageHash()).toString('base64')).toBe(vector(`wire/cert/${who}_image_hash.b64`).toString('latin1').trim());
    }
    expect(isForbiddenImageHash(fakeTdxImageHash())).toBe(true);
  });

  it('isForbiddenImageHash: knows the hash of nothing of every family', () => {
    const zeros = (bytes: number): Uint8Array => new Uint8Array(bytes);
    const nothing = [
      '00'.repeat(32), sha256(zeros(448)), sha256(zeros(112)), sha256(zeros(96)), sha256(Buffer.from('cocoon-simulated'), zeros(112)),
    ];
    expect([...FORBIDDEN_IMAGE_HASHES.keys()]).toEqual(nothing);
    expect(nothing).toEqual(expect.arrayContaining(Object.values(images.hash_of_absent_attestation).filter((text) => /^[0-9a-f]{64}$/.test(text))));
    for (const hash of nothing) expect(isForbiddenImageHash(fromHex(hash))).toBe(true);
    expect(isForbiddenImageHash(fromHex(images.tdx.image_hash))).toBe(false);
  });
});

describe('reportDataOf', () => {
  it('reportDataOf: reproduces the vectors', () => {
    expect(toHex(reportDataOf(fromHex(images.report_data_rule.tls_public_key)))).toBe(images.report_data_rule.report_data);
    const certs = jsonVector('wire/cert/cert.json') as Record<string, { readonly ed25519_public_key: string; readonly sha512_public_key: string }>;
    for (const one of Object.values(certs)) expect(toHex(reportDataOf(fromHex(one.ed25519_public_key)))).toBe(one.sha512_public_key);
    expect(() => reportDataOf(new Uint8Array(31))).toThrow(RangeError);
  });

  it('makeFakeTdxQuote: reproduces the captured quotes', () => {
    for (const who of ['worker', 'proxy', 'client']) {
      const quote = vector(`wire/cert/${who}_quote.bin`);
      expect(toHex(makeFakeTdxQuote(vector(`wire/cert/${who}_user_claims.bin`)))).toBe(toHex(quote));
      expect(isFakeTdxQuote(quote)).toBe(true);
    }
    expect(isFakeTdxQuote(new Uint8Array(65))).toBe(false);
  });
});

describe('simulated evidence', () => {
  const networkKey = generateTlsKeys();
  const network = { networkId: new Uint8Array(32).fill(3), networkPublicKey: networkKey.publicKey };
  const fields = {
    role: 'worker', measurement: simulatedMeasurement('worker', '1.2.3'), reportData: new Uint8Array(64).fill(5), networkId: network.networkId,
  } as const;
  const evidence = makeSimulatedEvidence(fields, networkKey.privateKey);
  const edited = (at: number, value: number): Uint8Array => Uint8Array.from(evidence, (byte, index) => (index === at ? value : byte));

  it('makeSimulatedEvidence: has the layout of the specification', () => {
    const before = Buffer.concat([Buffer.from('CCNSIM1\0'), Uint8Array.of(2), fields.measurement, fields.reportData, fields.networkId]);
    expect(evidence).toHaveLength(217);
    expect(toHex(evidence.subarray(0, 153))).toBe(toHex(before));
    expect(makeSimulatedEvidence({ ...fields, role: 'proxy' }, networkKey.privateKey)[8]).toBe(1);
    expect(verifySimulatedEvidence(evidence, network)).toEqual(fields);
  });

  it('makeSimulatedEvidence: refuses fields of another length', () => {
    for (const field of ['measurement', 'reportData', 'networkId'] as const) {
      expect(() => makeSimulatedEvidence({ ...fields, [field]: new Uint8Array(31) }, networkKey.privateKey)).toThrow(RangeError);
    }
  });

  it('parseSimulatedEvidence: refuses another magic, role or length', () => {
    expectRefusal(() => parseSimulatedEvidence(edited(7, 1)), 'E_EVIDENCE_MALFORMED', /starts with 43434e53494d3101, expected 43434e53494d3100/);
    for (const role of [0, 3, 255]) expectRefusal(() => parseSimulatedEvidence(edited(8, role)), 'E_EVIDENCE_MALFORMED', new RegExp(`has role ${role}, expected 1`));
    expectRefusal(() => parseSimulatedEvidence(evidence.subarray(1)), 'E_EVIDENCE_MALFORMED', /has 216 bytes, expected 217/);
  });

  it('verifySimulatedEvidence: refuses another network, another key and any changed byte', () => {
    expectRefusal(() => verifySimulatedEvidence(evidence, { ...network, networkId: new Uint8Array(32) }), 'E_EVIDENCE_REFUSED', /check "network"/);
    expectRefusal(() => verifySimulatedEvidence(evidence, { ...network, networkPublicKey: generateTlsKeys().publicKey }), 'E_EVIDENCE_REFUSED', /check "evidence-signature"/);
    for (let at = 0; at < evidence.length; at += 1) {
      expect(() => verifySimulatedEvidence(edited(at, evidence[at]! ^ 1), network)).toThrow(/malformed|check "(network|evidence-signature)"/);
    }
  });

  it('simulatedMeasurement: differs by role and version', () => {
    const all = (['proxy', 'worker'] as const).flatMap((role) => ['1.0.0', '1.0.1'].map((version) => toHex(simulatedMeasurement(role, version))));
    expect(new Set(all).size).toBe(4);
    expect(all.every((hex) => hex.length === 96)).toBe(true);
  });
});
