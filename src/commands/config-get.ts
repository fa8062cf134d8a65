// `cocoon config get KEY`: the value in force, on a line of its own.
import { NotFoundError } from '../core/errors.ts';
import { requireSettingKey } from '../core/settings.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<key>', 'setting, for example network or engine.threads');
}

export async function run({ args: [key = ''], settings, out }: Invocation): Promise<void> {
  const { value, source } = settings.get(requireSettingKey(key));
  if (value === null) {
    throw new NotFoundError('E_NOT_FOUND', `${key} is not set`, { hint: `run \`cocoon config set ${key} VALUE\`` });
  }
  out.result({ key, value, source });
  await out.line(value);
}
