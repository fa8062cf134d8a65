// `attest fetch`, `collect` and `verify` from end to end: evidence of forged machines, collateral from services in this process,
// and what the services do when they are slow, wrong or away.
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { toHex } from '../../src/core/bytes.ts';
import { makeCertificate } from '../../src/tee/certificate-make.ts';
import type { CertificateEvidence } from '../../src/tee/certificate-evidence.ts';
import { sevImageHash } from '../../src/tee/image-hash.ts';
import { reportDataOf } from '../../src/tee/report-data.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import { parseX509 } from '../../src/tee/x509/certificate.ts';
import type { ScriptedAnswer, SeenRequest } from '../fakes/collateral-server.ts';
import { DAY_MS, forge, FMSPC, NOW_MS, sharedPki } from '../fakes/dcap-forge.ts';
import type { Forged, Json, TdFields } from '../fakes/dcap-forge.ts';
import { forgeMachine, forgeOcsp, GPU_NOW, PKI } from '../fakes/nvidia-forge.ts';
import { chipIdOf, forgeCollateral, forgeReport, MEASUREMENT, SNP_NOW } from '../fakes/snp-forge.ts';
import { pemOf } from '../fakes/tee-pki.ts';
import { FakeTsmKernel } from '../fakes/tsm-kernel.ts';
import { AttestWorld, checksOf } from './attest-world.ts';

