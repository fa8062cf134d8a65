// cocoon.toml: one key is changed, everything else stays as it was written.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readConfigFile, setConfigValue } from '../../src/core/config-file.ts';

let path = '';
beforeEach(() => { path = join(mkdtempSync(join(tmpdir(), 'config-')), 'sub', 'cocoon.toml'); });
afterEach(() => rmSync(join(path, '..', '..'), { recursive: true }));

describe('setConfigValue', () => {
  it('makes the file and its folder, and what it writes is read back', async () => {
    await setConfigValue(path, 'model', '"a \\"b\\""');
    await setConfigValue(path, 'engine.threads', '2');
    await setConfigValue(path, 'model', '"c"');
    expect(Object.fromEntries(await readConfigFile(path, { mustExist: true }))).toEqual({ model: 'c', 'engine.threads': '2' });
  });

  it('keeps comments and other keys', async () => {
    await setConfigValue(path, 'model', '"x"');
    writeFileSync(path, '# mine\nmodel = "x"\nquiet = true\n\n[engine]\n# cores\nthreads = 1\n');
    await setConfigValue(path, 'model', '"y"');
    await setConfigValue(path, 'engine.threads', '4');
    const text = readFileSync(path, 'utf8');
    expect(text).toContain('# mine');
    expect(text).toContain('# cores');
    expect(Object.fromEntries(await readConfigFile(path, { mustExist: true }))).toEqual({ model: 'y', quiet: 'true', 'engine.threads': '4' });
  });

  it('a file that is not TOML is not touched', async () => {
    await setConfigValue(path, 'model', '"x"');
    writeFileSync(path, 'model = ');
    await expect(setConfigValue(path, 'model', '"y"')).rejects.toMatchObject({ code: 'E_CONFIG' });
    expect(readFileSync(path, 'utf8')).toBe('model = ');
  });

  it('readConfigFile: no file is empty, or an error where one was named', async () => {
    expect((await readConfigFile(path, { mustExist: false })).size).toBe(0);
    await expect(readConfigFile(path, { mustExist: true })).rejects.toMatchObject({ code: 'E_CONFIG', exitCode: 3 });
  });
});
