// Every check of the GPU verifier both ways, on forged machines.
import { describe, expect, it } from '@jest/globals';
import { rimIdsOf } from '../../../src/tee/collateral/gpu.ts';
import { judgeNvidia } from '../../../src/tee/nvidia/judge.ts';
import { STRICT_NVIDIA_POLICY } from '../../../src/tee/nvidia/policy.ts';
import type { NvidiaPolicy } from '../../../src/tee/nvidia/policy.ts';
import {
  DRIVER_RIM, FWID, GPU_NONCE, GPU_NOW, GPU_RIMS, PKI, SWITCH_RIM, VBIOS_RIM, block, compositeFwid, forgeDevice, forgeNvidia, makePki, measured, pdiOf, pdis, tcbInfoFwid,
} from '../../fakes/nvidia-forge.ts';
import type { DeviceForgery, MachineForgery, OcspForgery, RimForgery } from '../../fakes/nvidia-forge.ts';
import { checkOf, expectFailure, expectPass, named } from '../verdict-of.ts';

const DAY = 86_400_000;
const judged = (machine: MachineForgery = {}, policy: Partial<NvidiaPolicy> = {}) => judgeNvidia(forgeNvidia(machine, policy)).verdict;
const gpu = (device: DeviceForgery, policy: Partial<NvidiaPolicy> = {}) => judged({ devices: [device] }, policy);
const driver = (rim: RimForgery) => judged({ rims: [{ id: 'NV_GPU_DRIVER_GH100_580.10.02', rim: { ...DRIVER_RIM, ...rim } }, ...GPU_RIMS.slice(1)] });
const OTHER = makePki();

