// `npm run demo`: a whole network on this machine in a folder of its own, one question, what was verified, and nothing left behind.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cocoon = fileURLToPath(new URL('../bin/cocoon', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'cocoon-demo-'));
const env = { ...process.env, COCOON_HOME: home };
const QUESTION = 'Tell me the three roles in the network';

/** Runs one command, shows it as a terminal would, and returns its output; throws when it fails. */
function run(args, { show = true } = {}) {
  if (show) console.log(`\n$ cocoon ${args.map((arg) => (/^[\w./-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(' ')}`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [cocoon, ...args], { env, encoding: 'utf8' });
  if (show || status !== 0) process.stdout.write(stderr + stdout);
  if (status !== 0) throw new Error(`cocoon ${args[0]} ended with exit code ${status}`);
  return stdout;
}

const startedMs = performance.now();
try {
  run(['localnet', 'start', '--detach']);
  run(['models', 'list']);
  run(['infer', '--temperature', '0', QUESTION]);

  const { data } = JSON.parse(run(['--json', 'infer', '--temperature', '0', QUESTION], { show: false }));
  console.log(`
What was verified before the question was sent (${data.proxy.evidence} evidence: only the TEE of a local network is simulated):`);
  for (const { name, detail } of data.proxy.checks) console.log(`  pass  ${name.padEnd(20)} ${detail}`);
  const { firstTextMs, totalMs } = data.timing;
  console.log(`
The same question again as a script would ask it: first text after ${firstTextMs.toFixed(0)} ms, ${data.usage.completionTokens} tokens after ${totalMs.toFixed(0)} ms.`);
} catch (error) {
  console.error(`\ndemo: ${error.message}`);
  process.exitCode = 1;
} finally {
  try {
    run(['localnet', 'stop']);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  console.log(`\nDone in ${((performance.now() - startedMs) / 1000).toFixed(1)} s; nothing is left behind.`);
}
