import { X509Certificate, createPrivateKey } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { describe, expect, it } from '@jest/globals';
import { toHex } from '../../src/core/bytes.ts';
import { makeCertificate } from '../../src/tee/certificate-make.ts';
import { MAX_QUOTE_BYTES, OID, SEV_REPORT_BYTES } from '../../src/tee/certificate-evidence.ts';
import type { CertificateEvidence } from '../../src/tee/certificate-evidence.ts';
import { parseCertificate } from '../../src/tee/certificate-parse.ts';
import { makeFakeTdxQuote } from '../../src/tee/fake-tdx.ts';
import { generateTlsKeys, tlsKeysOf } from '../../src/tee/tls-keys.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { DAY, NOW, extension, fixedKey } from './der-writer.ts';
import { vector } from './vectors.ts';

const keys = generateTlsKeys();
const fake: CertificateEvidence = { family: 'tdx', quote: makeFakeTdxQuote(keys.publicKey) };
const sev: CertificateEvidence = {
  family: 'sev-snp', reportData: new Uint8Array(64), report: new Uint8Array(SEV_REPORT_BYTES), vcekPem: Uint8Array.from(Buffer.from('pem')),
};
const openssl = spawnSync('openssl', ['version']).status === 0;

describe('makeCertificate (WIRE.md section 3)', () => {
  it('makeCertificate: node reads it, its signature verifies, and both names of a local peer match', async () => {
    const made = await makeCertificate({ keys, evidence: fake, notBefore: NOW + 999 });
    const certificate = new X509Certificate(made.certificatePem);
    expect(toHex(certificate.raw)).toBe(toHex(made.certificateDer));
    expect(certificate.verify(certificate.publicKey)).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(made.privateKeyPem))).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.subject).toBe('CN=localhost');
    expect(certificate.issuer).toBe('CN=localhost');
    expect(certificate.subjectAltName).toBe('DNS:localhost, DNS:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
    // As C++ dialers do: 127.0.0.1 compared as a DNS name.
    expect(certificate.checkHost('127.0.0.1')).toBe('127.0.0.1');
    expect(Date.parse(certificate.validFrom)).toBe(NOW);
    expect(Date.parse(certificate.validTo)).toBe(NOW + DAY);
    expect(made.notAfter).toBe(NOW + DAY);
    expect(toHex(made.publicKey)).toBe(toHex(keys.publicKey));
  });

  it('makeCertificate: our parser reads back what went in', async () => {
    for (const evidence of [fake, sev, { family: 'none' }, { family: 'simulated', evidence: new Uint8Array(217) }] satisfies CertificateEvidence[]) {
      const made = await makeCertificate({ keys, evidence, notBefore: NOW, lifetimeMs: 60_000 });
      const parsed = parseCertificate(made.certificateDer);
      expect(parsed.version).toBe(3);
      expect(parsed.notAfter - parsed.notBefore).toBe(60_000);
      const hex = (value: unknown): string => JSON.stringify(value, (_key, item: unknown) => (item instanceof Uint8Array ? toHex(item) : item));
      expect(hex(parsed.evidence)).toBe(hex(evidence));
    }
  });

  it('makeCertificate: the extensions are those of the captured certificates, byte for byte and in order', async () => {
    for (const who of ['proxy', 'plain']) {
      const captured = vector(`wire/cert/${who}_cert.der`);
      const captor = tlsKeysOf(createPrivateKey(vector(`wire/cert/${who}_key.pem`)));
      const evidence: CertificateEvidence = who === 'plain' ? { family: 'none' } : { family: 'tdx', quote: vector('wire/cert/proxy_quote.bin') };
      const made = await makeCertificate({ keys: captor, evidence, notBefore: NOW });
      expect(extensionsOf(made.certificateDer)).toBe(extensionsOf(captured));
    }
  });

  it('makeCertificate: evidence extensions come first and are critical, with raw content', async () => {
    const made = await makeCertificate({ keys, evidence: sev, notBefore: NOW });
    const wanted = Buffer.concat([
      extension({ oid: OID.sevReportData, value: sev.reportData }),
      extension({ oid: OID.sevReport, value: sev.report }),
      extension({ oid: OID.sevVcek, value: sev.vcekPem }),
    ]);
    expect(extensionsOf(made.certificateDer).startsWith(toHex(wanted))).toBe(true);
  });

  it('makeCertificate: serial numbers are random and of 16 bytes', async () => {
    const serials = new Set<string>();
    for (let i = 0; i < 20; i += 1) {
      const { certificateDer } = await makeCertificate({ keys, evidence: { family: 'none' }, notBefore: NOW });
      serials.add(new X509Certificate(certificateDer).serialNumber);
    }
    expect(serials.size).toBe(20);
    expect(Math.max(...[...serials].map((serial) => serial.length))).toBeGreaterThanOrEqual(31);
  });

  it('makeCertificate: takes the largest quote and refuses a larger one', async () => {
    const evidence = (length: number): CertificateEvidence => ({ family: 'tdx', quote: new Uint8Array(length) });
    const made = await makeCertificate({ keys, evidence: evidence(MAX_QUOTE_BYTES), notBefore: NOW });
    expect(new X509Certificate(made.certificateDer).verify(new X509Certificate(made.certificateDer).publicKey)).toBe(true);
    await expect((async () => makeCertificate({ keys, evidence: evidence(MAX_QUOTE_BYTES + 1), notBefore: NOW }))()).rejects.toMatchObject({ code: 'E_EVIDENCE_MALFORMED' });
  });

  it('makeCertificate: refuses a private key of another public key, and a lifetime below zero', async () => {
    const mixed = { privateKey: fixedKey(1), publicKey: tlsKeysOf(fixedKey(2)).publicKey };
    await expect((async () => makeCertificate({ keys: mixed, evidence: { family: 'none' }, notBefore: NOW }))()).rejects.toMatchObject({ code: 'E_EVIDENCE_REFUSED' });
    await expect((async () => makeCertificate({ keys, evidence: { family: 'none' }, notBefore: NOW, lifetimeMs: -1000 }))()).rejects.toMatchObject({ code: 'E_EVIDENCE_MALFORMED' });
  });

  it('makeCertificate: a process that makes one writes no warning', () => {
    const root = new URL('../../', import.meta.url);
    const script = `
      const { makeCertificate } = await import('./src/tee/certificate-make.ts');
      const { generateTlsKeys } = await import('./src/tee/tls-keys.ts');
      const { certificatePem } = await makeCertificate({ keys: generateTlsKeys(), evidence: { family: 'none' }, notBefore: Date.now() });
      process.stdout.write(certificatePem);`;
    const child = spawnSync(process.execPath, ['--import', './test/fakes/ts-hooks.mjs', '--input-type=module', '-e', script], { cwd: root, encoding: 'utf8' });
    expect(child.stderr).toBe('');
    expect(child.stdout).toMatch(/^-----BEGIN CERTIFICATE-----\n/);
  });

  (openssl ? it : it.skip)(`makeCertificate: openssl reads and verifies it${openssl ? '' : ' (skipped: no openssl program)'}`, async () => {
    const made = await makeCertificate({ keys, evidence: fake, notBefore: Date.now() });
    const text = spawnSync('openssl', ['x509', '-noout', '-text'], { input: made.certificatePem, encoding: 'utf8' });
    expect(text.status).toBe(0);
    expect(text.stdout).toMatch(/Version: 3 \(0x2\)[\s\S]*Public Key Algorithm: ED25519[\s\S]*1\.3\.6\.1\.4\.1\.12345\.1: critical/);
    expect(text.stdout).toMatch(/TLS Web Server Authentication, TLS Web Client Authentication/);
    const plain = await makeCertificate({ keys, evidence: { family: 'none' }, notBefore: Date.now() });
    const folder = mkdtempSync(join(tmpdir(), 'cocoon-certificate-'));
    try {
      const file = join(folder, 'plain.pem');
      writeFileSync(file, plain.certificatePem);
      const verified = spawnSync('openssl', ['verify', '-check_ss_sig', '-partial_chain', '-CAfile', file, file], { encoding: 'utf8' });
      expect([verified.status, verified.stdout.trim()]).toEqual([0, `${file}: OK`]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('makeCertificate in a handshake', () => {
  it('makeCertificate: both ends of TLS 1.3 present it and verify each other\'s', async () => {
    const server = await makeCertificate({ keys, evidence: fake, notBefore: Date.now() });
    const clientKeys = generateTlsKeys();
    const client = await makeCertificate({ keys: clientKeys, evidence: { family: 'none' }, notBefore: Date.now() });
    const options = { minVersion: 'TLSv1.3', rejectUnauthorized: false } as const;
    const listener = createServer({ ...options, requestCert: true, cert: server.certificatePem, key: server.privateKeyPem });
    const accepted = once(listener, 'secureConnection');
    listener.listen(0, '127.0.0.1');
    await once(listener, 'listening');
    const socket = connect({ ...options, port: (listener.address() as AddressInfo).port, host: '127.0.0.1', cert: client.certificatePem, key: client.privateKeyPem });
    try {
      await once(socket, 'secureConnect');
      const [serverSide] = (await accepted) as [TLSSocket];
      const clock = { now: () => Date.now() };
      const verifyProxy = createVerifyPeer({ kind: 'fake_tdx', acceptFakeEvidence: true }, { clock });
      const verifyClient = createVerifyPeer({ kind: 'any' }, { clock });
      expect(toHex(verifyProxy(socket.getPeerCertificate().raw).publicKey)).toBe(toHex(keys.publicKey));
      expect(toHex(verifyClient(serverSide.getPeerCertificate().raw).publicKey)).toBe(toHex(clientKeys.publicKey));
    } finally {
      socket.destroy();
      listener.close();
    }
  });
});

describe('tlsKeysOf', () => {
  it('tlsKeysOf: gives the captured public keys for the captured private keys', () => {
    for (const who of ['worker', 'proxy', 'client', 'plain']) {
      const pair = tlsKeysOf(createPrivateKey(vector(`wire/cert/${who}_key.pem`)));
      expect(toHex(pair.publicKey)).toBe(toHex(parseCertificate(vector(`wire/cert/${who}_cert.der`)).publicKey));
    }
  });

  it('tlsKeysOf: gives the key of RFC 8032, section 7.1, test 1', () => {
    const seed = '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60';
    const privateKey = createPrivateKey({ key: Buffer.from(`302e020100300506032b657004220420${seed}`, 'hex'), format: 'der', type: 'pkcs8' });
    expect(toHex(tlsKeysOf(privateKey).publicKey)).toBe('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
    expect(toHex(tlsKeysOf(fixedKey(1)).publicKey)).not.toBe(toHex(tlsKeysOf(fixedKey(2)).publicKey));
  });
});

/** Hexadecimal text of the list of extensions of a certificate, found by the [3] field that ends the body. */
function extensionsOf(der: Uint8Array): string {
  const { signedBytes, publicKey } = parseCertificate(der);
  const keyAt = Buffer.from(signedBytes).indexOf(publicKey);
  const field = signedBytes.subarray(keyAt + publicKey.length);
  expect(field[0]).toBe(0xa3);
  const headerOf = (bytes: Uint8Array): number => (bytes[1]! < 0x80 ? 2 : 2 + (bytes[1]! & 0x7f));
  const list = field.subarray(headerOf(field));
  return toHex(list.subarray(headerOf(list)));
}