describe('judgeNvidia, genuine machines', () => {
  it('judgeNvidia: accepts one GPU, and expires with its OCSP answers', () => {
    const verdict = judged();
    expectPass(verdict);
    expect(verdict.expiresAtMs).toBe(GPU_NOW + DAY);
    expect(checkOf(verdict, 'measurements').seen).toBe('gpu 0: 7 compared, that of the disabled decoder left out, none differs');
  });

  it('judgeNvidia: accepts a Blackwell GPU, whose certificate names its firmware otherwise', () => {
    const rims = [{ ...DRIVER_RIM, product: 'GB100' }, { ...VBIOS_RIM, product: 'GB100' }].map((rim) => ({ rim }));
    expectPass(judged({ devices: [{ arch: 'BLACKWELL', chip: 'GB100', fwidExtensions: [tcbInfoFwid(FWID)] }], rims }));
  });

  it('judgeNvidia: a Blackwell\'s manifests are judged under the ids under which they are asked for', () => {
    for (const opaque of [{}, { 35: Buffer.from('GB100\0') }, { 35: Buffer.from('GB202'), 17: Buffer.from('g525\0') }]) {
      const chip = 35 in opaque && opaque[35].toString() === 'GB202' ? 'GB202' : 'GB100';
      const device: DeviceForgery = { arch: 'BLACKWELL', chip, fwidExtensions: [tcbInfoFwid(FWID)], opaque };
      const [vbios, driver] = rimIdsOf({ architecture: 'BLACKWELL', evidence: Buffer.from(forgeDevice(device).evidence, 'base64'), chain: [] });
      if (vbios === undefined || driver === undefined) throw new TypeError('no ids');
      expect(driver).toBe(`NV_GPU_CC_DRIVER_${chip}_580.10.02`);
      expectPass(judged({ devices: [device], rims: [{ id: driver, rim: { ...DRIVER_RIM, product: chip } }, { id: vbios, rim: { ...VBIOS_RIM, product: chip } }] }));
    }
  });

  it('judgeNvidia: accepts eight GPUs, each of which is shown in its place', () => {
    const verdict = judged({ devices: Array.from({ length: 8 }, (_, number) => ({ number })) }, { gpuCount: 8 });
    expectPass(verdict);
    expect(verdict.checks.filter(({ name }) => name === 'report-signature').map(({ seen }) => seen.slice(0, 5))).toEqual(Array.from({ length: 8 }, (_, number) => `gpu ${number}`));
  });

  const fabric = (gpus: number, switches: number, edit: Partial<Record<string, DeviceForgery>> = {}): MachineForgery => ({
    devices: [
      ...Array.from({ length: gpus }, (_, number): DeviceForgery => ({
        number, ...edit[`gpu ${number}`], opaque: { 21: Uint8Array.of(0xaa), 22: pdis('switch', switches, 18), 36: Uint8Array.of(2, 0), ...edit[`gpu ${number}`]?.opaque },
      })),
      ...Array.from({ length: switches }, (_, number): DeviceForgery => ({ kind: 'switch', number, ...edit[`switch ${number}`], opaque: { 26: pdis('gpu', gpus, 8), ...edit[`switch ${number}`]?.opaque } })),
    ],
    rims: [...GPU_RIMS, { rim: SWITCH_RIM }],
  });
  const FABRIC = { gpuCount: 2, switchCount: 2, modes: ['protected-pcie'] } as const;

  it('topology: accepts GPUs and switches that name one another', () => { expectPass(judged(fabric(2, 2), FABRIC)); });

  it.each([
    ['a GPU linked to a switch without evidence', fabric(2, 2, { 'gpu 1': { opaque: { 22: pdis('switch', 3, 18) } } })], ['a GPU not linked to a switch', fabric(2, 2, { 'gpu 0': { opaque: { 22: pdis('switch', 1, 18) } } })],
    ['a switch linked to a GPU without evidence', fabric(2, 2, { 'switch 0': { opaque: { 26: pdis('gpu', 3, 8) } } })], ['two switches of one name', fabric(2, 2, { 'switch 1': { opaque: { 22: pdiOf('switch', 0) } } })],
    ['a GPU that is alone', fabric(2, 2, { 'gpu 1': { opaque: { 21: Uint8Array.of(0x55), 36: Uint8Array.of(0, 0) } } })],
  ])('topology: refuses %s', (_, machine) => { expectFailure(judged(machine, { ...FABRIC, modes: ['protected-pcie', 'single'] }), 'topology'); });

  it('switch-count: refuses one switch too few, and an unexpected one', () => {
    expect(named(judged(fabric(2, 1), FABRIC), 'fail')).toEqual(['switch-count']);
    expect(named(judged(fabric(2, 2), { ...FABRIC, switchCount: 0 }), 'fail')).toEqual(['switch-count']);
  });

  it('vbios-rim: a switch needs its manifest', () => {
    const machine = fabric(2, 2);
    expect([judged({ ...machine, rims: GPU_RIMS }, FABRIC).overall, named(judged({ ...machine, rims: GPU_RIMS }, FABRIC), 'fail')]).toEqual(['incomplete', []]);
  });
});

describe('judgeNvidia, which manifest', () => {
  it('driver-rim: a manifest under any other id than the wanted one is not it, not even in other letters', () => {
    for (const id of ['nv_gpu_driver_gh100_580.10.02', 'NV_GPU_DRIVER_GH100_580.10.03', '']) {
      const verdict = judged({ rims: [{ id, rim: DRIVER_RIM }, ...GPU_RIMS.slice(1)] });
      expect([id, verdict.overall, checkOf(verdict, 'driver-rim').result]).toEqual([id, 'incomplete', 'skip']);
    }
  });
});

