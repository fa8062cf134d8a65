// The identity of a model file: its hash, its name, and files that are none.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { InterruptedError } from '../../src/core/errors.ts';
import { modelIdentity } from '../../src/node/model-file.ts';

const never = new AbortController().signal;
let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'model-'));
  writeFileSync(join(folder, 'tiny.GGUF'), 'abc');
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('modelIdentity', () => {
  it('is the name of the file without its ending, and the SHA-256 of its bytes', async () => {
    expect(await modelIdentity(join(folder, 'tiny.GGUF'), undefined, never)).toEqual({
      name: 'tiny', fullName: 'tiny@local:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    });
    expect((await modelIdentity(join(folder, 'tiny.GGUF'), 'org/Name-1.5', never)).name).toBe('org/Name-1.5');
  });

  it.each(['', '@x', 'a@b', 'a b', '-a', 'x'.repeat(129), 'a\n'])('the name "%s" is a usage error', async (name) => {
    await expect(modelIdentity(join(folder, 'tiny.GGUF'), name, never)).rejects.toMatchObject({ code: 'E_USAGE' });
  });

  it('no file, a folder, a pipe: not found, without waiting', async () => {
    execFileSync('mkfifo', [join(folder, 'pipe')]);
    for (const name of ['missing.gguf', '.', 'pipe', 'tiny.GGUF/x']) {
      await expect(modelIdentity(join(folder, name), 'name', never)).rejects.toMatchObject({ code: 'E_NOT_FOUND', exitCode: 7 });
    }
  });

  it('an abort is the reason of the signal', async () => {
    const reason = new InterruptedError('E_INTERRUPTED', 'interrupted');
    await expect(modelIdentity(join(folder, 'tiny.GGUF'), undefined, AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});
