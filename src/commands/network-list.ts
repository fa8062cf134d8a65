// `cocoon network list`: the networks that can be used. API keys are files, and stay there.
import { networksOf } from './chain.ts';
import { renderTable } from './table-view.ts';
import { showContract } from './wallets.ts';
import type { Command } from 'commander';
import type { ChainNetwork } from '../chain/networks.ts';
import type { JsonValue } from './output.ts';
import type { Invocation } from './command.ts';

export function declare(_command: Command): void {}

/** Scheme and host of an endpoint: a path may hold a key. */
export const originOf = (url: string): string => new URL(url).origin;

export function networkData({ name, kind, globalId, root, endpoints }: ChainNetwork): { [key: string]: JsonValue } {
  return { name, kind, globalId, root: root?.toRawString() ?? null, endpoints: endpoints.map(({ url, apiKeyFile }) => ({ origin: originOf(url), apiKey: apiKeyFile !== null })) };
}

export async function run({ settings, out }: Invocation): Promise<void> {
  const networks = await networksOf(settings).list();
  const inUse = settings.text('network');
  out.result({ inUse: inUse ?? null, networks: networks.map(networkData) });
  await out.text(await renderTable(['', 'NAME', 'KIND', 'ROOT', 'ENDPOINTS'], networks.map((network) => [
    network.name === inUse ? '*' : '', network.name, network.kind, network.root === null ? '-' : showContract(network.root, network),
    network.endpoints.map(({ url }) => originOf(url)).join(' ') || 'not running',
  ])));
}
