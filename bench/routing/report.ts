// All workloads under all rules, as tables, and whether the targets are met: the first token, and no node idle while others queue.
// A request "waited beside idle" when it had to stand in line at its node while another that it could have gone to had nothing to
// do. Idle is a node with no request at all that is connected, within the price, not one that failed this request, and does not
// fail more than every tenth: what it announces does not matter. Only nodes that announce more sequences than they have let anybody wait.
import { seeded } from './random.ts';
import { leastLoaded, ours, randomNode, upstream } from './rules.ts';
import { percentile, simulate } from './simulate.ts';
import { makeWorkload, WORKLOADS } from './workloads.ts';
import type { Rule } from './rules.ts';
import type { Result } from './simulate.ts';
import type { WorkloadName } from './workloads.ts';

const RULES: readonly ((seed: number) => Rule)[] = [
  () => upstream(), () => leastLoaded(), (seed) => randomNode(seeded(seed).next), (seed) => ours(seeded(seed).next),
];

export interface Row {
  readonly rule: string;
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** p99 of each seed. */
  readonly p99BySeedMs: readonly number[];
  readonly totalP50Ms: number;
  readonly failedShare: number;
  readonly waitedBesideIdle: number;
  readonly harmedByWaiting: number;
  readonly newcomersUsed: number;
  readonly newcomersShare: number;
  readonly cachedShare: number;
  readonly choiceMs: number;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function rowOf(rule: string, results: readonly Result[]): Row {
  const all = results.flatMap(({ firstTokenMs }) => firstTokenMs).sort((a, b) => a - b);
  const total = results.flatMap(({ totalMs }) => totalMs).sort((a, b) => a - b);
  const sum = (of: (result: Result) => number): number => results.reduce((so, result) => so + of(result), 0);
  const requests = sum((result) => result.requests);
  return {
    rule,
    requests,
    p50Ms: percentile(all, 0.5),
    p99Ms: percentile(all, 0.99),
    p99BySeedMs: results.map(({ firstTokenMs }) => percentile(firstTokenMs, 0.99)),
    totalP50Ms: percentile(total, 0.5),
    failedShare: sum((result) => result.failed) / requests,
    waitedBesideIdle: sum((result) => result.waitedBesideIdle) / requests,
    harmedByWaiting: sum((result) => result.harmedByWaiting) / requests,
    newcomersUsed: mean(results.map((result) => result.newcomersUsed)),
    newcomersShare: mean(results.map((result) => result.newcomersShare)),
    cachedShare: mean(results.map((result) => result.cachedShare)),
    choiceMs: mean(results.map((result) => result.choiceMs)),
  };
}

/** One row a rule, in the order of RULES: upstream first, ours last; `only` those of these names. */
export const compare = (workload: WorkloadName, nodes: number, seeds: readonly number[], only?: readonly string[]): Row[] =>
  RULES.filter((rule) => only?.includes(rule(0).name) ?? true).map((rule) => {
    const results = seeds.map((seed) => simulate(makeWorkload(workload, seed, nodes), rule(seed), seed));
    return rowOf(rule(0).name, results);
  });

const percent = (part: number): string => `${(part * 100).toFixed(2)} %`;

/** True when every target is met. */
export function report({ nodes, seeds, print, workloads = WORKLOADS }: { readonly nodes: number; readonly seeds: readonly number[]; readonly print: (line: string) => void; readonly workloads?: readonly WorkloadName[] }): boolean {
  let met = true;
  for (const workload of workloads) {
    const rows = compare(workload, nodes, seeds);
    print(`${workload}: ${makeWorkload(workload, seeds[0] ?? 1, nodes).nodes.length} nodes, ${rows[0]?.requests ?? 0} requests, seeds ${seeds.join(' ')}`);
    print('  rule          first token p50      p99   done p50   failed   waited beside idle (harmed)   newcomers used, share   cached   ms a choice');
    for (const row of rows) {
      print(`  ${row.rule.padEnd(14)}${row.p50Ms.toFixed(0).padStart(12)} ms${row.p99Ms.toFixed(0).padStart(7)} ms${row.totalP50Ms.toFixed(0).padStart(8)} ms${percent(row.failedShare).padStart(9)}`
        + `${percent(row.waitedBesideIdle).padStart(12)} (${percent(row.harmedByWaiting)})${percent(row.newcomersUsed).padStart(20)} ${row.newcomersShare.toFixed(2).padStart(6)}${percent(row.cachedShare).padStart(12)}${row.choiceMs.toFixed(3).padStart(10)}`);
    }
    const upstreamRow = rows[0];
    const oursRow = rows.at(-1);
    if (upstreamRow === undefined || oursRow === undefined) continue;
    const ratio = oursRow.p99Ms / upstreamRow.p99Ms;
    const half = ratio <= 0.5 && oursRow.failedShare <= upstreamRow.failedShare;
    const noneIdle = oursRow.waitedBesideIdle === 0;
    met &&= half && noneIdle;
    print(`  p99 of ours is ${ratio.toFixed(2)} of upstream's; by seed ${oursRow.p99BySeedMs.map((ms, i) => (ms / (upstreamRow.p99BySeedMs[i] ?? NaN)).toFixed(2)).join(' ')} (target at most 0.50: ${half ? 'met' : 'MISSED'}); requests that waited beside an idle node: ${Math.round(oursRow.waitedBesideIdle * oursRow.requests)} (target 0: ${noneIdle ? 'met' : 'MISSED'})`);
  }
  return met;
}
