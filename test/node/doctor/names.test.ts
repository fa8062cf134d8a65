// Names are looked up by a process that can be ended: what it says, what it never says, and that each name is asked for once.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createNames, isName } from '../../../src/node/doctor/names.ts';
import { realNetwork } from '../../../src/node/doctor/network-probe.ts';

let folder = '';
beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), 'cocoon-names-')); });
afterAll(() => rm(folder, { recursive: true }));

/** Instead of Node.js: writes down what it is asked, and says something else. */
async function program(says: string): Promise<string> {
  const path = join(folder, `program-${Math.random()}`);
  await writeFile(path, `#!/bin/sh\nshift 3; echo "$@" >> ${folder}/asked\n${says}\n`, { mode: 0o755 });
  return path;
}
const signal = new AbortController().signal;
const ended = (work: Promise<unknown>): Promise<string> => work.then(() => 'found', (error: Error) => error.message);

describe('createNames', () => {
  it('what is known is told at once, what nobody answers when the time is over; each name is asked for once', async () => {
    const names = createNames({ program: await program('printf \'["a.example",null]\\n["b.example","ENOTFOUND"]\\n\'; exec sleep 60'), timeoutMs: 1_000, signal });
    const hosts = ['a.example', 'b.example', 'c.example', 'A.example'];
    expect(await Promise.all(hosts.map((host) => ended(names.require(host))))).toEqual(['found', 'b.example cannot be looked up: ENOTFOUND', 'c.example cannot be looked up: no answer of a name server within 1 s', 'found']);
    expect(await ended(names.require('c.example'))).toMatch(/no answer/);
    expect(await readFile(join(folder, 'asked'), 'utf8')).toBe('a.example b.example c.example\n');
  });

  it('addresses are not looked up; where no process can be started nothing is held against a name', async () => {
    const nothing = createNames({ program: await program('exit 1'), signal });
    for (const host of ['127.0.0.1', '[::1]', '::1', 'localhost']) expect([host, isName(host), await ended(nothing.require(host))]).toEqual([host, false, 'found']);
    expect(await ended(nothing.require('d.example'))).toMatch(/no answer/);
    expect(await ended(createNames({ program: join(folder, 'absent'), signal }).require('e.example'))).toBe('found');
  });

  it('Node.js says what the system knows', async () => {
    // A name that no resolver asks a server for: longer than any may be.
    expect(await ended(createNames({ program: process.execPath, signal }).require(`${'x'.repeat(64)}.example`))).toMatch(/cannot be looked up: E[A-Z_]+$/);
  }, 20_000);

  it('realNetwork: nothing is sent where a name is not known', async () => {
    const network = realNetwork(createNames({ program: await program('printf \'["f.example","ENOTFOUND"]\\n\''), signal }));
    for (const work of [network.resolve('f.example'), network.ask('https://f.example/x', signal), network.reach('f.example', 1, signal)]) {
      await expect(work).rejects.toMatchObject({ code: 'E_UNREACHABLE', message: 'f.example cannot be looked up: ENOTFOUND' });
    }
  });
});
