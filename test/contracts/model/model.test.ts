// Model-based property tests of all contracts together. STEPS sets how many messages are executed (10 000 unless told, a million
// for a deep run), SEED the first seed; a failure names the seed that repeats it.
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

const STEPS = Number(process.env['STEPS'] ?? 10_000);
const FIRST_SEED = process.env['SEED'] ?? '1';
const RUN = fileURLToPath(new URL('run.mjs', import.meta.url));

/** Runs the episodes; what they printed, and the exit status. */
async function episodes(steps: number, prices: string, key: string): Promise<{ status: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [RUN, String(steps), FIRST_SEED, prices, key], { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => { out += chunk.toString(); });
  child.stderr.on('data', (chunk: Buffer) => { err += chunk.toString(); });
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  return { status, out, err };
}

describe('model', () => {
  // honest runs check more, so they get three quarters of the steps
  it.each([
    ['an honest key at 400 nanoTON per gas', 'dear', 'honest', 3],
    ['an honest key at 66.67 nanoTON per gas', 'cheap', 'honest', 3],
    ['a key that signs anything at 400 nanoTON per gas', 'dear', 'any', 1],
    ['a key that signs anything at 66.67 nanoTON per gas', 'cheap', 'any', 1],
  ] as const)('with %s: every counter is what the transfers say', async (_, prices, key, share) => {
    const wanted = Math.ceil((STEPS * share) / 8);
    const { status, out, err } = await episodes(wanted, prices, key);
    expect(err).toBe('');
    expect(status).toBe(0);
    expect(Number(out)).toBeGreaterThanOrEqual(wanted);
  }, 60_000 + STEPS * 100);
});