describe('judgeNvidia, evidence', () => {
  it('chain: refuses another root, an expired certificate, and a chain with a hole, a leaf on top or too short', () => {
    const { roots: _, ...input } = forgeNvidia();
    expect(named(judgeNvidia(input).verdict, 'fail')).toEqual(['chain', 'unique-devices']);
    expect(named(judgeNvidia({ ...forgeNvidia(), nowMs: GPU_NOW + 2000 * DAY }).verdict, 'fail')).toEqual(['chain', 'unique-devices']);
    for (const chain of [
      (list: Uint8Array[]) => list.filter((__, index) => index !== 1), (list: Uint8Array[]) => list.filter((__, index) => index !== 2), (list: Uint8Array[]) => list.slice(1),
      (list: Uint8Array[]) => list.slice(0, -1), (list: Uint8Array[]) => list.slice(-1), (list: Uint8Array[]) => [...list].reverse(),
    ]) expect(named(gpu({ chain }), 'fail')).toContain('chain');
  });

  it('architecture: refuses a chip of another architecture', () => {
    expect(named(gpu({ arch: 'BLACKWELL' }), 'fail')).toEqual(['architecture']);
    expect(named(gpu({ chip: 'XX100' }), 'fail')).toContain('architecture');
  });

  it('report-signature: refuses evidence signed by another key', () => {
    expect(named(gpu({ signer: PKI.responder }), 'fail')).toEqual(['report-signature', 'unique-devices']);
  });

  it('nonce: refuses another one; without one it is shown only', () => {
    expectFailure(judgeNvidia({ ...forgeNvidia(), nonce: Uint8Array.from(GPU_NONCE, (byte) => byte ^ 1) }).verdict, 'nonce');
    expect(checkOf(judgeNvidia({ ...forgeNvidia(), nonce: null }).verdict, 'nonce').result).toBe('info');
  });

  it('fwid: must be the same in certificate and report', () => {
    const other = Uint8Array.from(FWID, (byte) => byte ^ 1);
    expectFailure(gpu({ opaque: { 20: other } }), 'fwid');
    expectFailure(gpu({ opaque: { 20: null } }), 'fwid');
    expectFailure(gpu({ fwidExtensions: [] }), 'fwid');
    expectFailure(gpu({ fwidExtensions: [compositeFwid(FWID), tcbInfoFwid(FWID)] }), 'fwid');
    expectFailure(gpu({ fwidExtensions: [tcbInfoFwid(FWID.subarray(1))] }), 'fwid');
    expectFailure(gpu({ opaque: { 20: other } }, { fwid: 'when-reported' }), 'fwid');
    expect(gpu({ opaque: { 20: null } }, { fwid: 'when-reported' }).overall).toBe('pass');
    expect(checkOf(gpu({ opaque: { 20: null }, fwidExtensions: [] }), 'fwid').result).toBe('info');
  });

  it.each([
    ['no driver version', { 3: null }], ['a driver version that is none', { 3: Buffer.from('580;x') }], ['no VBIOS version', { 6: null }], ['a long VBIOS version', { 6: new Uint8Array(9) }],
    ['a third state of the decoder', { 11: Uint8Array.of(0x5a) }], ['a mode that does not exist', { 36: Uint8Array.of(3, 0) }], ['two modes at once', { 21: Uint8Array.of(0xaa) }], ['links of seven bytes', { 22: new Uint8Array(7) }],
  ] satisfies [string, Record<number, Uint8Array | null>][])('parse: refuses a GPU with %s', (_, opaque) => { expect(named(gpu({ opaque }), 'fail')).toEqual(['parse', 'unique-devices']); });

  it('parse: refuses measurements that repeat or have another size', () => {
    expect(named(gpu({ blocks: (list) => [...list, block(1, measured(1))] }), 'fail')).toContain('parse');
    expect(named(gpu({ blocks: (list) => [block(1, measured(1).subarray(1)), ...list.slice(1)] }), 'fail')).toContain('parse');
    expect(named(gpu({ blocks: (list) => [block(0, measured(1)), ...list.slice(1)] }), 'fail')).toContain('parse');
  });
});

