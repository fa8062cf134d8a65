// WIRE.md section 3 and the verification callback: TLS 1.3, mutual, one self-signed certificate each, no resumption.
// Against our own other end, against the captured C++ certificates, and against the openssl program where it is installed.
import { spawn, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tls from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { AttestationError } from '../../src/core/errors.ts';
import { secureAsAcceptor, secureAsDialer } from '../../src/wire/tls.ts';
import type { SecureChannel, SecureOptions, TlsIdentity } from '../../src/wire/tls.ts';
import { Cleanup, dialTcp, expectRejection, listenTcp, makeIdentity, PEER, sleep, tcpPair, until, verifyAny } from './peers.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

let alice: TlsIdentity & { readonly publicKey: Uint8Array };
let bob: TlsIdentity & { readonly publicKey: Uint8Array };
beforeAll(async () => { [alice, bob] = await Promise.all([makeIdentity(), makeIdentity()]); });

const options = (identity: TlsIdentity, change: Partial<SecureOptions> = {}): SecureOptions =>
  ({ identity, verifyPeer: verifyAny, timeoutMs: 5000, remoteAddress: '192.0.2.1:1', ...change });

const captured = (name: string): TlsIdentity => {
  const read = (what: string): string => readFileSync(new URL(`../vectors/wire/cert/${name}_${what}.pem`, import.meta.url), 'utf8');
  return { certificatePem: read('cert'), privateKeyPem: read('key') };
};

/** Cipher suites, extension ids and the offered versions of a ClientHello (RFC 8446 section 4.1.2). */
function readClientHello(record: Buffer): { suites: number[]; extensions: number[]; versions: number[] } {
  const u16s = (bytes: Buffer): number[] => Array.from({ length: bytes.length / 2 }, (_, i) => bytes.readUInt16BE(2 * i));
  let at = 5 + 4 + 2 + 32; // record and handshake header, version, random
  const field = (lengthBytes: number): Buffer => {
    const start = at + lengthBytes;
    at = start + record.readUIntBE(at, lengthBytes);
    return record.subarray(start, at);
  };
  field(1); // session id
  const suites = u16s(field(2));
  field(1); // compression
  at += 2;
  const extensions: number[] = [];
  let versions: number[] = [];
  while (at < record.length) {
    const id = record.readUInt16BE(at);
    at += 2;
    const body = field(2);
    extensions.push(id);
    if (id === 43) versions = u16s(body.subarray(1));
  }
  return { suites, extensions, versions };
}

/** Everything that comes until the other side closes. */
const allOf = (socket: tls.TLSSocket): Promise<string> => new Promise((resolve) => {
  let text = '';
  socket.on('data', (data) => { text += String(data); });
  socket.on('close', () => resolve(text));
});

async function shake(dialer: SecureOptions, acceptor: SecureOptions): Promise<[PromiseSettledResult<SecureChannel>, PromiseSettledResult<SecureChannel>]> {
  const [near, far] = await tcpPair(cleanup);
  return Promise.allSettled([secureAsDialer(near, dialer), secureAsAcceptor(far, acceptor)]);
}

describe('both ends ours', () => {
  it('secureAsDialer, secureAsAcceptor: each sees the key of the other, and bytes flow', async () => {
    const [near, far] = await tcpPair(cleanup);
    const [dialer, acceptor] = await Promise.all([secureAsDialer(near, options(alice)), secureAsAcceptor(far, options(bob))]);
    expect([dialer.peer.publicKey, acceptor.peer.publicKey]).toEqual([bob.publicKey, alice.publicKey]);
    expect([dialer.socket.getProtocol(), dialer.socket.getCipher().name]).toEqual(['TLSv1.3', 'TLS_AES_128_GCM_SHA256']);
    expect([dialer.socket.alpnProtocol, acceptor.socket.servername]).toEqual([false, false]);
    const heard = new Promise((resolve) => { acceptor.socket.once('data', (data) => resolve(String(data))); });
    dialer.socket.write('hello');
    expect(await heard).toBe('hello');
  });

  it('secureAsDialer: the ClientHello offers TLS 1.3 with the two suites in order, and no name, protocol, session or early data', async () => {
    let hear: (hello: Buffer) => void = () => undefined;
    const heard = new Promise<Buffer>((resolve) => { hear = resolve; });
    const { port } = await listenTcp(cleanup, (socket) => socket.once('data', hear));
    const socket = await dialTcp(cleanup, port);
    const dialing = secureAsDialer(socket, options(alice));
    const { suites, extensions, versions } = readClientHello(await heard);
    socket.destroy();
    await expectRejection(dialing, 'E_CLOSED');
    const SCSV = 0x00ff; // signals renegotiation support, no suite
    expect(suites.filter((suite) => suite !== SCSV)).toEqual([0x1301, 0x1302]);
    expect(versions).toEqual([0x0304]);
    expect(extensions).toContain(43);
    const serverName = 0, alpn = 16, sessionTicket = 35, preSharedKey = 41, earlyData = 42;
    for (const unwanted of [serverName, alpn, sessionTicket, preSharedKey, earlyData]) expect(extensions).not.toContain(unwanted);
  });

  it('verifyPeer: its refusal reaches the caller unchanged, on either side, and the other side hears nothing', async () => {
    const refusal = new AttestationError('E_EVIDENCE_REFUSED', 'wrong image');
    const refuse = (): never => { throw refusal; };
    const [dialed, accepted] = await shake(options(alice, { verifyPeer: refuse }), options(bob));
    expect(dialed).toEqual({ status: 'rejected', reason: refusal });
    if (accepted.status === 'fulfilled') expect(await allOf(accepted.value.socket)).toBe('');
    const [other, refused] = await shake(options(alice), options(bob, { verifyPeer: refuse }));
    expect(refused).toEqual({ status: 'rejected', reason: refusal });
    if (other.status === 'fulfilled') expect(await allOf(other.value.socket)).toBe('');
  });

  it('secureAsAcceptor: the acceptor reads nothing before it has verified', async () => {
    const [near, far] = await tcpPair(cleanup);
    let verified = false;
    const accepting = secureAsAcceptor(far, options(bob, { verifyPeer: (der) => { verified = true; return verifyAny(der); } }));
    const dialer = await secureAsDialer(near, options(alice));
    dialer.socket.write('early');
    const { socket } = await accepting;
    expect(verified).toBe(true);
    const first = await new Promise((resolve) => { socket.once('data', (data) => resolve(String(data))); });
    expect(first).toBe('early');
  });

  it('secureAsAcceptor: an identity that is renewed is used for the next connection', async () => {
    for (const identity of [bob, await makeIdentity()]) {
      const [dialed] = await shake(options(alice), options(identity));
      expect(dialed.status === 'fulfilled' && dialed.value.peer.publicKey).toEqual(identity.publicKey);
    }
  });

  it('secureAsDialer: a certificate without its key is E_CONFIG', async () => {
    const [near] = await tcpPair(cleanup);
    const mixed = { certificatePem: alice.certificatePem, privateKeyPem: bob.privateKeyPem };
    await expectRejection(secureAsDialer(near, options(mixed)), 'E_CONFIG', /certificate and key of this side/);
  });
});

describe('captured certificates', () => {
  it.each(['proxy', 'worker', 'client', 'plain'])('secureAsDialer, secureAsAcceptor: the %s certificate (version 1, critical extensions) passes the handshake and reaches the verifier as it is', async (name) => {
    const identity = captured(name);
    const seen: Uint8Array[] = [];
    const verifyPeer = (der: Uint8Array): typeof PEER => { seen.push(der); return PEER; };
    const [dialed, accepted] = await shake(options(identity, { verifyPeer }), options(identity, { verifyPeer }));
    expect([dialed.status, accepted.status]).toEqual(['fulfilled', 'fulfilled']);
    const der = new Uint8Array(new X509Certificate(identity.certificatePem).raw);
    expect(seen).toEqual([der, der]);
  });
});

/** A TLS server or client of Node's own, with whatever settings a wrong peer may have. */
const wrongServer = (settings: tls.TlsOptions): Promise<{ port: number }> => listenTcp(cleanup, (socket) => {
  const secure = new tls.TLSSocket(socket, { isServer: true, secureContext: tls.createSecureContext(settings), requestCert: true, rejectUnauthorized: false });
  secure.on('error', () => undefined);
});

function wrongClient(socket: Socket, settings: tls.ConnectionOptions): tls.TLSSocket {
  const secure = tls.connect({ socket, rejectUnauthorized: false, ...settings });
  secure.on('error', () => undefined);
  return cleanup.add(secure, () => secure.destroy());
}

const openssl = spawnSync('openssl', ['version']).status === 0;
const itWithOpenssl = openssl ? it : it.skip;
let folder = '';
beforeAll(() => { folder = mkdtempSync(join(tmpdir(), 'cocoon-tls-')); });
afterAll(() => { rmSync(folder, { recursive: true }); });

describe('peers that are refused', () => {
  it('secureAsAcceptor: a peer without a certificate is E_NO_CERTIFICATE', async () => {
    const [near, far] = await tcpPair(cleanup);
    wrongClient(near, { minVersion: 'TLSv1.3' });
    await expectRejection(secureAsAcceptor(far, options(bob)), 'E_NO_CERTIFICATE', /192\.0\.2\.1:1 presented no TLS certificate/);
  });

  it('secureAsDialer: a server that has no certificate gets no session', async () => {
    // TLS 1.3 knows no handshake without a server certificate, but for a shared key, which is never offered.
    const { port } = await listenTcp(cleanup, (socket) => {
      const secure = new tls.TLSSocket(socket, { isServer: true, secureContext: tls.createSecureContext({ minVersion: 'TLSv1.3' }) });
      secure.on('error', () => undefined);
    });
    await expectRejection(secureAsDialer(await dialTcp(cleanup, port), options(alice)), 'E_PROTOCOL');
  });

  it('secureAsDialer, secureAsAcceptor: a second certificate is refused, related or not', async () => {
    const two = { cert: alice.certificatePem + bob.certificatePem, key: alice.privateKeyPem };
    const { port } = await wrongServer({ ...two, minVersion: 'TLSv1.3' });
    await expectRejection(secureAsDialer(await dialTcp(cleanup, port), options(bob)), 'E_EVIDENCE_REFUSED', /more than one certificate/);
    const [near, far] = await tcpPair(cleanup);
    wrongClient(near, { ...two, minVersion: 'TLSv1.3' });
    await expectRejection(secureAsAcceptor(far, options(bob)), 'E_EVIDENCE_REFUSED', /more than one certificate/);
  });

  it('secureAsDialer, secureAsAcceptor: TLS 1.2 is refused', async () => {
    const { port } = await wrongServer({ cert: bob.certificatePem, key: bob.privateKeyPem, maxVersion: 'TLSv1.2' });
    await expectRejection(secureAsDialer(await dialTcp(cleanup, port), options(alice)), 'E_PROTOCOL');
    const [near, far] = await tcpPair(cleanup);
    wrongClient(near, { cert: alice.certificatePem, key: alice.privateKeyPem, maxVersion: 'TLSv1.2' });
    await expectRejection(secureAsAcceptor(far, options(bob)), 'E_PROTOCOL', /unsupported protocol/);
  });

  it('secureAsAcceptor: another cipher suite of TLS 1.3 is refused', async () => {
    const [near, far] = await tcpPair(cleanup);
    wrongClient(near, { cert: alice.certificatePem, key: alice.privateKeyPem, minVersion: 'TLSv1.3', ciphers: 'TLS_CHACHA20_POLY1305_SHA256' });
    await expectRejection(secureAsAcceptor(far, options(bob)), 'E_PROTOCOL');
  });

  it('secureAsAcceptor: garbage instead of a ClientHello is E_PROTOCOL', async () => {
    const [near, far] = await tcpPair(cleanup);
    near.write(Buffer.alloc(400, 0x5a));
    await expectRejection(secureAsAcceptor(far, options(bob)), 'E_PROTOCOL');
    await until(() => far.destroyed);
  });

  it('secureAsDialer, secureAsAcceptor: silence ends at the deadline and a vanished peer at once', async () => {
    const [near, far] = await tcpPair(cleanup);
    await expectRejection(secureAsAcceptor(far, options(bob, { timeoutMs: 40 })), 'E_TIMEOUT', /within 40 ms/);
    expect(far.destroyed).toBe(true);
    near.destroy();
    const { port } = await listenTcp(cleanup, () => undefined);
    await expectRejection(secureAsDialer(await dialTcp(cleanup, port), options(alice, { timeoutMs: 40 })), 'E_TIMEOUT');
    const [a, b] = await tcpPair(cleanup);
    const dialing = secureAsDialer(a, options(alice));
    b.destroy();
    await expectRejection(dialing, 'E_CLOSED');
  });

  it('secureAsAcceptor: a session that was offered again is not resumed; the handshake is a full one with the certificate', async () => {
    const { port } = await listenTcp(cleanup, (socket) => {
      secureAsAcceptor(socket, options(bob)).then(({ socket: secure }) => secure.write('x'), () => undefined);
    });
    const settings = { cert: alice.certificatePem, key: alice.privateKeyPem, minVersion: 'TLSv1.3' } as const;
    let session: Buffer | undefined;
    for (let round = 0; round < 2; round++) {
      const client = wrongClient(await dialTcp(cleanup, port), { ...settings, ...(session === undefined ? {} : { session }) });
      client.on('session', (ticket: Buffer) => { session = ticket; });
      await new Promise((resolve) => { client.once('data', resolve); });
      await sleep(20);
      expect(client.isSessionReused()).toBe(false);
      client.destroy();
    }
    expect(session).toBeDefined(); // else the second round offered nothing
  });
});

/** Runs openssl until `stdout` matches; returns all of it. */
async function runOpenssl(args: string[], input: string, done: RegExp): Promise<string> {
  const child = spawn('openssl', args, { stdio: ['pipe', 'pipe', 'pipe'] });
  cleanup.add(child, () => child.kill());
  let text = '';
  child.stdout.on('data', (chunk) => { text += String(chunk); });
  child.stderr.on('data', (chunk) => { text += String(chunk); });
  child.stdin.on('error', () => undefined);
  child.stdin.write(input);
  const end = performance.now() + 10_000;
  while (!done.test(text) && child.exitCode === null && performance.now() < end) await sleep(10);
  return text;
}

const file = (name: string, content: string): string => {
  const path = join(folder, name);
  writeFileSync(path, content, { mode: 0o600 });
  return path;
};

describe('openssl (skipped where it is not installed)', () => {
  itWithOpenssl('secureAsAcceptor: openssl s_client connects, cannot resume, and cannot send early data', async () => {
    const heard: string[] = [];
    const { port } = await listenTcp(cleanup, (socket) => {
      secureAsAcceptor(socket, options(bob)).then(({ socket: secure }) => {
        secure.on('data', (data) => heard.push(String(data)));
        secure.write('greeting from the acceptor\n');
      }, () => undefined);
    });
    const session = join(folder, 'session.pem');
    const args = ['s_client', '-connect', `127.0.0.1:${port}`, '-cert', file('a.pem', alice.certificatePem), '-key', file('a.key', alice.privateKeyPem)];
    const first = await runOpenssl([...args, '-sess_out', session], 'over tls\n', /greeting/);
    expect(first).toMatch(/New, TLSv1\.3, Cipher is TLS_AES_128_GCM_SHA256/);
    await until(() => heard.join('').includes('over tls'));
    expect(first).toMatch(/Max Early Data: 0|Early data was not sent/);
    const again = await runOpenssl([...args, '-sess_in', session, '-early_data', file('early', 'too early')], '', /greeting/);
    expect(again).toMatch(/New, TLSv1\.3/);
    expect(again).not.toMatch(/Reused|Early data was accepted/);
    expect(heard.join('')).not.toContain('too early');
  });

  itWithOpenssl('secureAsAcceptor: openssl s_client without a certificate is refused', async () => {
    let refused: Promise<unknown> = Promise.resolve();
    const { port } = await listenTcp(cleanup, (socket) => { refused = expectRejection(secureAsAcceptor(socket, options(bob)), 'E_NO_CERTIFICATE'); });
    expect(await runOpenssl(['s_client', '-connect', `127.0.0.1:${port}`], '', /alert/)).toMatch(/certificate required/);
    await refused;
  });

  itWithOpenssl('secureAsDialer: connects to openssl s_server, which sees our certificate', async () => {
    const { port, server } = await listenTcp(cleanup, () => undefined);
    await new Promise((resolve) => { server.close(resolve); });
    const args = ['s_server', '-accept', `127.0.0.1:${port}`, '-cert', file('b.pem', bob.certificatePem), '-key', file('b.key', bob.privateKeyPem), '-Verify', '1', '-tls1_3'];
    const output = runOpenssl(args, '', /sent through TLS/);
    let socket: Socket | null = null;
    for (let tries = 0; socket === null && tries < 100; tries++) {
      await sleep(20);
      const attempt = await dialTcp(cleanup, port).catch(() => null);
      socket = attempt;
    }
    if (socket === null) throw new Error('s_server did not start');
    const channel = await secureAsDialer(socket, options(alice));
    expect(channel.peer.publicKey).toEqual(bob.publicKey);
    channel.socket.write('sent through TLS\n');
    expect(await output).toMatch(/sent through TLS/);
  });
});
