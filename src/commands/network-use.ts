// `cocoon network use NAME`: the network of all commands without --network.
import { setConfigValue } from '../core/config-file.ts';
import { LOCAL } from '../chain/networks.ts';
import { networksOf } from './chain.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<name>', 'a network of `cocoon network list`');
}

export async function run({ args: [name = ''], settings, out }: Invocation): Promise<void> {
  // The local network may be chosen before it was ever started.
  if (name !== LOCAL) await networksOf(settings).get(name);
  await setConfigValue(settings.file, 'network', JSON.stringify(name));
  const { source, value } = settings.get('network');
  if (source === 'environment' || source === 'flag') await out.warn(`network is written, but the ${source} gives "${value}" and wins`);
  out.result({ network: name, file: settings.file });
  await out.note(`network = ${name} (${settings.file})`);
}