const der = (text: string): Buffer => Buffer.from(text.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');
const octets = (body: string | Uint8Array): ScriptedAnswer => ({ headers: { 'content-type': 'application/octet-stream' }, body });

let world: AttestWorld;
afterEach(() => world.close());

/** Answers of a PCCS for forged collateral. */
function scriptPccs({ collateral }: Forged): void {
  const { server } = world;
  const text = (name: string): string => String(collateral[name]);
  const json = (member: string, header: string, name: string): ScriptedAnswer => ({
    headers: { 'content-type': 'application/json', [header]: encodeURIComponent(text(`${name}_issuer_chain`)) }, body: `{"${member}":${text(name)},"signature":"${text(`${name}_signature`)}"}`,
  });
  server.on(`${server.origin}/tdx/certification/v4/tcb?fmspc=${FMSPC.toUpperCase()}&update=standard`, json('tcbInfo', 'TCB-Info-Issuer-Chain', 'tcb_info'))
    .on(`${server.origin}/tdx/certification/v4/qe/identity?update=standard`, json('enclaveIdentity', 'SGX-Enclave-Identity-Issuer-Chain', 'qe_identity'))
    .on(`${server.origin}/sgx/certification/v4/pckcrl?ca=platform&encoding=der`, { headers: { 'content-type': 'application/pkix-crl', 'SGX-PCK-CRL-Issuer-Chain': encodeURIComponent(text('pck_crl_issuer_chain')) }, body: Buffer.from(text('pck_crl'), 'hex') })
    .on(`${server.origin}/sgx/certification/v4/rootcacrl`, octets(Buffer.from(text('root_ca_crl'), 'hex')));
}

describe('Intel: a PCCS', () => {
  const forged = forge({ body: 'td10' });
  beforeEach(async () => {
    world = await AttestWorld.start(NOW_MS);
    world.useServices();
    await world.write('quote.bin', forged.quote);
    await world.write('root.der', forged.root);
  });
  const verify = (...more: string[]) => world.attest('verify', 'quote.bin', '--trust-root', 'root.der', '--any-measurement', ...more);

  it('verify fetches what a raw quote lacks, and the next time takes it from the cache', async () => {
    scriptPccs(forged);
    const first = await verify();
    expect([first.exit, first.data.overall, first.message]).toEqual([0, 'pass', '']);
    expect(first.data.parts?.[0]?.checks[0]).toMatchObject({ name: 'trust-root', result: 'info', required: false });
    expect(world.server.requests).toHaveLength(4);
    expect((await verify('--offline')).exit).toBe(0);
    expect(world.server.requests).toHaveLength(4);
  });

  it('fetch --out: a folder that is carried to a machine without network', async () => {
    scriptPccs(forged);
    const fetched = await world.attest('fetch', 'quote.bin', '--out', 'carried');
    expect([fetched.exit, (fetched.data['documents'] as { id: string }[]).map(({ id }) => id)]).toEqual([0, [`intel-tdx-tcb-info-${FMSPC}-standard`, 'intel-tdx-qe-identity-standard', 'intel-pck-crl-platform', 'intel-root-crl']]);
    world.env = { COCOON_HOME: `${world.home}/other` };
    const alone = await verify('--offline');
    expect([alone.exit, alone.code]).toEqual([12, 'E_COLLATERAL_MISSING']);
    expect((await verify('--offline', '--collateral', 'carried')).exit).toBe(0);
  });

  it('--refresh asks again; a time after the collateral\'s end is refused by name', async () => {
    scriptPccs(forged);
    await world.attest('fetch', 'quote.bin');
    await world.attest('fetch', 'quote.bin', '--refresh');
    expect(world.server.requests).toHaveLength(8);
    const late = await verify('--at', '2026-06-01T00:00:00Z');
    expect([late.exit, late.code, checksOf(late.data, 'fail')[0]]).toEqual([5, 'E_EVIDENCE_REFUSED', 'root-crl']);
  });

  it('collateral that somebody has changed is fetched, and refused by the verifier', async () => {
    scriptPccs({ ...forged, collateral: { ...forged.collateral, tcb_info: String(forged.collateral['tcb_info']).replace('"UpToDate"', '"OutOfDate"') } });
    const changed = await verify();
    expect([changed.exit, checksOf(changed.data, 'fail')]).toEqual([5, ['tcb-info-signature']]);
  });

  it('a service that is away, or answers with an error page, ends it with exit 6', async () => {
    const away = await verify();
    expect([away.exit, away.code]).toEqual([6, 'E_COLLATERAL']);
    expect(away.message).toMatch(/does not have it \(HTTP status 404\)/);
  });

  it('the trust root of a test PKI is needed, and shown first', async () => {
    scriptPccs(forged);
    const without = await world.attest('verify', 'quote.bin', '--any-measurement');
    expect([without.exit, checksOf(without.data, 'fail')]).toEqual([5, ['pck-chain']]);
    const { stdout } = await world.text('attest', 'verify', 'quote.bin', '--trust-root', 'root.der', '--any-measurement', '--explain');
    expect(stdout).toMatch(/^Intel TDX guest\n {2}INFO {2}trust-root {6,}SHA-256 [0-9a-f]{12}…[0-9a-f]{6}\n/);
    expect(stdout).toMatch(/\nPASS: all \d+ required checks passed, good until /);
  });
});


describe('what is refused says which check failed and what that means', () => {
  const keys = generateTlsKeys();
  const other = generateTlsKeys();
  const bundle = ({ quote, collateral }: Forged): Uint8Array => Buffer.from(JSON.stringify({ quote_hex: toHex(quote), collateral }));
  const certificate = (evidence: CertificateEvidence): Uint8Array => makeCertificate({ keys, evidence, notBefore: NOW_MS - 1000 }).certificateDer;
  const debug = forge({ body: 'td10', td: { tdAttributes: Uint8Array.from([1, 0, 0, 0x10, 0, 0, 0, 0]) } });
  const old = forge({ body: 'td10', tcbInfo: (info) => { (info['tcbLevels'] as Json[])[0]!['tcbStatus'] = 'OutOfDate'; } });
  const stranger = sharedPki().stranger;
  const stale = forge({ body: 'td10', rootCrl: { thisUpdate: NOW_MS - 90 * DAY_MS, nextUpdate: NOW_MS - DAY_MS } });
  const forgedList = forge({ body: 'td10', pckCrl: { signer: stranger } });
  const genuine = forge({ body: 'td10' });
  const replayed = forge({ body: 'td10', td: { reportData: reportDataOf(other.publicKey) } });
  beforeEach(async () => {
    world = await AttestWorld.start(NOW_MS);
    world.useServices();
    await world.write('policy.toml', `version = 1\n[tdx]\nimage_hashes = ["${'55'.repeat(32)}"]\n`);
  });

  it.each<[string, Uint8Array, Forged | null, readonly string[], string, RegExp]>([
    ['a debug guest', bundle(debug), debug, ['--any-measurement'], 'td-debug', /the host can read and change the guest's memory/],
    ['an outdated platform', bundle(old), old, ['--any-measurement'], 'tcb-status', /with known weaknesses is running/],
    ['an expired revocation list', bundle(stale), stale, ['--any-measurement'], 'root-crl', /a revocation of an authority may be missing/],
    ['a forged revocation list', bundle(forgedList), forgedList, ['--any-measurement'], 'pck-crl', /a revocation of the platform's key may be missing/],
    ['an image that is not listed', bundle(genuine), genuine, ['--policy', 'policy.toml'], 'measurement', /genuine hardware runs a program that nobody has judged/],
    ['evidence of another key', certificate({ family: 'tdx', quote: replayed.quote }), replayed, ['--any-measurement'], 'report-data', /was made for another key/],
    ['no evidence', certificate({ family: 'none' }), null, ['--any-measurement'], 'evidence', /nothing shows what the peer runs/],
    ['simulated evidence on another network than the local one', certificate({ family: 'simulated', evidence: new Uint8Array(217) }), null, ['--any-measurement', '--network', 'mainnet'], 'evidence-kind', /proves nothing outside the local network/],
  ])('%s', async (_name, bytes, forged, more, check, meaning) => {
    if (forged !== null) {
      scriptPccs(forged);
      await world.write('root.der', forged.root);
    }
    await world.write('evidence', bytes);
    const { exit, code, message, data } = await world.attest('verify', 'evidence', ...(forged === null ? [] : ['--trust-root', 'root.der']), ...more);
    expect([exit, code, checksOf(data, 'fail')[0]]).toEqual([5, 'E_EVIDENCE_REFUSED', check]);
    expect(message).toMatch(new RegExp(`refused by the check "${check}": got .+, wanted .+; .+`, 's'));
    expect(message).toMatch(meaning);
  });
});

describe('AMD: the key distribution service', () => {
  const texts = forgeCollateral();
  const chip = toHex(chipIdOf('Genoa'));
  const VCEK = `/kds/vcek/v1/Genoa/${chip}?blSPL=10&teeSPL=0&snpSPL=23&ucodeSPL=84`;
  const POLICY = `version = 1\naccept = ["sev-snp"]\n[sev-snp]\nmeasurements = ["${toHex(MEASUREMENT)}"]\nminimum_tcb = { Genoa = { bootloader = 10, tee = 0, snp = 23, microcode = 84 } }\nallow_smt = true\nallow_migration_agent = false\n`;
  beforeEach(async () => {
    world = await AttestWorld.start(SNP_NOW);
    world.useServices();
    await world.write('report.bin', forgeReport());
    await world.write('ark.pem', texts.cert_chain.slice(texts.cert_chain.lastIndexOf('-----BEGIN')));
    await world.write('policy.toml', POLICY);
  });
  const script = (first: readonly ScriptedAnswer[] = []): void => {
    const { server } = world;
    server.on(`${server.origin}${VCEK}`, ...first, octets(der(texts.vek))).on(`${server.origin}/kds/vcek/v1/Genoa/cert_chain`, octets(texts.cert_chain)).on(`${server.origin}/kds/vcek/v1/Genoa/crl`, octets(Buffer.from(texts.crl, 'hex')));
  };
  const verify = (...more: string[]) => world.attest('verify', 'report.bin', '--trust-root', 'ark.pem', '--policy', 'policy.toml', ...more);

  it('a raw report: chip key, authorities and revocation list are fetched, and all of it passes', async () => {
    script();
    const { exit, data, message } = await verify();
    expect([message, exit, data.overall, data.imageHash]).toEqual(['', 0, 'pass', toHex(sevImageHash(MEASUREMENT))]);
    expect(world.server.mostOpen).toBe(1);
    expect((await verify('--offline')).exit).toBe(0);
  });

  it('Retry-After: the service says wait, and is asked again after that', async () => {
    script([{ status: 429, headers: { 'retry-after': '1' }, body: 'slow down' }]);
    const startedMs = performance.now();
    expect((await world.attest('fetch', 'report.bin')).exit).toBe(0);
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(990);
    expect(world.server.count(`${world.server.origin}${VCEK}`)).toBe(2);
  });

  it('Retry-After beyond the time limit: says when to try again, exit 6', async () => {
    script([{ status: 503, headers: { 'retry-after': '3600' }, body: 'closed' }]);
    const { exit, code, hint } = await world.attest('fetch', 'report.bin');
    expect([exit, code, hint]).toEqual([6, 'E_COLLATERAL', 'try again in 3600 seconds']);
  });

  it('the chip key of another chip is refused where it is fetched', async () => {
    world.server.on(`${world.server.origin}/kds/vcek/v1/Genoa/cert_chain`, octets(texts.cert_chain)).on(`${world.server.origin}/kds/vcek/v1/Genoa/crl`, octets(Buffer.from(texts.crl, 'hex')))
      .on(`${world.server.origin}${VCEK}`, octets(der(forgeCollateral({ product: 'Turin' }).vek)));
    expect(await verify()).toMatchObject({ exit: 6, code: 'E_COLLATERAL', message: expect.stringContaining('another chip or TCB') });
  });

  it('a guest on a host with SMT is refused until the policy says that it is accepted, and told how', async () => {
    script();
    await world.write('report.bin', forgeReport({ policy: 0x30000n }));
    expect((await verify()).exit).toBe(0);
    await world.write('policy.toml', POLICY.replace('allow_smt = true\n', ''));
    const refused = await verify();
    expect([refused.exit, checksOf(refused.data, 'fail'), refused.hint]).toEqual([5, ['guest-smt'], expect.stringContaining('allow_smt = true')]);
    await world.write('report.bin', forgeReport({ policy: 0x30000n, patches: [[64, Uint8Array.of(0x26)]] }));
    expect((await verify()).exit).toBe(0);
  });

  it('without a measurement in the policy the verdict is incomplete, not a pass', async () => {
    script();
    const open = await world.attest('verify', 'report.bin', '--trust-root', 'ark.pem');
    expect([open.exit, open.code, open.data.overall]).toEqual([12, 'E_INCOMPLETE', 'incomplete']);
    expect(checksOf(open.data, 'skip')).toEqual(['minimum-tcb', 'image']);
  });

  it.each<[string, Record<string, string>]>([['not a URL', { COCOON_ATTEST_AMD_KDS: 'kds' }], ['not encrypted', { COCOON_ATTEST_AMD_KDS: 'http://example.com' }]])('a mirror that is %s is an error of the configuration', async (problem, env) => {
    world.env = env;
    expect(await verify()).toMatchObject({ exit: 3, code: 'E_CONFIG', message: expect.stringContaining(problem) });
  });
});

describe('NVIDIA: manifests, OCSP, bundles of GPUs', () => {
  const nonce = '11'.repeat(32);
  beforeEach(async () => {
    world = await AttestWorld.start(GPU_NOW);
    world.useServices();
    await world.write('roots.pem', pemOf(PKI.deviceRoot.der, PKI.rimRoot.der));
    await world.write('policy.json', { version: 1, accept: ['nvidia'], nvidia: { gpu_count: 1 } });
  });
  const verify = async (machine: object, ...more: string[]) => world.attest('verify', await world.write('gpus.json', machine), '--trust-root', 'roots.pem', '--policy', 'policy.json', '--nonce', nonce, ...more);

  it('a genuine machine with its manifests and answers passes', async () => {
    const { exit, data, message } = await verify(forgeMachine());
    expect([message, exit, data.overall]).toEqual(['', 0, 'pass']);
    expect(data.parts?.map(({ kind }) => kind)).toEqual(['nvidia']);
  });

  it.each<[string, object, string]>([
    ['evidence signed by another key', forgeMachine({ devices: [{ signer: PKI.responder }] }), 'report-signature'],
    ['a certificate missing in the chain', forgeMachine({ devices: [{ chain: (list) => list.filter((_, index) => index !== 2) }] }), 'chain'],
    ['another architecture', forgeMachine({ devices: [{ arch: 'BLACKWELL' }] }), 'architecture'],
    ['another nonce', forgeMachine({ devices: [{ nonce: new Uint8Array(32).fill(0x12) }] }), 'nonce'],
    ['firmware other than the key\'s', forgeMachine({ devices: [{ opaque: { 20: new Uint8Array(48).fill(7) } }] }), 'fwid'],
    ['a measurement that the manifest does not have', forgeMachine({ rims: [{ id: 'NV_GPU_DRIVER_GH100_580.10.02', rim: { version: '580.10.02', active: [7], values: { 7: [new Uint8Array(48).fill(9)] } } }, { id: 'NV_GPU_VBIOS_1010_0200_882_96005E0001', rim: { version: '96.00.5E.00.01', active: [0] } }] }), 'measurements'],
    ['a manifest changed after it was signed', forgeMachine({ rims: [{ rim: { version: '580.10.02', active: [7], edit: (text) => text.replace('Jerry', 'Merry') } }, { rim: { version: '96.00.5E.00.01', active: [0] } }] }), 'driver-rim-signature'],
    ['a revoked authority', forgeMachine({ ocsp: { 'Example Provisioner': { status: 'revoked' } } }), 'ocsp'], ['an authority on hold', forgeMachine({ ocsp: { 'Example Provisioner': { status: 'hold' } } }), 'ocsp'],
    ['an answer by a stranger', forgeMachine({ ocsp: { 'Example Signer': { by: 'stranger' } } }), 'driver-rim-ocsp'], ['a stale answer', forgeMachine({ ocsp: { 'Example Provisioner': { nextUpdate: GPU_NOW - 1 } } }), 'ocsp'],
    ['confidential computing off', forgeMachine({ system: { cc_mode: 'off', dev_tools: 'off' } }), 'cc-mode'], ['developer tools on', forgeMachine({ system: { cc_mode: 'on', dev_tools: 'on' } }), 'developer-tools'],
    ['one GPU too many', forgeMachine({ devices: [{}, { number: 1 }] }), 'gpu-count'], ['the same GPU twice', { ...forgeMachine(), devices: twice(forgeMachine()) }, 'unique-devices'],
  ])('refuses %s', async (_name, machine, check) => {
    const { exit, code, data } = await verify(machine);
    expect([exit, code, checksOf(data, 'fail').includes(check)]).toEqual([5, 'E_EVIDENCE_REFUSED', true]);
  });

  it('without OCSP answers and without network the verdict is no pass', async () => {
    const machine = forgeMachine() as { collateral: { rims: unknown } };
    const { exit, data } = await verify({ ...machine, collateral: { rims: machine.collateral.rims, ocsp: [] } });
    expect([exit, data.overall, checksOf(data, 'skip')]).toEqual([12, 'incomplete', ['ocsp', 'driver-rim-ocsp', 'vbios-rim-ocsp']]);
  });

  it('selftest: every change of evidence, manifests and answers is refused; explain has nothing to show for GPUs and says so', async () => {
    await world.write('gpus.json', forgeMachine());
    const { exit, data } = await world.attest('selftest', 'gpus.json', '--trust-root', 'roots.pem', '--policy', 'policy.json', '--nonce', nonce);
    expect([exit, data['accepted'], data['unchanged']]).toEqual([0, 0, 'pass']);
    expect(data['changes']).toBeGreaterThan(60);
    expect(await world.attest('explain', 'gpus.json')).toMatchObject({ exit: 2, code: 'E_USAGE' });
  }, 120_000);

  it('a hold is accepted only where the policy says so', async () => {
    await world.write('policy.json', { version: 1, accept: ['nvidia'], nvidia: { gpu_count: 1, allow_certificate_hold: true } });
    expect((await verify(forgeMachine({ ocsp: { 'Example Provisioner': { status: 'hold' } } }))).exit).toBe(0);
  });

  it('manifests and answers come from the services; each answer repeats the nonce of its question', async () => {
    const machine = forgeMachine() as { devices: { certificate: string }[]; collateral: { rims: { id: string; rim: string }[] } };
    const { server } = world;
    for (const { id, rim } of machine.collateral.rims) server.on(`${server.origin}/rim/${id}`, { headers: { 'content-type': 'application/json' }, body: JSON.stringify({ id, rim: Buffer.from(rim).toString('base64') }) });
    const known = new Map([[PKI.provisioner, PKI.deviceCa], [PKI.deviceCa, PKI.deviceRoot], [PKI.rimSigner, PKI.rimCa], [PKI.rimCa, PKI.rimRoot]].map(([subject, issuer]) => [Number(parseX509(subject!.der).serial.at(-1)), { der: subject!.der, issuer: issuer! }]));
    const identity = Buffer.from(machine.devices[0]!.certificate, 'base64').toString().split(/(?=-----BEGIN)/)[1] ?? '';
    known.set(parseX509(der(identity)).serial.at(-1) ?? 0, { der: der(identity), issuer: PKI.provisioner });
    server.on(`${server.origin}/ocsp`, ({ body }: SeenRequest): ScriptedAnswer => {
      // CertID ends with the serial number, the request with the nonce in two octet strings.
      const asked = Buffer.from(body);
      const subject = [...known].find(([, { der: subjectDer }]) => asked.includes(serialOf(subjectDer)))?.[1];
      if (subject === undefined) return { status: 400 };
      return { headers: { 'content-type': 'application/ocsp-response' }, body: Buffer.from(forgeOcsp(subject.der, subject.issuer, { nonce: new Uint8Array(asked.subarray(-32)) })) };
    });
    const { exit, message } = await verify({ devices: machine.devices, system: { cc_mode: 'on', dev_tools: 'off' } });
    expect([message, exit]).toEqual(['', 0]);
    expect(server.requests.filter(({ method }) => method === 'POST')).toHaveLength(5);
    expect((await world.attest('fetch', 'gpus.json')).exit).toBe(0);
  });
});

/** The DER of a certificate's serial number. */
function serialOf(certificate: Uint8Array): Buffer {
  const { serial } = parseX509(certificate);
  const positive = (serial[0] ?? 0) >= 0x80 ? Buffer.concat([Uint8Array.of(0), serial]) : Buffer.from(serial);
  return Buffer.concat([Uint8Array.of(2, positive.length), positive]);
}

function twice(machine: object): unknown[] {
  const { devices } = machine as { devices: unknown[] };
  return [...devices, ...devices];
}

describe('attest collect: a guest', () => {
  const sha384 = (...parts: Uint8Array[]): Buffer => createHash('sha384').update(Buffer.concat(parts)).digest();
  const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8]);
  const u32 = (value: number): Buffer => { const bytes = Buffer.alloc(4); bytes.writeUInt32LE(value); return bytes; };
  const digest = sha384(Buffer.from('kernel'));
  const spec = Buffer.concat([Buffer.from('Spec ID Event03\0', 'latin1'), Buffer.alloc(8), u32(1), u16(12), u16(48), Uint8Array.of(0)]);
  const log = Buffer.concat([u32(1), u32(3), Buffer.alloc(20), u32(spec.length), spec, u32(2), u32(4), u32(1), u16(12), digest, u32(6), Buffer.from('kernel'), Buffer.alloc(64, 0xff)]);
  const replayed: Partial<TdFields> = { rtmr0: Buffer.alloc(48), rtmr1: sha384(Buffer.alloc(48), digest), rtmr2: Buffer.alloc(48) };
  const table = (): Buffer => {
    const bytes = Buffer.alloc(56);
    bytes.write('CCEL', 'latin1');
    bytes.writeUInt32LE(56, 4);
    bytes[36] = 2;
    bytes.writeBigUInt64LE(BigInt(log.length), 40);
    bytes[9] = (256 - bytes.reduce((sum, byte) => (sum + byte) % 256, 0)) % 256;
    return bytes;
  };
  const files = { '/sys/firmware/acpi/tables/CCEL': table(), '/sys/firmware/acpi/tables/data/CCEL': log };
  const nonce = 'ab'.repeat(32);
  let root: Uint8Array = new Uint8Array();

  /** A TDX guest whose quotes have these registers. */
  const tdx = (registers: Partial<TdFields>): FakeTsmKernel => new FakeTsmKernel({
    provider: 'tdx_guest', files,
    answer: (reportData) => {
      const forged = forge({ body: 'td10', td: { reportData, ...registers } });
      scriptPccs(forged);
      ({ root } = forged);
      return forged.quote;
    },
  });
  beforeEach(async () => {
    world = await AttestWorld.start(NOW_MS);
    world.useServices();
  });
  const collect = (...more: string[]) => world.attest('collect', '--nonce', nonce, '--gpus', 'none', '--with-collateral', '--out', 'evidence.json', ...more);
  const verify = async (...more: string[]) => {
    await world.write('root.der', root);
    return world.attest('verify', 'evidence.json', '--trust-root', 'root.der', '--any-measurement', '--nonce', nonce, '--offline', ...more);
  };

  it('TDX: quote, event log and collateral in one bundle, which verify reads, judges and replays', async () => {
    world.machine = tdx(replayed);
    expect(await collect()).toMatchObject({ exit: 0, data: { family: 'tdx', nonce, devices: 0, file: 'evidence.json' } });
    const { exit, data, message } = await verify();
    expect([message, exit, data.overall, data.parts?.map(({ kind }) => kind)]).toEqual(['', 0, 'pass', ['tdx', 'event-log', 'binding']]);
    expect(checksOf(data, 'pass')).toEqual(expect.arrayContaining(['report-data', 'event-log', 'event-log-rtmr0', 'event-log-rtmr1', 'event-log-rtmr2', 'freshness-signature', 'nonce']));
    expect((await world.attest('explain', 'evidence.json')).exit).toBe(0);
    expect((await world.attest('selftest', 'evidence.json', '--trust-root', 'root.der', '--nonce', nonce, '--offline'))).toMatchObject({ exit: 0, data: { accepted: 0 } });
  }, 120_000);

  it('TDX: an event log that does not replay to the registers is refused, and so is another nonce', async () => {
    world.machine = tdx({ ...replayed, rtmr1: Buffer.alloc(48, 1) });
    await collect();
    expect(checksOf((await verify()).data, 'fail')).toEqual(['event-log-rtmr1']);
    world.machine = tdx(replayed);
    await rm(join(world.home, 'cache'), { recursive: true });
    await collect();
    await world.write('root.der', root);
    const other = await world.attest('verify', 'evidence.json', '--trust-root', 'root.der', '--any-measurement', '--nonce', 'cd'.repeat(32), '--offline');
    expect([other.exit, checksOf(other.data, 'fail')]).toEqual([5, ['nonce']]);
  });

  it('TDX: evidence of another key is refused, whoever signs the bundle', async () => {
    world.machine = tdx(replayed);
    const { data } = await world.attest('collect', '--nonce', nonce, '--gpus', 'none', '--with-collateral');
    const evidence = data['evidence'] as { tls_public_key: string };
    await world.write('evidence.json', { ...evidence, tls_public_key: '22'.repeat(32) });
    expect(checksOf((await verify()).data, 'fail')).toEqual(['report-data', 'freshness-signature']);
  });

  it('SEV-SNP: a report with the certificates of its host', async () => {
    const texts = forgeCollateral();
    world.nowMs = SNP_NOW;
    world.server.on(`${world.server.origin}/kds/vcek/v1/Genoa/${toHex(chipIdOf('Genoa'))}?blSPL=10&teeSPL=0&snpSPL=23&ucodeSPL=84`, octets(der(texts.vek)))
      .on(`${world.server.origin}/kds/vcek/v1/Genoa/cert_chain`, octets(texts.cert_chain)).on(`${world.server.origin}/kds/vcek/v1/Genoa/crl`, octets(Buffer.from(texts.crl, 'hex')));
    world.machine = new FakeTsmKernel({ provider: 'sev_guest', answer: (reportData) => forgeReport({ patches: [[80, reportData]] }) });
    expect(await collect()).toMatchObject({ exit: 0, data: { family: 'sev-snp' } });
    root = Buffer.from(texts.cert_chain.slice(texts.cert_chain.lastIndexOf('-----BEGIN')));
    const { data } = await verify();
    expect([data.overall, checksOf(data, 'fail'), checksOf(data, 'skip'), data.parts?.map(({ kind }) => kind)]).toEqual(['incomplete', [], ['minimum-tcb'], ['sev-snp', 'binding']]);
  });

  it('outside a TEE: says so, exit 3', async () => {
    world.machine = new FakeTsmKernel({ interface: false });
    expect(await world.attest('collect')).toMatchObject({ exit: 3, code: 'E_NO_TEE', message: expect.stringMatching(/not a TDX or SEV-SNP guest/) });
  });
});
