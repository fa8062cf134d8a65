// The fuzzer itself: it finds faults that were planted, the same seed gives the same run, every target stands a short run, and
// inputs that once failed (regressions/TARGET/) pass.
import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';

const run = promisify(execFile);
const PROGRAM = fileURLToPath(new URL('fuzz.mjs', import.meta.url));
const REGRESSIONS = new URL('regressions/', import.meta.url);
/** Executions of each target; `npm run fuzz` makes more. */
const SMOKE = Number(process.env['COCOON_FUZZ_RUNS'] ?? 500);

interface Ended {
  readonly code: number;
  readonly lines: readonly string[];
}

async function fuzz(...args: readonly string[]): Promise<Ended> {
  const ended = await run(process.execPath, ['--expose-gc', PROGRAM, ...args], { timeout: 600_000, maxBuffer: 1 << 24 }).then(
    ({ stdout }) => ({ code: 0, stdout }), (error: { readonly code?: unknown; readonly stdout?: unknown }) => ({ code: typeof error.code === 'number' ? error.code : -1, stdout: String(error.stdout) }),
  );
  return { code: ended.code, lines: ended.stdout.split('\n') };
}

describe('the fuzzer', () => {
  it('finds every fault that was planted, and nothing where there is none', async () => {
    const { code, lines } = await fuzz('--planted', '--until-found', '--seconds', '60', '--executions', '80000');
    expect(code).toBe(1);
    const found = lines.filter((line) => line.startsWith('FOUND')).map((line) => line.split(',')[0]);
    expect(found).toEqual(['FOUND untyped: untyped error', 'FOUND internal: internal error', 'FOUND slow: time', 'FOUND large: memory']);
  }, 300_000);

  it('the same seed gives the same run, another one another', async () => {
    const lineOf = async (seed: string): Promise<string | undefined> => (await fuzz('--target', 'quote', '--target', 'proxy-text', '--seconds', '600', '--executions', '1500', '--seed', seed)).lines.slice(0, 2).join('\n').replace(/ in +\d+ s/g, '');
    const [once, again, other] = [await lineOf('a'), await lineOf('a'), await lineOf('b')];
    expect(once).toMatch(/^quote +1500 executions +\d+ branches/);
    expect(again).toBe(once);
    expect(other).not.toBe(once);
  }, 300_000);

  it('every target stands a short run', async () => {
    const { code, lines } = await fuzz('--seconds', '60', '--executions', String(SMOKE));
    expect(lines.filter((line) => /FOUND/.test(line))).toEqual([]);
    expect(lines.at(-2)).toMatch(/executions of 3\d targets .* 0 findings$/);
    expect(code).toBe(0);
  }, 600_000);

  const regressions = existsSync(REGRESSIONS) ? readdirSync(REGRESSIONS).flatMap((target) => readdirSync(new URL(`${target}/`, REGRESSIONS)).map((name) => [target, name] as const)) : [];
  (regressions.length === 0 ? it.skip : it)('inputs that once failed pass', async () => {
    const files = regressions.flatMap(([target, name]) => ['--replay', fileURLToPath(new URL(`${target}/${name}`, REGRESSIONS))]);
    const { code, lines } = await fuzz(...files);
    expect([code, lines.slice(0, -1)]).toEqual([0, regressions.map(([target]) => `${target}: passes`)]);
  }, 300_000);
});
