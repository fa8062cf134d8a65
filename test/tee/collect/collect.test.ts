// Evidence for certificates and bundles: bound to the key and the nonce, complete, and readable by the verifiers.
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ConfigError } from '../../../src/core/errors.ts';
import { makeCertificate } from '../../../src/tee/certificate-make.ts';
import { readCertificateTable } from '../../../src/tee/collect/certificate-table.ts';
import { collectBundle, collectCertificateEvidence, takeCpuEvidence } from '../../../src/tee/collect/collect.ts';
import { CCEL_DATA, CCEL_TABLE } from '../../../src/tee/collect/event-log.ts';
import { gpuNonceOf, isFresh, signFreshness } from '../../../src/tee/collect/freshness.ts';
import type { RunTool } from '../../../src/tee/collect/run-tool.ts';
import { parseQuote } from '../../../src/tee/dcap/parse-quote.ts';
import { parseNvidiaBundle } from '../../../src/tee/nvidia/bundle.ts';
import { reportDataOf } from '../../../src/tee/report-data.ts';
import { parseSnpBundle } from '../../../src/tee/snp/bundle.ts';
import { parseSnpReport } from '../../../src/tee/snp/parse-report.ts';
import { generateTlsKeys } from '../../../src/tee/tls-keys.ts';
import { FakeTsmKernel } from '../../fakes/tsm-kernel.ts';
import { SNP_NOW, chipIdOf, forgeCollateral } from '../../fakes/snp-forge.ts';
import { CA_EXTENSIONS, ecKey, makeX509, pemOf } from '../../fakes/tee-pki.ts';
import { ANSWERS, CASE, CASE_NOW_MS, QUESTION, URLS, World } from '../collateral/world.ts';
import { GPU_FIELDS, forgeSpdm } from '../collateral/spdm.ts';
import { VCEK_GUID, VLEK_GUID, certificateTable, expectCode, pemToDer, quiet, quoteFor, snpKernel, tdxKernel } from './world.ts';

const KEYS = generateTlsKeys();
const REPORT_DATA = reportDataOf(KEYS.publicKey);
const NONCE = new Uint8Array(32).fill(0x5a);
const TEXTS = forgeCollateral();
const VCEK = TEXTS.vek;
const AUXBLOB = certificateTable({ guid: VCEK_GUID, der: pemToDer(VCEK) });

const GPU_NONCE_OF_ZEROS = '0c2eec1c6425adbe9d6634d91c95ec1f99516cc996e9061514cf612bd6ca55e2';

let world: World;
beforeEach(async () => { world = await World.start(SNP_NOW); });
afterEach(() => world.close());

describe('takeCpuEvidence', () => {
  it('takeCpuEvidence: a TDX quote and an SNP report for SHA-512 of the key', async () => {
    const tdx = await takeCpuEvidence(KEYS.publicKey, quiet({ kernel: tdxKernel() }).options);
    expect(tdx).toEqual({ family: 'tdx', quote: quoteFor(REPORT_DATA) });
    const snp = await takeCpuEvidence(KEYS.publicKey, quiet({ kernel: snpKernel({ auxblob: AUXBLOB }), privlevel: 1 }).options);
    if (snp.family !== 'sev-snp') throw new TypeError('another family');
    expect([parseSnpReport(snp.report).reportData, parseSnpReport(snp.report).vmpl, snp.vek]).toEqual([REPORT_DATA, 1, VCEK]);
  });

  it.each([
    ['another key', () => quoteFor(new Uint8Array(64)), /evidence for the report data 0000/], ['no quote', () => new Uint8Array(700), /no usable quote: /],
    ['a quote that ends early', (inblob: Uint8Array) => quoteFor(inblob).subarray(0, 1000), /no usable quote/],
  ])('takeCpuEvidence: refuses a TDX answer that is for %s', async (_name, answer, message) => {
    await expectCode(takeCpuEvidence(KEYS.publicKey, quiet({ kernel: tdxKernel({ answer }) }).options), 'E_COLLECT', message);
  });

  it.each([
    ['of another size', () => new Uint8Array(1185), /no usable report.*1185 bytes/], ['of zeros', () => new Uint8Array(1184), /no usable report/],
  ])('takeCpuEvidence: refuses an SNP report %s', async (_name, answer, message) => {
    await expectCode(takeCpuEvidence(KEYS.publicKey, quiet({ kernel: snpKernel({ answer }) }).options), 'E_COLLECT', message);
  });

  it('takeCpuEvidence: outside a TEE', async () => {
    const error = await expectCode(takeCpuEvidence(KEYS.publicKey, quiet({ kernel: new FakeTsmKernel({ interface: false }) }).options), 'E_NO_TEE', /not a TDX or SEV-SNP guest/);
    expect(error.exitCode).toBe(3);
  });
});

