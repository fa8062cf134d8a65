// `cocoon network show`: what the network's root contract says: owner, prices, delays, versions, allowed hashes, proxies, pending change.
import { formatEndpoint } from '../chain/cells/proxy-text.ts';
import { chainTime, readRoot } from '../chain/plans/reading.ts';
import { paramsProblems } from '../chain/root-config.ts';
import { toHex } from '../core/bytes.ts';
import { formatTon } from '../core/units.ts';
import { networkInUse, requireRoot, withAccess } from './chain.ts';
import { networkData } from './network-list.ts';
import { renderTable } from './table-view.ts';
import { showContract, showWallet } from './wallets.ts';
import type { Command } from 'commander';
import type { RootConfig } from '../chain/root-config.ts';
import type { JsonValue } from './output.ts';
import type { Invocation } from './command.ts';

export function declare(_command: Command): void {}

function paramsData({ params }: RootConfig): { [key: string]: JsonValue } {
  const { proxyCode, workerCode, clientCode, ...plain } = params;
  const hashOf = (code: typeof proxyCode): string | null => code === null ? null : toHex(code.hash());
  return {
    ...Object.fromEntries(Object.entries(plain).map(([name, value]) => [name, typeof value === 'bigint' ? value.toString() : value])),
    proxyCodeHash: hashOf(proxyCode), workerCodeHash: hashOf(workerCode), clientCodeHash: hashOf(clientCode),
  };
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, out, context: { signal } } = invocation;
  const network = await networkInUse(settings);
  const address = requireRoot(network);
  await withAccess(invocation, network, async (access) => {
    const { config, account } = await readRoot({ access, signal }, address);
    const { owner, version, params, proxies, skippedProxies, pendingChange } = config;
    const hashes = { proxy: [...config.proxyHashes], worker: [...config.workerHashes], model: [...config.modelHashes] };
    out.result({
      ...networkData(network), owner: owner.toRawString(), version, balanceNano: account.balanceNano.toString(), time: account.time, params: paramsData(config), hashes,
      proxies: proxies.map(({ seqno, workers, clients }) => ({ number: seqno, workers: formatEndpoint(workers), clients: formatEndpoint(clients) })),
      pendingChange: pendingChange === null ? null : { executeFrom: pendingChange.executeAt, digest: toHex(pendingChange.digest) },
    });
    for (const problem of paramsProblems(params)) await out.warn(problem);
    for (const { seqno, reason } of skippedProxies) await out.warn(`proxy ${seqno} is skipped: ${reason}`);
    const rows: [string, string][] = [
      ['root', showContract(address, network)], ['owner', showWallet(owner, network)], ['version', `${version}, params ${params.paramsVersion}, layout ${params.structVersion}`],
      ['price per token', `${params.pricePerTokenNano} nanoTON, of which the worker gets ${params.workerFeePerTokenNano}`],
      ['multipliers', `prompt ${times(params.promptMultiplier)} cached ${times(params.cachedMultiplier)} completion ${times(params.completionMultiplier)} reasoning ${times(params.reasoningMultiplier)}`],
      ['close delays', `proxy ${params.proxyDelaySeconds} s, client ${params.clientDelaySeconds} s`],
      ['least stakes', `proxy ${formatTon(params.minProxyStakeNano)} TON, client ${formatTon(params.minClientStakeNano)} TON`],
      ...proxies.map(({ seqno, workers, clients }): [string, string] => [`proxy ${seqno}`, `workers ${formatEndpoint(workers)} clients ${formatEndpoint(clients)}`]),
      ...Object.entries(hashes).flatMap(([kind, list]) => list.map((hash): [string, string] => [`allowed ${kind}`, hash])),
      ...(pendingChange === null ? [] : [['pending change', `from ${chainTime(pendingChange.executeAt)} on, digest ${toHex(pendingChange.digest)}`] as [string, string]]),
    ];
    await out.text(await renderTable(['WHAT', 'VALUE'], rows));
  });
}

const times = (tenThousandths: number): string => `×${tenThousandths / 10_000}`;
