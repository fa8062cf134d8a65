// Connections over sockets between peers that prove themselves with TDX and SEV-SNP evidence under generated roots: what is
// refused and why, what is accepted, what it costs, and what happens while nobody can judge.
import { afterEach, describe, expect, it } from '@jest/globals';
import { AttestationError, NetworkError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import type { CertificateEvidence } from '../../src/tee/certificate-evidence.ts';
import { createVerifyHardware } from '../../src/tee/live/verify-hardware.ts';
import type { ImageLists } from '../../src/tee/policy.ts';
import { makeSimulatedEvidence, simulatedMeasurement } from '../../src/tee/simulated.ts';
import { reportDataOf } from '../../src/tee/report-data.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import type { Connection } from '../../src/wire/connection.ts';
import { dial } from '../../src/wire/dial.ts';
import type { DialOptions } from '../../src/wire/dial.ts';
import { listen } from '../../src/wire/listen.ts';
import type { Listener } from '../../src/wire/listen.ts';
import { DAY_MS, forge, NOW_MS, sharedPki } from '../fakes/dcap-forge.ts';
import type { ForgeOptions } from '../fakes/dcap-forge.ts';
import { certificateEvidence, hardwareIdentity, Lists, Shelf, SNP_POLICY, snpMachine, tdxMachine, verifier } from '../fakes/hardware.ts';
import type { IdentityOptions, TestMachine, VerifierOptions } from '../fakes/hardware.ts';
import { SNP_NOW } from '../fakes/snp-forge.ts';
import { Cleanup, expectRejection, makeIdentity, sleep, until, verifyAny } from './peers.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

interface Setup extends Partial<Omit<VerifierOptions, 'nowMs'>> {
  readonly machine?: TestMachine | null;
  readonly identity?: Partial<IdentityOptions>;
  readonly nowMs?: number;
  /** Other than the machine's. */
  readonly allowed?: Uint8Array[];
}

/** A proxy with this machine, and what a client needs to judge it. */
async function proxyWith({ machine = tdxMachine(), identity: own, nowMs: startMs = NOW_MS, allowed, ...given }: Setup = {}) {
  const time = { nowMs: startMs };
  const nowMs = (): number => time.nowMs;
  const shelf = given.shelf ?? new Shelf();
  if (given.shelf === undefined) {
    shelf.intel(forge());
    shelf.amd();
  }
  const lists = new Lists({ proxy: allowed ?? [machine?.imageHash ?? new Uint8Array(32).fill(1)], worker: [] });
  const identity = await hardwareIdentity({ machine, nowMs, ...own });
  const accepted: Connection[] = [];
  const listener: Listener = await listen({
    host: '127.0.0.1', port: 0, identity: () => identity.current(), verifyPeer: verifyAny, powDifficultyBits: 0, log: silentLog,
    onConnection: (connection) => accepted.push(connection),
  });
  cleanup.add(listener, () => listener.close());
  const verifiers = verifier({ shelf, lists, nowMs, ...given });
  const client = await makeIdentity();
  const call = async (change: Partial<DialOptions> = {}): Promise<Connection> => {
    const connection = await dial({ host: '127.0.0.1', port: listener.address.port, identity: client, verifyPeer: verifiers.verify('proxy'), ...change });
    return cleanup.add(connection, async () => { connection.close(); await connection.closed; });
  };
  return { time, shelf, lists, identity, accepted, listener, call, judge: verifiers.judge };
}

const names = ({ peer }: Connection): string[] => (peer.checks ?? []).map(({ name }) => name);

describe('dial: what is accepted', () => {
  it.each([['a TDX guest', tdxMachine()], ['a TDX guest of version 1.5', tdxMachine({ body: 'td15' })]])('%s, with every check named', async (_, machine) => {
    const { call } = await proxyWith({ machine });
    const { peer } = await call();
    expect(peer).toMatchObject({ evidence: 'tdx', role: 'proxy', imageHash: machine.imageHash });
    expect(peer.checks?.map(({ name }) => name)).toEqual(expect.arrayContaining(['self-signature', 'validity', 'key-binding', 'pck-chain', 'pck-crl', 'quote-signature', 'tcb-status', 'td-debug', 'report-data', 'role', 'image']));
    expect(peer.checks?.find(({ name }) => name === 'trust-root')).toMatchObject({ info: true });
  });

  it('an SEV-SNP guest whose least TCB the policy names', async () => {
    const { call } = await proxyWith({ machine: snpMachine(), nowMs: SNP_NOW, policy: SNP_POLICY });
    const connection = await call();
    expect(connection.peer.evidence).toBe('sev-snp');
    expect(names(connection)).toEqual(expect.arrayContaining(['chain', 'crl', 'report-signature', 'chip-id', 'minimum-tcb', 'guest-debug', 'report-data', 'image']));
  });
});

describe('dial: what is refused, by which check, and what it means', () => {
  const shelfOf = (options: ForgeOptions): Shelf => {
    const shelf = new Shelf();
    shelf.intel(forge(options));
    return shelf;
  };
  const expired = { thisUpdate: NOW_MS - 60 * DAY_MS, nextUpdate: NOW_MS - DAY_MS };

  it.each<[string, () => Setup, RegExp]>([
    ['a debug guest', () => ({ machine: tdxMachine({ td: { tdAttributes: Uint8Array.of(1, 0, 0, 0x10, 0, 0, 0, 0) } }) }), /check "td-debug": got TDATTRIBUTES .* the host can read and change the guest's memory/],
    ['an out-of-date TCB', () => ({ machine: tdxMachine({ pckFields: { components: [2, 2, 2, 2, 3, 1, 0, 5] } }) }), /check "tcb-status": got OutOfDate.* firmware or microcode with known weaknesses/],
    ['an expired CRL', () => ({ shelf: shelfOf({ pckCrl: expired }) }), /check "pck-crl": got .*revocation of the platform's key may be missing/],
    ['an expired CRL of the root', () => ({ shelf: shelfOf({ rootCrl: expired }) }), /check "root-crl": got .*revocation of an authority may be missing/],
    ['a forged CRL', () => ({ shelf: shelfOf({ pckCrl: { signer: sharedPki().stranger } }) }), /check "pck-crl": got .*does not verify.*revocation of the platform's key may be missing/],
    ['a revoked platform', () => ({ shelf: shelfOf({ pckCrl: { revoked: [1004] } }) }), /check "pck-revocation"/],
    ['TCB info that somebody has changed', () => ({ shelf: shelfOf({ signTextWith: sharedPki().stranger }) }), /check "tcb-info-signature"/],
    ['an image that the root contract does not list', () => ({ allowed: [new Uint8Array(32).fill(9)] }), /check "image": got image hash [0-9a-f]{64}, expected one of the 1 .* a program that the network does not list/],
    ['any image while the list is empty', () => ({ allowed: [] }), /check "image": .*list of allowed images is empty/],
    ['evidence replayed from another key', () => {
      const machine = tdxMachine();
      const stolen = certificateEvidence(machine.fresh(reportDataOf(generateTlsKeys().publicKey)), new Uint8Array(32));
      return { machine, identity: { evidence: () => stolen } };
    }, /check "key-binding": got report data .*copied from another machine/],
    ['a quote that somebody has made up', () => ({ machine: tdxMachine({ signQeWith: sharedPki().stranger }) }), /check "qe-report-signature"/],
    ['measurements that were changed', () => ({ machine: tdxMachine({ signQuoteWith: sharedPki().stranger }) }), /check "quote-signature"/],
    ['a family that the role may not have', () => ({ families: ['sev-snp'] }), /check "evidence-kind": got Intel TDX evidence, expected SEV-SNP/],
    ['a kind that the policy does not accept', () => ({ policy: { accept: ['sev-snp'] } }), /check "evidence-kind"/],
    ['an image that the policy does not name although the network lists it', () => ({ policy: { tdx: { image_hashes: ['ab'.repeat(32)] } } }), /check "measurement"/],
    ['a debug SEV-SNP guest', () => ({ machine: snpMachine({ policy: (1n << 17n) | (1n << 19n) }), nowMs: SNP_NOW, policy: SNP_POLICY }), /check "guest-debug"/],
    ['an SEV-SNP guest without a least TCB', () => ({ machine: snpMachine(), nowMs: SNP_NOW }), /check "minimum-tcb": got a check that was skipped/],
  ])('%s', async (_, setup, message) => {
    const { call, accepted, judge } = await proxyWith(setup());
    const error = await expectRejection(call(), 'E_EVIDENCE_REFUSED', message);
    expect(error).toBeInstanceOf(AttestationError);
    expect(error.exitCode).toBe(5);
    // Nothing is remembered of a peer that was refused.
    await expectRejection(call(), 'E_EVIDENCE_REFUSED', message);
    expect([accepted, judge.verifications]).toEqual([[], expect.any(Number)]);
  });

  it('an SEV-SNP guest without a least TCB: the hint says what to do', async () => {
    const { call } = await proxyWith({ machine: snpMachine(), nowMs: SNP_NOW });
    expect((await expectRejection(call(), 'E_EVIDENCE_REFUSED')).hint).toMatch(/name the least TCB .*attest\.policy/);
  });

  it('no evidence', async () => {
    const { call } = await proxyWith({ machine: null });
    await expectRejection(call(), 'E_NO_EVIDENCE', /check "evidence": got none.* nothing shows what the peer runs/);
  });

  it('simulated evidence, on a network that is not local', async () => {
    const network = generateTlsKeys();
    const evidence = (publicKey: Uint8Array): Uint8Array =>
      makeSimulatedEvidence({ role: 'proxy', measurement: simulatedMeasurement('proxy', '1'), reportData: reportDataOf(publicKey), networkId: new Uint8Array(32).fill(1) }, network.privateKey);
    const { call } = await proxyWith({ identity: { evidence: (publicKey) => ({ family: 'simulated', evidence: evidence(publicKey) }) } });
    await expectRejection(call(), 'E_EVIDENCE_REFUSED', /check "evidence-kind": got simulated evidence.* a simulation proves nothing outside the local network/);
  });
});

describe('dial: what else must agree', () => {
  it('an SEV-SNP certificate must state the report data of its own key', async () => {
    const machine = snpMachine();
    const evidence = (key: Uint8Array) => ({ ...certificateEvidence(machine.fresh(reportDataOf(key)), key), reportData: new Uint8Array(64) }) as CertificateEvidence;
    const { call } = await proxyWith({ machine, nowMs: SNP_NOW, policy: SNP_POLICY, identity: { evidence } });
    await expectRejection(call(), 'E_EVIDENCE_MALFORMED', /states the report data 0{128}, expected SHA-512 of its key/);
  });

  it('while nobody knows what the network allows, nobody is accepted', async () => {
    const { shelf, call } = await proxyWith();
    const stale = new NetworkError('E_CHAIN_UNREACHABLE', 'root contract was last seen 1000 s ago');
    const lists: ImageLists = { allowed: () => { throw stale; }, onChange: () => () => undefined };
    const blind = verifier({ shelf, lists, nowMs: () => NOW_MS });
    await expect(call({ verifyPeer: blind.verify('proxy') })).rejects.toBe(stale);
    expect(shelf.asked).toEqual([]);
  });

  it('a policy with the hash of nothing, or of another size, could not be meant', () => {
    for (const hash of [new Uint8Array(32), new Uint8Array(31)]) {
      expect(() => createVerifyHardware({ kind: 'tee', role: 'proxy', imageHashes: [hash] }, { clock: { now: () => NOW_MS }, judge: verifier({ shelf: new Shelf(), lists: new Lists({ proxy: [], worker: [] }), nowMs: () => NOW_MS }).judge })).toThrow(/allowed image hash/);
    }
  });
});

describe('listen: nodes at a proxy', () => {
  const accepting = async (machine: TestMachine | null, own: TestMachine | null = machine) => {
    const shelf = new Shelf();
    shelf.intel(forge());
    const { verify, judge } = verifier({ shelf, lists: new Lists({ proxy: [], worker: machine === null ? [] : [machine.imageHash] }), nowMs: () => NOW_MS });
    const identity = await makeIdentity();
    const reasons: string[] = [];
    const accepted: Connection[] = [];
    const listener = await listen({
      host: '127.0.0.1', port: 0, identity: () => identity, verifyPeer: verify('worker'), powDifficultyBits: 0, onConnection: (connection) => accepted.push(connection),
      log: { ...silentLog, debug: (_, fields) => { reasons.push(String(fields?.['error'])); } },
    });
    cleanup.add(listener, () => listener.close());
    const worker = await hardwareIdentity({ machine: own, nowMs: () => NOW_MS });
    const call = () => dial({ host: '127.0.0.1', port: listener.address.port, identity: worker.current(), verifyPeer: verifyAny });
    return { shelf, judge, reasons, accepted, listener, call };
  };

  it('a crowd that comes at once costs one fetch and one verification', async () => {
    const { shelf, judge, accepted, call } = await accepting(tdxMachine());
    const all = await Promise.all(Array.from({ length: 24 }, call));
    for (const connection of all) cleanup.add(connection, () => connection.close());
    await until(() => accepted.length === 24);
    expect([shelf.asked.length, judge.verifications]).toEqual([1, 1]);
    expect(accepted.every(({ peer }) => peer.evidence === 'tdx' && peer.role === 'worker')).toBe(true);
  });

  it('a node that is refused gets nothing but a close, and the log says why', async () => {
    const { reasons, accepted, listener, call } = await accepting(tdxMachine(), tdxMachine({ td: { mrTd: new Uint8Array(48).fill(9) } }));
    await expectRejection(call(), 'E_CLOSED');
    await until(() => reasons.length === 1);
    expect([reasons[0], accepted, listener.counters.failed]).toEqual([expect.stringMatching(/check "image"/), [], { proof: 0, tls: 1, connect: 0 }]);
  });
});

describe('dial: while the verdict is not there', () => {
  it('nothing is read or written, and the deadline covers it; the fetching goes on for the next one', async () => {
    const { call, shelf, accepted, listener } = await proxyWith();
    let release = (): void => undefined;
    shelf.held = new Promise<void>((resolve) => { release = resolve; });
    const error = await expectRejection(call({ timeouts: { tlsMs: 150 } }), 'E_TIMEOUT', /evidence of 127\.0\.0\.1:\d+ was not judged within 150 ms/);
    expect(error.hint).toMatch(/try again/);
    expect([accepted.length, listener.counters.open]).toEqual([0, 0]);
    release();
    const connection = await call();
    expect([connection.peer.evidence, shelf.asked.length]).toEqual(['tdx', 1]);
  });

  it('a proxy that leaves meanwhile is an error at once', async () => {
    const { call, shelf, listener } = await proxyWith();
    shelf.held = new Promise(() => undefined);
    const refused = expectRejection(call(), 'E_CLOSED');
    await until(() => shelf.asked.length === 1);
    void listener.close();
    await refused;
  });

  it('collateral that cannot be had: refused as not judged, with exit code 6, and the service is left alone for a while', async () => {
    const { call, shelf, time } = await proxyWith();
    shelf.up = false;
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const error = await expectRejection(call(), 'E_COLLATERAL', /peer refused because its evidence could not be judged: cannot get .*the service gives no answer/);
      expect(error).toMatchObject({ exitCode: 6, retryable: true });
    }
    expect(shelf.asked.length).toBe(1);
    shelf.up = true;
    time.nowMs += 15_000;
    expect((await call()).peer.evidence).toBe('tdx');
  });

  it('a quote that nobody can have made costs no request', async () => {
    const { call, shelf } = await proxyWith({ machine: tdxMachine({ signQeWith: sharedPki().stranger }) });
    await expectRejection(call(), 'E_EVIDENCE_REFUSED', /qe-report-signature/);
    const unlisted = await proxyWith({ allowed: [], shelf });
    await expectRejection(unlisted.call(), 'E_EVIDENCE_REFUSED', /check "image"/);
    expect(shelf.asked).toEqual([]);
  });
});

describe('dial: what it costs', () => {
  it('a crowd costs one fetch and one verification, and later ones none', async () => {
    const { call, shelf, judge } = await proxyWith();
    await Promise.all(Array.from({ length: 12 }, () => call()));
    for (let later = 0; later < 3; later += 1) await call();
    expect([shelf.asked.length, judge.verifications]).toEqual([1, 1]);
  });

  it('a verdict is dropped when the lists change, and when the judge forgets', async () => {
    const { call, lists, judge, shelf } = await proxyWith();
    await call();
    lists.change();
    await call();
    expect(judge.verifications).toBe(2);
    judge.forget();
    await call();
    expect([judge.verifications, shelf.asked.length]).toEqual([3, 1]);
  });

  it('a verdict is dropped at the earliest next update, and collateral asked for anew', async () => {
    const { call, time, judge, shelf } = await proxyWith({ identity: { nowMs: () => NOW_MS + 28.5 * DAY_MS } });
    time.nowMs = NOW_MS + 29 * DAY_MS - 1000;
    await call();
    time.nowMs += 2000;
    await expectRejection(call(), 'E_EVIDENCE_REFUSED', /check "(root-crl|tcb-info-window)"/);
    expect([judge.verifications, shelf.asked.length]).toEqual([2, 2]);
  });

  it('collateral is asked for anew after an hour', async () => {
    const { call, time, shelf } = await proxyWith();
    await call();
    time.nowMs += 3_600_000;
    await call();
    expect(shelf.asked.length).toBe(2);
  });
});

describe('keepAppraised: a connection that lasts', () => {
  it('is cut with the attestation error when the lists change and no longer have its image', async () => {
    const { call, lists, accepted } = await proxyWith();
    const connection = await call();
    await until(() => accepted.length === 1);
    lists.change({ proxy: [new Uint8Array(32).fill(9)] });
    const reason = await connection.closed;
    expect(reason).toBeInstanceOf(AttestationError);
    expect(reason?.message).toMatch(/check "image"/);
    expect(await accepted[0]!.closed).toMatchObject({ code: 'E_CLOSED' });
    expect(lists.listeners).toBe(0);
  });

  it('goes on when the lists change and still have it', async () => {
    const { call, lists, judge } = await proxyWith();
    const connection = await call();
    lists.change();
    await until(() => judge.verifications === 2);
    await sleep(20);
    await expect(Promise.race([connection.closed, Promise.resolve('open')])).resolves.toBe('open');
  });

  it('is cut with the attestation error when its verdict has ended and a new one is a refusal', async () => {
    const { call, time } = await proxyWith({ maxAgeMs: 50 });
    const connection = await call();
    time.nowMs += 40 * DAY_MS;
    const reason = await connection.closed;
    expect(reason).toBeInstanceOf(AttestationError);
    expect(reason?.message).toMatch(/check "[a-z-]*(crl|window)"/);
  });

  it('is cut when its verdict has ended and nobody can make a new one', async () => {
    const { call, time, shelf } = await proxyWith({ maxAgeMs: 50 });
    const connection = await call();
    shelf.up = false;
    time.nowMs += 3_600_000;
    expect(await connection.closed).toMatchObject({ code: 'E_COLLATERAL', exitCode: 6 });
  });
});
