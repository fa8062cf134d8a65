// Records of daemons and the identity of processes: reused numbers, zombies, damaged files.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isAlive, readDaemonRecord, removeDaemonRecord, writeDaemonRecord } from '../../src/core/daemon-record.ts';
import { isRunning, ownProcess, startOf } from '../../src/core/process-identity.ts';

const hasProc = existsSync('/proc/self/stat');
let folder = '';
let path = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'record-'));
  path = join(folder, 'node.json');
});
afterAll(() => rmSync(folder, { recursive: true }));

const RECORD = { role: 'node', state: 'ready', sinceMs: 5, facts: { model: 'm' } } as const;

describe('daemon record', () => {
  it('says who wrote it, and that it runs', async () => {
    await writeDaemonRecord(path, RECORD);
    const record = await readDaemonRecord(path);
    expect(record).toEqual({ ...RECORD, ...ownProcess() });
    expect(record !== null && isAlive(record)).toBe(true);
    await removeDaemonRecord(path);
    expect(await readDaemonRecord(path)).toBeNull();
    await removeDaemonRecord(path); // no error when there is none
  });

  it.each<[string, string]>([
    ['nothing', ''], ['no JSON', '{'], ['another shape', '[]'], ['null', 'null'], ['no process', '{"role":"node","pid":0,"start":"1","state":"ready","sinceMs":1,"facts":{}}'],
    ['an unknown state', '{"role":"node","pid":5,"start":"1","state":"dancing","sinceMs":1,"facts":{}}'],
    ['facts that are no text', '{"role":"node","pid":5,"start":"1","state":"ready","sinceMs":1,"facts":{"a":1}}'],
    ['too much', ' '.repeat(20_000)],
  ])('a file with %s is an error, not "not running"', async (_, content) => {
    writeFileSync(path, content);
    await expect(readDaemonRecord(path)).rejects.toMatchObject({ code: 'E_NOT_RUNNING', hint: expect.stringMatching(/remove the file/) });
  });
});

describe('isRunning', () => {
  it('a number that another process has now is not the process that is meant', () => {
    expect(isRunning(ownProcess())).toBe(true);
    (hasProc ? expect(isRunning({ ...ownProcess(), start: '1' })) : expect(false)).toBe(false);
    expect(isRunning({ pid: 2 ** 22 + 1, start: '0' })).toBe(false);
  });

  (existsSync('/proc/sys/kernel/random/boot_id') ? it : it.skip)('the same number at the same time after another boot is another process', () => {
    const { pid, start } = ownProcess();
    const ticks = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ')[19] ?? '';
    expect([start.startsWith(ticks), start.length]).toEqual([true, ticks.length + 9]);
    const boot = start.slice(ticks.length);
    expect(isRunning({ pid, start: `${ticks}${boot === '123456789' ? '987654321' : '123456789'}` })).toBe(false);
  });

  (hasProc ? it : it.skip)(`a process is gone when it is killed, and a zombie is gone too${hasProc ? '' : ' (skipped: no /proc)'}`, async () => {
    // The shell replaces itself by a program that never asks how its child ended: the child becomes a zombie.
    const parent = spawn('sh', ['-c', 'sleep 0.05 & echo $!; exec sleep 30'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(parent.stdout, 'data') as [Buffer];
    const pid = Number(line.toString());
    const start = startOf(pid);
    expect(isRunning({ pid, start })).toBe(true);
    const end = performance.now() + 3_000;
    while (!/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'latin1')) && performance.now() < end) await new Promise((resolve) => { setTimeout(resolve, 10); });
    process.kill(pid, 0); // it is still in the table
    expect(isRunning({ pid, start })).toBe(false);
    const gone = once(parent, 'exit');
    parent.kill('SIGKILL');
    await gone;
    expect(isRunning({ pid: parent.pid ?? 0, start: '1' })).toBe(false);
  });
});
