// `cocoon models rm MODEL`: takes a name from this machine, and the files with the last name that has them. Refuses what is in use.
import { bytesText } from '../node/doctor/check.ts';
import { openRegistry } from '../node/models/registry.ts';
import { confirmChange } from './confirm-change.ts';
import { NotFoundError } from '../core/errors.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<model>', 'name or full name of `models list --local`');
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [name = ''], settings, out } = invocation;
  const registry = openRegistry(settings.home);
  const known = await registry.find(name);
  if (known === null) throw new NotFoundError('E_NOT_FOUND', `there is no model named "${name}" on this machine`, { hint: 'run `cocoon models list --local`' });
  await confirmChange(invocation, `Remove ${known.fullName}?`);
  const { entry, freedBytes } = await registry.remove(name);
  out.result({ name: entry.name, fullName: entry.fullName, freedBytes });
  await out.line(`removed ${entry.name}, ${freedBytes === 0 ? 'its files stay: another name has them' : `${bytesText(freedBytes)} freed`}`);
}
