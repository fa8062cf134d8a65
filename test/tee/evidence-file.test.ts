// Recognition of evidence files by their content, refusal of everything else with typed errors, and the combined verdict.
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { toHex } from '../../src/core/bytes.ts';
import { makeCertificate } from '../../src/tee/certificate-make.ts';
import type { CertificateEvidence } from '../../src/tee/certificate-evidence.ts';
import { signFreshness } from '../../src/tee/collect/freshness.ts';
import type { DeviceEvidence, SystemModeText } from '../../src/tee/collect/gpu-evidence.ts';
import { parseEvidenceFile } from '../../src/tee/evidence-file.ts';
import type { EvidenceFile } from '../../src/tee/evidence-file.ts';
import { judgeEvidence } from '../../src/tee/evidence-file-judge.ts';
import type { CombinedVerdict, JudgeInput } from '../../src/tee/evidence-file-judge.ts';
import { sevImageHash, simulatedImageHash } from '../../src/tee/image-hash.ts';
import { defaultPolicyDocument, parsePolicy, policyOfDocument, withAllowedImages, withAnyMeasurement } from '../../src/tee/policy-file.ts';
import { reportDataOf } from '../../src/tee/report-data.ts';
import { makeSimulatedEvidence } from '../../src/tee/simulated.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import { trustRootsOf } from '../../src/tee/trust-roots.ts';
import { forgeMachine } from '../fakes/nvidia-forge.ts';
import { AUTHORITIES, forgeCollateral, forgeReport, GOOD_TCB, MEASUREMENT, REPORT_DATA, rootsOf, SNP_NOW } from '../fakes/snp-forge.ts';
import { acceptedOrRefused, expectRefusal } from './expect-error.ts';
import { checkOf, named } from './verdict-of.ts';
import { jsonVector, vector } from './vectors.ts';

const utf8 = (value: unknown): Uint8Array => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const VALID = jsonVector('attestation/tdx-synthetic/valid_v4.json') as { quote_hex: string; collateral: Record<string, unknown>; now: number };
const ROOT = trustRootsOf(vector('attestation/tdx-synthetic/root_ca.der'));
const QUOTE = Buffer.from(VALID.quote_hex, 'hex');
const snpBundle = { report_hex: toHex(forgeReport()), collateral: forgeCollateral() };
const certificate = (evidence: CertificateEvidence, keys = generateTlsKeys()) => makeCertificate({ keys, evidence, notBefore: SNP_NOW - 1000 });

const open = policyOfDocument(withAnyMeasurement(defaultPolicyDocument()), 'open');
const judge = (file: EvidenceFile, changes: Partial<JudgeInput> = {}): CombinedVerdict => judgeEvidence({
  file, fetched: {}, policy: open, nowMs: VALID.now * 1000, nonce: null, roots: ROOT, local: null, images: null, anySimulatedImage: false, ...changes,
});

