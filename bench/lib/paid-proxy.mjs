// A proxy process with the real ledger and the accounts of a network with contracts, on a chain that another process runs.
// Clients are let in without their registration on chain, which costs each of them a transaction; everything else is paid.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import '../../test/contracts/ts-hooks.mjs';

const src = (path) => import(new URL(`../../src/${path}`, import.meta.url).href);
const { Address } = await import('@ton/core');
const { createTonAccess } = await src('chain/access/access.ts');
const { signerOfSeed } = await src('chain/ed25519.ts');
const { followRoot } = await src('chain/follow/root-follower.ts');
const { openHotWallet } = await src('chain/hot-wallet.ts');
const { walletV4R2 } = await src('chain/wallets/kinds.ts');
const { systemClock } = await src('core/clock.ts');
const { silentLog } = await src('core/log.ts');
const { joinAsRole } = await src('localnet/membership.ts');
const { openLedger } = await src('proxy/ledger/open-ledger.ts');
const { createPaidAccounts } = await src('proxy/paid/paid-accounts.ts');
const { startProxy } = await src('proxy/proxy.ts');
const { createTlsIdentity } = await src('tee/tls-identity.ts');
const { createVerifyPeer } = await src('tee/verify-peer.ts');

const { home, endpoint, root, owner, paymentSeed, hotSeed, globalId, version } = JSON.parse(process.argv[2]);
const ending = new AbortController();
const access = createTonAccess({ endpoints: [{ url: endpoint }, { url: endpoint.replace('127.0.0.1', 'localhost') }], timeoutMs: 5_000 });
const signer = signerOfSeed(Buffer.alloc(32, paymentSeed));
const hot = signerOfSeed(Buffer.alloc(32, hotSeed));
const identity = { globalId, root: Address.parse(root), owner: Address.parse(owner), publicKey: signer.publicKey };
const ledger = await openLedger(join(home, 'bench-ledger.db'), identity);
const follower = await followRoot({ access, root: identity.root, pollMs: 30_000, maxAgeS: 1_000_000, clock: systemClock, log: silentLog, signal: ending.signal });
const wallet = openHotWallet({ access, wallet: walletV4R2(hot.publicKey), signer: hot, folder: join(home, 'bench-outbox'), pollMs: 100, resendMs: 1_000, validForS: 60, expiryMarginS: 10 });
const accounts = await createPaidAccounts({ access, root: follower, owner: identity.owner, signer, wallet, ledger, isTest: true, clock: systemClock, log: silentLog, signal: ending.signal });

const noSecret = new Uint8Array(createHash('sha256').update('').digest());
const client = accounts.client.bind(accounts);
accounts.client = async (address) => {
  const account = await client(address);
  Object.defineProperties(account, { secretHash: { get: () => noSecret, configurable: true }, authorize: { value: async () => {}, configurable: true } });
  return account;
};

const member = await joinAsRole(home, 'proxy', version);
const tls = await createTlsIdentity({ clock: systemClock, evidence: member.evidence, attester: member.attester });
const [clients, workers] = ['clients', 'workers'].map((side) => {
  const [host, port] = member.description.proxy[side].split(':');
  return { host, port: Number(port) };
});
const proxy = await startProxy({
  clients, workers, identity: () => tls.current(), verifyClient: createVerifyPeer({ kind: 'any' }, { clock: systemClock }),
  verifyWorker: createVerifyPeer(member.policy('worker'), { clock: systemClock }), rules: { imageAllowed: () => true, modelAllowed: () => true },
  accounts, powDifficultyBits: 0, isTest: true, clock: systemClock, log: silentLog, listening: { connectionLimits: {} },
});
process.on('message', (question) => {
  if (question === 'memory') global.gc?.();
  process.send({ question, memory: process.memoryUsage(), cpu: process.cpuUsage(), money: accounts.status() }, undefined, { serialization: 'advanced' });
});
process.send('ready');
process.once('SIGTERM', async () => {
  await proxy.close();
  await accounts.close();
  await ledger.close();
  ending.abort();
  await follower.close();
  await wallet.close();
  await access.close();
  tls.close();
  if (process.connected) process.disconnect();
});
