// A node process whose engine answers at once: what is measured with it is everything around the engine.
import '../../test/contracts/ts-hooks.mjs';

const src = (path) => import(new URL(`../../src/${path}`, import.meta.url).href);
const { systemClock } = await src('core/clock.ts');
const { silentLog } = await src('core/log.ts');
const { joinAsRole } = await src('localnet/membership.ts');
const { startNode } = await src('node/node.ts');
const { unpaidAccounts } = await src('node/unpaid-accounts.ts');
const { createTlsIdentity } = await src('tee/tls-identity.ts');
const { createVerifyPeer } = await src('tee/verify-peer.ts');

const { home, version } = JSON.parse(process.argv[2]);
const member = await joinAsRole(home, 'worker', version);
const identity = await createTlsIdentity({ clock: systemClock, evidence: member.evidence, attester: member.attester });
const [host, port] = member.description.proxy.workers.split(':');
const engine = {
  info: () => ({ model: 'instant', contextSize: 1 << 20, sequences: 4096, backend: 'cpu', gpuLayers: 0, totalLayers: 1, devices: [], threads: 1, chat: true }),
  async* complete() {
    yield { type: 'text', text: 'Paris.' };
    yield { type: 'finish', reason: 'stop', usage: { promptTokens: 20, cachedTokens: 0, completionTokens: 2 } };
  },
  close: async () => {},
};
const node = startNode({
  engine, model: 'instant@bench:0', coefficient: 1000, proxies: [{ host, port: Number(port) }], identity: () => identity.current(),
  verifyProxy: createVerifyPeer(member.policy('proxy'), { clock: systemClock }), accounts: unpaidAccounts(identity.publicKey), isTest: true, clock: systemClock, log: silentLog,
});
const stuck = setTimeout(() => console.error('node: not ready yet', [...node.states().values()].map((state) => state.error?.message ?? state.kind)), 5_000);
await node.ready;
clearTimeout(stuck);
process.send('ready');
process.once('disconnect', () => process.exit());
