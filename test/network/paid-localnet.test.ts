// `localnet start` with its chain and contracts, as processes: a question is paid for, the node's owner gets exactly what was
// signed, a second start changes nothing, a proxy that was killed goes on from its ledger, and --unpaid is another network.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { SOURCE_PROGRAM } from '../fakes/source-program.ts';

// eslint-disable-next-line typescript/no-explicit-any
type Json = any;
interface Ran { readonly exit: number | null; readonly data: Json; readonly error: Json; readonly stderr: string }

const home = mkdtempSync(join(tmpdir(), 'cocoon-paid-'));
const WORKER_FEE_NANO = 400_000n;

function run(...argv: string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(SOURCE_PROGRAM.command, [...SOURCE_PROGRAM.args, '--json', '--home', home, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => { stdout += chunk.toString(); });
    child.stderr.on('data', (chunk: Buffer) => { stderr += chunk.toString(); });
    child.once('error', reject);
    child.once('close', (exit) => {
      const { data, error } = JSON.parse(stdout === '' ? '{}' : stdout) as Pick<Ran, 'data' | 'error'>;
      resolve({ exit, data, error, stderr });
    });
  });
}

async function done(...argv: string[]): Promise<Json> {
  const { exit, data, error, stderr } = await run(...argv);
  expect({ argv, error, exit, stderr: exit === 0 ? '' : stderr }).toEqual({ argv, error: null, exit: 0, stderr: '' });
  return data;
}

const held = ({ money }: Json, name: string): bigint => BigInt(money.wallets.find((wallet: Json) => wallet.name === name).balanceNano);
const pids = ({ parts }: Json): Record<string, number> => Object.fromEntries(parts.map(({ role, pid }: Json) => [role, pid]));
const ask = (): Promise<Json> => done('infer', '--temperature', '0', '--max-tokens', '20', 'What is cocoon?');

let started: Json;
beforeAll(async () => { started = await done('localnet', 'start', '--detach'); }, 180_000);
afterAll(async () => {
  await run('localnet', 'stop');
  rmSync(home, { recursive: true, force: true });
}, 60_000);

describe('cocoon localnet start: a paid network', () => {
  let usedTokens = 0n;
  let operatorNano = 0n;

  it('everything runs: chain, contracts, wallets, proxy with stake, node', () => {
    expect(started).toMatchObject({ attestation: 'simulated', payments: 'chain', parts: [{ role: 'chain', state: 'ready' }, { role: 'proxy', state: 'ready' }, { role: 'node', state: 'ready' }] });
    expect(held(started, 'local-operator')).toBe(0n);
    expect(held(started, 'local-client')).toBe(100_000_000_000n);
  });

  it('a second start changes nothing', async () => {
    const again = await done('localnet', 'start', '--detach');
    expect(pids(again)).toEqual(pids(started));
    expect(held(again, 'local-owner')).toBe(held(started, 'local-owner'));
  }, 60_000);

  it('infer --dry-run: says the deposit and the most that it may cost, and sends nothing', async () => {
    const plan = await done('infer', '--dry-run', '--max-tokens', '50', 'What is cocoon?');
    expect(plan).toMatchObject({ questions: 1, maxTokens: 50, proxy: null, nodes: null });
    expect(BigInt(plan.deposit.amountNano)).toBeGreaterThan(15_000_000_000n);
    expect(BigInt(plan.mostCostNano)).toBeGreaterThan(BigInt(plan.estimatedCostNano));
    expect(held(await done('localnet', 'status'), 'local-client')).toBe(100_000_000_000n);
  }, 60_000);

  it('a question costs its client and earns the node\'s owner exactly what the proxy signed', async () => {
    const answer = await ask();
    usedTokens = BigInt(answer.charged.total);
    expect(usedTokens).toBeGreaterThan(0n);
    expect(BigInt(answer.costNano)).toBe(usedTokens * 500_000n);
    const { paidNano, claims } = await done('wallet', 'claim', '--wait', '--max-fee-percent', '1000', '--yes');
    operatorNano = BigInt(paidNano);
    expect(operatorNano).toBe(usedTokens * WORKER_FEE_NANO);
    expect(claims).toMatchObject([{ accruedTokens: String(usedTokens), signedTokens: String(usedTokens), claimedTokens: String(usedTokens) }]);
    expect(held(await done('localnet', 'status'), 'local-operator')).toBe(operatorNano);
  }, 120_000);

  it('node why and proxy status: the choice is explained on both sides', async () => {
    const { proxies: [why] } = await done('node', 'why');
    expect(why).toMatchObject({ state: 'ready', problem: null, view: { considered: 1, chosen: 1 } });
    const { choices: [choice], money } = await done('proxy', 'status');
    expect(choice).toMatchObject({ model: 'cocoon-tiny', refusal: null });
    expect(money).toMatchObject({ refusal: null, instances: [{ phase: 'serving' }] });
  }, 60_000);

  it('a proxy that was killed goes on from its ledger: no total goes back, and the next answer is paid too', async () => {
    process.kill(pids(started)['proxy'] ?? 0, 'SIGKILL');
    const again = await done('localnet', 'start', '--detach');
    expect(pids(again)['proxy']).not.toBe(pids(started)['proxy']);
    const answer = await ask();
    const { money: { instances: [{ accounts }] } } = await done('proxy', 'status');
    const worker = accounts.find(({ kind }: Json) => kind === 'worker');
    expect(BigInt(worker.accruedTokens)).toBe(usedTokens + BigInt(answer.charged.total));
    const { paidNano } = await done('wallet', 'claim', '--wait', '--max-fee-percent', '1000', '--yes');
    expect(BigInt(paidNano)).toBe(BigInt(answer.charged.total) * WORKER_FEE_NANO);
  }, 180_000);

  it('a recipe for pipelines: bounded, by a schema, with a receipt that is verified; beyond its bound the step fails', async () => {
    const [schema, receipt] = [join(home, 'schema.json'), join(home, 'receipt.json')];
    writeFileSync(schema, JSON.stringify({ type: 'object', properties: { risk: { enum: ['low', 'high'] } }, required: ['risk'], additionalProperties: false }));
    const recipe = ['infer', '--schema', schema, '--max-price', '1', '--max-tokens', '100', '--receipt', receipt];
    expect(await run(...recipe, '--max-spend', '0.01', 'Is this risky?')).toMatchObject({ exit: 13, error: { code: 'E_MAX_SPEND' } });
    const answer = await done(...recipe, '--max-spend', '1', 'Is this risky?');
    expect(['low', 'high']).toContain(answer.value.risk);
    expect(await done('receipt', 'verify', receipt)).toMatchObject({ overall: 'pass', simulated: true, receipt: { tokens: { total: answer.charged.total } } });
  }, 120_000);

  it('--unpaid is another network on the same machine: nobody pays there', async () => {
    const unpaid = await done('localnet', 'start', '--unpaid', '--detach');
    expect(unpaid.payments).toBe('none');
    expect((await ask()).costNano).toBeNull();
    expect(await run('localnet', 'start', '--unpaid', '--port', '8080')).toMatchObject({ exit: 2 });
  }, 120_000);
});
