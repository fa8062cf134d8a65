// What happens in a world, step by step, drawn from one seed: requests of every size, kills, restarts, cut and silent
// connections, processes that stand still, faults of the chain, claims. The same seed gives the same steps; when each takes
// effect is the processes' own matter.
import { randomOf } from '../fuzz/random.ts';
import type { Fault } from '../../src/chain/local/faults.ts';
import type { Random } from '../fuzz/random.ts';
import type { Ask } from './messages.ts';
import type { Size } from './world.ts';

export type Step =
  | { readonly kind: 'ask'; readonly ask: Ask }
  | { readonly kind: 'kill'; readonly role: 'chain' | 'proxy' | 'node' | 'clients'; readonly index: number; readonly gently: boolean; readonly backAfterMs: number }
  | { readonly kind: 'freeze'; readonly role: 'chain' | 'proxy' | 'node' | 'clients'; readonly index: number; readonly forMs: number }
  | { readonly kind: 'cut'; readonly proxy: number; readonly side: 'clients' | 'workers' }
  | { readonly kind: 'hold'; readonly proxy: number; readonly side: 'clients' | 'workers'; readonly forMs: number }
  | { readonly kind: 'fault'; readonly fault: Fault }
  | { readonly kind: 'claim'; readonly node: number; readonly killAfterMs: number | null };

/** Of a thousand requests, so many are accompanied by each trouble. */
export interface Troubles {
  readonly kills: number;
  readonly freezes: number;
  readonly cuts: number;
  readonly holds: number;
  readonly faults: number;
  readonly claims: number;
}

/** For short runs, in which everything shall happen. */
export const TROUBLES: Troubles = { kills: 22, freezes: 7, cuts: 15, holds: 6, faults: 15, claims: 8 };
/** For long runs, in which most of the time shall go to requests. */
export const RARER: Troubles = { kills: 14, freezes: 4, cuts: 8, holds: 3, faults: 10, claims: 3 };

const between = (random: Random, least: number, most: number): number => least + random.below(most - least + 1);
const chance = (random: Random, perMille: number): boolean => random.below(1_000) < perMille;

function ask(random: Random, { clients, proxies }: Size): Ask {
  const pieces = random.below(4) === 0 ? between(random, 30, 120) : between(random, 1, 30);
  return {
    client: random.below(clients), proxy: random.below(proxies), words: between(random, 0, 60), pieces, pieceDelayMs: random.below(3) === 0 ? between(random, 1, 12) : 0,
    maxTokens: random.below(5) === 0 ? between(random, 1, pieces) : pieces + between(random, 0, 40),
    cancelAfter: random.below(8) === 0 ? random.below(pieces) : null, timeoutMs: random.below(20) === 0 ? between(random, 20, 300) : 10_000,
  };
}

function victim(random: Random, { proxies, nodes, clientProcesses }: Size): Pick<Extract<Step, { kind: 'kill' }>, 'role' | 'index'> {
  const draw = random.below(100);
  if (draw < 38) return { role: 'proxy', index: random.below(proxies) };
  if (draw < 65) return { role: 'node', index: random.below(nodes) };
  if (draw < 85) return { role: 'clients', index: random.below(clientProcesses) };
  return { role: 'chain', index: 0 };
}

function fault(random: Random): Fault {
  switch (random.below(7)) {
    case 0: return { kind: 'rate-limit', count: between(random, 1, 12), retryAfterS: random.below(2) };
    case 1: return { kind: 'down', count: between(random, 1, 25) };
    case 2: return { kind: 'slow', delayMs: between(random, 50, 1_800), count: between(random, 1, 12) };
    case 3: return { kind: 'garbage', form: random.pick(['page', 'cut', 'shape', 'bytes', 'huge'] as const) ?? 'cut', count: between(random, 1, 4) };
    case 4: return { kind: 'drop', count: between(random, 1, 4) };
    case 5: return { kind: 'late', blocks: between(random, 3, 90), count: between(random, 1, 2) };
    default: return { kind: 'lag', blocks: between(random, 1, 40), seconds: between(random, 1, 6) };
  }
}

/** The steps of a run, one request and what accompanies it after the other. */
export function* steps(seed: string, requests: number, size: Size, troubles: Troubles = TROUBLES): Generator<Step, void, undefined> {
  const random = randomOf(`chaos ${seed}`);
  const side = (): 'clients' | 'workers' => random.below(2) === 0 ? 'clients' : 'workers';
  for (let request = 0; request < requests; request += 1) {
    if (chance(random, troubles.kills)) yield { kind: 'kill', ...victim(random, size), gently: random.below(6) === 0, backAfterMs: between(random, 0, 1_500) };
    if (chance(random, troubles.freezes)) yield { kind: 'freeze', ...victim(random, size), forMs: between(random, 100, 2_000) };
    if (chance(random, troubles.cuts)) yield { kind: 'cut', proxy: random.below(size.proxies), side: side() };
    if (chance(random, troubles.holds)) yield { kind: 'hold', proxy: random.below(size.proxies), side: side(), forMs: between(random, 100, 2_500) };
    if (chance(random, troubles.faults)) yield { kind: 'fault', fault: fault(random) };
    if (chance(random, troubles.claims)) yield { kind: 'claim', node: random.below(size.nodes), killAfterMs: random.below(2) === 0 ? between(random, 300, 3_000) : null };
    yield { kind: 'ask', ask: ask(random, size) };
  }
}
