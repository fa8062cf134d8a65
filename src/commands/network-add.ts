// `cocoon network add NAME`: a network with a root contract of its own, or other endpoints for a built-in one.
import { resolve } from 'node:path';
import { readApiKey } from '../chain/networks.ts';
import { parseAddress } from '../chain/wallets/address-text.ts';
import { MAINNET, TESTNET } from '../chain/wallets/network.ts';
import { UsageError } from '../core/errors.ts';
import { networksOf } from './chain.ts';
import { networkData } from './network-list.ts';
import { repeated } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

interface AddOptions {
  readonly root?: string;
  readonly endpoint?: readonly string[];
  readonly apiKeyFile?: readonly string[];
  readonly testnet?: boolean;
  readonly globalId?: number;
  readonly replace?: boolean;
}

/** Global ids of TON networks are signed 32-bit numbers. */
function globalIdOption(text: string): number {
  const value = Number(text);
  if (!/^-?\d{1,10}$/.test(text) || value < -(2 ** 31) || value > 2 ** 31 - 1) throw new UsageError('E_USAGE', `cannot use the global id "${text.slice(0, 20)}": expected a 32-bit number, for example -239`);
  return value;
}

export function declare(command: Command): void {
  command
    .argument('<name>', 'name of the network: a-z, 0-9 and -; mainnet or testnet to change their endpoints')
    .option('--root <address>', 'its root contract; left out where one is still to be deployed')
    .option('--endpoint <url>', 'JSON-RPC of a toncenter v2 gateway; two of different operators are checked against each other', repeated(String))
    .option('--api-key-file <file>', 'file of mode 0600 with the API key of the first endpoint; again for the second, and so on', repeated(String))
    .option('--testnet', 'the TON network is testnet (default: mainnet)')
    .option('--global-id <n>', 'the TON network is one with this global id', globalIdOption)
    .option('--replace', 'change a network that was added before');
}

export async function run({ args: [name = ''], options, settings, context, out }: Invocation): Promise<void> {
  const { root, endpoint = [], apiKeyFile = [], testnet = name === TESTNET.name, globalId, replace = false }: AddOptions = options;
  if (testnet && globalId !== undefined) throw new UsageError('E_USAGE', 'cannot use both --testnet and --global-id');
  if (apiKeyFile.length > endpoint.length) throw new UsageError('E_USAGE', `${apiKeyFile.length} API keys were given for ${endpoint.length} endpoints`);
  const chain = { name, globalId: globalId ?? (testnet ? TESTNET : MAINNET).globalId, testOnly: testnet };
  const keyFiles = apiKeyFile.map((file) => resolve(context.cwd, file));
  for (const file of keyFiles) await readApiKey(file);
  const network = await networksOf(settings).add({
    name, globalId: chain.globalId, root: root === undefined ? null : parseAddress(root, chain).address,
    endpoints: endpoint.map((url, index) => ({ url, apiKeyFile: keyFiles[index] ?? null })),
  }, { replace });
  out.result(networkData(network));
  await out.note(`added network ${name}; use it with \`cocoon network use ${name}\` or --network ${name}`);
}
