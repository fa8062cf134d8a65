// Real evidence of H100 GPUs and real manifests under NVIDIA's own roots. Third-party files: read from ../shared where
// present. There are no OCSP answers among them, so that the checks of revocation stay unmade and no verdict is a pass.
import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { toHex } from '../../../src/core/bytes.ts';
import { parseDevice } from '../../../src/tee/nvidia/bundle.ts';
import type { NvidiaDevice } from '../../../src/tee/nvidia/bundle.ts';
import { fwidOf } from '../../../src/tee/nvidia/fwid.ts';
import { judgeNvidia } from '../../../src/tee/nvidia/judge.ts';
import type { NvidiaJudgement } from '../../../src/tee/nvidia/judge.ts';
import { compare } from '../../../src/tee/nvidia/measurements.ts';
import { gpuClaimsOf, switchClaimsOf } from '../../../src/tee/nvidia/opaque.ts';
import { parseRim } from '../../../src/tee/nvidia/parse-rim.ts';
import type { Rim } from '../../../src/tee/nvidia/parse-rim.ts';
import { parseSpdm } from '../../../src/tee/nvidia/parse-spdm.ts';
import { STRICT_NVIDIA_POLICY } from '../../../src/tee/nvidia/policy.ts';
import type { NvidiaPolicy } from '../../../src/tee/nvidia/policy.ts';
import { NVIDIA_ROOTS } from '../../../src/tee/nvidia/roots.ts';
import { verifyRim } from '../../../src/tee/nvidia/verify.ts';
import { CheckList } from '../../../src/tee/verdict.ts';
import { checkOf, named } from '../verdict-of.ts';

const folder = new URL('../../../../shared/attestation/vectors/nvidia/', import.meta.url);
const vectors = existsSync(folder) ? describe : describe.skip;
const text = (name: string): string => readFileSync(new URL(name, folder), 'utf8');
const json = (name: string): unknown => JSON.parse(text(name));
const device = (name: string): NvidiaDevice => {
  const parsed = json(`${name}.json`);
  return parseDevice(Array.isArray(parsed) ? parsed[0] : parsed);
};
const rim = (name: string): Rim => parseRim(text(`rim/${name}`));

const POLICY: NvidiaPolicy = { ...STRICT_NVIDIA_POLICY, gpuCount: 1, requireSystemMode: false, fwid: 'when-reported' };
const NOW = Date.parse('2025-01-15');
const judged = (name: string, rims: readonly string[] = [], nowMs = NOW, nonce: string | null = null, policy: Partial<NvidiaPolicy> = {}): NvidiaJudgement => judgeNvidia({
  devices: [device(name)], collateral: { manifests: rims.map((file) => ({ id: null, rim: rim(file) })), ocsp: [] }, system: null,
  policy: { ...POLICY, ...policy }, nowMs, nonce: nonce === null ? null : Buffer.from(nonce, 'hex'),
});
const OCSP = ['ocsp', 'driver-rim-ocsp', 'vbios-rim-ocsp'];
const DRIVER = 'Driver_RIM_test_no_gpu.swidtag';
const VBIOS = '1010_0200_882_96005E0001_test_no_gpu.swidtag';

