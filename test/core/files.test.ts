import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ensureFolder, listFolder, pathExists, readBounded, removeFile, removeLeftovers, writeFileAtomic } from '../../src/core/files.ts';
import type { WriteStep } from '../../src/core/files.ts';

let folder: string;
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'files-')); });
afterEach(() => { rmSync(folder, { recursive: true, force: true }); });

const modeOf = (path: string): number => statSync(path).mode & 0o777;
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

describe('writeFileAtomic', () => {
  it('writes all bytes with mode 0600 whatever the umask, and leaves nothing else', async () => {
    const before = process.umask(0);
    try {
      await writeFileAtomic(join(folder, 'a'), 'hello');
    } finally {
      process.umask(before);
    }
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('hello');
    expect(modeOf(join(folder, 'a'))).toBe(0o600);
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('replaces a file and its mode', async () => {
    writeFileSync(join(folder, 'a'), 'a much longer old content', { mode: 0o644 });
    await writeFileAtomic(join(folder, 'a'), 'new', { mode: 0o640 });
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('new');
    expect(modeOf(join(folder, 'a'))).toBe(0o640);
  });

  it('exclusive: refuses to replace', async () => {
    await writeFileAtomic(join(folder, 'a'), 'old', { exclusive: true });
    await expect(writeFileAtomic(join(folder, 'a'), 'new', { exclusive: true })).rejects.toMatchObject({ code: 'E_STATE' });
    expect(readFileSync(join(folder, 'a'), 'utf8')).toBe('old');
    expect(readdirSync(folder)).toEqual(['a']);
  });

  it('says so when the folder is missing', async () => {
    await expect(writeFileAtomic(join(folder, 'no', 'a'), 'x')).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });

  it('holds the old content until the rename and the new one after', async () => {
    const path = join(folder, 'a');
    writeFileSync(path, 'old');
    const seen: [WriteStep, string][] = [];
    await writeFileAtomic(path, 'new', { onStep: (step) => seen.push([step, readFileSync(path, 'utf8')]) });
    expect(seen).toEqual([['temp-written', 'old'], ['renamed', 'new'], ['durable', 'new']]);
  });

  it('removes the temporary file when a step fails', async () => {
    await expect(writeFileAtomic(join(folder, 'a'), 'x', { onStep: () => { throw new Error('disk on fire'); } })).rejects.toMatchObject({ code: 'E_STATE' });
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('removeLeftovers', () => {
  it('removes temporary files only', async () => {
    writeFileSync(join(folder, '.a.0123.tmp'), 'x');
    writeFileSync(join(folder, 'a'), 'x');
    await removeLeftovers(folder);
    expect(readdirSync(folder)).toEqual(['a']);
  });
});

describe('readBounded', () => {
  it('reads a file of exactly the bound and refuses one byte more', async () => {
    writeFileSync(join(folder, 'a'), '12345');
    expect(text(await readBounded(join(folder, 'a'), 5))).toBe('12345');
    await expect(readBounded(join(folder, 'a'), 4)).rejects.toMatchObject({ code: 'E_STATE' });
  });

  it('refuses a folder, a named pipe and a missing file', async () => {
    await expect(readBounded(folder, 10)).rejects.toMatchObject({ code: 'E_STATE' });
    expect(spawnSync('mkfifo', [join(folder, 'pipe')]).status).toBe(0);
    await expect(readBounded(join(folder, 'pipe'), 10)).rejects.toMatchObject({ code: 'E_STATE' });
    await expect(readBounded(join(folder, 'none'), 10)).rejects.toMatchObject({ code: 'E_NOT_FOUND' });
  });

  it('refuses a device that never ends', async () => {
    await expect(readBounded('/dev/zero', 10)).rejects.toMatchObject({ code: 'E_STATE' });
  });

  it('private: refuses a file that others may read', async () => {
    const path = join(folder, 'a');
    writeFileSync(path, 's');
    for (const mode of [0o604, 0o640, 0o602, 0o644]) {
      chmodSync(path, mode);
      await expect(readBounded(path, 10, { private: true })).rejects.toMatchObject({ code: 'E_STATE', hint: expect.stringContaining('chmod 600') });
    }
    chmodSync(path, 0o600);
    symlinkSync(path, join(folder, 'link'));
    expect(text(await readBounded(join(folder, 'link'), 10, { private: true }))).toBe('s');
  });
});

describe('folders', () => {
  it('ensureFolder: private by default, and keeps an existing one', async () => {
    await ensureFolder(join(folder, 'x', 'y'));
    expect(modeOf(join(folder, 'x', 'y'))).toBe(0o700);
    await ensureFolder(join(folder, 'x', 'y'));
  });

  it('listFolder, pathExists, removeFile: say what is there and do not mind what is not', async () => {
    writeFileSync(join(folder, 'b'), '');
    writeFileSync(join(folder, 'a'), '');
    expect(await listFolder(folder)).toEqual(['a', 'b']);
    expect(await listFolder(join(folder, 'none'))).toEqual([]);
    await removeFile(join(folder, 'a'));
    await removeFile(join(folder, 'a'));
    expect(await pathExists(join(folder, 'a'))).toBe(false);
    expect(await pathExists(join(folder, 'b'))).toBe(true);
  });
});