describe('judgeNvidia, OCSP', () => {
  const about = (name: string, forgery: OcspForgery | null, policy: Partial<NvidiaPolicy> = {}) => judged({ ocsp: { [name]: forgery } }, policy);
  const NAMES = [['GH100 A01 GSP BROM', ['ocsp']], ['Example Provisioner', ['ocsp']], ['Example Identity', ['ocsp']], ['Example Signer', ['driver-rim-ocsp', 'vbios-rim-ocsp']], ['Example Manifest CA', ['driver-rim-ocsp', 'vbios-rim-ocsp']]] as const;

  it.each(NAMES)('ocsp: refuses "%s" without an answer, revoked, unknown', (name, checks) => {
    for (const forgery of [null, { status: 'revoked' }, { status: 'unknown' }] as const) expectFailure(about(name, forgery), ...checks);
  });

  it.each([
    ['stale', { nextUpdate: GPU_NOW - 60_000 }], ['of tomorrow', { thisUpdate: GPU_NOW + DAY / 2 }], ['by a stranger', { by: 'stranger' }], ['by a key for something else', { by: 'wrong-usage' }],
    ['with another signature', { by: 'wrong-key' }], ['a day old, without an end', { thisUpdate: GPU_NOW - 25 * 3_600_000, nextUpdate: null }],
  ] satisfies [string, OcspForgery][])('ocsp: refuses an answer %s', (_, forgery) => { expectFailure(about('Example Provisioner', forgery), 'ocsp'); });

  it.each([{ by: 'issuer' }, { by: 'delegated' }, { hash: 'sha1' }, { hash: 'sha256' }, { nextUpdate: null }] satisfies OcspForgery[])('ocsp: accepts an answer with %j', (forgery) => {
    expectPass(about('Example Provisioner', forgery));
  });

  it('ocsp: a certificate on hold is refused unless the policy allows it', () => {
    expectFailure(about('GH100 A01 GSP BROM', { status: 'hold' }), 'ocsp');
    expect(checkOf(about('GH100 A01 GSP BROM', { status: 'hold' }), 'ocsp').seen).toMatch(/certificateHold/);
    expectPass(about('GH100 A01 GSP BROM', { status: 'hold' }, { allowCertificateHold: true }));
    expectFailure(about('GH100 A01 GSP BROM', { status: 'revoked' }, { allowCertificateHold: true }), 'ocsp');
  });

  it('ocsp: the verdict ends with the certificate of the responder, where that is first', () => {
    const responderEnd = GPU_NOW + DAY / 4;
    const verdict = about('Example Provisioner', { responderEnd });
    expectPass(verdict);
    expect(verdict.expiresAtMs).toBe(responderEnd);
    expect(about('Example Manifest CA', { responderEnd }).expiresAtMs).toBe(responderEnd);
    expectFailure(about('Example Provisioner', { responderEnd: GPU_NOW - 1000 }), 'ocsp');
  });

  it('ocsp: the policy may limit the age', () => {
    expectPass(judged({}, { ocspMaxAgeMs: 2 * 3_600_000 }));
    expect(named(judged({}, { ocspMaxAgeMs: 1_800_000 }), 'fail')).toEqual(['ocsp', 'driver-rim-ocsp', 'vbios-rim-ocsp']);
  });

  it('ocsp: without any answer the verdict is incomplete', () => {
    const input = forgeNvidia();
    const { verdict } = judgeNvidia({ ...input, collateral: { ...input.collateral, ocsp: [] } });
    expect([verdict.overall, named(verdict, 'skip')]).toEqual(['incomplete', ['ocsp', 'driver-rim-ocsp', 'vbios-rim-ocsp']]);
  });
});

describe('judgeNvidia, manifests', () => {
  it('driver-rim-signature: refuses another signer, an unpinned root, changed content and an authority as signer', () => {
    expectFailure(driver({ signer: { ...OTHER.rimSigner, der: PKI.rimSigner.der } }), 'driver-rim-signature');
    expectFailure(driver({ pki: OTHER }), 'driver-rim-signature');
    expectFailure(driver({ edit: (text) => text.replace('Measurement_9"', 'Measurement_X"') }), 'driver-rim-signature');
    expectFailure(driver({ signer: PKI.rimCa, certificates: [PKI.rimCa.der, PKI.rimRoot.der] }), 'driver-rim-signature');
  });

  it('driver-rim-signature: accepts exclusive canonicalisation of what is signed', () => {
    expectPass(driver({ signedInfo: (text) => text.replace('http://www.w3.org/2006/12/xml-c14n11', 'http://www.w3.org/2001/10/xml-exc-c14n#') }));
  });

  it('driver-rim: must be of the version, chip and edition', () => {
    expectFailure(driver({ version: '580.10.03' }), 'driver-rim');
    expectFailure(driver({ product: 'GB100' }), 'driver-rim');
    expectFailure(driver({ edition: 'SWITCH' }), 'driver-rim');
  });

  it('driver-rim, vbios-rim: without one the verdict is incomplete', () => {
    for (const [rims, prefix] of [[GPU_RIMS.slice(1), 'driver-rim'], [GPU_RIMS.slice(0, 1), 'vbios-rim']] as const) {
      const verdict = judged({ rims });
      expect([verdict.overall, named(verdict, 'skip')]).toEqual(['incomplete', [prefix, `${prefix}-signature`, `${prefix}-ocsp`, 'rim-overlap', 'measurements']]);
    }
    const [driverRim] = GPU_RIMS;
    const wrongBoard = [{ id: 'NV_GPU_VBIOS_1010_0205_882_96005E0001', rim: VBIOS_RIM }, ...(driverRim === undefined ? [] : [driverRim])];
    expect(named(judged({ rims: wrongBoard }), 'skip')).toContain('vbios-rim');
    expectPass(judged({ rims: GPU_RIMS.map(({ rim }) => ({ rim })) }));
  });

  it('rim-overlap: refuses an index that is active in both', () => { expectFailure(driver({ active: [7, 8] }), 'rim-overlap'); });

  it('measurements: every active index must match one of its alternatives', () => {
    expectFailure(driver({ values: { 7: [new Uint8Array(48).fill(1)] } }), 'measurements');
    expectFailure(driver({ values: { 7: [new Uint8Array(48), new Uint8Array(48).fill(1)] } }), 'measurements');
    expectPass(driver({ values: { 7: [new Uint8Array(48), measured(8)] } }));
    expectPass(driver({ values: { 50: [new Uint8Array(48).fill(1)] } }));
    expectFailure(gpu({ blocks: (list) => list.filter((__, index) => index !== 7) }), 'measurements');
  });

  it('measurements: the decoder counts unless it is off', () => {
    expectFailure(gpu({ opaque: { 11: Uint8Array.of(0xaa) } }), 'measurements');
    expectFailure(gpu({ opaque: { 11: null } }), 'measurements');
  });
});

