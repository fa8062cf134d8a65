// Writes the inputs that fuzzing starts from into seeds/: evidence under roots of our own, forged once and kept, so that the
// same seed of the fuzzer gives the same inputs everywhere. Usage: node test/fuzz/make-seeds.mjs [TARGET]
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { register } from 'node:module';

register('../fakes/ts-hooks.mjs', import.meta.url);
const snp = await import('../fakes/snp-forge.ts');
const gpu = await import('../fakes/nvidia-forge.ts');
const { asVersion2, forge } = await import('../fakes/dcap-forge.ts');
const { makeCertificate } = await import('../../src/tee/certificate-make.ts');
const { makeFakeTdxQuote } = await import('../../src/tee/fake-tdx.ts');
const { generateTlsKeys } = await import('../../src/tee/tls-keys.ts');
const { reportDataOf } = await import('../../src/tee/report-data.ts');
const { FakeTsmKernel } = await import('../fakes/tsm-kernel.ts');
const { collectBundle } = await import('../../src/tee/collect/collect.ts');
const { defaultPolicyDocument } = await import('../../src/tee/policy-file.ts');
const { policyToml } = await import('../../src/tee/policy-text.ts');

const folder = new URL('seeds/', import.meta.url);
const [, , only] = process.argv;
rmSync(only === undefined ? folder : new URL(`${only}/`, folder), { recursive: true, force: true });
function seed(target, name, content) {
  if (only !== undefined && target !== only) return;
  mkdirSync(new URL(`${target}/`, folder), { recursive: true });
  writeFileSync(new URL(`${target}/${name}`, folder), content);
}
const json = (value) => JSON.stringify(value);
const hex = (bytes) => Buffer.from(bytes).toString('hex');
const pemToDer = (pem) => Buffer.from(pem.replace(/-----[A-Z ]+-----|\s/g, ''), 'base64');
const dersOf = (pem) => pem.split(/(?=-----BEGIN)/).filter((part) => part.includes('BEGIN')).map(pemToDer);

// Intel
const td = forge({ body: 'td15' });
const sgx = forge({ body: 'sgx' });
const td10 = forge({ body: 'td10' });
for (const [name, { quote }] of Object.entries({ td, sgx, td10 })) seed('quote', name, quote);
seed('tcb-info', 'tdx', td.collateral.tcb_info);
seed('tcb-info', 'sgx', sgx.collateral.tcb_info);
seed('tcb-info', 'sgx-version-2', forge({ body: 'sgx', tcbInfo: asVersion2 }).collateral.tcb_info);
seed('qe-identity', 'tdx', td.collateral.qe_identity);
seed('collateral', 'tdx', json(td.collateral));
seed('evidence-file', 'dcap', json({ quote_hex: hex(td10.quote), collateral: td10.collateral }));
for (const [index, der] of dersOf(td.collateral.tcb_info_issuer_chain).entries()) seed('x509', `intel-${index}`, der);
for (const [index, der] of dersOf(Buffer.from(td.quote).toString('latin1').replace(/^[^]*?-----BEGIN/, '-----BEGIN').slice(0, -1)).entries()) seed('x509', `pck-${index}`, der);
seed('crl', 'root', Buffer.from(td.collateral.root_ca_crl, 'hex'));
seed('crl', 'pck', Buffer.from(td.collateral.pck_crl, 'hex'));

