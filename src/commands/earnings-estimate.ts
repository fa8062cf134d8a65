// `cocoon earnings estimate`: what this machine would earn in a day by a measured speed and the prices of the network now. Every
// assumption is printed; none is hidden in a default that is not shown.
import { resolve } from 'node:path';
import { readRoot } from '../chain/plans/reading.ts';
import { UsageError } from '../core/errors.ts';
import { formatTon } from '../core/units.ts';
import { estimateEarnings } from '../node/earnings/estimate.ts';
import { networkInUse, requireRoot, withAccess } from './chain.ts';
import { readBench } from './node-bench.ts';
import { renderTable } from './table-view.ts';
import { boundedSetting, decimalNumber, wholeNumber } from './values.ts';
import type { Command } from 'commander';
import type { EarningAssumptions } from '../node/earnings/estimate.ts';
import type { BenchResult } from './node-bench.ts';
import type { Invocation } from './command.ts';

const DEFAULT_UTILISATION = 30;
const DEFAULT_PROMPT = 4;
const DEFAULT_CACHED = 20;
/** Share of the power of work that a machine draws while it waits. */
const IDLE_SHARE = 0.3;

interface EstimateOptions {
  readonly bench?: string;
  readonly depth?: number;
  readonly streams?: number;
  readonly utilisation?: number;
  readonly promptPerAnswer?: number;
  readonly cached?: number;
  readonly price?: number;
  readonly watts?: number;
  readonly idleWatts?: number;
  readonly electricity?: number;
}

export function declare(command: Command): void {
  command
    .requiredOption('--bench <file>', 'what `cocoon node bench --out FILE` measured on this machine')
    .option('--depth <n>', 'depth of the measurement that is taken (default: the one nearest to the middle)', wholeNumber(1, 10_000_000))
    .option('--streams <n>', 'requests at once of that measurement (default: the fastest)', wholeNumber(1, 1_024))
    .option('--utilisation <percent>', `share of the day at that speed (default: ${DEFAULT_UTILISATION})`, decimalNumber(0, 100))
    .option('--prompt-per-answer <n>', `tokens of prompt for each token of answer (default: ${DEFAULT_PROMPT})`, decimalNumber(0, 10_000))
    .option('--cached <percent>', `share of the prompt that is reused (default: ${DEFAULT_CACHED})`, decimalNumber(0, 100))
    .option('--price <n>', 'price in thousandths of the network\'s (default: the setting node.price)', wholeNumber(0, 999_999_999))
    .option('--watts <n>', 'power drawn while it works', decimalNumber(0, 1_000_000))
    .option('--idle-watts <n>', `power drawn while it waits (default: ${IDLE_SHARE * 100} % of --watts)`, decimalNumber(0, 1_000_000))
    .option('--electricity <price>', 'price of a kilowatt hour, in any currency', decimalNumber(0, 1_000_000));
}

