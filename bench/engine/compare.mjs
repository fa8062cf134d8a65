// The engine behind the node's own handlers beside llama.cpp's server, on the same model file, threads and
// parallelism, both over HTTP on loopback, asked in turns. LLAMA_SERVER names llama.cpp's program. MODEL: another GGUF file than the one of random weights. THREADS, ROUNDS, STREAMS (1,4,16).
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Pool } from 'undici';
import { machineCpuMs, cpuMs } from '../lib/cpu.mjs';
import { writeRandomGguf } from './random-gguf.mjs';

const { LLAMA_SERVER, THREADS = '1', ROUNDS = '7', STREAMS = '1,4,16' } = process.env;
const vocabulary = fileURLToPath(new URL('../../models/cocoon-tiny-q8_0.gguf', import.meta.url));
const CONTEXT = 1024;
/** Tokens of an answer; more of them where one stream alone is quick. */
const GENERATED = 48;
const GENERATED_ALONE = 144;
/** Requests under load, and how long an answer is that outlasts them. */
const PROBES = 3;
const UNTIL_PROBED = 80;
/** Turns of a conversation after its first. */
const LATER_TURNS = 5;
const sorted = (values) => values.toSorted((a, b) => a - b);
const median = (values) => {
  const half = values.length / 2;
  const ordered = sorted(values);
  return (ordered[Math.ceil(half) - 1] + ordered[Math.floor(half)]) / 2;
};
const verdict = (met) => (met ? 'met' : 'MISSED');

const MODEL = process.env.MODEL ?? join(tmpdir(), 'cocoon-bench-random-85m.gguf');
if (process.env.MODEL === undefined) writeRandomGguf(MODEL, vocabulary);

const freePort = () => new Promise((resolve) => {
  const probe = createServer().listen(0, '127.0.0.1', () => {
    const { port } = probe.address();
    probe.close(() => resolve(port));
  });
});

async function startTheirs(parallel) {
  const port = await freePort();
  const child = spawn(LLAMA_SERVER, [
    '-m', MODEL, '-t', THREADS, '-tb', THREADS, '-np', String(parallel), '-c', String(CONTEXT * parallel), '-ngl', '0', '--host', '127.0.0.1', '--port', String(port),
    '--alias', 'bench', '--no-webui', '--no-warmup',
  ], { stdio: 'ignore' });
  const pool = new Pool(`http://127.0.0.1:${port}`, { connections: 64 });
  for (;;) {
    const ready = await pool.request({ path: '/health', method: 'GET' }).then(async ({ statusCode, body }) => { await body.dump(); return statusCode === 200; }, () => false);
    if (ready) break;
    if (child.exitCode !== null) throw new Error('llama.cpp\'s server did not start');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return { ...THEIRS, pool, pids: [child.pid], stop: () => child.kill('SIGTERM') };
}

async function startOurs(parallel) {
  const load = { modelPath: MODEL, model: 'bench', gpu: 'off', contextSize: CONTEXT, parallel, threads: Number(THREADS), queueLimit: 64 };
  const child = spawn(process.execPath, [fileURLToPath(new URL('./engine-server.mjs', import.meta.url)), JSON.stringify(load)], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [port, engine] = (await new Promise((resolve) => child.stdout.once('data', (bytes) => resolve(String(bytes))))).trim().split(' ').map(Number);
  return { ...OURS, pool: new Pool(`http://127.0.0.1:${port}`, { connections: 64 }), pids: [child.pid, engine], stop: () => child.kill('SIGTERM') };
}

const WORDS = 'one two three the cat house red blue day night water bread small big yes no hello name sun moon'.split(' ');
let drawn = 7;
/** Words that no request before had in this order. */
function prompt(words) {
  return Array.from({ length: words }, () => {
    drawn = (Math.imul(drawn, 1_103_515_245) + 12_345) >>> 0;
    return WORDS[(drawn >>> 8) % WORDS.length];
  }).join(' ');
}

/** One streamed completion: when its first text and its end came, and what it was counted. `begun` hears of its first text. */
async function ask(side, text, maxTokens, begun = () => undefined) {
  const startedMs = performance.now();
  const { statusCode, body } = await side.pool.request({
    path: side.path, method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(side.body(text, maxTokens)),
  });
  let all = '';
  let firstMs = null;
  for await (const part of body.setEncoding('utf8')) {
    all += part;
    if (firstMs !== null || !side.hasText.test(all)) continue;
    firstMs = performance.now() - startedMs;
    begun();
  }
  const totalMs = performance.now() - startedMs;
  const events = all.split('\n\n').filter((event) => event.startsWith('data: {')).map((event) => JSON.parse(event.slice(6)));
  const counted = statusCode === 200 ? side.read(events) : null;
  if (counted === null) throw new Error(`an answer without its counts: ${all.slice(-300)}`);
  return { firstMs: firstMs ?? totalMs, totalMs, ...counted };
}

/** llama.cpp's own endpoint: its OpenAI ones refuse noise that is not text. */
const THEIRS = {
  path: '/completion', hasText: /"content":"[^"]/,
  body: (prompt, maxTokens) => ({ prompt, n_predict: maxTokens, temperature: 0, stream: true, cache_prompt: true }),
  read(events) {
    const last = events.findLast(({ stop }) => stop);
    return last === undefined ? null : { answer: events.map(({ content }) => content ?? '').join(''), prompt: last.tokens_evaluated, tokens: last.tokens_predicted };
  },
};
const OURS = {
  path: '/v1/completions', hasText: /"text":"[^"]/,
  body: (prompt, maxTokens) => ({ model: 'bench', prompt, max_tokens: maxTokens, temperature: 0, stream: true, stream_options: { include_usage: true } }),
  read(events) {
    const usage = events.findLast((event) => event.usage)?.usage;
    return usage === undefined ? null : { answer: events.map(({ choices }) => choices[0]?.text ?? '').join(''), prompt: usage.prompt_tokens, tokens: usage.completion_tokens };
  },
};

