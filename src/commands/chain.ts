// Which network a chain command works on, and access to it for as long as the command needs it.
import { join } from 'node:path';
import { createTonAccess } from '../chain/access/access.ts';
import { endpointConfigs, Networks } from '../chain/networks.ts';
import { ConfigError, DaemonError } from '../core/errors.ts';
import { localChainFacts } from '../localnet/chain.ts';
import { localnetLayout } from '../localnet/layout.ts';
import type { Address } from '@ton/core';
import type { TonAccess } from '../chain/access/types.ts';
import type { ChainNetwork } from '../chain/networks.ts';
import type { Settings } from '../core/settings.ts';
import type { Invocation } from './command.ts';

export function networksOf({ home }: Settings): Networks {
  return new Networks({ file: join(home, 'networks.json'), local: () => localChainFacts(localnetLayout(home)) });
}

/** The network in use. */
export function networkInUse(settings: Settings): Promise<ChainNetwork> {
  return networksOf(settings).get(settings.text('network') ?? 'local');
}

/** Runs `work` with access to the network's endpoints. Throws DaemonError while a local chain does not run. */
export async function withAccess<T>({ settings }: Pick<Invocation, 'settings'>, network: ChainNetwork, work: (access: TonAccess) => Promise<T>): Promise<T> {
  if (network.endpoints.length === 0) throw new DaemonError('E_NOT_RUNNING', 'the local chain is not running', { hint: 'run `cocoon localnet start --chain-only --detach`' });
  const access = createTonAccess({ endpoints: await endpointConfigs(network.endpoints), timeoutMs: settings.durationMs('timeout') });
  try {
    return await work(access);
  } finally {
    await access.close();
  }
}

/** The root contract of a network. Throws ConfigError where none is known. */
export function requireRoot({ root, name }: ChainNetwork): Address {
  if (root !== null) return root;
  throw new ConfigError('E_CONFIG', `no root contract of network "${name}" is known`, { hint: 'deploy one with `cocoon network deploy`, or add a network that has one with `cocoon network add`' });
}

/** How often the chain is asked while a result is awaited. */
export const pollMsOf = ({ kind }: ChainNetwork): number => kind === 'local' ? 150 : 1_500;