describe('collectCertificateEvidence', () => {
  it('collectCertificateEvidence: goes into a certificate, for both families', async () => {
    for (const kernel of [tdxKernel(), snpKernel({ auxblob: AUXBLOB })]) {
      const evidence = await collectCertificateEvidence(KEYS.publicKey, quiet({ kernel }).options);
      expect(makeCertificate({ keys: KEYS, evidence, notBefore: SNP_NOW }).certificatePem).toMatch(/BEGIN CERTIFICATE/);
      if (evidence.family === 'sev-snp') expect([evidence.reportData, Buffer.from(evidence.vcekPem).toString()]).toEqual([REPORT_DATA, VCEK]);
    }
  });

  it('collectCertificateEvidence: asks AMD for the VCEK where the host passes none', async () => {
    const url = `https://kdsintf.amd.com/vcek/v1/Genoa/${Buffer.from(chipIdOf('Genoa')).toString('hex')}?blSPL=10&teeSPL=0&snpSPL=23&ucodeSPL=84`;
    world.server.on(url, { headers: { 'content-type': 'application/octet-stream' }, body: pemToDer(VCEK) });
    const evidence = await collectCertificateEvidence(KEYS.publicKey, quiet({ kernel: snpKernel(), source: world.source() }).options);
    expect(evidence.family === 'sev-snp' && Buffer.from(evidence.vcekPem).toString()).toBe(VCEK);
  });

  it('collectCertificateEvidence: says so where nobody has the key', async () => {
    await expectCode(collectCertificateEvidence(KEYS.publicKey, quiet({ kernel: snpKernel() }).options), 'E_COLLECT', /host passes no VCEK/);
    const vlek = snpKernel({ auxblob: AUXBLOB }, { signer: 'VLEK' });
    await expectCode(collectCertificateEvidence(KEYS.publicKey, quiet({ kernel: vlek, source: world.source() }).options), 'E_COLLECT', /host passes no VLEK/);
    expect(world.server.requests).toHaveLength(0);
  });
});

/** A chain whose leaf is at the end of the text, as a device's certificate in base64. */
function deviceChain(): string {
  const keys = Array.from({ length: 5 }, () => ecKey());
  return Buffer.from(pemOf(...keys.map((key, index) => makeX509({
    subject: `GH100 ${index}`, key, serial: index + 1, notBefore: SNP_NOW, notAfter: SNP_NOW + 1e9, extensions: CA_EXTENSIONS,
    ...(keys[index + 1] === undefined ? {} : { issuer: { name: `GH100 ${index + 1}`, key: keys[index + 1] ?? key } }),
  })))).toString('base64');
}
const CHAIN = deviceChain();

