// What a node may be paid for without having written it down: a proxy books the texts that it passed on of an answer whose node
// is gone (one token each, src/proxy/charge.ts), and a node that is killed cannot write them down. The node therefore says
// beforehand how many parts it may hand over; anything beyond those, and any request that was not under way at a kill, is wrong.
import { adjustTokens } from '../../src/openai/token-price.ts';
import { PARAMS } from './create-world.ts';
import type { Truth } from './messages.ts';

/** Parts that a node announces at a time: few lines for long answers, and a bound that is not far from what was handed over. */
export const ANNOUNCED_PARTS = 8;
/** Every node of a world. */
export const COEFFICIENT = 1_000;

export interface LostWork {
  /** Most adjusted tokens that may be booked for answers whose node was killed, or lost its connection under the first part. */
  readonly tokens: bigint;
  /** Requests that were left open by a process that nobody killed. */
  readonly strays: readonly string[];
}

/** A part holds one text at most, and a text that nobody reported on is one token. */
const worth = (parts: number): bigint => adjustTokens(parts, COEFFICIENT, PARAMS.completionMultiplier);

/** Reads one node's lines for one contract. `kills`: when this node's processes were killed, unix milliseconds. */
export function lostWork(lines: readonly Truth[], contract: string, kills: readonly number[]): LostWork {
  const open = new Map<string, { readonly at: number; parts: number }>();
  const strays: string[] = [];
  let tokens = 0n;
  const lifeEnds = (untilMs: number): void => {
    for (const [m, { at, parts }] of open) {
      if (kills.some((kill) => kill >= at && kill <= untilMs)) tokens += worth(parts);
      else strays.push(`request ${m} of ${contract} was never ended, and its node was not killed`);
    }
    open.clear();
  };
  for (const line of lines) {
    if (line.t === 'life') lifeEnds(line.at);
    if (!('contract' in line) || line.contract !== contract) continue;
    if (line.t === 'job') open.set(line.m, { at: line.at, parts: 0 });
    else if (line.t === 'ahead') (open.get(line.m) ?? { parts: 0 }).parts = line.parts;
    else if (line.t === 'work') open.delete(line.m);
    else if (line.t === 'over') {
      // A connection that breaks under the first part may still have carried it; after it, the node counts what it made.
      if (open.delete(line.m)) tokens += worth(Math.min(line.parts, 1));
    }
  }
  lifeEnds(Infinity);
  return { tokens, strays };
}

/** Why `booked` cannot be right; null when it may be. `done`: what the node wrote down, adjusted tokens. */
export function overbooked(name: string, booked: bigint, done: bigint, lost: LostWork): string | null {
  return booked <= done + lost.tokens ? null : `${name} worked ${done} tokens and at most ${lost.tokens} under way when it was killed, ${booked} are booked for it`;
}
