import { chmodSync, closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readPassphrase } from '../../../src/chain/keystore/passphrase.ts';
import type { PassphrasePorts, PassphraseRequest } from '../../../src/chain/keystore/passphrase.ts';

const unlock: PassphraseRequest = { subject: 'key main', purpose: 'unlock' };
const create: PassphraseRequest = { subject: 'key main', purpose: 'new' };

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'pass-'));
  path = join(folder, 'pass');
});
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

const write = (content: string | Uint8Array, mode = 0o600): void => {
  writeFileSync(path, content);
  chmodSync(path, mode);
};
const prompting = (...answers: string[]): PassphrasePorts & { questions: string[] } => {
  const questions: string[] = [];
  return { env: {}, questions, prompt: async (question) => { questions.push(question); return answers.shift() ?? ''; } };
};
const none: PassphrasePorts = { env: {} };

describe('readPassphrase: prompt', () => {
  it('asks once to unlock and takes any length', async () => {
    const ports = prompting('x');
    expect(await readPassphrase({ kind: 'prompt' }, unlock, ports)).toBe('x');
    expect(ports.questions).toEqual(['Passphrase of key main']);
  });

  it('asks twice for a new one, and refuses short, different and empty ones', async () => {
    const ports = prompting('long enough', 'long enough');
    expect(await readPassphrase({ kind: 'prompt' }, create, ports)).toBe('long enough');
    expect(ports.questions).toHaveLength(2);
    for (const answers of [['short'], ['long enough', 'long enough!'], ['']]) {
      await expect(readPassphrase({ kind: 'prompt' }, create, prompting(...answers))).rejects.toMatchObject({ code: 'E_PASSPHRASE', exitCode: 4 });
    }
    await expect(readPassphrase({ kind: 'prompt' }, unlock, prompting(''))).rejects.toMatchObject({ code: 'E_PASSPHRASE' });
  });

  it('says how to do without a terminal', async () => {
    await expect(readPassphrase({ kind: 'prompt' }, unlock, none)).rejects.toMatchObject({ code: 'E_NO_TERMINAL', exitCode: 2, hint: expect.stringContaining('--passphrase-file') });
  });
});

describe('readPassphrase: file', () => {
  it.each([['secret words', 'secret words'], ['secret words\n', 'secret words'], ['secret words\r\n', 'secret words'], [' padded \n', ' padded ']])('%j is %j', async (content, expected) => {
    write(content);
    expect(await readPassphrase({ kind: 'file', path }, unlock, none)).toBe(expected);
  });

  it.each(['two\nlines\n', 'two newlines\n\n', 'nul\0', '\n', ''])('refuses %j', async (content) => {
    write(content);
    await expect(readPassphrase({ kind: 'file', path }, unlock, none)).rejects.toMatchObject({ code: 'E_PASSPHRASE' });
  });

  it('refuses what is not UTF-8, too long, too short for a new one, missing, or readable by others', async () => {
    write(Uint8Array.of(0xff, 0xfe));
    await expect(readPassphrase({ kind: 'file', path }, unlock, none)).rejects.toMatchObject({ code: 'E_PASSPHRASE' });
    write('x'.repeat(4097));
    await expect(readPassphrase({ kind: 'file', path }, unlock, none)).rejects.toMatchObject({ code: 'E_STATE' });
    write('short');
    await expect(readPassphrase({ kind: 'file', path }, create, none)).rejects.toMatchObject({ code: 'E_PASSPHRASE' });
    write('secret words', 0o644);
    await expect(readPassphrase({ kind: 'file', path }, unlock, none)).rejects.toMatchObject({ code: 'E_STATE', hint: expect.stringContaining('chmod 600') });
    await expect(readPassphrase({ kind: 'file', path: `${path}.none` }, unlock, none)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });
});

describe('readPassphrase: descriptor', () => {
  it('reads to the end, and refuses too much or a descriptor that is not open', async () => {
    write('secret words\n');
    const fd = openSync(path, 'r');
    expect(await readPassphrase({ kind: 'descriptor', fd }, unlock, none)).toBe('secret words');
    closeSync(fd);
    await expect(readPassphrase({ kind: 'descriptor', fd: 987 }, unlock, none)).rejects.toMatchObject({ code: 'E_PASSPHRASE', message: expect.stringContaining('EBADF') });
    write('x'.repeat(5000));
    const big = openSync(path, 'r');
    await expect(readPassphrase({ kind: 'descriptor', fd: big }, unlock, none)).rejects.toMatchObject({ code: 'E_PASSPHRASE' });
    closeSync(big);
  });
});

describe('readPassphrase: credential', () => {
  it('reads from CREDENTIALS_DIRECTORY, also with the group bits of an access list', async () => {
    write('secret words', 0o440);
    expect(await readPassphrase({ kind: 'credential', name: 'pass' }, unlock, { env: { CREDENTIALS_DIRECTORY: folder } })).toBe('secret words');
  });

  it('refuses a credential that anybody may read, a path as name, and a unit without credentials', async () => {
    write('secret words', 0o444);
    const env = { CREDENTIALS_DIRECTORY: folder };
    await expect(readPassphrase({ kind: 'credential', name: 'pass' }, unlock, { env })).rejects.toMatchObject({ code: 'E_STATE' });
    await expect(readPassphrase({ kind: 'credential', name: '../pass' }, unlock, { env })).rejects.toMatchObject({ code: 'E_USAGE' });
    await expect(readPassphrase({ kind: 'credential', name: 'pass' }, unlock, none)).rejects.toMatchObject({ code: 'E_PASSPHRASE', hint: expect.stringContaining('LoadCredential') });
  });
});
