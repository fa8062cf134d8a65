// `cocoon config set KEY VALUE`: checks the value and writes it to cocoon.toml; comments and other lines stay.
import { setConfigValue } from '../core/config-file.ts';
import { SETTINGS, checkSetting, requireSettingKey } from '../core/settings.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<key>', 'setting, for example network or engine.threads').argument('<value>', 'new value');
}

export async function run({ args: [name = '', value = ''], settings, out }: Invocation): Promise<void> {
  const key = requireSettingKey(name);
  checkSetting(key, value, 'the command line');
  const { type } = SETTINGS[key];
  await setConfigValue(settings.file, key, type === 'integer' || type === 'boolean' ? value : JSON.stringify(value));
  const inForce = settings.get(key);
  if (inForce.source === 'environment' || inForce.source === 'flag') {
    await out.warn(`${key} is written, but the ${inForce.source} gives "${inForce.value}" and wins`);
  }
  out.result({ key, value, file: settings.file });
  await out.note(`${key} = ${value} (${settings.file})`);
}