describe('judgeNvidia, policy', () => {
  it('STRICT_NVIDIA_POLICY: is incomplete, for want of a number of GPUs', () => {
    const verdict = judgeNvidia({ ...forgeNvidia(), policy: STRICT_NVIDIA_POLICY }).verdict;
    expect([verdict.overall, named(verdict, 'skip')]).toEqual(['incomplete', ['gpu-count']]);
  });

  it('gpu-count: counts those that are offered', () => {
    expect(named(judged({}, { gpuCount: 2 }), 'fail')).toEqual(['gpu-count']);
    expect(named(judged({ devices: [] }, { gpuCount: 1 }), 'fail')).toEqual(['gpu-count', 'unique-devices']);
    expect(judged({ devices: [] }, { gpuCount: 0 }).overall).toBe('fail');
  });

  it('unique-devices: refuses one device that answers twice', () => {
    expect(named(judged({ devices: [{ number: 1 }, { number: 1 }] }, { gpuCount: 2 }), 'fail')).toEqual(['unique-devices']);
  });

  it('gpu-mode: protected PCIe must be allowed', () => {
    const device = { opaque: { 21: Uint8Array.of(0xaa), 36: null } };
    expect(named(gpu(device), 'fail')).toEqual(['gpu-mode', 'topology']);
    expectPass(gpu({ opaque: { 36: Uint8Array.of(1, 0) } }));
    expect(named(gpu({ opaque: { 36: Uint8Array.of(1, 0) } }, { modes: ['single'] }), 'fail')).toEqual(['gpu-mode']);
  });

  it('cc-mode, developer-tools: must be stated, on and off', () => {
    expectFailure(judged({ system: { cc_mode: 'off', dev_tools: 'off' } }), 'cc-mode');
    expectFailure(judged({ system: { cc_mode: 'on', dev_tools: 'on' } }), 'developer-tools');
    expect(named(judged({ system: null }), 'skip')).toEqual(['cc-mode', 'developer-tools']);
    expect(judged({ system: null }, { requireSystemMode: false }).overall).toBe('pass');
  });

  it('driver-version, vbios-version, device: must be listed where there is a list', () => {
    expectPass(judged({}, { driverVersions: ['580.10.02'], vbiosVersions: ['96.00.5E.00.01'], devices: ['03e8'] }));
    expectFailure(judged({}, { driverVersions: [] }), 'driver-version');
    expectFailure(judged({}, { vbiosVersions: ['96.00.5E.00.02'] }), 'vbios-version');
    expectFailure(judged({}, { devices: ['03e9'] }), 'device');
  });
});
