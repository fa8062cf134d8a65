// `npm run demo`: a whole network on this machine in a folder of its own, with its chain and its contracts: a deposit, a few
// questions, the charge, the payout and its claim, every balance before and after, and all TON accounted for to the last nanoTON.
// Nothing is left behind. Ends with exit code 1 when the sums do not match.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Address } from '@ton/core';
import { createTonAccess } from '../dist/chain/access/access.js';
import { formatTon } from '../dist/core/units.js';

const cocoon = fileURLToPath(new URL('../bin/cocoon', import.meta.url));
const home = mkdtempSync(join(tmpdir(), 'cocoon-demo-'));
// A charge is delivered from this amount on; the default is more than a few questions cost.
const env = { ...process.env, COCOON_HOME: home, COCOON_PROXY_CHARGE_FROM: '0.01' };
const QUESTIONS = ['Tell me the three roles in the network', 'What does a proxy do?', 'Tell me the three roles in the network', 'Who runs the models?'];
/** All TON of a new local chain. */
const SUPPLY_NANO = 10n ** 18n;
const WAIT_MS = 60_000;

const ton = (nano) => `${formatTon(nano)} TON`;

/** Runs one command, shows it as a terminal would, and returns its output; throws when it fails. */
function run(args, { show = true } = {}) {
  if (show) console.log(`\n$ cocoon ${args.map((arg) => (/^[\w./-]+$/.test(arg) ? arg : JSON.stringify(arg))).join(' ')}`);
  const { status, stdout, stderr } = spawnSync(process.execPath, [cocoon, ...args], { env, encoding: 'utf8' });
  if (show || status !== 0) process.stdout.write(stderr + stdout);
  if (status !== 0) throw new Error(`cocoon ${args[0]} ended with exit code ${status}`);
  return stdout;
}

const data = (...args) => JSON.parse(run(['--json', ...args], { show: false })).data;

/** Looks until `look` gives something; throws after WAIT_MS. */
async function until(what, look) {
  for (const ends = performance.now() + WAIT_MS; performance.now() < ends; await sleep(500)) {
    const seen = await look();
    if (seen) return seen;
  }
  throw new Error(`${what} within ${WAIT_MS / 1000} s`);
}

function expectEqual(what, left, right) {
  if (left !== right) throw new Error(`${what}: ${left} is not ${right} nanoTON`);
}

/** Balances of these accounts, and all that their transactions and messages have cost since the chain began. */
async function bookkeeping(access, accounts) {
  let feesNano = 0n;
  const balances = new Map();
  for (const [name, account] of accounts) {
    const address = Address.parse(account);
    balances.set(name, (await access.account(address)).balanceNano);
    const { transactions, complete } = await access.transactions(address, { afterLt: 0n, limit: 2_000 });
    if (!complete) throw new Error(`${name} has too many transactions`);
    for (const { totalFees, outMessages } of transactions) {
      feesNano += totalFees.coins;
      for (const { info } of outMessages.values()) if (info.type === 'internal') feesNano += info.forwardFee;
    }
  }
  return { balances, feesNano, heldNano: [...balances.values()].reduce((sum, nano) => sum + nano, 0n) };
}

const startedMs = performance.now();
try {
  run(['localnet', 'start', '--detach']);
  const started = data('localnet', 'status');
  const facts = Object.fromEntries(started.parts.map(({ role, facts: known }) => [role, known]));
  const access = createTonAccess({ endpoints: [{ url: facts.chain.endpoint }] });
  const accounts = new Map([['faucet', facts.chain.faucet], ['root contract', started.money.root], ['proxy contract', facts.proxy.contract], ...started.money.wallets.map(({ name, address }) => [name, address])]);
  const before = await bookkeeping(access, accounts);

  run(['infer', '--temperature', '0', QUESTIONS[0]]);
  const answers = QUESTIONS.map((question) => data('infer', '--temperature', '0', question));
  const [{ proxy, timing, usage, costNano }] = answers;
  console.log(`
What was verified before the first question was sent (${proxy.evidence} evidence: only the TEE of a local network is simulated):`);
  for (const { name, detail } of proxy.checks) console.log(`  pass  ${name.padEnd(24)} ${detail}`);
  console.log(`
The same question again as a script would ask it: first text after ${timing.firstTextMs.toFixed(0)} ms, ${usage.completionTokens} tokens after ${timing.totalMs.toFixed(0)} ms, for ${ton(BigInt(costNano))}.`);

  const money = await until('the proxy has not charged the client and signed for the node', () => {
    const { money: { instances: [instance] } } = data('proxy', 'status');
    const [client, worker] = ['client', 'worker'].map((kind) => instance.accounts.find((account) => account.kind === kind));
    const [claim] = data('wallet', 'claim', '--dry-run', '--max-fee-percent', '100').claims;
    return client.claimedTokens === client.accruedTokens && claim.signedTokens === worker.accruedTokens && { client, worker, claim };
  });
  run(['proxy', 'status']);
  run(['wallet', 'claim', '--max-fee-percent', '100', '--yes']);
  run(['localnet', 'status']);

  accounts.set('client contract', money.client.contract).set('worker contract', money.worker.contract);
  // The last messages, excesses, arrive a block or two later.
  const after = await until('the chain has not come to rest', async () => {
    const first = await bookkeeping(access, accounts);
    await sleep(1_500);
    const second = await bookkeeping(access, accounts);
    return first.heldNano === second.heldNano && first.feesNano === second.feesNano && second;
  });
  console.log('\nBalances before and after, in TON:');
  for (const [name, nano] of after.balances) {
    const earlier = before.balances.get(name) ?? 0n;
    console.log(`  ${name.padEnd(16)} ${formatTon(earlier).padStart(21)} ${formatTon(nano).padStart(21)}  ${nano >= earlier ? '+' : ''}${formatTon(nano - earlier)}`);
  }
  const gainedNano = after.balances.get('local-operator') - before.balances.get('local-operator');
  const spentNano = before.balances.get('local-node') - after.balances.get('local-node');
  const signedNano = BigInt(money.claim.signedNano);
  const usedNano = answers.reduce((sum, answer) => sum + BigInt(answer.costNano), 0n);
  console.log(`
The client's ${QUESTIONS.length + 1} answers: the last ${QUESTIONS.length} cost ${ton(usedNano)}; all were charged on chain: ${money.client.claimedTokens} tokens.
The proxy signed ${ton(signedNano)} for the node, its owner got ${ton(gainedNano)}; the node's wallet spent ${ton(spentNano)} on fees and ${ton(after.balances.get('worker contract'))} of it lie in its contract.`);
  expectEqual('what the owner of the node got is what the proxy signed', gainedNano, signedNano);
  console.log(`
All TON there is = all balances + all fees:
  ${SUPPLY_NANO} = ${after.heldNano} + ${after.feesNano} nanoTON`);
  expectEqual('all balances and all fees add up to all TON there is', after.heldNano + after.feesNano, SUPPLY_NANO);
  await access.close();
} catch (error) {
  console.error(`\ndemo: ${error.message}`);
  for (const part of ['chain', 'proxy', 'node']) {
    try {
      console.error(`${part}: ${readFileSync(join(home, 'localnet', `${part}.log`), 'utf8').trim().split('\n').slice(-3).join('\n')}`);
    } catch {
      // It was not started.
    }
  }
  process.exitCode = 1;
} finally {
  try {
    run(['localnet', 'stop']);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
  console.log(`\nDone in ${((performance.now() - startedMs) / 1000).toFixed(1)} s; nothing is left behind.`);
}
