// The seam between commands and attestation: a whole network of TDX guests (a kernel and Intel's services that behave like the
// real ones, under a generated root) with a client, a proxy and a node over sockets; and what is refused before that.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createAttestation, fixedLists, localAttestation } from '../../src/commands/attestation.ts';
import type { Attestation, AttestationOptions } from '../../src/commands/attestation.ts';
import { AttestationError, ConfigError } from '../../src/core/errors.ts';
import { silentLog } from '../../src/core/log.ts';
import { loadSettings } from '../../src/core/settings.ts';
import type { SettingKey, Settings } from '../../src/core/settings.ts';
import { localnetLayout } from '../../src/localnet/layout.ts';
import { joinAsClient, joinAsRole } from '../../src/localnet/membership.ts';
import { describeLocalnet } from '../../src/localnet/network.ts';
import { startNode } from '../../src/node/node.ts';
import { unpaidAccounts as nodeAccounts } from '../../src/node/unpaid-accounts.ts';
import { dial } from '../../src/wire/dial.ts';
import { listen } from '../../src/wire/listen.ts';
import { acceptClient } from '../../src/wire/client-acceptor.ts';
import { openClientSession } from '../../src/wire/client-session.ts';
import { acceptWorker } from '../../src/wire/worker-acceptor.ts';
import type { Connection } from '../../src/wire/connection.ts';
import { CollateralServer } from '../fakes/collateral-server.ts';
import { forge, NOW_MS } from '../fakes/dcap-forge.ts';
import { Lists, tdxMachine } from '../fakes/hardware.ts';
import { createInstantEngine } from '../fakes/instant-engine.ts';
import { clientAcceptorOptions, clientGate, clientOptions, clientPort as clientPorts, workerAcceptorOptions, workerGate } from '../fakes/session-ports.ts';
import { systemError, FakeTsmKernel } from '../fakes/tsm-kernel.ts';
import { Cleanup, expectRejection, until } from '../wire/peers.ts';

const MACHINE = tdxMachine();
const PCS = 'https://api.trustedservices.intel.com';

const cleanup = new Cleanup();
let home = '';
let server: CollateralServer;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'cocoon-attestation-'));
  server = await CollateralServer.start();
  const forged = forge();
  await writeFile(join(home, 'root.der'), forged.root);
  const texts = forged.collateral as Record<string, string>;
  const signed = (member: string, header: string, name: 'tcb_info' | 'qe_identity') => ({
    headers: { 'content-type': 'application/json', [header]: encodeURIComponent(texts[`${name}_issuer_chain`] ?? '') }, body: `{"${member}":${texts[name]},"signature":"${texts[`${name}_signature`]}"}`,
  });
  server.on(`${PCS}/tdx/certification/v4/tcb?fmspc=A0B0C0D0E0F0&update=standard`, signed('tcbInfo', 'TCB-Info-Issuer-Chain', 'tcb_info'));
  server.on(`${PCS}/tdx/certification/v4/qe/identity?update=standard`, signed('enclaveIdentity', 'SGX-Enclave-Identity-Issuer-Chain', 'qe_identity'));
  server.on(`${PCS}/sgx/certification/v4/pckcrl?ca=platform&encoding=der`, {
    headers: { 'content-type': 'application/pkix-crl', 'SGX-PCK-CRL-Issuer-Chain': encodeURIComponent(texts['pck_crl_issuer_chain'] ?? '') }, body: Buffer.from(texts['pck_crl'] ?? '', 'hex'),
  });
  server.on('https://certificates.trustedservices.intel.com/IntelSGXRootCA.der', { headers: { 'content-type': 'application/octet-stream' }, body: Buffer.from(texts['root_ca_crl'] ?? '', 'hex') });
});
afterEach(async () => {
  await cleanup.run();
  await server.close();
  await rm(home, { recursive: true, force: true });
});

const settingsOf = (flags: Partial<Record<SettingKey, string>> = {}): Promise<Settings> => loadSettings({ env: {}, cwd: home, homedir: home, home, flags });

const tdxKernel = (): FakeTsmKernel => new FakeTsmKernel({ provider: 'tdx_guest', answer: (reportData) => forge({ td: { reportData } }).quote });
/** A machine without a TEE. */
const plainKernel = (): FakeTsmKernel => new FakeTsmKernel({ interface: false });

interface Wanted {
  readonly flags?: Partial<Record<SettingKey, string>>;
  readonly kernel?: FakeTsmKernel;
  readonly isMainnet?: boolean;
  readonly change?: Partial<AttestationOptions>;
}