/** nvattest and nvidia-smi of a machine with `count` GPUs. */
const tools = (count: number): RunTool => async (file, args) => {
  const text = (value: string): Awaited<ReturnType<RunTool>> => ({ exitCode: 0, stdout: Buffer.from(value), stderr: '' });
  if (file === 'nvidia-smi') return text(args[1] === '-f' ? 'CC status: ON' : 'DevTools Mode: OFF');
  const nonce = Buffer.from(args[args.indexOf('--nonce') + 1] ?? '', 'hex');
  const device = { arch: 'HOPPER', nonce: nonce.toString('hex'), evidence: Buffer.from(forgeSpdm(nonce, GPU_FIELDS)).toString('base64'), certificate: CHAIN };
  return text(JSON.stringify({ result_code: 0, result_message: 'Ok', evidences: Array.from({ length: count }, () => device) }));
};

describe('collectBundle', () => {
  it('collectBundle: a TDX guest with two GPUs and an event log', async () => {
    const table = Buffer.alloc(56);
    table.write('CCEL', 'latin1');
    table.writeUInt32LE(56, 4);
    table[36] = 2;
    table.writeBigUInt64LE(3n, 40);
    table[9] = (256 - table.reduce((sum, byte) => (sum + byte) % 256, 0)) % 256;
    const kernel = tdxKernel({ files: { '/dev/nvidia0': '', [CCEL_TABLE]: table, [CCEL_DATA]: Uint8Array.of(1, 2, 3) } });
    const bundle = await collectBundle({ keys: KEYS, nonce: NONCE, gpus: 'require' }, quiet({ kernel, runTool: tools(2) }).options);
    const quote = quoteFor(REPORT_DATA);
    expect(bundle).toMatchObject({
      schema: 'cocoon.evidence/1', family: 'tdx', tls_public_key: Buffer.from(KEYS.publicKey).toString('hex'), nonce: '5a'.repeat(32), vek: null,
      cpu: { quote_hex: Buffer.from(quote).toString('hex') }, event_log: { ccel_table_hex: table.toString('hex'), ccel_hex: '010203' },
      nvidia: { system: { cc_mode: 'on', dev_tools: 'off' } },
    });
    const devices = bundle.nvidia?.devices ?? [];
    expect(devices.map(({ nonce }) => nonce)).toEqual([1, 2].map(() => Buffer.from(gpuNonceOf(NONCE, KEYS.publicKey)).toString('hex')));
    const system = bundle.nvidia?.system ?? null;
    expect(isFresh(KEYS.publicKey, NONCE, { cpu: quote, devices, system }, Buffer.from(bundle.freshness_signature, 'hex'))).toBe(true);
    expect(parseNvidiaBundle({ ...bundle.nvidia, collateral: { rims: [], ocsp: [] } })).toMatchObject({ devices: [{ architecture: 'HOPPER' }, { architecture: 'HOPPER' }], system: { confidentialComputing: true, developerTools: false } });
  });

  it('collectBundle: a nonce of its own where none is given, another each time', async () => {
    const nonces = await Promise.all([1, 2].map(async () => (await collectBundle({ keys: KEYS, gpus: 'none' }, quiet({ kernel: tdxKernel() }).options)).nonce));
    expect(nonces[0]).toMatch(/^[0-9a-f]{64}$/);
    expect(nonces[0]).not.toBe(nonces[1]);
  });

  it('collectBundle: GPUs are asked as wished', async () => {
    const bare = quiet({ kernel: tdxKernel(), runTool: tools(1) }).options;
    expect((await collectBundle({ keys: KEYS, gpus: 'if-present' }, bare)).nvidia).toBeNull();
    await expectCode(collectBundle({ keys: KEYS, gpus: 'require' }, bare), 'E_COLLECT', /shows no NVIDIA GPU/);
    const withGpu = quiet({ kernel: tdxKernel({ files: { '/dev/nvidia0': '', '/dev/nvidia-nvswitch0': '' } }), runTool: tools(1) }).options;
    expect((await collectBundle({ keys: KEYS, gpus: 'none' }, withGpu)).nvidia).toBeNull();
    expect((await collectBundle({ keys: KEYS, gpus: 'if-present' }, withGpu)).nvidia?.devices).toHaveLength(2);
    const withoutTool = quiet({ kernel: tdxKernel({ files: { '/dev/nvidia0': '' } }), runTool: async () => null }).options;
    await expectCode(collectBundle({ keys: KEYS, gpus: 'if-present' }, withoutTool), 'E_COLLECT', /no program "nvattest"/);
  });

  it('collectBundle: with collateral, the parts are what the verifiers read', async () => {
    const base = 'https://kdsintf.amd.com/vcek/v1/Genoa';
    const binary = { 'content-type': 'application/octet-stream' };
    world.server.on(`${base}/cert_chain`, { headers: binary, body: TEXTS.cert_chain }).on(`${base}/crl`, { headers: binary, body: Buffer.from(TEXTS.crl, 'hex') });
    const bundle = await collectBundle({ keys: KEYS, gpus: 'none', collateral: true }, quiet({ kernel: snpKernel({ auxblob: AUXBLOB }), source: world.source() }).options);
    expect(bundle.cpu).toMatchObject({ collateral: TEXTS });
    expect(() => parseSnpBundle(bundle.cpu)).not.toThrow();
    expect(bundle.vek).toBe(VCEK);
  });

  it('collectBundle: with collateral, TDX', async () => {
    world.nowMs = CASE_NOW_MS;
    for (const name of ['tcb', 'qe', 'pckCrl', 'rootCrl'] as const) world.server.on(URLS[name], ANSWERS[name]);
    const bundle = await collectBundle({ keys: KEYS, gpus: 'none', collateral: true }, quiet({ kernel: tdxKernel(), source: world.source() }).options);
    expect(bundle.cpu).toMatchObject({ collateral: CASE.collateral });
    expect(parseQuote(quoteFor(REPORT_DATA)).body.tee).toBe(QUESTION.tee);
    await expect(collectBundle({ keys: KEYS, gpus: 'none', collateral: true }, quiet({ kernel: tdxKernel() }).options)).rejects.toThrow(RangeError);
  });
});