export async function run(invocation: Invocation): Promise<void> {
  const { settings, out, context, options } = invocation;
  const flags: EstimateOptions = options;
  if ((flags.watts === undefined) !== (flags.electricity === undefined)) throw new UsageError('E_USAGE', 'expected both --watts and --electricity, or neither');
  const bench = await readBench(resolve(context.cwd, flags.bench ?? ''));
  const point = chosenPoint(bench, flags);
  const network = await networkInUse(settings);
  const { config } = await withAccess(invocation, network, (access) => readRoot({ access, signal: context.signal }, requireRoot(network)));
  const { params } = config;
  const assumptions: EarningAssumptions = {
    feeNano: params.workerFeePerTokenNano,
    multipliers: { prompt: params.promptMultiplier, cached: params.cachedMultiplier, completion: params.completionMultiplier, reasoning: params.reasoningMultiplier },
    price: flags.price ?? boundedSetting(settings, 'node.price', 0, 999_999_999) ?? 1_000, utilisation: (flags.utilisation ?? DEFAULT_UTILISATION) / 100,
    promptPerAnswer: flags.promptPerAnswer ?? DEFAULT_PROMPT, cachedShare: (flags.cached ?? DEFAULT_CACHED) / 100, prefillPerSecond: point.prefillPerSecond, decodePerSecond: point.decodePerSecond,
    power: flags.watts === undefined || flags.electricity === undefined ? null : { busyWatts: flags.watts, idleWatts: flags.idleWatts ?? flags.watts * IDLE_SHARE, pricePerKwh: flags.electricity },
  };
  const estimate = estimateEarnings(assumptions);
  const { feeNano, ...plain } = assumptions;
  out.result({
    network: network.name, model: bench.model, depth: point.depth, streams: point.streams, assumptions: { ...plain, multipliers: { ...plain.multipliers }, power: plain.power === null ? null : { ...plain.power }, feeNano: String(feeNano) },
    estimate: { ...estimate, nanoPerDay: String(estimate.nanoPerDay), nanoPerMonth: String(estimate.nanoPerDay * 30n) },
  });
  await out.line(`${formatTon(estimate.nanoPerDay)} TON a day, ${formatTon(estimate.nanoPerDay * 30n)} TON in 30 days`);
  if (estimate.electricityPerDay !== null) await out.line(`electricity ${estimate.electricityPerDay.toFixed(2)} a day for ${estimate.kwhPerDay?.toFixed(1) ?? '?'} kWh${estimate.breakEvenPerTon === null ? '' : `: paid for from a price of ${estimate.breakEvenPerTon.toPrecision(3)} a TON`}`);
  const times = (multiplier: number): string => `×${(multiplier / 10_000).toFixed(2)}`;
  await out.text(`\n${await renderTable(['ASSUMPTION', 'VALUE'], [
    ['model, measured', `${bench.model}, ${bench.at}`],
    ['speed', `${point.prefillPerSecond.toFixed(0)} tokens/s prefill, ${point.decodePerSecond.toFixed(1)} tokens/s decode, ${point.streams} at once at a depth of ${point.depth}`],
    ['busy', `${(assumptions.utilisation * 100).toFixed(0)} % of the day: ${estimate.answerTokensPerDay} tokens of answer, ${estimate.promptTokensPerDay} of prompt`],
    ['requests', `${assumptions.promptPerAnswer} tokens of prompt for one of answer, ${(assumptions.cachedShare * 100).toFixed(0)} % of them reused`],
    ['fee', `${feeNano} nanoTON an adjusted token, by the root contract of ${network.name} now`],
    ['multipliers', `prompt ${times(params.promptMultiplier)}, reused ${times(params.cachedMultiplier)}, answer ${times(params.completionMultiplier)}`],
    ['price', `×${(assumptions.price / 1000).toFixed(3)} of the network's`],
    ['power', assumptions.power === null ? 'not counted: give --watts and --electricity' : `${assumptions.power.busyWatts} W at work, ${assumptions.power.idleWatts} W waiting, ${assumptions.power.pricePerKwh} a kWh`],
    ['not counted', 'fees of claims, hardware, network, and whether anybody asks: demand is the first assumption'],
  ])}`);
}

/** The measurement that is taken: the depth in the middle, and of that the most tokens a second. Throws UsageError. */
function chosenPoint({ points }: BenchResult, { depth, streams }: EstimateOptions): BenchResult['points'][number] & { readonly decodePerSecond: number } {
  const depths = [...new Set(points.map((point) => point.depth))].sort((a, b) => a - b);
  const wanted = depth ?? depths[Math.floor((depths.length - 1) / 2)];
  const fitting = points.flatMap(({ decodePerSecond, ...point }) => (point.depth === wanted && (streams === undefined || point.streams === streams) && decodePerSecond !== null && decodePerSecond > 0 ? [{ ...point, decodePerSecond }] : []));
  const [best] = fitting.sort((a, b) => b.decodePerSecond - a.decodePerSecond);
  if (best === undefined) throw new UsageError('E_USAGE', 'the measurement has no such point with a speed of decoding', { hint: `its depths are ${depths.join(', ')}; measure with more --tokens where answers end at once` });
  return best;
}