describe('parseEvidenceFile: recognition', () => {
  const der = certificate({ family: 'none' });
  it.each<[string, Uint8Array, string, string | undefined]>([
    ['a quote', QUOTE, 'quote', 'dcap'],
    ['a quote in hexadecimal lines', utf8(`${VALID.quote_hex.replace(/.{64}/g, '$&\n')}\n`), 'quote', 'dcap'],
    ['a report', forgeReport(), 'report', 'sev-snp'],
    ['a DER certificate', der.certificateDer, 'certificate', 'none'],
    ['a PEM certificate', utf8(der.certificatePem), 'certificate', 'none'],
    ['a DCAP bundle', utf8(VALID), 'bundle', 'dcap'],
    ['a SEV-SNP bundle', utf8(snpBundle), 'bundle', 'sev-snp'],
    ['a GPU bundle', utf8({ devices: [] }), 'bundle', undefined],
  ])('%s', (_name, bytes, form, kind) => {
    const file = parseEvidenceFile(bytes);
    expect([file.form, file.cpu?.kind]).toEqual([form, kind]);
  });

  it.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /it is empty/], ['text', utf8('hello'), /no evidence that is known/], ['odd hexadecimal', utf8('040'), /no evidence/],
    ['bytes', Uint8Array.of(0xff, 0xfe, 0xfd), /no evidence that is known/], ['a JSON list', utf8([]), /no evidence/], ['broken JSON', utf8('{"a":'), /not JSON/],
    ['an empty object', utf8({}), /none of quote_hex/], ['two kinds', utf8({ ...VALID, ...snpBundle }), /quote_hex and report_hex/],
    ['an unknown member', utf8({ ...VALID, colateral: {} }), /unknown member "colateral"/], ['an unknown schema', utf8({ schema: 'x' }), /schema "x"/],
    ['an unknown member of a report', utf8({ ...snpBundle, vek: '' }), /unknown member "vek"/], ['a long quote', Buffer.concat([QUOTE, new Uint8Array(40_000)]), /expected at most 32768/],
    ['two certificates', utf8(der.certificatePem.repeat(2)), /more than one|more than 2|expected one/],
  ])('refuses %s', (_name, bytes, message) => {
    expectRefusal(() => parseEvidenceFile(bytes), 'E_EVIDENCE_MALFORMED', message);
  });

  it('refuses hostile bytes with typed errors only, and judging what it accepts never throws', () => {
    const seeds = [QUOTE, forgeReport(), der.certificateDer, utf8(der.certificatePem), utf8(VALID), utf8(snpBundle)];
    fc.assert(fc.property(fc.constantFrom(...seeds), fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }), fc.nat(), (seed, edits, cut) => {
      const bytes = Uint8Array.from(cut % 3 === 0 ? seed.subarray(0, cut % seed.length) : seed);
      for (const [at, value] of edits) if (bytes.length > 0) bytes[at % bytes.length] = value;
      acceptedOrRefused(() => judge(parseEvidenceFile(bytes)));
    }), { numRuns: 300 });
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => { acceptedOrRefused(() => judge(parseEvidenceFile(bytes))); }), { numRuns: 300 });
  });
});

