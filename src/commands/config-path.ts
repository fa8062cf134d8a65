// `cocoon config path`: where cocoon.toml and the state are.
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(_command: Command): void {}

export async function run({ settings, out }: Invocation): Promise<void> {
  out.result({ file: settings.file, home: settings.home });
  await out.line(settings.file);
}
