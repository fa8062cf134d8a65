// A process of clients: connections that ask one after the other, as fast as answers come or at a pace.
import '../../test/contracts/ts-hooks.mjs';

const src = (path) => import(new URL(`../../src/${path}`, import.meta.url).href);
const { systemClock } = await src('core/clock.ts');
const { connectToProxy } = await src('client/connect.ts');
const { unpaidAccounts } = await src('client/accounts.ts');
const { joinAsClient } = await src('localnet/membership.ts');
const { createTlsIdentity } = await src('tee/tls-identity.ts');
const { createVerifyPeer } = await src('tee/verify-peer.ts');
const { encodeBoxed } = await src('wire/tl/codec.ts');

const { home, owner } = JSON.parse(process.argv[2]);
const member = await joinAsClient(home);
const [host, port] = member.description.proxy.clients.split(':');
const identity = await createTlsIdentity({ clock: systemClock, evidence: () => ({ family: 'none' }) });
const verifyProxy = createVerifyPeer(member.policy('proxy'), { clock: systemClock });
const sessions = [];
function queryOf(streamed) {
  const payload = Buffer.from(JSON.stringify({
    model: 'instant', messages: [{ role: 'user', content: 'What is the capital of France? Answer in one word.' }],
    ...(streamed && { stream: true, stream_options: { include_usage: true } }), max_tokens: 16, max_completion_tokens: 16,
  }));
  return encodeBoxed({
    _: 'http.request', method: 'POST', url: '/v1/chat/completions', http_version: 'HTTP/1.1',
    headers: [{ _: 'http.header', name: 'Content-Type', value: 'application/json' }, { _: 'http.header', name: 'Content-Length', value: String(payload.length) }], payload,
  });
}
/** Whole: the answer as one document. Streamed: in six events, each on its own. */
const queries = { whole: queryOf(false), streamed: queryOf(true) };
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

async function connect(count) {
  while (sessions.length < count) {
    const { session } = await connectToProxy({
      proxies: [{ host, port: Number(port) }], identity: identity.current(), verifyProxy, isTest: true, timeoutMs: 30_000, signal: new AbortController().signal,
      accounts: { ...unpaidAccounts(identity.publicKey), ownerAddress: owner },
    });
    sessions.push(session);
  }
}

/** One request: how long it took, and of that the node. */
async function ask(session, query) {
  const startedMs = performance.now();
  for await (const event of session.ask({ model: 'instant', query, maxCoefficient: 1_000, maxTokens: 16, timeoutMs: 60_000 })) {
    if (event.kind === 'end') return { totalMs: performance.now() - startedMs, nodeMs: (event.info.workerTimes.endedAt - event.info.workerTimes.startedAt) * 1000, tokens: event.info.tokens.total };
  }
  throw new Error('no end');
}

process.on('message', async ({ connections, requests, everyMs, answer = 'whole' }) => {
  await connect(connections);
  let left = requests;
  const results = [];
  const startedMs = performance.now();
  await Promise.all(sessions.slice(0, connections).map(async (session, index) => {
    // Paced connections are spread over the interval.
    if (everyMs > 0) await new Promise((resolve) => setTimeout(resolve, (index * everyMs) / connections));
    while (left > 0) {
      left -= 1;
      const dueMs = performance.now() + everyMs;
      results.push(await ask(session, queries[answer]));
      const waitMs = dueMs - performance.now();
      if (everyMs > 0 && waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }));
  const seconds = (performance.now() - startedMs) / 1000;
  process.send({
    seconds, count: results.length, medianMs: median(results.map(({ totalMs }) => totalMs)), addedMs: median(results.map(({ totalMs, nodeMs }) => totalMs - nodeMs)),
    p99Ms: results.map(({ totalMs }) => totalMs).toSorted((a, b) => a - b)[Math.floor(results.length * 0.99)], free: results.filter(({ tokens }) => tokens === 0n).length,
  });
});
process.send('ready');
process.once('disconnect', () => process.exit());