async function hardware({ flags = {}, kernel = tdxKernel(), isMainnet = false, change = {} }: Wanted = {}): Promise<Attestation> {
  const attestation = await createAttestation({
    network: { kind: 'hardware', name: 'testnet', isMainnet }, imageLists: fixedLists({ proxy: [MACHINE.imageHash], worker: [MACHINE.imageHash] }),
    settings: await settingsOf({ 'attest.trust_root': 'root.der', ...flags }), log: silentLog,
    context: { clock: { now: () => NOW_MS }, cwd: home, signal: new AbortController().signal },
    ports: { collect: { kernel, runTool: async () => null }, http: server.http }, ...change,
  });
  return cleanup.add(attestation, () => attestation.close());
}

const own = async (attestation: Attestation, who: 'proxy' | 'worker' | 'client') => cleanup.add(await attestation.identity(who), (identity) => identity.close());

describe('createAttestation: a network of TDX guests', () => {
  it('client, proxy and node prove themselves to one another, freshly', async () => {
    const [atProxy, atNode, atClient] = [await hardware({ flags: { 'attest.freshness': 'require' } }), await hardware(), await hardware({ flags: { 'attest.freshness': 'require' } })];
    const [proxy, node, client] = [await own(atProxy, 'proxy'), await own(atNode, 'worker'), await own(atClient, 'client')];
    expect([proxy.evidence, proxy.imageHash, client.evidence, client.imageHash]).toEqual(['tdx', MACHINE.imageHash, 'none', null]);

    const workers: Connection[] = [];
    const forWorkers = workerGate();
    const common = { host: '127.0.0.1', port: 0, identity: () => proxy.current(), powDifficultyBits: 0, log: silentLog };
    const clientPort = cleanup.add(await listen({ ...common, verifyPeer: atProxy.verifyPeer('client'), onConnection: (connection) => { acceptClient(connection, clientGate(), clientAcceptorOptions); } }), (listener) => listener.close());
    const workerPort = cleanup.add(await listen({
      ...common, verifyPeer: atProxy.verifyPeer('worker'),
      onConnection: (connection) => {
        workers.push(connection);
        acceptWorker(connection, forWorkers, workerAcceptorOptions);
      },
    }), (listener) => listener.close());

    const running = startNode({
      engine: createInstantEngine({ model: 'm', sequences: 1 }), model: 'm@c:v', coefficient: 1000, proxies: [workerPort.address], identity: () => node.current(),
      verifyProxy: atNode.verifyPeer('proxy'), accounts: nodeAccounts(node.publicKey), isTest: true, clock: { now: Date.now }, log: silentLog,
    });
    cleanup.add(running, () => running.close());
    await running.ready;
    await until(() => forWorkers.told.includes('ready enabled'));
    expect(workers[0]?.peer).toMatchObject({ evidence: 'tdx', role: 'worker' });
    expect(workers[0]?.peer.checks?.map(({ name }) => name)).toEqual(expect.arrayContaining(['trust-root', 'tcb-status', 'image', 'freshness']));

    const connection = await dial({ ...clientPort.address, identity: client.current(), verifyPeer: atClient.verifyPeer('proxy') });
    const session = await openClientSession(connection, clientPorts(), clientOptions);
    cleanup.add(session, () => session.close());
    expect(connection.peer.checks?.some(({ name, info }) => name === 'freshness' && info !== true)).toBe(true);
    // Three programs with one cache on disk: Intel was asked at most once by each for each document.
    expect(server.requests.length).toBeLessThanOrEqual(12);
  });

  it('collateral is kept on disk until its own end, so that a second program asks nobody', async () => {
    const proxyOf = async (): Promise<number> => {
      const attestation = await hardware();
      const proxy = await own(attestation, 'proxy');
      const listener = await listen({ host: '127.0.0.1', port: 0, identity: () => proxy.current(), verifyPeer: attestation.verifyPeer('client'), powDifficultyBits: 0, log: silentLog, onConnection: () => undefined });
      cleanup.add(listener, () => listener.close());
      return listener.address.port;
    };
    const port = await proxyOf();
    for (let program = 0; program < 2; program += 1) {
      const attestation = await hardware();
      const client = await own(attestation, 'client');
      const connection = await dial({ host: '127.0.0.1', port, identity: client.current(), verifyPeer: attestation.verifyPeer('proxy') });
      cleanup.add(connection, () => connection.close());
      expect([connection.peer.evidence, server.requests.length]).toEqual(['tdx', 4]);
    }
  });

  it('a proxy loses its connections when the root contract drops its image', async () => {
    const lists = new Lists({ proxy: [MACHINE.imageHash], worker: [] });
    const attestation = await hardware({ change: { imageLists: lists } });
    const [proxy, client] = [await own(attestation, 'proxy'), await own(attestation, 'client')];
    const listener = await listen({ host: '127.0.0.1', port: 0, identity: () => proxy.current(), verifyPeer: attestation.verifyPeer('client'), powDifficultyBits: 0, log: silentLog, onConnection: () => undefined });
    cleanup.add(listener, () => listener.close());
    const connection = await dial({ host: '127.0.0.1', port: listener.address.port, identity: client.current(), verifyPeer: attestation.verifyPeer('proxy') });
    lists.change({ proxy: [] });
    expect(await connection.closed).toBeInstanceOf(AttestationError);
    attestation.close();
    expect(lists.listeners).toBe(0);
  });
});