/** Tokens of prompts and answers together. */
const workOf = (answers) => answers.reduce((sum, { prompt, tokens }) => ({ prompt: sum.prompt + prompt, tokens: sum.tokens + tokens }), { prompt: 0, tokens: 0 });

/** Tokens a second of all streams together, and the median of their first tokens. */
async function decode(side, texts) {
  const startedMs = performance.now();
  const answers = await Promise.all(texts.map((text) => ask(side, text, texts.length === 1 ? GENERATED_ALONE : GENERATED)));
  const elapsed = performance.now() - startedMs;
  const { prompt, tokens } = workOf(answers);
  return { speed: tokens / elapsed * 1000, first: median(answers.map(({ firstMs }) => firstMs)), work: `${prompt} + ${tokens}` };
}

async function prefill(side, texts) {
  const startedMs = performance.now();
  const answers = await Promise.all(texts.map((text) => ask(side, text, 1)));
  const elapsed = performance.now() - startedMs;
  const { prompt, tokens } = workOf(answers);
  return { speed: prompt / elapsed * 1000, work: `${prompt} + ${tokens}` };
}

/** First token of requests that come one after the other while the other streams are generating, each behind its own prompt. */
async function underLoad(side, texts) {
  let over = 0;
  const begun = [];
  const running = texts.slice(PROBES).map((text) => {
    const { promise, resolve } = withResolvers();
    begun.push(promise);
    return ask(side, text, UNTIL_PROBED, resolve).finally(() => { over += 1; });
  });
  await Promise.race([Promise.all(begun), Promise.all(running)]);
  const firsts = [];
  for (const text of texts.slice(0, PROBES)) firsts.push((await ask(side, text, 2)).firstMs);
  if (over > 0) throw new Error('the streams that were the load ended before the last request was answered');
  await Promise.all(running);
  return { first: median(firsts) };
}

/** First token of the turns of a conversation that follow its first one: the prompt is what was said, and little more. */
async function laterTurns(side, texts) {
  let [said] = texts;
  const firsts = [];
  for (let turn = 0; turn <= LATER_TURNS; turn += 1) {
    const { answer, firstMs } = await ask(side, said, 16);
    if (turn > 0) firsts.push(firstMs);
    said = `${said}${answer} and then`;
  }
  return { first: median(firsts) };
}