// AMD
for (const product of ['Milan', 'Genoa', 'Turin']) {
  const [vek] = dersOf(snp.forgeCollateral({ product }).vek);
  seed('vek', product, vek);
  seed('x509', `vek-${product}`, vek);
  seed('snp-report', product, snp.forgeReport({ product }));
}
for (const version of [2, 3, 4]) seed('snp-report', `v${version}`, snp.forgeReport({ product: 'Milan', version }));
const amd = snp.forgeCollateral();
seed('vek', 'VLEK', dersOf(snp.forgeCollateral({ signer: 'VLEK' }).vek)[0]);
seed('snp-bundle', 'genoa', json({ report_hex: hex(snp.forgeReport()), collateral: amd }));
seed('evidence-file', 'snp', json({ report_hex: hex(snp.forgeReport()), collateral: amd }));
seed('crl', 'amd', Buffer.from(amd.crl, 'hex'));
const [vcek, authority] = [dersOf(amd.vek)[0], dersOf(amd.cert_chain)[0]];
const entry = (guid, at, length) => {
  const bytes = Buffer.alloc(24);
  bytes.write(guid, 'hex');
  bytes.writeUInt32LE(at, 16);
  bytes.writeUInt32LE(length, 20);
  return bytes;
};
seed('certificate-table', 'both', Buffer.concat([
  entry('63da758de6644564adc5f4b93be8accd', 72, vcek.length), entry('a8074bc2a25a483eaae639c045a0b8a1', 72 + vcek.length, authority.length), Buffer.alloc(24), vcek, authority,
]));

// NVIDIA
const machine = JSON.parse(json(gpu.forgeMachine()));
const fabric = gpu.forgeDevice({ kind: 'switch' });
seed('spdm', 'gpu', Buffer.from(machine.devices[0].evidence, 'base64'));
seed('spdm', 'switch', Buffer.from(fabric.evidence, 'base64'));
seed('rim', 'driver', machine.collateral.rims[0].rim);
seed('xml', 'small', '<?xml version="1.0" encoding="UTF-8"?>\n<a xmlns="u" xmlns:n=\'v\' b="1&amp;2"><n:c n:d="&lt;&#9;">text &gt; &quot;</n:c><e/></a>\n');
for (const [index, { response }] of machine.collateral.ocsp.slice(0, 2).entries()) seed('ocsp', `answer-${index}`, Buffer.from(response, 'hex'));
seed('ocsp', 'nonce', gpu.forgeOcsp(gpu.PKI.rimCa.der, gpu.PKI.rimRoot, { nonce: new Uint8Array(32).fill(5), by: 'issuer', status: 'hold' }));
seed('nvidia-bundle', 'machine', json({ ...machine, collateral: { rims: [], ocsp: machine.collateral.ocsp.slice(0, 2) } }));
const identity = dersOf(Buffer.from(machine.devices[0].certificate, 'base64').toString())[0];
seed('x509', 'gpu', identity);

// Certificates of peers
const keys = generateTlsKeys();
const made = (evidence) => makeCertificate({ keys, evidence, notBefore: snp.SNP_NOW - 1000 }).certificateDer;
seed('certificate', 'none', made({ family: 'none' }));
seed('certificate', 'fake-tdx', made({ family: 'tdx', quote: makeFakeTdxQuote(keys.publicKey) }));
const attested = made({ family: 'sev-snp', report: snp.forgeReport({ patches: [[80, reportDataOf(keys.publicKey)]] }), reportData: reportDataOf(keys.publicKey), vcekPem: Buffer.from(amd.vek) });
seed('certificate', 'snp', attested);
seed('certificate', 'simulated', made({ family: 'simulated', evidence: new Uint8Array(217).fill(7) }));
seed('evidence-file', 'certificate', attested);

