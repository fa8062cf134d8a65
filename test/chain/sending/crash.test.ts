import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { lastAttempt, statusOf } from '../../../src/chain/sending/record.ts';
import { requireConfirmed } from '../../../src/chain/sending/sender.ts';
import { intent } from './fixture.ts';
import { createHarness } from './harness.ts';
import type { Harness } from './harness.ts';

const CHILD = fileURLToPath(new URL('crash-child.ts', import.meta.url));
const HOOKS = new URL('../../fakes/ts-hooks.mjs', import.meta.url).href;

let harness: Harness;
beforeEach(async () => { harness = await createHarness(); });
afterEach(async () => { await harness.close(); });

async function child(key: string, killAt = ''): Promise<{ readonly signal: string | null; readonly lines: string[] }> {
  const args = ['--import', HOOKS, CHILD, harness.folder, harness.endpoints[0]?.url ?? '', key, killAt];
  const process_ = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  process_.stdout.on('data', (chunk: Buffer) => { output += chunk.toString(); });
  const [, signal] = await once(process_, 'close') as [number | null, string | null];
  return { signal, lines: output.trim().split('\n') };
}

/** Every step of a transfer, in order; the first test below checks that the list is complete. */
const STEPS_BEFORE_DISK = ['locked', 'signed', 'intent-temp-written'];
const STEPS_AFTER_DISK = [
  'intent-renamed', 'intent-durable', 'intent-filed', 'looked', 'sending', 'sent', 'result-temp-written', 'result-renamed', 'result-durable', 'result-filed',
];

describe('sender killed with SIGKILL', () => {
  it('the steps of a transfer are those that are killed at below', async () => {
    harness.chain.run(50);
    const { lines } = await child('a');
    expect(lines.at(-1)).toBe('result confirmed seqno 0');
    const steps = lines.filter((line) => line.startsWith('step ')).map((line) => line.slice(5));
    expect([...new Set(steps)]).toEqual([...STEPS_BEFORE_DISK, ...STEPS_AFTER_DISK]);
  });

  it.each(STEPS_BEFORE_DISK)('after "%s": nothing happened, and the transfer can be made', async (step) => {
    harness.chain.run(50);
    expect((await child('a', step)).signal).toBe('SIGKILL');
    expect(await harness.sender().resume()).toEqual([]);
    expect(harness.chain.received).toEqual([]);
    requireConfirmed(await harness.sender().send(intent('a')));
    expect(harness.paid()).toBe(1);
    expect(readdirSync(harness.folder).sort()).toEqual([expect.stringMatching(/^[0-9a-f]{32}\.done\.json$/), 'newest.json']);
  });

  it.each(STEPS_AFTER_DISK)('after "%s": resuming finishes the same message, once', async (step) => {
    harness.chain.run(50, 1);
    expect((await child('a', step)).signal).toBe('SIGKILL');
    const [left] = await harness.sender().records();
    await harness.sender().resume();
    const records = await harness.sender().records();
    expect(records.map(statusOf)).toEqual(['confirmed']);
    expect(records.map((record) => lastAttempt(record).boc)).toEqual([left === undefined ? '' : lastAttempt(left).boc]);
    expect(new Set(harness.chain.received).size).toBe(1);
    expect(harness.paid()).toBe(1);
    expect(requireConfirmed(await harness.sender().send(intent('a')))).toEqual(records[0]);
    expect(harness.paid()).toBe(1);
  });

  it.each(['intent-durable', 'sent'])('after "%s", and resumed only after the validity: expired, never executed', async (step) => {
    const dropped = harness.endpoints[0];
    if (dropped !== undefined) dropped.script.fault = (method) => method === 'sendBoc' ? { kind: 'drop' } : undefined;
    expect((await child('a', step)).signal).toBe('SIGKILL');
    await harness.chain.tick(200);
    expect((await harness.sender().resume()).map(statusOf)).toEqual(['expired']);
    if (dropped !== undefined) delete dropped.script.fault;
    await harness.chain.tick();
    expect(harness.paid()).toBe(0);
  });

  it('after "sent", and executed while nobody looked: confirmed, although the validity is long over', async () => {
    expect((await child('a', 'sent')).signal).toBe('SIGKILL');
    await harness.chain.tick();
    await harness.chain.tick(500);
    const before = harness.chain.received.length;
    expect((await harness.sender().resume()).map(statusOf)).toEqual(['confirmed']);
    expect(harness.chain.received.length).toBe(before);
    expect(harness.paid()).toBe(1);
  });

  it('a killed process does not keep the wallet locked', async () => {
    harness.chain.run(50);
    await child('a', 'locked');
    expect(existsSync(`${harness.folder}.lock`)).toBe(true);
    requireConfirmed(await harness.sender({ lockTimeoutMs: 0 }).send(intent('b')));
  });

  it('two processes at once: a transfer each, with one sequence number each', async () => {
    harness.chain.run(50);
    const results = await Promise.all([child('a'), child('b')]);
    expect(results.map(({ lines }) => lines.at(-1)).sort()).toEqual(['result confirmed seqno 0', 'result confirmed seqno 1']);
    expect(harness.paid()).toBe(2);
  });

  it('two processes at once with the same key: one transfer', async () => {
    harness.chain.run(50);
    const results = await Promise.all([child('a'), child('a')]);
    expect(results.map(({ lines }) => lines.at(-1))).toEqual(['result confirmed seqno 0', 'result confirmed seqno 0']);
    expect(harness.paid()).toBe(1);
  });
});