describe('freshness', () => {
  const devices = [{ arch: 'HOPPER', nonce: '', evidence: 'AAAA', certificate: 'BBBB' }, { arch: 'HOPPER', nonce: '', evidence: 'CCCC', certificate: 'DDDD' }];
  const collected = { cpu: Uint8Array.of(1, 2, 3), devices };
  const signature = signFreshness(KEYS, NONCE, collected);

  it('isFresh: exactly this key, nonce and evidence', () => {
    expect(isFresh(KEYS.publicKey, NONCE, collected, signature)).toBe(true);
    const [first, second] = devices;
    if (first === undefined || second === undefined) throw new TypeError('no devices');
    const others = [
      isFresh(generateTlsKeys().publicKey, NONCE, collected, signature),
      isFresh(KEYS.publicKey, new Uint8Array(32), collected, signature),
      isFresh(KEYS.publicKey, NONCE, { ...collected, cpu: Uint8Array.of(1, 2, 4) }, signature),
      isFresh(KEYS.publicKey, NONCE, { ...collected, devices: [second, first] }, signature),
      isFresh(KEYS.publicKey, NONCE, { ...collected, devices: [first] }, signature),
      isFresh(KEYS.publicKey, NONCE, { ...collected, devices: [first, { ...second, certificate: 'DDDE' }] }, signature),
      isFresh(KEYS.publicKey, NONCE, { ...collected, system: { cc_mode: 'on', dev_tools: 'off' } }, signature),
      isFresh(KEYS.publicKey, NONCE, collected, signature.subarray(1)),
      isFresh(KEYS.publicKey, NONCE, collected, new Uint8Array(64)),
    ];
    expect(others).toEqual(others.map(() => false));
  });

  it('isFresh: exactly this mode of the GPUs', () => {
    const [on, off] = [{ cc_mode: 'on', dev_tools: 'on' }, { cc_mode: 'on', dev_tools: 'off' }] as const;
    const withMode = signFreshness(KEYS, NONCE, { ...collected, system: on });
    expect([on, off, null].map((system) => isFresh(KEYS.publicKey, NONCE, { ...collected, system }, withMode))).toEqual([true, false, false]);
  });

  it('gpuNonceOf: depends on nonce and key, and is neither', () => {
    const own = Buffer.from(gpuNonceOf(NONCE, KEYS.publicKey)).toString('hex');
    const all = [own, Buffer.from(gpuNonceOf(new Uint8Array(32), KEYS.publicKey)).toString('hex'), Buffer.from(gpuNonceOf(NONCE, generateTlsKeys().publicKey)).toString('hex')];
    expect([new Set(all).size, own.length]).toEqual([3, 64]);
    // SHA-256 of "cocoon-gpu-nonce/1", a zero byte and 64 zero bytes.
    expect(Buffer.from(gpuNonceOf(new Uint8Array(32), new Uint8Array(32))).toString('hex')).toBe(GPU_NONCE_OF_ZEROS);
    expect(() => gpuNonceOf(new Uint8Array(31), KEYS.publicKey)).toThrow(RangeError);
    expect(() => gpuNonceOf(NONCE, new Uint8Array(33))).toThrow(RangeError);
  });
});

