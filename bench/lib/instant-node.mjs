// A node process whose engine answers at once: what is measured with it is everything around the engine.
import { systemClock } from '../../dist/core/clock.js';
import { silentLog } from '../../dist/core/log.js';
import { joinAsRole } from '../../dist/localnet/membership.js';
import { startNode } from '../../dist/node/node.js';
import { unpaidAccounts } from '../../dist/node/unpaid-accounts.js';
import { createTlsIdentity } from '../../dist/tee/tls-identity.js';
import { createVerifyPeer } from '../../dist/tee/verify-peer.js';
import { VERSION } from './network.mjs';

const member = await joinAsRole(process.argv[2], 'worker', VERSION);
const identity = await createTlsIdentity({ clock: systemClock, evidence: member.evidence, attester: member.attester });
const [host, port] = member.description.proxy.workers.split(':');

const engine = {
  info: () => ({ model: 'instant', contextSize: 1 << 20, sequences: 4096, backend: 'cpu', gpuLayers: 0, totalLayers: 1, devices: [], threads: 1, chat: true }),
  async* complete() {
    yield { type: 'text', text: 'Hello.' };
    yield { type: 'finish', reason: 'stop', usage: { promptTokens: 5, cachedTokens: 0, completionTokens: 2 } };
  },
  close: async () => {},
};

const node = startNode({
  engine, model: 'instant@bench:0', coefficient: 1000, proxies: [{ host, port: Number(port) }], identity: () => identity.current(),
  verifyProxy: createVerifyPeer(member.policy('proxy'), { clock: systemClock }),
  accounts: unpaidAccounts(identity.publicKey), isTest: true, clock: systemClock, log: silentLog,
});
await node.ready;
console.log(JSON.stringify({ ready: true }));
process.once('SIGTERM', async () => {
  identity.close();
  await node.close();
});
