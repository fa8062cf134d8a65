// `npm run bench`: start-up, one stream through the network beside the engine alone, and requests per second through
// the proxy with an engine that answers at once. Ratios come from one run, the sides taking turns; what others used of the
// machine meanwhile is told, because with a busy machine they mean little.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { askChat } from '../dist/client/chat.js';
import { throughSession } from '../dist/client/one-session.js';
import { silentLog } from '../dist/core/log.js';
import { loadLlamaEngine } from '../dist/node/engine/llama-engine.js';
import { cpuMs, machineCpuMs } from './lib/cpu.mjs';
import { benchNetwork, COCOON } from './lib/network.mjs';

const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
const median = (values) => quantile(values, 0.5);
const sum = (values) => values.reduce((total, value) => total + value, 0);
const verdict = (met) => (met ? 'met' : 'MISSED');
const MODEL = fileURLToPath(new URL('../models/cocoon-tiny-q8_0.gguf', import.meta.url));
/** An answer of some 60 tokens, as the model was trained to give them: here the way to the first token and behind the last one counts. */
const SHORT = { prompt: 'Please tell me a little story about a dragonfly and a fox', maxTokens: 256, temperature: 1, topP: 1 };
/** The model never comes to an end here, so that an answer takes about a second: here each token counts. */
const LONG = { prompt: 'Count from 1 to 1000', maxTokens: 900, temperature: 0, topP: 1 };

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

/** One answer: milliseconds to its first text and in all, and tokens per second between. `pieces` yields texts and returns the count of tokens. */
async function timeStream(pieces) {
  const startedMs = performance.now();
  let firstMs;
  for (;;) {
    const next = await pieces.next();
    if (next.done) {
      const totalMs = performance.now() - startedMs;
      return { firstMs, totalMs, tokensPerSecond: (next.value - 1) / ((totalMs - firstMs) / 1000), tokens: next.value };
    }
    firstMs ??= performance.now() - startedMs;
  }
}

async function* direct(engine, { prompt, ...sampling }, seed) {
  const chat = { kind: 'chat', messages: [{ role: 'user', content: prompt }] };
  for await (const event of engine.complete({ ...sampling, seed, prompt: chat }, new AbortController().signal)) {
    if (event.type === 'text') yield event.text;
    else return event.usage.completionTokens;
  }
}

async function* throughNetwork(session, question, seed) {
  const stream = askChat(throughSession({ session }), { model: 'cocoon-tiny', ...question, seed }, { timeoutMs: 60_000, maxCoefficient: 4000, signal: new AbortController().signal });
  for (;;) {
    const next = await stream.next();
    if (next.done) return next.value.usage.completionTokens;
    yield next.value;
  }
}

/** Warm-up, then rounds of both sides with the same question and seed; who goes first changes from round to round. */
async function compare({ warmup, rounds, sides, pids }) {
  const runs = { alone: [], routed: [] };
  for (let seed = 0; seed < warmup + rounds; seed += 1) {
    const round = {};
    for (const side of seed % 2 === 0 ? ['alone', 'routed'] : ['routed', 'alone']) {
      const before = pids.map(cpuMs);
      const run = await timeStream(sides[side](seed));
      round[side] = { ...run, cpuMs: pids.map((pid, i) => cpuMs(pid) - before[i]) };
    }
    const { alone, routed } = round;
    if (alone.tokens !== routed.tokens) throw new Error(`seed ${seed}: ${alone.tokens} tokens from the engine, ${routed.tokens} through the network`);
    if (seed < warmup) continue;
    runs.alone.push(alone);
    runs.routed.push(routed);
  }
  return runs;
}

async function oneStream(network) {
  const { child: node } = await network.startNode('--threads', '1', '--parallel', '4');
  const session = await network.connect();
  const engine = await loadLlamaEngine({ modelPath: MODEL, model: 'cocoon-tiny', gpu: 'off', parallel: 4, threads: 1, log: silentLog });
  const pids = [process.pid, network.proxyPid, node.pid];
  const sidesFor = (question) => ({ alone: (seed) => direct(engine, question, seed), routed: (seed) => throughNetwork(session, question, seed) });

  const short = await compare({ warmup: 10, rounds: 41, sides: sidesFor(SHORT), pids });
  const middle = (side, what) => median(short[side].map((run) => run[what]));
  const added = middle('routed', 'firstMs') - middle('alone', 'firstMs');
  console.log(`first token   engine alone: ${middle('alone', 'firstMs').toFixed(1)} ms   through the network: ${middle('routed', 'firstMs').toFixed(1)} ms   added ${added.toFixed(1)} ms (target at most 15: ${verdict(added <= 15)})`);
  console.log(`short answer  engine alone: ${middle('alone', 'totalMs').toFixed(1)} ms   through the network: ${middle('routed', 'totalMs').toFixed(1)} ms   (${middle('alone', 'tokens')} tokens)`);

  const before = { ownMs: sum(pids.map(cpuMs)), machineMs: machineCpuMs(), startedMs: performance.now() };
  const { alone, routed } = await compare({ warmup: 2, rounds: 15, sides: sidesFor(LONG), pids });
  const elapsedMs = performance.now() - before.startedMs;
  const othersMs = machineCpuMs() - before.machineMs - (sum(pids.map(cpuMs)) - before.ownMs);
  const ratios = routed.map((run, i) => run.tokensPerSecond / alone[i].tokensPerSecond);
  const ratio = median(ratios);
  const speed = (runs) => median(runs.map((run) => run.tokensPerSecond)).toFixed(0);
  const perThousand = (runs, index) => (sum(runs.map((run) => run.cpuMs[index])) / sum(runs.map((run) => run.tokens)) * 1000).toFixed(0);
  console.log(`one stream    engine alone: ${speed(alone)} tokens/s   through the network: ${speed(routed)} tokens/s   ratio ${ratio.toFixed(3)}, middle half ${quantile(ratios, 0.25).toFixed(3)} to ${quantile(ratios, 0.75).toFixed(3)} of ${ratios.length} rounds (target at least 0.97: ${verdict(ratio >= 0.97)})`);
  console.log(`CPU           ms in 1000 tokens, engine alone: ${perThousand(alone, 0)}   through the network: node ${perThousand(routed, 2)}, proxy ${perThousand(routed, 1)}, client ${perThousand(routed, 0)}   (others used ${(othersMs / elapsedMs).toFixed(2)} cores meanwhile)`);
  await engine.close();
  session.close();
}

async function requestsPerSecond(network) {
  await network.startInstantNode();
  for (const connections of [1, 30]) {
    const sessions = await Promise.all(Array.from({ length: connections }, () => network.connect()));
    const ask = async (session) => {
      const stream = askChat(throughSession({ session }), { model: 'instant', prompt: 'hello', maxTokens: 16 }, { timeoutMs: 60_000, maxCoefficient: 4000, signal: new AbortController().signal });
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
