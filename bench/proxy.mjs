// `npm run bench:proxy`: paid requests through one proxy process with the ledger on disk, contracts on the local chain and an
// instant engine: requests per second of one core, milliseconds added to a request, memory over 100,000 requests. The proxy has
// a core of its own where taskset and a second core are there; requests per second of CPU time hold whatever else runs.
import { spawn, spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import '../test/contracts/ts-hooks.mjs';

const { person, PaidNetwork, TON } = await import('../test/proxy/paid/fixture.ts');
const { describeLocalnet } = await import('../src/localnet/network.ts');
const { localnetLayout } = await import('../src/localnet/layout.ts');

const VERSION = '0.0.0-bench';
const SOAK = Number(process.env.COCOON_BENCH_REQUESTS ?? 100_000);
/** A folder for a CPU profile of the proxy; nothing else is as fast then. */
const PROFILE = process.env.COCOON_BENCH_PROFILE;
const file = (name) => fileURLToPath(new URL(`lib/${name}.mjs`, import.meta.url));
const verdict = (met) => (met ? 'met' : 'MISSED');
const pinned = availableParallelism() > 1 && spawnSync('taskset', ['-V']).status === 0;
const children = [];

/** Starts a process; `ask` sends one message and gives the answer. */
async function start(name, argument, core, flags = []) {
  const args = [...flags, file(name), JSON.stringify(argument)];
  const [command, all] = pinned ? ['taskset', ['-c', core, process.execPath, ...args]] : [process.execPath, args];
  const env = { ...process.env };
  delete env.COCOON_TS_HOOKS; // each process registers its own
  const child = spawn(command, all, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], serialization: 'advanced', env });
  children.push(child);
  const next = () => new Promise((resolve, reject) => {
    const gone = (code) => reject(new Error(`${name} ended with ${code}`));
    child.once('exit', gone);
    child.once('message', (message) => {
      child.off('exit', gone);
      resolve(message);
    });
  });
  await next();
  return { child, ask: (message) => { child.send(message); return next(); } };
}

const rest = pinned ? `1-${availableParallelism() - 1}` : '';
const network = await PaidNetwork.start();
try {
  await describeLocalnet(localnetLayout(network.home), VERSION);
  await network.stake();
  const client = person(40);
  await network.deposit(client, 20n * TON);
  const common = { home: network.home, version: VERSION };
  const proxy = await start('paid-proxy', {
    ...common, endpoint: network.chain.endpoint, root: network.rootAddress.toString(), owner: network.proxyOwner.wallet.address.toString(), paymentSeed: 77, hotSeed: 3, globalId: -4711,
  }, '0', ['--expose-gc', ...(PROFILE === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', PROFILE])]);
  await start('paid-node', common, rest);
  const clients = await start('paid-clients', { ...common, owner: client.wallet.address.toString({ bounceable: false, testOnly: true }) }, rest);

  const measure = async (work) => {
    const before = await proxy.ask('cpu');
    const result = await clients.ask(work);
    const { cpu } = await proxy.ask('cpu');
    const cpuSeconds = (cpu.user + cpu.system - before.cpu.user - before.cpu.system) / 1e6;
    return { ...result, perSecond: result.count / result.seconds, perCpuSecond: result.count / cpuSeconds };
  };
  const line = (label, { perSecond, perCpuSecond, medianMs, p99Ms }) =>
    `${label}: ${perSecond.toFixed(0)} paid requests/s, ${perCpuSecond.toFixed(0)} per second of the proxy's CPU, median ${medianMs.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms`;

  // Warms everything up, and makes all connections: handshakes are not what is measured.
  await clients.ask({ connections: 300, requests: 6_000, everyMs: 0 });
  await clients.ask({ connections: 30, requests: 9_000, everyMs: 0, answer: 'streamed' });
  const best = [];
  for (const answer of ['whole', 'streamed']) {
    for (const [connections, requests] of [[1, 500], [30, 3_000], [300, 4_000]]) {
      const result = await measure({ connections, requests, everyMs: 0, answer });
      if (result.free > 0) throw new Error(`${result.free} requests were not paid`);
      if (connections >= 30 && answer === 'whole') best.push(result.perCpuSecond);
      console.log(line(`${answer.padEnd(8)} ${String(connections).padStart(3)} connection${connections === 1 ? ' ' : 's'}`, result));
    }
  }
  console.log(`             target at least 2000 paid requests per second and core, answers whole: ${verdict(Math.max(...best) >= 2_000)}`);

  const paced = await measure({ connections: 30, requests: 3_000, everyMs: 200 });
  console.log(`added        30 connections, ${paced.perSecond.toFixed(0)} requests/s: median ${paced.medianMs.toFixed(2)} ms, of it ${paced.addedMs.toFixed(2)} ms outside the node (target at most 3: ${verdict(paced.addedMs <= 3)})`);

  const sizes = [];
  const STEPS = 10;
  for (let step = 0; step <= STEPS; step += 1) {
    if (step > 0) await clients.ask({ connections: 30, requests: Math.round(SOAK / STEPS), everyMs: 0 });
    const { memory } = await proxy.ask('memory');
    sizes.push(memory.heapUsed + memory.external);
  }
  const MB = (bytes) => (bytes / 2 ** 20).toFixed(1);
  const growth = (sizes.at(-1) - sizes[2]) / 2 ** 20;
  console.log(`memory       ${SOAK} requests: heap and buffers after a collection, MB: ${sizes.map(MB).join(' ')} (target: at most 5 MB more after the first fifth: ${verdict(growth <= 5)})`);
  const { money } = await proxy.ask('cpu');
  const [instance] = money.instances ?? [];
  if (instance !== undefined) console.log(`money        ${JSON.stringify(instance, (_, value) => (typeof value === 'bigint' ? String(value) : value)).slice(0, 400)}`);
} finally {
  for (const child of children.reverse()) {
    if (child.exitCode !== null) continue;
    const gone = new Promise((resolve) => { child.once('exit', resolve); });
    child.kill('SIGTERM');
    await gone;
  }
  await network.close();
}