// Event logs, what `attest collect` writes, policies
const u16 = (value) => Buffer.from([value & 255, value >> 8]);
const u32 = (value) => Buffer.from([value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24]);
const event = (index, type, data) => Buffer.concat([u32(index), u32(type), u32(1), u16(12), Buffer.alloc(48, index + 1), u32(data.length), data]);
const head = Buffer.concat([Buffer.from('Spec ID Event03\0', 'latin1'), Buffer.alloc(8), u32(1), u16(12), u16(48), Uint8Array.of(0)]);
const log = Buffer.concat([u32(1), u32(3), Buffer.alloc(20), u32(head.length), head, event(1, 4, Buffer.from('boot')), event(2, 13, Buffer.from('kernel')), event(0, 0x80000001, Buffer.alloc(20)), Buffer.alloc(32, 0xff)]);
seed('ccel', 'small', log);
seed('runtime-log', 'one', json([{ imr: 3, event_type: 0x08000001, digest: '00'.repeat(48), event: 'app-id', event_payload: 'aabb' }]));
const table = Buffer.alloc(56);
table.write('CCEL', 'latin1');
table.writeUInt32LE(56, 4);
table[36] = 2;
table.writeBigUInt64LE(BigInt(log.length), 40);
table[9] = (256 - table.reduce((sum, byte) => (sum + byte) % 256, 0)) % 256;
seed('ccel-table', 'good', table);
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const quoteFor = (reportData) => forge({ body: 'td10', td: { reportData } }).quote;
const bundle = await collectBundle({ keys, gpus: 'none', collateral: false, nonce: new Uint8Array(32).fill(9) }, { kernel: new FakeTsmKernel({ provider: 'tdx_guest', answer: quoteFor, files: { '/sys/firmware/acpi/tables/CCEL': table, '/sys/firmware/acpi/tables/data/CCEL': log } }), log: quiet });
seed('evidence-file', 'collection', json(bundle));
seed('policy', 'default.toml', policyToml(defaultPolicyDocument()));
seed('policy', 'default.json', json(defaultPolicyDocument()));
seed('policy', 'small.toml', 'version = 1\naccept = ["tdx"]\n[tdx]\nmeasurements = [{ mr_td = "00" }]\nadvisories = [{ id = "INTEL-SA-00837", until = "2026-12-31T00:00:00Z" }]\n');
seed('trust-roots', 'vendor', Buffer.concat([Buffer.from(td.collateral.tcb_info_issuer_chain.slice(td.collateral.tcb_info_issuer_chain.lastIndexOf('-----BEGIN'))), Buffer.from(amd.cert_chain.slice(amd.cert_chain.lastIndexOf('-----BEGIN')))]));

// Firmware: four pages of nothing with metadata for SEV-SNP and for TDX.
const { guidBytes } = await import('../../src/tee/firmware-table.ts');
const u64 = (value) => Buffer.concat([u32(value % 2 ** 32), u32(Math.floor(value / 2 ** 32))]);
const words = (...values) => Buffer.concat(values.map(u32));
const section = (offset, size, address, memory, kind, attributes) => Buffer.concat([words(offset, size), u64(address), u64(memory), words(kind, attributes)]);
const tableEntry = (guid, data, size = data.length + 18) => Buffer.concat([data, u16(size), guidBytes(guid)]);
const image = Buffer.alloc(8192);
Buffer.concat([Buffer.from('TDVF'), words(16 + 3 * 32, 1, 3), section(4096, 4096, 0xfffff000, 4096, 0, 1), section(0, 4096, 0xffffe000, 4096, 1, 0), section(0, 0, 0x809000, 8192, 3, 0)]).copy(image, 4096);
Buffer.concat([Buffer.from('ASEV'), words(16 + 2 * 12, 1, 2, 0x800000, 0x1000, 1, 0x80f000, 0x1000, 0x10)]).copy(image, 5120);
const entries = Buffer.concat([
  tableEntry('7255371f-3a3b-4b04-927b-1da6efa8d454', words(0x80fc00, 0x400)), tableEntry('dc886566-984a-4798-a75e-5585a7bf67cc', words(8192 - 5120)),
  tableEntry('00f771de-1a7e-4fcb-890e-68c77e2fb44e', words(0x80b004)), tableEntry('e47a6535-984a-4798-865e-4685a7bf8ec2', words(4096)),
]);
Buffer.concat([entries, tableEntry('96b582de-1fb2-45f7-baea-a366c55a082d', Buffer.alloc(0), entries.length + 18)]).copy(image, image.length - 32 - entries.length - 18);
seed('firmware', 'both', image);
