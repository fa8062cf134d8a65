// Waiting for a daemon that something else starts, as systemd does: it says nothing for a while, then that it starts, then that it is
// ready. Its record is written here, for a process that sleeps.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { awaitDaemon, runningRecord, stopDaemon } from '../../src/core/daemon-process.ts';
import { startOf } from '../../src/core/process-identity.ts';

let folder = '';
let sleeper: ChildProcess;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'daemon-process-'));
  sleeper = spawn('sleep', ['600'], { stdio: 'ignore' });
});
afterAll(() => {
  sleeper.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

const place = (name: string): { what: string; record: string; log: string } => ({ what: 'node', record: join(folder, `${name}.json`), log: join(folder, `${name}.log`) });
const write = (name: string, state: string, pid = sleeper.pid ?? 0, start = startOf(pid)): void =>
  writeFileSync(place(name).record, JSON.stringify({ role: 'node', pid, start, state, sinceMs: 1, facts: {} }));
const wait = { timeoutMs: 30_000, signal: new AbortController().signal };
const soon = (): Promise<void> => new Promise((resolve) => { setTimeout(resolve, 100); });

describe('awaitDaemon', () => {
  it('what is to appear may be absent at first, and ends the wait when it is ready', async () => {
    const waiting = awaitDaemon(place('late'), { ...wait, appearMs: 20_000 });
    await soon();
    write('late', 'starting', sleeper.pid, '1'); // of a process that is gone
    await soon();
    write('late', 'starting');
    await soon();
    write('late', 'ready');
    expect(await waiting).toMatchObject({ state: 'ready', pid: sleeper.pid });
  }, 30_000);

  it('what has appeared and goes is over, and what does not appear is not waited for beyond that', async () => {
    write('gone', 'starting');
    const waiting = awaitDaemon(place('gone'), { ...wait, appearMs: 20_000 });
    const over = expect(waiting).rejects.toMatchObject({ code: 'E_NOT_RUNNING', message: 'the node has ended: no log' });
    await soon();
    write('gone', 'starting', sleeper.pid, '1');
    await over;
    await expect(awaitDaemon(place('never'), { ...wait, appearMs: 50 })).rejects.toMatchObject({ code: 'E_NOT_RUNNING' });
    await expect(awaitDaemon(place('never'), wait)).rejects.toMatchObject({ code: 'E_NOT_RUNNING' });
  }, 30_000);
});

describe('stopDaemon', () => {
  it('a process that has the number now is neither found nor ended', async () => {
    write('stale', 'ready', sleeper.pid, '1');
    expect(await stopDaemon(place('stale'))).toBeNull();
    write('stale', 'ready', sleeper.pid, '1');
    expect(await runningRecord(place('stale'))).toBeNull();
    await soon();
    expect(sleeper.exitCode ?? sleeper.signalCode).toBeNull();
  });
});