function withResolvers() {
  let resolve;
  const promise = new Promise((done) => { resolve = done; });
  return { promise, resolve };
}

const cpuOf = ({ pids }) => pids.reduce((sum, pid) => sum + cpuMs(pid), 0);

/** The same work for both sides in turns; ratios of each round, ours to theirs. */
async function compare(name, sides, make, work, rounds = Number(ROUNDS)) {
  const runs = { ours: [], theirs: [] };
  for (let round = 0; round <= rounds; round += 1) {
    const texts = make();
    const results = {};
    for (const side of round % 2 === 0 ? ['ours', 'theirs'] : ['theirs', 'ours']) {
      const usedMs = cpuOf(sides[side]);
      results[side] = await work(sides[side], texts);
      results[side].cpu = cpuOf(sides[side]) - usedMs;
    }
    if (results.ours.work !== results.theirs.work) throw new Error(`tokens of prompts and answers differ: ours ${results.ours.work}, llama-server ${results.theirs.work}`);
    if (round === 0) continue; // warm-up
    runs.ours.push(results.ours);
    runs.theirs.push(results.theirs);
  }
  const lines = [];
  for (const what of ['speed', 'first']) {
    if (runs.ours[0][what] === undefined) continue;
    const ratios = runs.ours.map((run, i) => run[what] / runs.theirs[i][what]);
    const ratio = median(ratios);
    const target = what === 'speed' ? 0.95 : name.startsWith('second') ? 1 : 1.05;
    const met = what === 'speed' ? ratio >= target : ratio <= target;
    const unit = what === 'speed' ? 'tokens/s' : 'ms to first';
    lines.push(`${name.padEnd(22)} ${unit.padEnd(11)} ours ${median(runs.ours.map((run) => run[what])).toFixed(0).padStart(6)}  llama-server ${median(runs.theirs.map((run) => run[what])).toFixed(0).padStart(6)}  ratio ${ratio.toFixed(3)} (${sorted(ratios)[0].toFixed(2)}-${sorted(ratios).at(-1).toFixed(2)}; target ${what === 'speed' ? 'at least' : 'at most'} ${target}: ${verdict(met)})`);
  }
  // The same work on both sides: with a busy machine this says more than the clock.
  const cpu = (side) => runs[side].reduce((sum, run) => sum + run.cpu, 0);
  console.log(`${lines.join('\n')}\n${''.padEnd(22)} CPU         ours ${cpu('ours').toFixed(0).padStart(6)}  llama-server ${cpu('theirs').toFixed(0).padStart(6)}  ratio ${(cpu('ours') / cpu('theirs')).toFixed(3)}`);
}

for (const streams of STREAMS.split(',').map(Number)) {
  const sides = { ours: await startOurs(streams), theirs: await startTheirs(streams) };
  const many = (words) => () => Array.from({ length: streams }, () => prompt(words));
  const pids = [process.pid, ...sides.ours.pids, ...sides.theirs.pids];
  const before = { own: pids.reduce((sum, pid) => sum + cpuMs(pid), 0), machine: machineCpuMs(), atMs: performance.now() };
  try {
    await compare(`${streams} streams`, sides, many(64), decode);
    await compare(`${streams} prefill`, sides, many(streams === 1 ? 400 : 200), prefill);
    if (streams > 1) await compare(`${streams} under load`, sides, () => Array.from({ length: streams - 1 + PROBES }, () => prompt(64)), underLoad);
    if (streams === 4) await compare('second turn on', sides, () => [prompt(450)], laterTurns);
    const others = machineCpuMs() - before.machine - (pids.reduce((sum, pid) => sum + cpuMs(pid), 0) - before.own);
    console.log(`                       (others used ${(others / (performance.now() - before.atMs)).toFixed(2)} cores meanwhile)`);
  } finally {
    for (const side of Object.values(sides)) {
      side.stop();
      await side.pool.destroy();
    }
  }
}