vectors('real NVIDIA evidence (../shared)', () => {
  it('judgeNvidia: accepts all but the missing OCSP answers of the one complete set', () => {
    const { verdict, devices } = judged('h100-545.00-FULLMATCH', [DRIVER, VBIOS], NOW, '4cff7f5380ead8fad8ec2c531c110aca4302a88f603792801a8ca29ee151af2e');
    expect([verdict.overall, named(verdict, 'fail'), named(verdict, 'skip')]).toEqual(['incomplete', [], OCSP]);
    expect(checkOf(verdict, 'measurements').seen).toMatch(/32 compared, that of the disabled decoder left out, none differs/);
    const { measurements } = parseSpdm(device('h100-545.00-FULLMATCH').evidence);
    const all = [DRIVER, VBIOS].map((name) => compare(rim(name), measurements, false));
    expect([all.map(({ compared }) => compared), all.flatMap(({ mismatches }) => mismatches)]).toEqual([[21, 12], []]);
    expect(devices[0]).toMatchObject({ chip: 'GH100', claims: { driverVersion: '545.00', vbiosVersion: '96.00.5E.00.01', mode: 'single', nvdecDisabled: true } });
  });

  it('judgeNvidia: refuses the same once the signers of the manifests have expired', () => {
    const { verdict } = judged('h100-545.00-FULLMATCH', [DRIVER, VBIOS], Date.parse('2026-01-01'));
    expect(named(verdict, 'fail')).toEqual(['driver-rim-signature', 'vbios-rim-signature']);
  });

  it('judgeNvidia: refuses the production VBIOS manifest for the test VBIOS', () => {
    const { verdict } = judged('h100-545.00-FULLMATCH', [DRIVER, '1010_0200_882_96005E0001_PROD.swidtag']);
    expect(named(verdict, 'fail')).toEqual(['measurements']);
    expect(checkOf(verdict, 'measurements').seen).toMatch(/1, 2, 3, 9 differ/);
  });

  it('judgeNvidia: refuses another nonce', () => {
    expect(named(judged('h100-545.00-FULLMATCH', [DRIVER, VBIOS], NOW, '00'.repeat(32)).verdict, 'fail')).toEqual(['nonce']);
  });

  it('judgeNvidia: by default demands the firmware id that the driver 545 does not report', () => {
    expect(named(judged('h100-545.00-FULLMATCH', [DRIVER, VBIOS], NOW, null, { fwid: 'required' }).verdict, 'fail')).toEqual(['fwid']);
  });

  it('compare: the VBIOS of h100-535 and its negatives', () => {
    const { measurements } = parseSpdm(device('h100-535.86.09-sdk').evidence);
    expect(compare(rim('1010_0200_882_96005E0001_PROD.swidtag'), measurements, true)).toMatchObject({ compared: 12, mismatches: [] });
    expect(compare(rim('NV_GPU_VBIOS_1010_0200_882_96005E0001_measurement_mismatch.xml'), measurements, true).mismatches).toEqual([9]);
    expect(compare(rim('NV_GPU_DRIVER_GH100_535.86.09_measurement_mismatch.xml'), measurements, true).mismatches).toHaveLength(15);
  });

  it.each([
    ['h100-550.90.07-nvtrust', '931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb', 'single'], ['h100-570.124.03-sdk', '931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb', 'single'],
    ['h100-570.86.10-OCSP-cert-hold', '931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb', 'single'], ['h100-580.159.03-sdk', null, 'single'], ['h100-590.12-sdk', null, 'protected-pcie'],
  ])('judgeNvidia: %s: chain, signature, nonce and firmware id', (name, nonce, mode) => {
    const { verdict, devices } = judged(name, [], NOW, nonce, { fwid: 'required', modes: ['single', 'multi', 'protected-pcie'] });
    expect(named(verdict, 'fail')).toEqual(mode === 'protected-pcie' ? ['topology'] : []);
    for (const check of ['chain', 'architecture', 'report-signature', 'fwid']) expect([check, checkOf(verdict, check).result]).toEqual([check, 'pass']);
    expect(devices[0]?.claims).toMatchObject({ mode });
    if (mode === 'protected-pcie') expect(named(judged(name).verdict, 'fail')).toContain('gpu-mode');
  });

  it('judgeNvidia: h100-535.86.09-sdk, whose driver does not report the firmware id that its certificate has', () => {
    expect(named(judged('h100-535.86.09-sdk').verdict, 'fail')).toEqual([]);
    expect(named(judged('h100-535.86.09-sdk', [], NOW, null, { fwid: 'required' }).verdict, 'fail')).toEqual(['fwid']);
  });

  it.each(['h100-550.90.07-NEG-chain-case2', 'h100-550.90.07-NEG-chain-case3', 'h100-550.90.07-NEG-chain-case4', 'h100-545.00-NEG-chain'])('judgeNvidia: %s', (name) => {
    const { verdict, devices } = judged(name);
    expect([named(verdict, 'fail'), devices]).toEqual([['chain', 'unique-devices'], []]);
  });

  it('judgeNvidia: h100-NEG-signature-sdk', () => {
    expect(named(judged('h100-NEG-signature-sdk').verdict, 'fail')).toEqual(['report-signature', 'unique-devices']);
  });

  it('parseSpdm: as the published claims of h100-550.90.07 say', () => {
    const { config, measurements } = json('expected/h100-550.90.07-trustee-claims.json') as { config: Record<string, string>; measurements: Record<string, string> };
    const { evidence, chain } = device('h100-550.90.07-nvtrust');
    const spdm = parseSpdm(evidence);
    const claims = gpuClaimsOf(spdm.opaque);
    expect(Object.fromEntries([...spdm.measurements].map(([index, value]) => [String(index), toHex(value)]))).toEqual(measurements);
    expect([claims.driverVersion, claims.vbiosVersion.toLowerCase(), claims.project, claims.projectSku, claims.chipSku, toHex(claims.fwid ?? new Uint8Array())])
      .toEqual([config['driver_version'], config['vbios_version'], config['project'], config['project_sku'], config['chip_sku'], config['fwid']]);
    const [leaf] = chain;
    expect(leaf === undefined ? null : fwidOf(leaf)).toEqual(claims.fwid);
  });

  interface Expected {
    readonly NumberOfBlocks: number;
    readonly Nonce: string;
    readonly Signature: string;
    readonly MeasurementRecord: { readonly MeasurementBlocks: Readonly<Record<string, { readonly DMTFSpecMeasurementValue: string }>> };
    readonly OpaqueData: { readonly OpaqueDataField: Readonly<Record<string, unknown>> };
  }
  const bytes = (hex: string): Buffer => Buffer.from(hex.replace(/^0x/, ''), 'hex');

  it('parseSpdm: as the published parse of h100-580 says', () => {
    const expected = json('expected/h100-535-or-sdk-spdm_parsed_output.json') as Expected;
    const spdm = parseSpdm(device('h100-580.159.03-sdk').evidence);
    expect([toHex(spdm.responseNonce), toHex(spdm.signature)].map((hex) => `0x${hex}`)).toEqual([expected.Nonce, expected.Signature]);
    for (const [index, { DMTFSpecMeasurementValue: value }] of Object.entries(expected.MeasurementRecord.MeasurementBlocks)) {
      expect([index, toHex(spdm.measurements.get(Number(index)) ?? new Uint8Array())]).toEqual([index, value.slice(2)]);
    }
  });

  it('parseSpdm: a switch, made again from its published parse', () => {
    const expected = json('expected/ls10-spdm_parsed_output.json') as Expected;
    const blocks = Object.entries(expected.MeasurementRecord.MeasurementBlocks).map(([index, { DMTFSpecMeasurementValue: value }]) =>
      Buffer.concat([Uint8Array.of(Number(index), 1, 51, 0, 1, 48, 0), bytes(value)]));
    const record = Buffer.concat(blocks);
    const field = (type: number, value: Uint8Array): Buffer => Buffer.concat([Uint8Array.of(type, 0, value.length & 255, value.length >> 8), value]);
    const said = expected.OpaqueData.OpaqueDataField;
    const pdis = said['OPAQUE_FIELD_ID_SWITCH_GPU_PDIS'] as string[];
    const opaque = Buffer.concat([
      field(6, bytes(String(said['OPAQUE_FIELD_ID_VBIOS_VERSION']))), field(22, bytes(String(said['OPAQUE_FIELD_ID_DEVICE_PDI']))), field(26, Buffer.concat(pdis.map(bytes))),
    ]);
    const spdm = parseSpdm(Buffer.concat([
      bytes('11e001ff'), Buffer.alloc(32, 7), Uint8Array.of(0), bytes('11600000'), Uint8Array.of(blocks.length, record.length & 255, record.length >> 8, 0), record,
      bytes(expected.Nonce), Uint8Array.of(opaque.length & 255, opaque.length >> 8), opaque, bytes(expected.Signature),
    ]));
    expect([blocks.length, record.length, spdm.measurements.size]).toEqual([expected.NumberOfBlocks, 1705, 31]);
    expect(switchClaimsOf(spdm.opaque)).toEqual({ vbiosVersion: '96.10.55.00.01', fwid: null, pdi: '203eb31ad9ed0008', gpuPdis: [...new Set(pdis.map((pdi) => pdi.slice(2)))] });
  });

  it.each([
    ['1010_0200_882_96005E0001_PROD.swidtag', '2025-01-15', 'pass', 'GPU GH100 96.00.5E.00.01'], ['1010_0200_882_96005E0001_test_no_gpu.swidtag', '2025-01-15', 'pass', 'GPU GH100 96.00.5E.00.01'],
    ['1010_0200_882_960074001A_PROD.swidtag', null, 'pass', 'GPU GH100 96.00.74.00.1A'], ['1010_0205_862_9600740020_PROD.swidtag', null, 'pass', 'GPU GH100 96.00.74.00.20'],
    ['Driver_RIM_test_no_gpu.swidtag', '2025-01-15', 'pass', 'GPU GH100 545.00'], ['NV_GPU_DRIVER_GH100_550.144.03.xml', null, 'pass', 'GPU GH100 550.144.03'],
    ['switchVBIOSRim_NV_SWITCH_BIOS_5612_0002_890_9610550001.xml', null, 'pass', 'SWITCH LS10 96.10.55.00.01'], ['incorrect_signature_driver_rim.xml', null, 'fail', 'GPU GH100 550.144.03'],
    ['incorrect_cert_chain_driver_rim.xml', null, 'fail', 'GPU GB100 97.00.83.00.09'], ['NV_GPU_DRIVER_GH100_570.124.03_expired.xml', null, 'fail', 'GPU GH100 570.124.03'],
    ['NV_GPU_DRIVER_GH100_535.86.09_measurement_mismatch.xml', null, 'fail', 'GPU GH100 535.86.09'], ['NV_GPU_VBIOS_1010_0200_882_96005E0001_measurement_mismatch.xml', null, 'pass', 'GPU GH100 96.00.5E.00.01'],
    ['NV_SWITCH_BIOS_5612_0002_890_9610550001_measurement_mismatch.xml', null, 'fail', 'GPU GH100 96.10.55.00.01'], ['NV_SWITCH_BIOS_5612_0002_890_9610550001_invalid_signature.xml', null, 'fail', 'SWITCH LS10 96.10.55.00.01'],
  ] as const)('verifyRim: %s', (name, now, result, says) => {
    const manifest = rim(name);
    expect(`${manifest.edition} ${manifest.product} ${manifest.version}`).toBe(says);
    const checks = new CheckList();
    const [signer] = manifest.certificates;
    const nowMs = now === null ? ((signer?.notBefore ?? 0) + (signer?.notAfter ?? 0)) / 2 : Date.parse(now);
    verifyRim({ checks, policy: POLICY, ocsp: [], nowMs }, manifest, 'rim', NVIDIA_ROOTS.rim);
    expect(checkOf(checks.verdict(null), 'rim-signature').result).toBe(result);
  });
});
