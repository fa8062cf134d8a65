// `npm run bench:client` (after `npm run build`): what sealing adds to the first token and takes from the throughput, how long a client
// takes from its start to the first verified answer, and `cocoon serve` under 30 and 300 requests at once. Sealed and plain requests
// take turns in one run over the same proxy and node; what others used of the machine meanwhile is told.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Agent, fetch } from 'undici';
import { createConnector } from '../dist/client/connect.js';
import { askChat } from '../dist/client/chat.js';
import { throughSession } from '../dist/client/one-session.js';
import { unpaidAccounts } from '../dist/client/accounts.js';
import { systemClock } from '../dist/core/clock.js';
import { joinAsClient } from '../dist/localnet/membership.js';
import { createTlsIdentity } from '../dist/tee/tls-identity.js';
import { createVerifyPeer } from '../dist/tee/verify-peer.js';
import { cpuMs, machineCpuMs } from './lib/cpu.mjs';
import { benchNetwork, COCOON } from './lib/network.mjs';

const SIDES = ['plain', 'sealed'];
const quantile = (values, share) => values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))];
const median = (values) => quantile(values, 0.5);
const sum = (values) => values.reduce((total, value) => total + value, 0);
const verdict = (met) => (met ? 'met' : 'MISSED');

/** One answer; milliseconds to its first text and its end. */
async function timed(connected, prompt, maxTokens) {
  const startedMs = performance.now();
  const stream = askChat(throughSession(connected), { model: 'paced', prompt, maxTokens }, { timeoutMs: 60_000, maxCoefficient: 4000, signal: new AbortController().signal });
  let firstMs;
  for (;;) {
    const next = await stream.next();
    if (next.done) return { firstMs, totalMs: performance.now() - startedMs, tokens: next.value.usage.completionTokens, sealed: next.value.proof !== null };
    firstMs ??= performance.now() - startedMs;
  }
}

async function connect(home, mode) {
  const member = await joinAsClient(home);
  const identity = await createTlsIdentity({ clock: systemClock, evidence: () => ({ family: 'none' }) });
  identity.close();
  const [host, port] = member.description.proxy.clients.split(':');
  const connector = createConnector({
    proxies: [{ host, port: Number(port) }], identity: identity.current(), verifyProxy: createVerifyPeer(member.policy('proxy'), { clock: systemClock }),
    accounts: unpaidAccounts(identity.publicKey), isTest: true,
    seal: { mode, verifyNode: createVerifyPeer(member.policy('worker'), { clock: systemClock }), root: '', clock: systemClock },
  });
  return connector.connect({ timeoutMs: 30_000, signal: new AbortController().signal });
}

async function firstToken(sessions) {
  const first = { plain: [], sealed: [] };
  const cpu = { plain: 0, sealed: 0 };
  const ROUNDS = 300;
  for (let round = 0; round < ROUNDS + 40; round += 1) {
    for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed()) {
      const before = process.cpuUsage();
      const { firstMs, sealed } = await timed(sessions[side], 'pace 1 0', 16);
      if (sealed !== (side === 'sealed')) throw new Error(`a ${side} request was ${sealed ? 'sealed' : 'plain'}`);
      if (round < 40) continue;
      const used = process.cpuUsage(before);
      cpu[side] += (used.user + used.system) / 1000;
      first[side].push(firstMs);
    }
  }
  // Pairs: what the machine did meanwhile met both.
  const added = median(first.sealed.map((ms, index) => ms - first.plain[index]));
  console.log(`first token   plain ${median(first.plain).toFixed(2)} ms, sealed ${median(first.sealed).toFixed(2)} ms (p99 ${quantile(first.plain, 0.99).toFixed(1)} and ${quantile(first.sealed, 0.99).toFixed(1)}); sealing adds ${added.toFixed(2)} ms, the middle of ${ROUNDS} pairs (target at most 2: ${verdict(added <= 2)})`);
  console.log(`client's CPU  ${(cpu.plain / ROUNDS).toFixed(2)} ms a plain request, ${(cpu.sealed / ROUNDS).toFixed(2)} ms a sealed one`);
}

async function throughput(sessions, pids) {
  const STREAMS = 16;
  const [pieces, everyMs] = [100, 20]; // four tokens each 20 ms: 200 tokens a second and stream
  const rates = { plain: [], sealed: [] };
  const cpu = { plain: 0, sealed: 0 };
  for (let round = 0; round < 6; round += 1) {
    for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed()) {
      const before = sum(pids.map(cpuMs));
      const runs = await Promise.all(Array.from({ length: STREAMS }, () => timed(sessions[side], `pace ${pieces} ${everyMs}`, 1000)));
      if (round === 0) continue;
      cpu[side] += sum(pids.map(cpuMs)) - before;
      rates[side].push(sum(runs.map(({ tokens, totalMs }) => tokens / (totalMs / 1000))));
    }
  }
  const ratio = median(rates.sealed.map((rate, index) => rate / rates.plain[index]));
  console.log(`throughput    ${STREAMS} streams of 200 tokens/s: plain ${median(rates.plain).toFixed(0)} tokens/s, sealed ${median(rates.sealed).toFixed(0)} tokens/s, ratio ${ratio.toFixed(3)} (target at least 0.97: ${verdict(ratio >= 0.97)}); CPU of all processes sealed/plain ${(cpu.sealed / cpu.plain).toFixed(2)}`);
}

