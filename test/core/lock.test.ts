import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WalletError } from '../../src/core/errors.ts';
import { withLock } from '../../src/core/lock.ts';

const CHILD = fileURLToPath(new URL('lock-child.ts', import.meta.url));
const HOOKS = new URL('../fakes/ts-hooks.mjs', import.meta.url).href;

let folder: string;
let path: string;
const children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
  path = join(folder, 'thing');
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  }
  rmSync(folder, { recursive: true, force: true });
});

function start(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, ['--import', HOOKS, CHILD, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  return child;
}

async function holder(): Promise<ChildProcess> {
  const child = start('hold', path);
  if (child.stdout !== null) await once(child.stdout, 'data');
  return child;
}

describe('withLock', () => {
  it('runs callers of one process one after the other and returns their results', async () => {
    let inside = 0;
    let most = 0;
    const results = await Promise.all([1, 2, 3, 4].map((n) => withLock(path, async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => { setTimeout(resolve, 5); });
      inside -= 1;
      return n * 10;
    }, { timeoutMs: 10_000 })));
    expect(results).toEqual([10, 20, 30, 40]);
    expect(most).toBe(1);
    expect(readdirSync(`${path}.lock`)).toEqual([]);
  });

  it('releases when the function throws', async () => {
    await expect(withLock(path, async () => { throw new Error('inner'); }, { timeoutMs: 0 })).rejects.toThrow('inner');
    expect(await withLock(path, async () => 'free', { timeoutMs: 0 })).toBe('free');
  });

  it('loses no addition of three processes', async () => {
    writeFileSync(path, '0');
    const codes = await Promise.all([1, 2, 3].map(async () => (await once(start('count', path, '15'), 'exit'))[0] as number));
    expect(codes).toEqual([0, 0, 0]);
    expect(readFileSync(path, 'utf8')).toBe('45');
    expect(new Set(readFileSync(`${path}.order`, 'utf8').trim().split('\n')).size).toBe(3);
  });

  it('names the process that holds it when the wait ends', async () => {
    const child = await holder();
    await expect(withLock(path, async () => 0, { timeoutMs: 0 })).rejects.toMatchObject({ code: 'E_STATE', message: expect.stringContaining(`process ${child.pid}`) });
    const busy = (who: string): WalletError => new WalletError('E_WALLET_BUSY', who);
    await expect(withLock(path, async () => 0, { timeoutMs: 100, busy })).rejects.toMatchObject({ code: 'E_WALLET_BUSY', message: `process ${child.pid}` });
  });

  it('takes over from a process that was killed', async () => {
    const child = await holder();
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
    expect(readdirSync(`${path}.lock`)).toHaveLength(1);
    expect(await withLock(path, async () => 'mine', { timeoutMs: 0 })).toBe('mine');
    expect(readdirSync(`${path}.lock`)).toEqual([]);
  });

  it('takes over from a dead process whose number runs again, but was started at another time', async () => {
    await withLock(path, async () => {
      const [flag = ''] = readdirSync(`${path}.lock`);
      const [place, pid, , id] = flag.split('-');
      await withLock(join(folder, 'second'), async () => undefined, { timeoutMs: 0 });
      writeFileSync(join(folder, 'second.lock', `${place}-${pid}-1-${id}`), '');
      expect(await withLock(join(folder, 'second'), async () => 'mine', { timeoutMs: 0 })).toBe('mine');
    }, { timeoutMs: 0 });
  });

  it('respects a flag from elsewhere while it is renewed, and not after', async () => {
    await withLock(path, async () => undefined, { timeoutMs: 0 });
    const flag = join(`${path}.lock`, `${'0'.repeat(16)}-1-1-${'0'.repeat(16)}`);
    writeFileSync(flag, '');
    await expect(withLock(path, async () => 0, { timeoutMs: 0 })).rejects.toMatchObject({ code: 'E_STATE' });
    const past = new Date(Date.now() - 61_000);
    utimesSync(flag, past, past);
    expect(await withLock(path, async () => 'mine', { timeoutMs: 0 })).toBe('mine');
  });

  it('stops waiting when the signal is aborted', async () => {
    await withLock(path, async () => {
      const waiting = withLock(path, async () => 0, { timeoutMs: 60_000, signal: AbortSignal.timeout(50) });
      await expect(waiting).rejects.toMatchObject({ code: 'E_CLOSED' });
    }, { timeoutMs: 0 });
  });
});