describe('createAttestation: what is refused', () => {
  it('a proxy or node outside a TEE, on a network that is not local: an error with a hint, and never a simulation', async () => {
    const attestation = await hardware({ kernel: plainKernel() });
    for (const role of ['proxy', 'worker'] as const) {
      const error = await expectRejection(attestation.identity(role), 'E_NO_TEE', /not a TDX or SEV-SNP guest/);
      expect(error.hint).toMatch(/confidential virtual machine/);
    }
    expect((await own(attestation, 'client')).evidence).toBe('none');
  });

  it('a kernel that gives no quote', async () => {
    const attestation = await hardware({ kernel: tdxKernel().fail('outblob', 'EIO') });
    await expectRejection(attestation.identity('proxy'), 'E_COLLECT', /EIO/);
    expect(systemError('EIO')).toBeInstanceOf(Error);
  });

  it('a test root on mainnet, whatever the settings say', async () => {
    const error = await hardware({ isMainnet: true }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toMatch(/cannot use the test root "root\.der" on network "testnet"/);
    expect((await hardware({ isMainnet: true, change: { settings: await settingsOf() } })).close).toBeDefined();
  });

  it('a policy file that is missing, damaged or could not be meant, and a rule that does not exist', async () => {
    await expect(hardware({ flags: { 'attest.policy': 'none.toml' } })).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
    await writeFile(join(home, 'policy.toml'), 'version = 1\nacept = ["tdx"]\n');
    await expect(hardware({ flags: { 'attest.policy': 'policy.toml' } })).rejects.toThrow(/unknown field "acept"/);
    await expect(hardware({ flags: { 'attest.freshness': 'maybe' } })).rejects.toThrow(/cannot use attest\.freshness = "maybe" .*expected require or prefer/);
    await writeFile(join(home, 'root.der'), 'no certificate');
    await expect(hardware()).rejects.toMatchObject({ code: 'E_EVIDENCE_MALFORMED' });
  });

  it('a peer, by the policy file of the settings', async () => {
    await writeFile(join(home, 'policy.toml'), 'version = 1\naccept = ["sev-snp"]\n');
    const [atProxy, atClient] = [await hardware(), await hardware({ flags: { 'attest.policy': 'policy.toml' } })];
    const [proxy, client] = [await own(atProxy, 'proxy'), await own(atClient, 'client')];
    const listener = await listen({ host: '127.0.0.1', port: 0, identity: () => proxy.current(), verifyPeer: atProxy.verifyPeer('client'), powDifficultyBits: 0, log: silentLog, onConnection: () => undefined });
    cleanup.add(listener, () => listener.close());
    await expectRejection(dial({ host: '127.0.0.1', port: listener.address.port, identity: client.current(), verifyPeer: atClient.verifyPeer('proxy') }), 'E_EVIDENCE_REFUSED', /check "evidence-kind"/);
  });
});

describe('createAttestation: the local network', () => {
  it('has simulated evidence, says so, and accepts nothing else', async () => {
    await describeLocalnet(localnetLayout(home), '0.0.0-test');
    const context = { clock: { now: () => NOW_MS }, cwd: home, signal: new AbortController().signal };
    const settings = await settingsOf();
    const atProxy = await createAttestation({ ...localAttestation(await joinAsRole(home, 'proxy', '0.0.0-test')), settings, context });
    const proxy = await own(atProxy, 'proxy');
    expect([proxy.evidence, proxy.imageHash?.length]).toEqual(['simulated', 32]);
    const atClient = await createAttestation({ ...localAttestation(await joinAsClient(home)), settings, context });
    const verify = atClient.verifyPeer('proxy');
    const signal = new AbortController().signal;
    expect(await verify(proxy.current().certificateDer, signal)).toMatchObject({ evidence: 'simulated', role: 'proxy' });
    const guest = await own(await hardware(), 'proxy');
    expect(() => verify(guest.current().certificateDer, signal)).toThrow(/check "evidence-kind": got Intel TDX evidence/);
    await expect(atClient.identity('proxy')).rejects.toThrow(RangeError);
    await expectRejection(Promise.resolve((await hardware()).verifyPeer('proxy')(proxy.current().certificateDer, signal)), 'E_EVIDENCE_REFUSED', /got simulated evidence/);
  });
});
