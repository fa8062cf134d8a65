// Settings that a running daemon reads anew: the file and the environment as they are now, under the flags that it was started with.
import { join } from 'node:path';
import { loadSettings } from '../core/settings.ts';
import type { SettingKey, Settings } from '../core/settings.ts';
import type { Invocation } from './command.ts';

/** Throws ConfigError where one of them cannot be used. */
export function settingsNow({ settings, context }: Pick<Invocation, 'settings' | 'context'>): Promise<Settings> {
  const flags: Partial<Record<SettingKey, string>> = {};
  for (const { key, value, source } of settings.all()) if (source === 'flag' && value !== null) flags[key] = value;
  const isUsual = settings.file === join(settings.home, 'cocoon.toml');
  return loadSettings({ env: context.env, cwd: context.cwd, homedir: context.homedir, flags, home: settings.home, file: isUsual ? undefined : settings.file });
}

export interface SettingChange {
  readonly key: SettingKey;
  readonly before: string;
  readonly after: string;
}

const UNSET = 'unset';

export function settingChanges(before: Settings, after: Settings): SettingChange[] {
  return after.all().flatMap(({ key, value }) => {
    const was = before.get(key).value;
    return was === value ? [] : [{ key, before: was ?? UNSET, after: value ?? UNSET }];
  });
}
