// Settings: flag before variable before file before default; what cannot be used is an error wherever it comes from.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SETTINGS, checkSetting, defaultHome, isSettingKey, loadSettings, parseDurationMs, settingKeys, variableOf } from '../../src/core/settings.ts';
import type { SettingSpec, SettingsInput } from '../../src/core/settings.ts';

let home = '';
beforeEach(() => { home = mkdtempSync(join(tmpdir(), 'settings-')); });
afterEach(() => rmSync(home, { recursive: true }));

const load = (changes: Partial<SettingsInput> = {}) => loadSettings({ env: {}, cwd: home, homedir: home, flags: {}, home, ...changes });

describe('loadSettings', () => {
  it('flag, variable, file, default: in this order, for every kind', async () => {
    writeFileSync(join(home, 'cocoon.toml'), 'timeout = "3s"\nquiet = true\n[engine]\nthreads = 3\n');
    const env = { COCOON_TIMEOUT: '2s', COCOON_ENGINE_THREADS: '2' };
    expect((await load()).get('timeout')).toEqual({ key: 'timeout', value: '3s', source: 'file' });
    expect((await load({ env })).get('timeout')).toMatchObject({ value: '2s', source: 'environment' });
    expect((await load({ env, flags: { timeout: '1s' } })).durationMs('timeout')).toBe(1_000);
    expect((await load({ env })).integer('engine.threads')).toBe(2);
    expect((await load()).integer('engine.threads')).toBe(3);
    expect((await load()).boolean('quiet')).toBe(true);
    expect((await load()).get('network')).toMatchObject({ value: 'local', source: 'default' });
    expect((await load()).get('model')).toEqual({ key: 'model', value: null, source: 'unset' });
  });

  it('an amount of TON is exact, and anything else is refused', async () => {
    writeFileSync(join(home, 'cocoon.toml'), '[client]\nmax_deposit = 0.1\ndeposit = "2"\n');
    const settings = await load();
    expect([settings.ton('client.max_deposit'), settings.ton('client.deposit'), settings.ton('node.max_owed'), settings.ton('node.auto_claim')]).toEqual([100_000_000n, 2_000_000_000n, 1_000_000_000n, undefined]);
    for (const text of ['-1', '1e3', 'ten', '0.0000000001', '1 TON']) {
      expect(() => checkSetting('node.auto_claim', text, 'here')).toThrow(expect.objectContaining({ code: 'E_CONFIG', message: expect.stringContaining('amount of TON') }));
    }
  });

  it('an empty variable is none', async () => {
    expect((await load({ env: { COCOON_TIMEOUT: '' } })).get('timeout').source).toBe('default');
  });

  it.each([['timeout = 5', /timeout/], ['threads = 1', /unknown key "threads"/], ['[engine]\nthreads = "x"', /whole number/], ['quiet = "maybe"', /true or false/], ['model = ""', /1 to 1024/], ['= 1', /TOML/], ['model = ["a"]', /model/]])(
    'the file %j is refused', async (text, message) => {
      writeFileSync(join(home, 'cocoon.toml'), text);
      await expect(load()).rejects.toMatchObject({ code: 'E_CONFIG', exitCode: 3, message: expect.stringMatching(message) });
    });

  it('home: flag, variable, XDG, ~/.local/share; relative ones count from the working directory', async () => {
    expect((await load({ home: 'sub' })).home).toBe(join(home, 'sub'));
    expect((await loadSettings({ env: { COCOON_HOME: join(home, 'v') }, cwd: '/', homedir: '/h', flags: {} })).home).toBe(join(home, 'v'));
    expect(defaultHome({ XDG_DATA_HOME: '/x' }, '/h')).toBe('/x/cocoon');
    expect(defaultHome({ XDG_DATA_HOME: 'relative' }, '/h')).toBe('/h/.local/share/cocoon');
  });

  it('a file that was named must exist', async () => {
    await expect(load({ file: 'missing.toml' })).rejects.toMatchObject({ code: 'E_CONFIG' });
    await expect(load({ env: { COCOON_CONFIG: 'missing.toml' } })).rejects.toMatchObject({ code: 'E_CONFIG' });
    await load();
  });
});

describe('settings table', () => {
  it('every default can be used, and every key has its variable', () => {
    for (const key of settingKeys()) {
      const spec: SettingSpec = SETTINGS[key];
      if (spec.fallback !== undefined) checkSetting(key, spec.fallback, 'the table');
      expect(variableOf(key)).toMatch(/^COCOON_[A-Z_]+$/);
    }
    expect(['toString', '__proto__', ''].some(isSettingKey)).toBe(false);
  });

  it('parseDurationMs: number and unit, 1 ms to a week', () => {
    expect(['1ms', '30s', '2m', '168h'].map((text) => parseDurationMs(text, 'x'))).toEqual([1, 30_000, 120_000, 604_800_000]);
    for (const text of ['', '0s', '5', '-1s', '1.5s', '169h', '1 s', '1d', '9999999999s']) expect(() => parseDurationMs(text, 'x')).toThrow(expect.objectContaining({ code: 'E_CONFIG' }));
  });
});