describe('readCertificateTable', () => {
  const der = pemToDer(VCEK);

  it('readCertificateTable: VCEK and VLEK, in either byte order of the GUID; others are passed over', () => {
    const swapped = '8d75da6364e66445adc5f4b93be8accd';
    expect(readCertificateTable(certificateTable({ guid: VCEK_GUID, der }, { guid: 'c0b406a4a803495297433fb6014cd0ae', der: Uint8Array.of(1) }))).toEqual({ vcek: VCEK });
    expect(readCertificateTable(certificateTable({ guid: swapped, der }, { guid: VLEK_GUID, der }))).toEqual({ vcek: VCEK, vlek: VCEK });
    expect(readCertificateTable(new Uint8Array(0))).toEqual({});
    expect(readCertificateTable(new Uint8Array(24))).toEqual({});
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['two of a kind', certificateTable({ guid: VCEK_GUID, der }, { guid: VCEK_GUID, der }), /two certificates of the kind VCEK/],
    ['no end', certificateTable({ guid: VCEK_GUID, der }).subarray(0, 30), /entry at|no end/],
    ['an entry cut off', new Uint8Array(23).fill(1), /no end/],
    ['an entry outside', (() => { const table = Buffer.from(certificateTable({ guid: VCEK_GUID, der })); table.writeUInt32LE(0xffffffff, 20); return table; })(), /has an entry at/],
    ['garbage for a certificate', certificateTable({ guid: VCEK_GUID, der: Uint8Array.of(1, 2, 3) }), /VCEK that the host passes is unusable/],
    ['too many entries', certificateTable(...Array.from({ length: 33 }, () => ({ guid: '01'.repeat(16), der: Uint8Array.of(1) }))), /no end/],
  ])('readCertificateTable: refuses %s', (_name, table, message) => {
    expect(() => readCertificateTable(table)).toThrow(message);
  });

  it('readCertificateTable: any bytes give certificates or E_COLLECT, and are not changed', () => {
    const good = Buffer.from(certificateTable({ guid: VCEK_GUID, der }, { guid: VLEK_GUID, der }));
    fc.assert(fc.property(fc.nat(good.length - 1), fc.nat(255), fc.nat(good.length), (at, value, end) => {
      const table = Buffer.from(good).fill(value, at, at + 1).subarray(0, end);
      const before = Buffer.from(table);
      try {
        readCertificateTable(table);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
      }
      expect(table.equals(before)).toBe(true);
    }), { numRuns: 500 });
  });
});