describe('judgeEvidence', () => {
  const snpPolicy = async () => policyOfDocument(await parsePolicy(JSON.stringify({
    version: 1, 'sev-snp': { measurements: [toHex(MEASUREMENT)], minimum_tcb: { Genoa: GOOD_TCB.Genoa } },
  }), 'p'), 'p');
  const snpRules = async () => ({ policy: await snpPolicy(), nowMs: SNP_NOW, roots: { amd: rootsOf(AUTHORITIES, 'Genoa') } });

  it('a genuine quote passes, and only with a root that is its own', () => {
    expect(judge(parseEvidenceFile(utf8(VALID))).overall).toBe('pass');
    const { roots: _own, ...intel } = { roots: ROOT };
    expect(named(judgeEvidence({ file: parseEvidenceFile(utf8(VALID)), fetched: {}, policy: open, nowMs: VALID.now * 1000, nonce: null, local: null, images: null, anySimulatedImage: false, ...intel }), 'fail')).toEqual(['pck-chain']);
  });

  it('a genuine report passes under a policy that names its image and TCB, bound to its report data by a nonce', async () => {
    const file = parseEvidenceFile(utf8(snpBundle));
    expect(judge(file, await snpRules()).overall).toBe('pass');
    expect(judge(file, { ...await snpRules(), nonce: REPORT_DATA }).overall).toBe('pass');
    expect(named(judge(file, { ...await snpRules(), nonce: Uint8Array.of(1) }), 'fail')).toEqual(['report-data']);
    expect(named(judge(file, { ...await snpRules(), policy: { ...await snpPolicy(), snp: null } }), 'fail')).toEqual(['evidence-kind']);
  });

  it('evidence without collateral fails and names it', () => {
    expect(named(judge(parseEvidenceFile(QUOTE)), 'fail')).toEqual(['collateral-format']);
    expect(named(judge(parseEvidenceFile(forgeReport())), 'fail')).toEqual(['collateral-format']);
    expect(judge(parseEvidenceFile(QUOTE), { fetched: { dcap: VALID.collateral } }).overall).toBe('pass');
  });

  it('a certificate must be valid, and its evidence bound to its key', () => {
    const { certificateDer } = certificate({ family: 'tdx', quote: QUOTE });
    const verdict = judge(parseEvidenceFile(certificateDer), { fetched: { dcap: VALID.collateral } });
    expect(named(verdict, 'fail')).toEqual(['certificate', 'report-data']);
    expect(named(judge(parseEvidenceFile(certificate({ family: 'none' }).certificateDer), { nowMs: SNP_NOW }), 'fail')).toEqual(['evidence']);
    const keys = generateTlsKeys();
    const fake = judge(parseEvidenceFile(certificate({ family: 'tdx', quote: reportDataOf(keys.publicKey) }, keys).certificateDer), { nowMs: SNP_NOW });
    expect(named(fake, 'fail')).toEqual(['evidence']);
    expect(checkOf(fake, 'evidence').seen).toContain('fake quote');
  });

  it('a nonce cannot be in a certificate, so asking for one leaves the verdict incomplete', async () => {
    const keys = generateTlsKeys();
    const { vek, ...chain } = forgeCollateral();
    const report = forgeReport({ patches: [[80, reportDataOf(keys.publicKey)]] });
    const file = parseEvidenceFile(certificate({ family: 'sev-snp', report, reportData: reportDataOf(keys.publicKey), vcekPem: Buffer.from(vek) }, keys).certificateDer);
    const rules = { ...await snpRules(), fetched: { snp: { vek, ...chain } } };
    expect(judge(file, rules).overall).toBe('pass');
    const asked = judge(file, { ...rules, nonce: new Uint8Array(32) });
    expect([asked.overall, named(asked, 'skip')]).toEqual(['incomplete', ['nonce']]);
  });

  it('a network\'s list decides on the image, and an empty one allows none', async () => {
    const file = parseEvidenceFile(utf8(snpBundle));
    const hash = toHex(sevImageHash(MEASUREMENT));
    const document = await parsePolicy(JSON.stringify({ version: 1, 'sev-snp': { minimum_tcb: { Genoa: GOOD_TCB.Genoa } } }), 'p');
    const by = async (proxy: string[], worker: string[]): Promise<CombinedVerdict> => {
      const images = { network: 'network x', proxy, worker };
      return judge(file, { ...await snpRules(), policy: policyOfDocument(withAllowedImages(document, images), 'chain'), images });
    };
    const listed = await by(['aa'.repeat(32)], [hash]);
    expect([listed.overall, checkOf(listed, 'network-image').seen]).toEqual(['pass', `${hash}, listed for a worker`]);
    expect(named(await by(['aa'.repeat(32)], []), 'fail')).toEqual(['image', 'network-image']);
    expect(named(await by([], []), 'fail')).toEqual(['network-image']);
  });

  it('simulated evidence counts on its own local network only', () => {
    const keys = generateTlsKeys();
    const authority = generateTlsKeys();
    const local = { networkId: new Uint8Array(32).fill(7), networkPublicKey: authority.publicKey };
    const measurement = new Uint8Array(48).fill(1);
    const evidence = makeSimulatedEvidence({ role: 'proxy', measurement, reportData: reportDataOf(keys.publicKey), networkId: local.networkId }, authority.privateKey);
    const file = parseEvidenceFile(certificate({ family: 'simulated', evidence }, keys).certificateDer);
    const hash = toHex(simulatedImageHash(measurement));
    const rules = { nowMs: SNP_NOW, local, images: { network: 'the local network', proxy: [hash], worker: [] } };
    expect(judge(file, rules).overall).toBe('pass');
    expect(named(judge(file, { ...rules, images: { network: 'the local network', proxy: [], worker: [hash] } }), 'fail')).toEqual(['network-image']);
    expect(judge(file, { ...rules, images: null }).overall).toBe('incomplete');
    expect(named(judge(file, { ...rules, local: null }), 'fail')).toEqual(['evidence-kind']);
    expect(named(judge(file, { ...rules, local: { ...local, networkPublicKey: keys.publicKey } }), 'fail')).toEqual(['simulated-evidence']);
  });

  it('a collection is bound to one key and nonce by its signature', async () => {
    const keys = generateTlsKeys();
    const nonce = new Uint8Array(32).fill(3);
    const report = forgeReport({ patches: [[80, reportDataOf(keys.publicKey)]] });
    const collection = {
      schema: 'cocoon.evidence/1', family: 'sev-snp', tls_public_key: toHex(keys.publicKey), nonce: toHex(nonce), cpu: { report_hex: toHex(report), collateral: forgeCollateral() },
      vek: null, event_log: null, nvidia: null, freshness_signature: toHex(signFreshness(keys, nonce, { cpu: report, devices: [] })),
    };
    const rules = await snpRules();
    expect(judge(parseEvidenceFile(utf8(collection)), { ...rules, nonce }).overall).toBe('pass');
    expect(named(judge(parseEvidenceFile(utf8(collection)), { ...rules, nonce: new Uint8Array(32) }), 'fail')).toEqual(['nonce']);
    const other = { ...collection, nonce: '00'.repeat(32) };
    expect(named(judge(parseEvidenceFile(utf8(other)), { ...rules, nonce: new Uint8Array(32) }), 'fail')).toEqual(['freshness-signature']);
    expect(named(judge(parseEvidenceFile(utf8({ ...collection, tls_public_key: toHex(generateTlsKeys().publicKey) })), rules), 'fail')).toEqual(['report-data', 'freshness-signature']);
  });

  it('a collection is refused when the mode of its GPUs was changed, added or taken away on the way', async () => {
    const keys = generateTlsKeys();
    const nonce = new Uint8Array(32).fill(3);
    const report = forgeReport({ patches: [[80, reportDataOf(keys.publicKey)]] });
    const { devices } = forgeMachine() as { devices: DeviceEvidence[] };
    const collected = (signed: SystemModeText | null, told: SystemModeText | null): EvidenceFile => parseEvidenceFile(utf8({
      schema: 'cocoon.evidence/1', family: 'sev-snp', tls_public_key: toHex(keys.publicKey), nonce: toHex(nonce), cpu: { report_hex: toHex(report), collateral: forgeCollateral() },
      vek: null, event_log: null, nvidia: { devices, ...(told !== null && { system: told }) },
      freshness_signature: toHex(signFreshness(keys, nonce, { cpu: report, devices, system: signed })),
    }));
    const rules = { ...await snpRules(), nonce };
    const [good, bad]: [SystemModeText, SystemModeText] = [{ cc_mode: 'on', dev_tools: 'off' }, { cc_mode: 'on', dev_tools: 'on' }];
    const signature = (signed: SystemModeText | null, told: SystemModeText | null): string => checkOf(judge(collected(signed, told), rules), 'freshness-signature').result;
    expect([signature(good, good), signature(bad, bad), signature(null, null)]).toEqual(['pass', 'pass', 'pass']);
    expect([signature(bad, good), signature(null, good), signature(bad, null)]).toEqual(['fail', 'fail', 'fail']);
  });

  it('a policy that counts GPUs is not satisfied without them', () => {
    const policy = { ...open, nvidia: open.nvidia === null ? null : { ...open.nvidia, gpuCount: 1 } };
    const verdict = judge(parseEvidenceFile(utf8(VALID)), { policy });
    expect([verdict.overall, named(verdict, 'skip')]).toEqual(['incomplete', ['gpu-evidence']]);
  });
});
