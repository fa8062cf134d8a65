// One run of the chaos test from its seed to its reckoning.
import { auditChain } from './audit-chain.ts';
import { auditMoney } from './audit-money.ts';
import { steps, TROUBLES } from './driver.ts';
import { Harness } from './harness.ts';
import type { ChainSummary } from './audit-chain.ts';
import type { MoneySummary } from './audit-money.ts';
import type { Troubles } from './driver.ts';
import type { Size } from './world.ts';

export interface ChaosOptions {
  readonly seed: string;
  readonly requests: number;
  readonly size: Size;
  readonly troubles?: Troubles;
  /** True: the folder of the run stays. */
  readonly keep?: boolean;
  readonly progress?: (text: string) => void;
}

export interface ChaosResult {
  readonly seed: string;
  readonly requests: number;
  /** How requests ended, by outcome. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly troubles: Harness['counts'];
  readonly seconds: number;
  /** Everything that must not be; empty when all is well. */
  readonly violations: readonly string[];
  /** Null where the run did not come so far. */
  readonly money: MoneySummary | null;
  readonly chain: ChainSummary | null;
  readonly home: string;
}

export const FULL: Size = { proxies: 3, nodes: 6, clients: 20, clientProcesses: 4 };
export const SMALL: Size = { proxies: 2, nodes: 2, clients: 4, clientProcesses: 1 };

const TELL_EVERY = 250;

/** Never rejects for what it found: see `violations`. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, requests, size, troubles = TROUBLES, keep = false, progress = () => undefined } = options;
  const startedMs = performance.now();
  const timed = (text: string): void => progress(`${((performance.now() - startedMs) / 1000).toFixed(0)} s: ${text}`);
  const harness = new Harness({ seed, size, atOnce: 2 * size.clients, progress: timed });
  let money: MoneySummary | null = null;
  let chain: ChainSummary | null = null;
  let home = '';
  try {
    await harness.start();
    home = harness.world.home;
    for (const step of steps(seed, requests, size, troubles)) {
      await harness.carryOut(step);
      if (step.kind === 'ask' && harness.step % TELL_EVERY === 0) timed(`${harness.step} requests, ${JSON.stringify(Object.fromEntries(harness.outcomes))}`);
    }
    await harness.rest();
    timed('everything has ended; the reckoning');
    const onChain = await auditChain(harness.world);
    const reckoned = await auditMoney(harness.world, harness, onChain.children);
    ({ summary: chain } = onChain);
    ({ summary: money } = reckoned);
    for (const text of [...onChain.violations, ...reckoned.violations]) harness.violation(text);
  } catch (error) {
    harness.violation(`the run ended early: ${error instanceof Error ? error.stack : String(error)}`);
  } finally {
    await harness.close(keep);
  }
  return {
    seed, requests, outcomes: Object.fromEntries(harness.outcomes), troubles: harness.counts, seconds: (performance.now() - startedMs) / 1000, violations: harness.violations, money, chain, home,
  };
}
