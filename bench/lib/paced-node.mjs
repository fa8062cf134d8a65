// A node process for `bench:client`: an engine whose answers come at once or at a pace that the prompt names ("pace PIECES EVERY_MS"),
// each piece as many tokens as a real engine joins, with keys for sealed requests.
import { Address } from '@ton/core';
import { systemClock } from '../../dist/core/clock.js';
import { silentLog } from '../../dist/core/log.js';
import { joinAsRole } from '../../dist/localnet/membership.js';
import { startNode } from '../../dist/node/node.js';
import { createSealing } from '../../dist/node/sealed-keys.js';
import { unpaidAccounts } from '../../dist/node/unpaid-accounts.js';
import { createTlsIdentity } from '../../dist/tee/tls-identity.js';
import { createVerifyPeer } from '../../dist/tee/verify-peer.js';
import { VERSION } from './network.mjs';

const member = await joinAsRole(process.argv[2], 'worker', VERSION);
const identity = await createTlsIdentity({ clock: systemClock, evidence: member.evidence, attester: member.attester });
const [host, port] = member.description.proxy.workers.split(':');
const model = 'paced@bench:0';
const [imageHash] = member.policy('worker').imageHashes;
const sealing = await createSealing({ identity: () => identity.current(), imageHash, model, root: '', clock: systemClock, log: silentLog });

const WISH = /pace (\d+) (\d+)/;
const PIECE = ' four words of text';

/** At `everyMs` after one another by the clock: a late one does not delay those behind it. */
async function* pieces(count, everyMs, signal) {
  const startedMs = performance.now();
  for (let at = 0; at < count; at += 1) {
    const waitMs = startedMs + at * everyMs - performance.now();
    if (everyMs > 0 && waitMs > 0) await new Promise((resolve) => { setTimeout(resolve, waitMs); });
    if (signal.aborted) return;
    yield { type: 'text', text: PIECE };
  }
}

const engine = {
  info: () => ({
    model: 'paced', contextSize: 1 << 20, sequences: 4096, backend: 'cpu', gpuLayers: 0, totalLayers: 1, devices: [], threads: 1, chat: true,
    features: { noTools: null, forms: false, logprobs: false, embeddings: false }, kvType: null, flashAttention: 'auto',
  }),
  async* complete({ prompt }, signal) {
    const [, count = '1', everyMs = '0'] = WISH.exec(prompt.messages.at(-1).content) ?? [];
    yield* pieces(Number(count), Number(everyMs), signal);
    yield { type: 'finish', reason: signal.aborted ? 'cancelled' : 'stop', usage: { promptTokens: 5, cachedTokens: 0, completionTokens: 4 * Number(count) } };
  },
  embed: async () => { throw new Error('not asked for'); },
  close: async () => {},
};

const node = startNode({
  engine, model, coefficient: 1000, proxies: [{ host, port: Number(port) }], identity: () => identity.current(),
  verifyProxy: createVerifyPeer(member.policy('proxy'), { clock: systemClock }), accounts: unpaidAccounts(identity.publicKey), isTest: true, clock: systemClock, log: silentLog,
  sealing: { sealing, terms: () => ({ globalId: 0, bond: new Address(0, Buffer.alloc(32)), pricePerTokenNano: 0n, paramsVersion: 0 }) },
});
await node.ready;
console.log(JSON.stringify({ ready: true }));
process.once('SIGTERM', async () => {
  identity.close();
  sealing.close();
  await node.close();
});
