// Which network a command works on. This version knows the local one; networks with a root contract are refused by name.
import { joinAsClient, joinAsRole } from '../localnet/membership.ts';
import { ConfigError } from '../core/errors.ts';
import type { Context } from '../core/context.ts';
import type { Settings } from '../core/settings.ts';
import type { Role } from '../tee/peer.ts';

function requireLocal(settings: Settings): void {
  const name = settings.text('network');
  if (name === 'local') return;
  throw new ConfigError('E_CONFIG', `cannot use network "${name}": this version connects to the local network only`, { hint: 'run `cocoon localnet start --detach` and leave --network out' });
}

/** What a client must know of the network: its proxies and how they are checked. */
export async function clientNetwork(settings: Settings): Promise<Awaited<ReturnType<typeof joinAsClient>>> {
  requireLocal(settings);
  return joinAsClient(settings.home);
}

/** What a proxy or a node must know: also how to make its own evidence. */
export async function roleNetwork(settings: Settings, context: Context, role: Role): Promise<Awaited<ReturnType<typeof joinAsRole>>> {
  requireLocal(settings);
  return joinAsRole(settings.home, role, context.version);
}