/** Without a pace the processors are the limit: what sealing costs there. */
async function flatOut(sessions, pids) {
  const perToken = { plain: [], sealed: [] };
  for (let round = 0; round < 7; round += 1) {
    for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed()) {
      const before = sum(pids.map(cpuMs));
      const runs = await Promise.all(Array.from({ length: 16 }, () => timed(sessions[side], 'pace 200 0', 2000)));
      if (round > 0) perToken[side].push((sum(pids.map(cpuMs)) - before) / sum(runs.map(({ tokens }) => tokens)));
    }
  }
  console.log(`flat out      CPU of client, proxy and node in 1000 tokens: plain ${(median(perToken.plain) * 1000).toFixed(1)} ms, sealed ${(median(perToken.sealed) * 1000).toFixed(1)} ms`);
}

const started = [];

function start(home, args) {
  const child = spawn(process.execPath, [COCOON, ...args], { env: { ...process.env, COCOON_HOME: home, COCOON_JSON: 'true', COCOON_QUIET: 'true' }, stdio: ['ignore', 'pipe', 'inherit'] });
  started.push(child);
  const line = new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once('line', resolve);
    child.once('exit', (code) => { if (code !== 0) reject(new Error(`cocoon ${args[0]} ended with ${code}`)); });
  });
  return { child, line };
}

const stop = async (child) => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => { child.once('exit', resolve); });
  child.kill('SIGTERM');
  await gone;
};

const bodyOf = (prompt, stream) => JSON.stringify({ model: 'paced', messages: [{ role: 'user', content: prompt }], stream, max_tokens: 2000 });

async function answer(url, prompt, dispatcher) {
  const startedMs = performance.now();
  const response = await fetch(`${url}/chat/completions`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: bodyOf(prompt, true), dispatcher });
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`);
  let firstMs;
  let text = '';
  for await (const bytes of response.body) {
    firstMs ??= performance.now() - startedMs;
    text = (text + Buffer.from(bytes).toString('utf8')).slice(-200);
  }
  if (!text.endsWith('data: [DONE]\n\n')) throw new Error('an answer is not complete');
  return { firstMs, totalMs: performance.now() - startedMs };
}

async function coldAndWarm(home, seal) {
  const cold = [];
  for (let run = 0; run < 5; run += 1) {
    const startedMs = performance.now();
    const { child, line } = start(home, ['infer', '--model', 'paced', '--seal', seal, 'pace 1 0']);
    await line;
    cold.push(performance.now() - startedMs);
    await stop(child);
  }
  return median(cold);
}

async function serving(network) {
  const sides = {};
  for (const side of SIDES) {
    const startedMs = performance.now();
    const { child, line } = start(network.home, ['serve', '--listen', `127.0.0.1:${side === 'plain' ? 10_451 : 10_452}`, '--seal', side === 'plain' ? 'off' : 'require', '--run-file', `${network.home}/serve-${side}.json`]);
    const ready = JSON.parse(await line);
    const url = (ready.data ?? ready).url;
    const dispatcher = new Agent({ connections: 512, pipelining: 1 });
    await answer(url, 'pace 1 0', dispatcher);
    sides[side] = { child, url, dispatcher, coldServeMs: performance.now() - startedMs };
  }
  for (const side of SIDES) {
    const { url, dispatcher, coldServeMs } = sides[side];
    const warm = [];
    for (let at = 0; at < 60; at += 1) warm.push((await answer(url, 'pace 1 0', dispatcher)).firstMs);
    const infer = await coldAndWarm(network.home, side === 'plain' ? 'off' : 'require');
    console.log(`${side.padEnd(13)} cold: \`infer\` from its start to its end ${infer.toFixed(0)} ms, \`serve\` from its start to the first verified answer ${coldServeMs.toFixed(0)} ms; warm: first byte ${median(warm.slice(20)).toFixed(2)} ms`);
  }
  for (const parallel of [30, 300]) {
    const results = { plain: [], sealed: [] };
    const cpu = { plain: 0, sealed: 0 };
    for (let round = 0; round < 4; round += 1) {
      for (const side of round % 2 === 0 ? SIDES : SIDES.toReversed()) {
        const { url, dispatcher, child } = sides[side];
        const before = cpuMs(child.pid);
        const runs = await Promise.all(Array.from({ length: parallel }, () => answer(url, 'pace 20 20', dispatcher)));
        if (round === 0) continue;
        cpu[side] += cpuMs(child.pid) - before;
        results[side].push(...runs);
      }
    }
    for (const side of SIDES) {
      const first = results[side].map(({ firstMs }) => firstMs);
      const total = results[side].map(({ totalMs }) => totalMs);
      console.log(`${String(parallel).padStart(3)} at once   ${side}: first byte median ${median(first).toFixed(0)} ms, p99 ${quantile(first, 0.99).toFixed(0)} ms; answers of 400 ms took ${median(total).toFixed(0)} ms, p99 ${quantile(total, 0.99).toFixed(0)} ms; CPU of serve ${(cpu[side] / results[side].length).toFixed(2)} ms a request; all ${results[side].length} complete`);
    }
  }
  for (const side of SIDES) await sides[side].dispatcher.close();
}

const network = await benchNetwork();
try {
  const { child: node } = await network.startPacedNode();
  const sessions = { plain: await connect(network.home, 'off'), sealed: await connect(network.home, 'require') };
  const pids = [process.pid, network.proxyPid, node.pid];
  const before = { ownMs: sum(pids.map(cpuMs)), machineMs: machineCpuMs(), startedMs: performance.now() };
  await firstToken(sessions);
  await throughput(sessions, pids);
  await flatOut(sessions, pids);
  const elapsedMs = performance.now() - before.startedMs;
  console.log(`others        used ${((machineCpuMs() - before.machineMs - (sum(pids.map(cpuMs)) - before.ownMs)) / elapsedMs).toFixed(2)} cores meanwhile`);
  for (const side of SIDES) sessions[side].session.close();
  await serving(network);
} finally {
  for (const child of started) await stop(child);
  await network.stop();
}
