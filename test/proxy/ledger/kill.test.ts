// The ledger's process is killed at random moments, again and again on the same file (KILLS=50 is the deep version): what was
// acknowledged is there, both sides' sums are equal, no total, count or signature goes back or changes.
import { afterEach, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { createHash } from 'node:crypto';
import type { Ledger } from '../../../src/proxy/ledger/ledger.ts';
import { cleanUp, newPath, open } from './fixture.ts';

afterEach(cleanUp);

const KILLS = Number(process.env['KILLS'] ?? 5);
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Runs the child, kills it `afterMs` after it opened the ledger, and gives what it said in whole lines. */
async function runAndKill(path: string, afterMs: number): Promise<string[]> {
  const child = spawn(process.execPath, ['--import', here('../../fakes/ts-hooks.mjs'), here('kill-child.ts'), path], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8');
  const opened = new Promise<void>((resolve) => {
    child.stdout.on('data', (text: string) => {
      said += text;
      if (said.startsWith('open\n')) resolve();
    });
  });
  const ended = once(child, 'close');
  await Promise.race([opened, ended]);
  await new Promise((resolve) => { setTimeout(resolve, afterMs); });
  child.kill('SIGKILL');
  await ended;
  return said.split('\n').slice(0, -1);
}

const allAccounts = (ledger: Ledger) => ledger.instances().flatMap((instance) => ledger.accounts(instance));

it(`Ledger: ${KILLS} kills at random moments lose nothing that was acknowledged, and nothing goes back`, async () => {
  const path = newPath();
  const acknowledged = new Map<string, bigint>();
  const signed = new Map<string, string>();
  let seqno = 0;
  let bookings = 0;
  // A few more where the kills came so early that nothing of a kind was ever acknowledged.
  const isTelling = (): boolean => bookings > 0 && signed.size > 0 && seqno > 0;
  for (let kill = 0; kill < KILLS || (!isTelling() && kill < 20 * KILLS); kill += 1) {
    for (const line of await runAndKill(path, Math.random() * 250)) {
      const [what, name = '', value = '0', hash = ''] = line.split(' ');
      if (what === 'b') {
        bookings += 1;
        const tokens = BigInt(value);
        if (tokens > (acknowledged.get(name) ?? 0n)) acknowledged.set(name, tokens);
      } else if (what === 'c') {
        expect(Number(name)).toBeGreaterThan(seqno);
        seqno = Number(name);
      } else if (what === 's') {
        // The same total is always the same bytes.
        expect(signed.get(`${name} ${value}`) ?? hash).toBe(hash);
        signed.set(`${name} ${value}`, hash);
      }
    }
    const ledger = await open(path);
    expect(ledger.seqno).toBeGreaterThanOrEqual(seqno);
    seqno = ledger.seqno;
    const sums = { client: 0n, worker: 0n };
    for (const account of allAccounts(ledger)) {
      const name = account.contract.toRawString();
      const { dbTokens, chainTokens, maxTokens, payment } = account;
      expect(dbTokens).toBeGreaterThanOrEqual(acknowledged.get(name) ?? 0n);
      expect([maxTokens === dbTokens, chainTokens <= dbTokens, (payment?.tokens ?? 0n) <= chainTokens]).toEqual([true, true, true]);
      acknowledged.set(name, dbTokens);
      sums[account.kind] += dbTokens;
      for (const [key, hash] of signed) {
        if (payment !== null && key === `${name} ${payment.tokens}`) expect(createHash('sha256').update(payment.boc).digest('hex')).toBe(hash);
      }
    }
    expect(sums.client).toBe(sums.worker);
    await ledger.close();
  }
  expect(isTelling()).toBe(true);
}, 600_000);
