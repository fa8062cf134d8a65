// Fresh attestation (protocol version 6) over real TLS sessions: what is accepted in every family, and that evidence of another
// connection, question, key or machine, silence, and a lower version are dealt with as the specification says.
import { afterEach, describe, expect, it } from '@jest/globals';
import { AttestationError, RemoteError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { freshReportData, MAX_GPUS_BYTES } from '../../src/tee/fresh-attestation.ts';
import type { Attester, FreshAnswer } from '../../src/tee/fresh-attestation.ts';
import type { FreshnessRule } from '../../src/tee/freshness.ts';
import { reportDataOf } from '../../src/tee/report-data.ts';
import { simulatedImageHash } from '../../src/tee/image-hash.ts';
import { simulatedAttester } from '../../src/tee/live/simulated-attester.ts';
import { makeSimulatedEvidence, simulatedMeasurement } from '../../src/tee/simulated.ts';
import { generateTlsKeys } from '../../src/tee/tls-keys.ts';
import type { TlsIdentitySource } from '../../src/tee/tls-identity.ts';
import type { VerifyPeer } from '../../src/tee/peer.ts';
import { createVerifyPeer } from '../../src/tee/verify-peer.ts';
import { acceptClient } from '../../src/wire/client-acceptor.ts';
import type { ClientLink } from '../../src/wire/client-acceptor.ts';
import { openClientSession } from '../../src/wire/client-session.ts';
import type { ClientSession, ClientSessionOptions } from '../../src/wire/client-session.ts';
import type { Connection } from '../../src/wire/connection.ts';
import { dial } from '../../src/wire/dial.ts';
import { listen } from '../../src/wire/listen.ts';
import { acceptWorker } from '../../src/wire/worker-acceptor.ts';
import type { WorkerAcceptorOptions, WorkerLink } from '../../src/wire/worker-acceptor.ts';
import { openWorkerSession } from '../../src/wire/worker-session.ts';
import { forge, NOW_MS } from '../fakes/dcap-forge.ts';
import { attesterOf, hardwareIdentity, Lists, Shelf, SNP_POLICY, snpMachine, tdxMachine, verifier } from '../fakes/hardware.ts';
import type { TestMachine } from '../fakes/hardware.ts';
import { GPU_NONCE } from '../fakes/nvidia-forge.ts';
import { clientAcceptorOptions, clientGate, clientOptions, clientPort, QUERY, workerAcceptorOptions, workerGate, workerOptions, workerPort } from '../fakes/session-ports.ts';
import { SNP_NOW } from '../fakes/snp-forge.ts';
import { Cleanup, expectRejection, expectTyped, makeIdentity, sleep, until, verifyAny } from './peers.ts';

const cleanup = new Cleanup();
afterEach(() => cleanup.run());

const V5 = { min: 1, max: 5 };

interface Wanted {
  readonly nowMs?: number;
  readonly policy?: object;
  readonly freshness?: FreshnessRule;
  readonly lists?: Lists;
}

/** A verifier of both roles under the forges' roots, with all collateral at hand. */
function world(machine: TestMachine, { nowMs = NOW_MS, policy, freshness, lists }: Wanted = {}) {
  const shelf = new Shelf();
  shelf.intel(forge());
  shelf.amd();
  shelf.nvidia();
  const allowed = lists ?? new Lists({ proxy: [machine.imageHash], worker: [machine.imageHash] });
  const made = verifier({ shelf, lists: allowed, nowMs: () => nowMs, ...(policy !== undefined && { policy }), ...(freshness !== undefined && { freshness }) });
  const identity = (attester?: ((publicKey: Uint8Array) => Attester) | null) => hardwareIdentity({ machine, nowMs: () => nowMs, ...(attester !== undefined && { attester }) });
  return { shelf, lists: allowed, identity, ...made };
}

/** A listening proxy: what its acceptors do is the caller's. */
async function proxy(identity: TlsIdentitySource, verifyPeer: VerifyPeer, onConnection: (connection: Connection) => void): Promise<number> {
  const listener = await listen({ host: '127.0.0.1', port: 0, identity: () => identity.current(), verifyPeer, powDifficultyBits: 0, log: silentLog, onConnection });
  cleanup.add(listener, () => listener.close());
  return listener.address.port;
}

interface ClientSetup {
  readonly identity: TlsIdentitySource;
  readonly verify: VerifyPeer;
  readonly proxyVersions?: { readonly min: number; readonly max: number };
  readonly options?: Partial<ClientSessionOptions>;
  readonly gate?: ReturnType<typeof clientGate>;
}

async function clientAt({ identity, verify, proxyVersions, options, gate = clientGate() }: ClientSetup) {
  const links: ClientLink[] = [];
  const port = await proxy(identity, verifyAny, (connection) => { links.push(acceptClient(connection, gate, { ...clientAcceptorOptions, ...(proxyVersions !== undefined && { versions: proxyVersions }) })); });
  const own = await makeIdentity();
  const connection = await dial({ host: '127.0.0.1', port, identity: own, verifyPeer: verify });
  cleanup.add(connection, () => connection.close());
  const open = (): Promise<ClientSession> => openClientSession(connection, clientPort(), { ...clientOptions, ...options });
  return { connection, open, links, gate };
}

interface WorkerSetup {
  readonly proxyIdentity: TlsIdentitySource;
  readonly workerIdentity: TlsIdentitySource;
  readonly verifyProxy: VerifyPeer;
  readonly verifyWorker: VerifyPeer;
  readonly versions?: { readonly min: number; readonly max: number };
  readonly acceptor?: Partial<WorkerAcceptorOptions>;
}

async function workerAt({ proxyIdentity, workerIdentity, verifyProxy, verifyWorker, versions, acceptor }: WorkerSetup) {
  const links: WorkerLink[] = [];
  const connections: Connection[] = [];
  const gate = workerGate();
  const port = await proxy(proxyIdentity, verifyWorker, (connection) => {
    connections.push(connection);
    links.push(acceptWorker(connection, gate, { ...workerAcceptorOptions, ...acceptor }));
  });
  const connection = await dial({ host: '127.0.0.1', port, identity: workerIdentity.current(), verifyPeer: verifyProxy });
  cleanup.add(connection, () => connection.close());
  const open = () => openWorkerSession(connection, workerPort(), { ...workerOptions, ...(versions !== undefined && { versions }) });
  return { connection, connections, open, links, gate };
}

const checkNamed = ({ peer }: { readonly peer: Connection['peer'] }, name: string) => peer.checks?.find((check) => check.name === name);

describe('client to proxy', () => {
  it.each<[string, TestMachine, Wanted]>([
    ['TDX', tdxMachine(), {}], ['SEV-SNP', snpMachine(), { nowMs: SNP_NOW, policy: SNP_POLICY }],
  ])('%s: fresh evidence is asked for before anything is said, judged, and shown', async (_, machine, wanted) => {
    const { identity, verify, judge } = world(machine, { ...wanted, freshness: 'require' });
    const { connection, open, gate } = await clientAt({ identity: await identity(), verify: verify('proxy') });
    expect(checkNamed(connection, 'freshness')).toBeUndefined();
    const session = await open();
    expect(session.capabilities.freshAttestation).toBe(true);
    expect(checkNamed(connection, 'freshness')).toEqual({ name: 'freshness', detail: 'evidence made for this connection' });
    expect(checkNamed(connection, 'fresh-image')).toBeDefined();
    expect([judge.verifications, gate.hellos.length]).toEqual([2, 1]);
  });

  it('simulated evidence of a local network has it too', async () => {
    const authority = generateTlsKeys();
    const measurement = simulatedMeasurement('proxy', '1');
    const network = { networkId: new Uint8Array(32).fill(5), networkPublicKey: authority.publicKey };
    const sign = (reportData: Uint8Array): Uint8Array => makeSimulatedEvidence({ role: 'proxy', measurement, reportData, networkId: network.networkId }, authority.privateKey);
    const identity = await hardwareIdentity({
      machine: null, nowMs: Date.now, evidence: (key) => ({ family: 'simulated', evidence: sign(reportDataOf(key)) }), attester: (key) => simulatedAttester(key, sign),
    });
    const verify = createVerifyPeer({ kind: 'simulated', role: 'proxy', network, imageHashes: [simulatedImageHash(measurement)] }, { clock: { now: Date.now }, freshness: 'require' });
    const { connection, open } = await clientAt({ identity, verify });
    await open();
    expect(connection.peer).toMatchObject({ evidence: 'simulated' });
    expect(checkNamed(connection, 'freshness')).toBeDefined();
    // The same, relayed from another question.
    const stale = await hardwareIdentity({
      machine: null, nowMs: Date.now, evidence: (key) => ({ family: 'simulated', evidence: sign(reportDataOf(key)) }),
      attester: (key) => async () => ({ evidence: { family: 'simulated', evidence: sign(reportDataOf(key)) }, gpus: new Uint8Array(0) }),
    });
    const other = await clientAt({ identity: stale, verify });
    await expectRejection(other.open(), 'E_EVIDENCE_REFUSED', /check "freshness"/);
  });

  type Cheat = (honest: Attester, machine: TestMachine, publicKey: Uint8Array) => Attester;
  const changed = (bytes: Uint8Array): Uint8Array => Uint8Array.from(bytes, (byte) => byte ^ 1);
  const RELAYED = /check "freshness": got report data .* made for another question or connection and may have been relayed/;
  it.each<[string, Cheat, string, RegExp]>([
    ['another nonce', (honest) => (question, signal) => honest({ ...question, nonce: changed(question.nonce) }, signal), 'E_EVIDENCE_REFUSED', RELAYED],
    ['another exporter', (honest) => (question, signal) => honest({ ...question, exporter: changed(question.exporter) }, signal), 'E_EVIDENCE_REFUSED', RELAYED],
    ['another TLS key', (_, machine) => attesterOf(machine, generateTlsKeys().publicKey), 'E_EVIDENCE_REFUSED', RELAYED],
    ['the quote of the certificate', (_, machine, key) => async () => ({ evidence: machine.fresh(reportDataOf(key)), gpus: new Uint8Array(0) }), 'E_EVIDENCE_REFUSED', RELAYED],
    ['GPU evidence put in afterwards', (honest) => async (question, signal) => ({ ...await honest(question, signal), gpus: Buffer.from('{}') }), 'E_EVIDENCE_REFUSED', RELAYED],
    ['another image that the network allows', () => attesterOf(OTHER_IMAGE, new Uint8Array(32)), 'E_EVIDENCE_REFUSED', RELAYED],
    ['another image, bound rightly', (_, __, key) => attesterOf(OTHER_IMAGE, key), 'E_EVIDENCE_REFUSED', /check "fresh-image"/],
    ['a debug guest', (_, __, key) => attesterOf(tdxMachine({ td: { tdAttributes: Uint8Array.of(1, 0, 0, 0x10, 0, 0, 0, 0) } }), key), 'E_EVIDENCE_REFUSED', /check "td-debug"/],
    ['another family', (_, __, key) => attesterOf(snpMachine(), key), 'E_EVIDENCE_REFUSED', /check "fresh-family": got fresh evidence of the family sev-snp/],
    ['a quote of no bytes', () => async () => ({ evidence: { family: 'tdx', quote: new Uint8Array(0) }, gpus: new Uint8Array(0) }), 'E_EVIDENCE_MALFORMED', /fresh quote has 0 bytes/],
    ['a quote of random bytes', () => async () => ({ evidence: { family: 'tdx', quote: new Uint8Array(5000).fill(3) }, gpus: new Uint8Array(0) }), 'E_EVIDENCE_REFUSED', /check "quote-version"/],
  ])('refuses %s', async (_, cheat, code, message) => {
    const machine = tdxMachine();
    const lists = new Lists({ proxy: [machine.imageHash, OTHER_IMAGE.imageHash], worker: [] });
    const { identity, verify } = world(machine, { lists });
    const { open, gate } = await clientAt({ identity: await identity((key) => cheat(attesterOf(machine, key), machine, key)), verify: verify('proxy') });
    const error = await expectRejection(open(), code as 'E_EVIDENCE_REFUSED', message);
    expect(error).toBeInstanceOf(AttestationError);
    // The secret was not sent.
    expect(gate.hellos).toHaveLength(1);
  });

  it('refuses evidence relayed from another TLS session, and an answer given twice', async () => {
    const machine = tdxMachine();
    const { identity, verify } = world(machine);
    const answers: FreshAnswer[] = [];
    const honest = await identity((key) => async (question, signal) => {
      const answer = await attesterOf(machine, key)(question, signal);
      answers.push(answer);
      return answer;
    });
    await (await clientAt({ identity: honest, verify: verify('proxy') })).open();
    // The holder of the key shows what it has shown on the other connection.
    const replaying: TlsIdentitySource = { ...honest, current: () => ({ ...honest.current(), attest: async () => answers[0]! }) };
    const { open } = await clientAt({ identity: replaying, verify: verify('proxy') });
    await expectRejection(open(), 'E_EVIDENCE_REFUSED', RELAYED);
    // Even for the same nonce: the sessions differ.
    const same = { random: () => new Uint8Array(32).fill(1) };
    answers.length = 0;
    await (await clientAt({ identity: honest, verify: verify('proxy'), options: same })).open();
    await expectRejection((await clientAt({ identity: replaying, verify: verify('proxy'), options: same })).open(), 'E_EVIDENCE_REFUSED', RELAYED);
  });

  it('a proxy of version 5 is accepted under prefer, which shows the lack, and refused under require', async () => {
    const machine = tdxMachine();
    const preferring = world(machine);
    const { connection, open } = await clientAt({ identity: await preferring.identity(null), verify: preferring.verify('proxy'), proxyVersions: V5 });
    expect((await open()).version).toBe(5);
    expect(checkNamed(connection, 'freshness')).toEqual({ name: 'freshness', detail: expect.stringMatching(/^not shown: the peer speaks version 5/), info: true });
    const strict = world(machine, { freshness: 'require' });
    const refused = await clientAt({ identity: await strict.identity(null), verify: strict.verify('proxy'), proxyVersions: V5 });
    await expectRejection(refused.open(), 'E_EVIDENCE_REFUSED', /check "freshness": got no evidence made for this connection: the peer speaks version 5/);
  });

  it('a proxy of version 6 is never excused: silence is a timeout, and no evidence is an error, under prefer too', async () => {
    const machine = tdxMachine();
    const { identity, verify } = world(machine);
    const silent = await clientAt({ identity: await identity(() => () => new Promise(() => undefined)), verify: verify('proxy'), options: { connectTimeoutMs: 100 } });
    await expectRejection(silent.open(), 'E_TIMEOUT', /did not show fresh evidence within 100 ms/);
    const without = await clientAt({ identity: await identity(null), verify: verify('proxy') });
    await expectRejection(without.open(), 'E_REMOTE', /this side has no evidence to show/);
  });

  it('a proxy answers one challenge a connection, and none before a version was chosen', async () => {
    const machine = tdxMachine();
    const { identity, verify } = world(machine);
    const { connection, open } = await clientAt({ identity: await identity(), verify: verify('proxy') });
    const challenge = () => connection.query({ _: 'attest.challenge', nonce: new Uint8Array(32) }, { timeoutMs: 1000 });
    await expect(challenge()).rejects.toMatchObject({ remoteMessage: 'Lost promise' });
    await open();
    await expect(challenge()).rejects.toMatchObject({ remoteCode: 621, remoteMessage: 'a connection has one challenge' });
  });

  it('a session is cut when what was shown freshly no longer passes, and a request under way says why', async () => {
    const machine = tdxMachine();
    const { identity, verify, lists, judge } = world(machine);
    const { open, links } = await clientAt({ identity: await identity(), verify: verify('proxy'), gate: clientGate({ run: () => new Promise(() => undefined) }) });
    const session = await open();
    const events = session.ask({ model: 'm', query: QUERY, maxCoefficient: 4000, maxTokens: 10, timeoutMs: 60_000 });
    const running = events.next();
    running.catch(() => undefined);
    await until(() => links[0]?.runningRequests === 1);
    lists.change();
    await until(() => judge.verifications === 4);
    await sleep(20);
    expect(links[0]?.state).toBe('ready');
    lists.change({ proxy: [] });
    const error = expectTyped(await running.catch((thrown: unknown) => thrown), 'E_EVIDENCE_REFUSED', /connection was cut before the answer was complete: peer refused by the check "image"/);
    expect(error).toMatchObject({ exitCode: 5 });
    expect(await session.closed).toBeInstanceOf(AttestationError);
    expect(lists.listeners).toBe(0);
  });
});

/** Genuine, and of another image. */
const OTHER_IMAGE = tdxMachine({ td: { mrTd: new Uint8Array(48).fill(0x66) } });

describe('worker and proxy', () => {
  const both = async (worker: TestMachine, wanted: Wanted = {}, change: Partial<WorkerSetup> & { attester?: ((publicKey: Uint8Array) => Attester) | null } = {}) => {
    const made = world(worker, { nowMs: SNP_NOW, policy: SNP_POLICY, ...wanted });
    const front = snpMachine();
    const proxyIdentity = await hardwareIdentity({ machine: front, nowMs: () => SNP_NOW });
    const { attester, ...setup } = change;
    return { ...made, ...await workerAt({ proxyIdentity, workerIdentity: await made.identity(attester), verifyProxy: made.verify('proxy'), verifyWorker: made.verify('worker'), ...setup }) };
  };
  const gpus = { ...SNP_POLICY, nvidia: { gpu_count: 1 } };

  it('each challenges the other, and the worker is told nothing before it has passed', async () => {
    const { open, connection, connections, links, gate } = await both(snpMachine(), { freshness: 'require' });
    await open();
    await until(() => gate.told.includes('ready enabled'));
    expect([checkNamed(connection, 'freshness'), checkNamed(connections[0]!, 'freshness')]).toEqual([expect.anything(), expect.anything()]);
    expect(links[0]?.peer.role).toBe('worker');
  });

  it('a worker shows its GPU, asked with a nonce of this connection', async () => {
    const { open, connections, shelf } = await both(snpMachine(), { policy: gpus }, { attester: (key) => (question, signal) => attesterOf(snpMachine({}, shelf, [{}]), key)(question, signal) });
    await open();
    expect(checkNamed(connections[0]!, 'freshness')?.detail).toBe('evidence made for this connection, together with that of the GPUs');
    expect(checkNamed(connections[0]!, 'gpu-report-signature')).toBeDefined();
  });

  it('a worker that shows GPUs where the policy counts none has them judged all the same', async () => {
    const { open, connections, shelf } = await both(snpMachine(), {}, { attester: (key) => (question, signal) => attesterOf(snpMachine({}, shelf, [{}]), key)(question, signal) });
    await open();
    expect(checkNamed(connections[0]!, 'gpu-measurements')).toBeDefined();
    const bad = await both(snpMachine(), {}, { attester: (key) => (question, signal) => attesterOf(snpMachine({}, bad.shelf, [{ opaque: { 20: new Uint8Array(48) } }]), key)(question, signal) });
    await expectRejection(bad.open(), 'E_REMOTE', /check "fwid"/);
  });

  it.each<[string, (shelf: () => Shelf) => (key: Uint8Array) => Attester, RegExp]>([
    ['no GPU evidence', () => (key) => attesterOf(snpMachine(), key), /check "gpu-evidence": got none, expected evidence of the GPUs that the policy counts/],
    ['GPU evidence for another nonce', (shelf) => (key) => (question, signal) => attesterOf(snpMachine({}, shelf(), [{ nonce: GPU_NONCE }]), key)(question, signal), /check "nonce"/],
    ['two GPUs for one', (shelf) => (key) => (question, signal) => attesterOf(snpMachine({}, shelf(), [{}, { number: 1 }]), key)(question, signal), /check "gpu-count"/],
    ['GPU evidence of another machine, not bound to its CPU', (shelf) => (key) => async (question, signal) => ({
      ...await attesterOf(snpMachine(), key)(question, signal), gpus: snpMachine({}, shelf(), [{}]).gpus(question.nonce, key),
    }), /check "freshness"/],
    ['GPU evidence that brings its own collateral', () => (key) => async (question) => {
      const bundle = Buffer.from('{"devices":[],"collateral":{}}');
      return { evidence: snpMachine().fresh(freshReportData({ ...question, publicKey: key }, bundle)), gpus: bundle };
    }, /member "collateral"/],
    ['GPU evidence that is no JSON', () => (key) => async (question) => {
      const bundle = Uint8Array.of(0xff, 0xfe);
      return { evidence: snpMachine().fresh(freshReportData({ ...question, publicKey: key }, bundle)), gpus: bundle };
    }, /not UTF-8/],
  ])('a proxy whose policy counts a GPU refuses a worker with %s, and tells it why', async (_, attester, message) => {
    const made = { shelf: new Shelf() };
    const { open, links, gate, shelf } = await both(snpMachine(), { policy: gpus }, { attester: attester(() => made.shelf) });
    made.shelf = shelf;
    const error = await expectRejection(open(), 'E_REMOTE', message);
    expect(error).toBeInstanceOf(RemoteError);
    expect(await links[0]?.closed).toBeInstanceOf(AttestationError);
    expect(gate.claims).toEqual([]);
  });

  it('an answer of the greatest size reaches the verifier, and a larger one does not', async () => {
    const filler = (size: number) => (key: Uint8Array): Attester => async (question) => {
      const gpus = new Uint8Array(size).fill(0x20);
      return { evidence: snpMachine().fresh(freshReportData({ ...question, publicKey: key }, gpus)), gpus };
    };
    const largest = await both(snpMachine(), {}, { attester: filler(MAX_GPUS_BYTES) });
    await expectRejection(largest.open(), 'E_REMOTE', /malformed evidence/);
    const larger = await both(snpMachine(), {}, { attester: filler(MAX_GPUS_BYTES + 1) });
    await expectRejection(larger.open(), 'E_REMOTE', /fresh GPU evidence has 524289 bytes, expected 0 to 524288/);
    const huge = await both(snpMachine(), {}, { attester: filler(2 * MAX_GPUS_BYTES) });
    await expectRejection(huge.open(), 'E_CLOSED');
    expect(await huge.links[0]?.closed).toMatchObject({ code: 'E_PROTOCOL' });
  });

  it('a worker of version 5: accepted under prefer, refused under require and where a GPU is demanded', async () => {
    const old = await both(snpMachine(), {}, { versions: V5, attester: null });
    await old.open();
    expect(checkNamed(old.connections[0]!, 'freshness')).toMatchObject({ info: true, detail: expect.stringMatching(/version 5/) });
    const strict = await both(snpMachine(), { freshness: 'require' }, { versions: V5, attester: null });
    // The worker asks the same of the proxy, whose version was chosen lower for it.
    await expectRejection(strict.open(), 'E_EVIDENCE_REFUSED', /check "freshness"/);
    const demanding = await both(snpMachine(), { policy: gpus }, { versions: V5, attester: null });
    await expectRejection(demanding.open(), 'E_REMOTE', /check "gpu-evidence": got none, because the peer speaks version 5/);
  });

  it('a silent worker is a timeout, and is told nothing', async () => {
    const { open, links, gate } = await both(snpMachine(), {}, { attester: () => () => new Promise(() => undefined), acceptor: { stepTimeoutMs: 150 } });
    await expectRejection(open(), 'E_REMOTE', /did not show fresh evidence within 150 ms|not ready within/);
    expect(await links[0]?.closed).toMatchObject({ code: 'E_REMOTE' });
    expect(gate.claims).toEqual([]);
  });

  it('a worker is cut when its image leaves the list; a proxy likewise', async () => {
    const machine = snpMachine();
    const { open, lists, links } = await both(machine);
    const session = await open();
    lists.change({ worker: [] });
    expect(await links[0]?.closed).toBeInstanceOf(AttestationError);
    expectTyped(await session.closed, 'E_CLOSED');
    const other = await both(machine);
    const second = await other.open();
    other.lists.change({ proxy: [] });
    expectTyped(await second.closed, 'E_EVIDENCE_REFUSED', /check "image"/);
  });
});
