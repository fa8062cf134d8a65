// `cocoon network register-proxy WORKERS [CLIENTS]`: where a proxy listens, into the root contract. Owner only.
import { parseEndpoint } from '../chain/cells/proxy-text.ts';
import { registerProxyPlan } from '../chain/plans/registry.ts';
import { readRoot } from '../chain/plans/reading.ts';
import { UsageError } from '../core/errors.ts';
import { networkInUse, requireRoot } from './chain.ts';
import { declareSending, sendPlan } from './sending.ts';
import type { Command } from 'commander';
import type { Endpoint } from '../chain/cells/proxy-text.ts';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<workers>', 'IPv4:PORT where workers connect').argument('[clients]', 'IPv4:PORT where clients connect (default: the same)');
  declareSending(command);
}

function endpoint(text: string): Endpoint {
  const parsed = parseEndpoint(text);
  if (typeof parsed === 'string') throw new UsageError('E_USAGE', `cannot register this proxy: ${parsed}`);
  return parsed;
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [workers = '', clients = workers], settings } = invocation;
  const endpoints = { workers: endpoint(workers), clients: endpoint(clients) };
  const network = await networkInUse(settings);
  const root = requireRoot(network);
  await sendPlan(invocation, network, async (context) => registerProxyPlan(context, await readRoot(context, root), endpoints));
}
