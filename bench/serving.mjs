// `npm run bench`: start-up, one stream through the network beside the engine alone, and requests per second through
// the proxy with an engine that answers at once. Ratios come from one run, the sides taking turns.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { askChat } from '../dist/client/chat.js';
import { silentLog } from '../dist/core/log.js';
import { loadLlamaEngine } from '../dist/node/llama-engine.js';
import { benchNetwork, COCOON } from './lib/network.mjs';

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const verdict = (met) => (met ? 'met' : 'MISSED');
const MODEL = fileURLToPath(new URL('../models/cocoon-tiny-q8_0.gguf', import.meta.url));
/** The longest answers the bundled model gives. */
const QUESTION = 'Please tell me a little story about a dragonfly and a fox';
const SAMPLING = { maxTokens: 256, temperature: 1, topP: 1 };

function startup() {
  const time = (args) => {
    const startedMs = performance.now();
    spawnSync(process.execPath, args);
    return performance.now() - startedMs;
  };
  const bare = [];
  const cocoon = [];
  for (let i = 0; i < 21; i += 1) {
    bare.push(time(['-e', '0']));
    cocoon.push(time([COCOON, '--version']));
  }
  const ratio = median(cocoon) / median(bare);
  console.log(`start-up      node -e 0: ${median(bare).toFixed(0)} ms   cocoon --version: ${median(cocoon).toFixed(0)} ms   ratio ${ratio.toFixed(2)} (target at most 2: ${verdict(ratio <= 2)})`);
}

/** First text and speed after it of one answer; `pieces` yields texts and returns the count of tokens. */
async function timeStream(pieces) {
  const startedMs = performance.now();
  let firstMs;
  for (;;) {
    const next = await pieces.next();
    if (next.done) {
      const totalMs = performance.now() - startedMs;
      return { firstMs, tokensPerSecond: (next.value - 1) / ((totalMs - firstMs) / 1000), tokens: next.value };
    }
    firstMs ??= performance.now() - startedMs;
  }
}

async function* direct(engine, seed) {
  const prompt = { kind: 'chat', messages: [{ role: 'user', content: QUESTION }] };
  for await (const event of engine.complete({ ...SAMPLING, seed, prompt }, new AbortController().signal)) {
    if (event.type === 'text') yield event.text;
    else return event.usage.completionTokens;
  }
}

async function* throughNetwork(session, seed) {
  const stream = askChat(session, { model: 'cocoon-tiny', prompt: QUESTION, seed, ...SAMPLING }, { timeoutMs: 60_000, maxCoefficient: 4000, signal: new AbortController().signal });
  for (;;) {
    const next = await stream.next();
    if (next.done) return next.value.usage.completionTokens;
    yield next.value;
  }
}

async function oneStream(network) {
  await network.startNode('--threads', '1', '--parallel', '4');
  const session = await network.connect();
  const engine = await loadLlamaEngine({ modelPath: MODEL, model: 'cocoon-tiny', gpu: 'off', parallel: 4, threads: 1, log: silentLog });
  const alone = [];
  const routed = [];
  const ROUNDS = 41;
  for (let seed = 0; seed < ROUNDS + 5; seed += 1) {
    const a = await timeStream(direct(engine, seed));
    const b = await timeStream(throughNetwork(session, seed));
    if (a.tokens !== b.tokens) throw new Error(`seed ${seed}: ${a.tokens} tokens from the engine, ${b.tokens} through the network`);
    if (seed >= 5) { // the first rounds warm both sides up
      alone.push(a);
      routed.push(b);
    }
  }
  await engine.close();
  session.close();
  const first = { alone: median(alone.map(({ firstMs }) => firstMs)), routed: median(routed.map(({ firstMs }) => firstMs)) };
  const speed = { alone: median(alone.map((r) => r.tokensPerSecond)), routed: median(routed.map((r) => r.tokensPerSecond)) };
  const added = first.routed - first.alone;
  const ratio = speed.routed / speed.alone;
  console.log(`first token   engine alone: ${first.alone.toFixed(1)} ms   through the network: ${first.routed.toFixed(1)} ms   added ${added.toFixed(1)} ms (target at most 15: ${verdict(added <= 15)})`);
  console.log(`one stream    engine alone: ${speed.alone.toFixed(0)} tokens/s   through the network: ${speed.routed.toFixed(0)} tokens/s   ratio ${ratio.toFixed(2)} (target at least 0.97: ${verdict(ratio >= 0.97)})`);
}

async function requestsPerSecond(network) {
  await network.startInstantNode();
  for (const connections of [1, 30]) {
    const sessions = await Promise.all(Array.from({ length: connections }, () => network.connect()));
    const ask = async (session) => {
      const stream = askChat(session, { model: 'instant', prompt: 'hello', maxTokens: 16 }, { timeoutMs: 60_000, maxCoefficient: 4000, signal: new AbortController().signal });
      for (;;) {
        if ((await stream.next()).done) return;
      }
    };
    const loop = async (session, untilMs) => {
      const latencies = [];
      while (performance.now() < untilMs) {
        const startedMs = performance.now();
        await ask(session);
        latencies.push(performance.now() - startedMs);
      }
      return latencies;
    };
    await Promise.all(sessions.map((session) => loop(session, performance.now() + 1_000)));
    const SECONDS = 5;
    const latencies = (await Promise.all(sessions.map((session) => loop(session, performance.now() + SECONDS * 1_000)))).flat();
    console.log(`requests      ${String(connections).padStart(2)} connection${connections === 1 ? ' ' : 's'}: ${(latencies.length / SECONDS).toFixed(0)} requests/s, median ${median(latencies).toFixed(1)} ms, p99 ${latencies.toSorted((a, b) => a - b)[Math.floor(latencies.length * 0.99)].toFixed(1)} ms`);
    for (const session of sessions) session.close();
  }
}

startup();
const network = await benchNetwork();
try {
  await oneStream(network);
  await requestsPerSecond(network);
} finally {
  await network.stop();
}
